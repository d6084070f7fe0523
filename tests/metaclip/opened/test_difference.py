"""Two sets compared, against all of their rows read at once."""

from collections import Counter
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from flows.cli.main import app
from metaclip.demo import ENTRIES
from metaclip.explore.pool import FinishedPool
from metaclip.metadata.given_list import load_entries
from metaclip.opened.difference import compare
from metaclip.opened.difference_page import difference_page
from tests.pools import make_pool


@pytest.fixture(scope="module")
def pools(crawl: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[FinishedPool, FinishedPool]:
    """The small pool in several partitions, and another of fewer files with half of the list, reversed, in one."""
    folder = tmp_path_factory.mktemp("compared")
    entries = load_entries(str(ENTRIES)).entries[::-2]
    (folder / "half.txt").write_text("".join(f"{entry}\n" for entry in entries))
    one = make_pool(crawl, folder / "one")
    other = make_pool(
        crawl,
        folder / "other",
        rows_per_partition=10_000,
        source={"paths": [str(crawl / "wat")]},
        metadata={"entries": str(folder / "half.txt")},
        balance={"t": 7, "seed": 3},
    )
    return FinishedPool.open(one.storage, "small"), FinishedPool.open(other.storage, "small")


def rows(pool: FinishedPool, t: float) -> dict[tuple[int, int], dict[str, Any]]:
    tables = [pq.read_table(pool.store.path(f"{part.folder}/pairs.parquet")) for part in pool.all("balance")]
    found = pa.concat_tables(tables).to_pylist()
    return {(row["uid_hi"], row["uid_lo"]): row for row in found if row["min_t"] <= t}


@pytest.mark.parametrize("turned", [False, True])
def test_two_lists_two_seeds_two_crawls(pools: tuple[FinishedPool, FinishedPool], turned: bool) -> None:
    a, b = pools[::-1] if turned else pools
    found = compare(a, b)
    of_a, of_b = rows(a, a.t(None)), rows(b, b.t(None))
    assert found["both"] == len(of_a.keys() & of_b.keys()) > 0
    assert found["only_a"] == len(of_a.keys() - of_b.keys()) > 0
    assert found["only_b"] == len(of_b.keys() - of_a.keys()) > 0
    for pool, pairs, side in ((a, of_a, "a"), (b, of_b, "b")):
        assert found[side]["pairs"] == len(pairs)
        assert found[side]["images"] == len({high for high, _ in pairs})
        languages = Counter(row["lang"] for row in pairs.values())
        assert {row["language"]: row[side] for row in found["languages"] if row[side]} == languages
        names = pool.entries.column("entry").to_pylist()
        counts = Counter(names[i] for row in pairs.values() for i in row["entry_ids"])
        assert found[side]["matches"] == counts.total()
        for row in [*found["gained"], *found["lost"]]:
            assert row[side] == (counts[row["entry"]] if row["entry"] in names else None)
        other = of_b if side == "a" else of_a
        alone = sorted(pairs.keys() - other.keys())[:10]
        assert [row["uid"] for row in found[f"examples_only_{side}"]] == [f"{x:016x}{y:016x}" for x, y in alone]
    gained = [row["change"] for row in found["gained"]]
    assert gained == sorted(gained, reverse=True)
    assert all(row["change"] == (row["b"] or 0) - (row["a"] or 0) for row in found["lost"])


def test_sets_of_growing_t_are_nested(pools: tuple[FinishedPool, FinishedPool]) -> None:
    pool, _ = pools
    found = compare(pool, pool, 5, 20)
    assert (found["only_a"], found["both"]) == (0, len(rows(pool, 5)))
    assert found["only_b"] == len(rows(pool, 20)) - len(rows(pool, 5))
    assert not found["lost"]
    assert compare(pool, pool, 1e-12, 1e-12)["jaccard"] is None


def test_the_page_escapes_and_blocks_what_it_does_not_contain(pools: tuple[FinishedPool, FinishedPool]) -> None:
    found = compare(*pools)
    bad = '<img src=x onerror="alert(1)">\u202e'
    found["lost"][0]["entry"] = found["examples_only_a"][0]["text"] = found["hosts"][0]["host"] = bad
    page = difference_page(found)
    assert "<img" not in page
    assert "\u202e" not in page
    assert "default-src 'none'" in page
    assert page == difference_page(found)


def test_the_command(pools: tuple[FinishedPool, FinishedPool], tmp_path: Path) -> None:
    a, b = (pool.store.root for pool in pools)
    page = tmp_path / "diff.html"
    done = CliRunner().invoke(app, ["diff", "small", "small", "--storage", a, "--other-storage", b, "--to", str(page)])
    assert done.exit_code == 0, done.output
    assert "entries that lost most" in done.stdout
    assert page.read_text().startswith("<!DOCTYPE html>")
    for arguments in (["small", "--storage", a], ["small", "--storage", a, "--other-t", "5", "--to", "none/x.html"]):
        assert CliRunner().invoke(app, ["diff", *arguments]).exit_code == 2
