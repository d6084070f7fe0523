"""The files of one pool, in a store that holds several."""

import json
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from flows.cli.main import app
from metaclip.errors import ConfigError
from metaclip.explore.files import list_files
from tests.examples import run_example
from tests.pools import make_pool


@pytest.fixture(scope="module")
def storage(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A store with the pools `one` (300 pairs) and `two` (40 pairs)."""
    folder = tmp_path_factory.mktemp("files")
    (folder / "entries.txt").write_text("a\nred\n")
    for name, rows in (("one", 300), ("two", 40)):
        lines = [{"url": f"https://{name}.example/{row}.jpg", "text": f"a red {row}"} for row in range(rows)]
        source = folder / f"{name}.jsonl"
        source.write_text("".join(json.dumps(line) + "\n" for line in lines))
        make_pool(
            folder,
            folder / "pool",
            100,
            pool=name,
            source={"paths": [str(source)]},
            metadata={"entries": str(folder / "entries.txt")},
            match={"languages": []},
        )
    return str(folder / "pool")


@pytest.mark.parametrize(("pool", "rows"), [("one", 300), ("two", 40)])
@pytest.mark.parametrize("stage", ["extract", "match", "dedup", "balance"])
def test_a_stage_has_the_rows_of_its_pool_alone(storage: str, pool: str, rows: int, stage: str) -> None:
    found = list_files(storage, pool, stage)
    tables = [pq.read_table(file["address"]) for file in found["files"] if file["address"].endswith(".parquet")]
    assert sum(table.num_rows for table in tables) == rows
    assert {url.split("/")[2] for table in tables for url in table.column("url").to_pylist()} == {f"{pool}.example"}
    assert all(Path(file["address"]).stat().st_size == file["bytes"] for file in found["files"])


def test_a_set_is_found_by_its_t(storage: str) -> None:
    own = list_files(storage, "one", "curate")
    assert own["t"] == "20"
    assert own == list_files(storage, "one", "curate", 20.0)
    with pytest.raises(ConfigError, match=r"no set at t = 50; there: 20\. Cut it first: metaclip rebalance one"):
        list_files(storage, "one", "curate", 50.0)


def test_what_cannot_be_listed_says_what_can(storage: str) -> None:
    with pytest.raises(ConfigError, match="has no stage 'balanced'; there: metadata, source, extract"):
        list_files(storage, "one", "balanced")
    with pytest.raises(ConfigError, match="the same files for every t"):
        list_files(storage, "one", "balance", 20.0)
    with pytest.raises(ConfigError, match="there: one, two"):
        list_files(storage, "three", "balance")


def test_the_command_prints_one_address_a_line(storage: str) -> None:
    done = CliRunner().invoke(app, ["files", "two", "--storage", storage, "--stage", "balance"])
    stated = [file["address"] for file in list_files(storage, "two", "balance")["files"]]
    assert done.exit_code == 0
    assert done.stdout.splitlines() == stated
    as_json = CliRunner().invoke(app, ["files", "two", "--storage", storage, "--json"])
    assert json.loads(as_json.stdout) == list_files(storage, "two", "curate")


def test_the_recipe_of_the_docs_reads_its_pool_alone(storage: str) -> None:
    found = run_example("rebalance.md", **{"demo-data/pool": storage, "demo": "two"})
    assert found["pairs"].count_rows() == 40
