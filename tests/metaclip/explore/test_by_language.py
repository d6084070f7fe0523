"""`metaclip plan --by-language` on pools whose counts are given: what the published rule loses, this one keeps."""

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from flows.cli.main import app
from metaclip.errors import ConfigError
from metaclip.explore.by_language import parse_set_name
from metaclip.explore.pool import FinishedPool
from tests.pools import make_language_pool


def pool_of(folder: Path, counts: dict[str, list[int]], **changes: Any) -> FinishedPool:
    """Make a pool in which each entry of each language is in as many texts as given."""
    lists = {name: [f"{name}word{number}" for number in range(len(of))] for name, of in counts.items()}
    texts = [
        (entry, name)
        for name, of in counts.items()
        for entry, count in zip(lists[name], of, strict=True)
        for _ in range(count)
    ]
    return make_language_pool(folder, lists, texts, **changes)


def plan(pool: FinishedPool, *ts: float) -> list[dict[str, dict[str, Any]]]:
    """Return for each t the rows by language that the command prints as JSON."""
    asked = [word for t in ts for word in ("--t", str(t))]
    arguments = ["plan", pool.config.pool, "--storage", pool.store.root, "--by-language", "--json", *asked]
    done = CliRunner().invoke(app, arguments)
    assert done.exit_code == 0, done.output
    assert "NaN" not in done.stdout
    return [{row["language"]: row for row in size["languages"]} for size in json.loads(done.stdout)["sizes"]]


def test_a_language_that_one_entry_dominates_stays(tmp_path: Path) -> None:
    counts = {"en": [*range(1, 10), 100], "de": [0, 0, 0, 1000]}
    (rows,) = plan(pool_of(tmp_path / "free", counts), 8)
    assert (rows["de"]["t"], rows["de"]["set"]) == ("1000", 1000)
    (rows,) = plan(pool_of(tmp_path / "bound", counts, balance={"t": 8, "ceiling": 1}), 8)
    assert rows["de"]["t"] == "8"
    assert 0 < rows["de"]["set"] < 100
    assert {"ceiling", "dominated"} <= set(rows["de"]["marks"])


def test_a_small_language_whose_entries_all_occur_once_stays(tmp_path: Path) -> None:
    (rows,) = plan(pool_of(tmp_path, {"en": [1] * 9 + [100], "de": [0, 0, 1, 1, 1, 1, 1]}), 1)
    assert (rows["de"]["t"], rows["de"]["set"], rows["de"]["pairs"]) == ("1", 5, 5)


def test_there_and_back(tmp_path: Path) -> None:
    counts = {"en": [9] * 20 + [40] * 10 + [100] * 30, "de": [18] * 3 + [80] * 7 + [300]}
    found = plan(pool_of(tmp_path, counts), 9, 9.5, 39, 40)
    assert [rows["de"]["t"] for rows in found] == ["18", "18", "18", "80"]
    assert [rows["en"]["t"] for rows in found] == ["9", "9.5", "39", "40"]


def test_names_of_sets_are_read() -> None:
    assert parse_set_name("12") == ("12", {})
    assert parse_set_name("2.5;de=4,fr=inf") == ("2.5", {"de": 4.0, "fr": float("inf")})
    with pytest.raises(ConfigError, match="de=500"):
        parse_set_name("12;de")
