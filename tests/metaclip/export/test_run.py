"""Exports: the right pairs for any t, the same bytes each time, and nothing mixed or half written."""

import hashlib
import json
import shutil
from pathlib import Path
from typing import Any

import fsspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from metaclip.config.settings import Config
from metaclip.errors import ConfigError, StoreError
from metaclip.export.run import Wanted, export_pool
from metaclip.schemas import CURATED
from metaclip.stages.balance import BalanceJob
from metaclip.store.store import Store
from tests.examples import ROOT, run_example
from tests.pools import make_pool

RESERVED = {"key", "width", "height", "original_width", "original_height", "status", "error_message"} | {
    "exif",
    "md5",
    "sha256",
    "sha512",
}


@pytest.fixture(scope="module")
def pool(crawl: Path, tmp_path_factory: pytest.TempPathFactory) -> Config:
    return make_pool(crawl, tmp_path_factory.mktemp("export") / "pool")


@pytest.fixture(scope="module")
def balanced(pool: Config) -> pa.Table:
    """All pairs with a matched entry, with their min_t."""
    files = sorted(Path(pool.storage).glob("balance-v*/*/pairs.parquet"))
    assert len(files) >= 3
    return pa.concat_tables(pq.read_table(file) for file in files)


def _export(pool: Config, to: Path | str, t: float = 20, **wanted: Any) -> dict[str, Any]:
    return export_pool(pool.storage, pool.pool, str(to), Wanted(t, **wanted))


def _uids(table: pa.Table) -> set[str]:
    halves = zip(table.column("uid_hi").to_pylist(), table.column("uid_lo").to_pylist(), strict=True)
    return {f"{high:016x}{low:016x}" for high, low in halves}


def _lines(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for path in sorted(folder.glob("*.jsonl")) for line in path.read_text().splitlines()]


def _bytes(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.mark.parametrize("t", [3.5, 20.0, float("inf")])
def test_parquet_holds_what_any_t_keeps(pool: Config, balanced: pa.Table, tmp_path: Path, t: float) -> None:
    described = _export(pool, tmp_path / "x", t, rows_per_file=300)
    files = sorted((tmp_path / "x").glob("*.parquet"))
    tables = [pq.read_table(file) for file in files]
    assert len(files) > 3
    assert max(table.num_rows for table in tables) <= 300
    whole = pa.concat_tables(tables)
    assert whole.schema.equals(CURATED)
    assert not RESERVED & set(whole.column_names)
    expected = balanced.filter(pc.less_equal(balanced.column("min_t"), t))
    assert set(whole.column("uid").to_pylist()) == _uids(expected)
    assert described["pairs"] == whole.num_rows == expected.num_rows > 0
    assert described["images"] == len(set(whole.column("url").to_pylist()))


def test_an_export_at_the_pools_t_is_its_curated_set(pool: Config, tmp_path: Path) -> None:
    _export(pool, tmp_path / "x", 20, rows_per_file=pool.curate.rows_per_file)
    (folder,) = Path(pool.storage).glob("curate-v*/*")
    curated = {path.name: path.read_bytes() for path in folder.glob("*.parquet")}
    assert {name: data for name, data in _bytes(tmp_path / "x").items() if name != "export.json"} == curated


@pytest.mark.parametrize("form", ["img2dataset", "datacomp", "metaclip", "jsonl"])
def test_the_same_bytes_each_time_and_files_as_stated(pool: Config, tmp_path: Path, form: str) -> None:
    _export(pool, tmp_path / "a", format=form, rows_per_file=500)
    _export(pool, tmp_path / "b", format=form, rows_per_file=500)
    content = _bytes(tmp_path / "a")
    assert content == _bytes(tmp_path / "b")
    described = json.loads(content.pop("export.json"))
    assert {file["name"]: (file["bytes"], file["sha256"]) for file in described["files"]} == {
        name: (len(data), hashlib.sha256(data).hexdigest()) for name, data in content.items()
    }
    record = json.loads(Path(pool.storage, "pools", "small.json").read_text())
    assert described["stages"]["balance"] == [address.split("/")[1] for address in record["stages"]["balance"]]
    assert (described["pool"], described["t"], described["seed"]) == ("small", "20", 0)


def test_datacomp_is_one_sorted_array_of_halves(pool: Config, balanced: pa.Table, tmp_path: Path) -> None:
    _export(pool, tmp_path / "x", 20, format="datacomp")
    uids = np.load(tmp_path / "x" / "uids.npy")
    assert uids.dtype == np.dtype("u8,u8")
    assert np.array_equal(uids, np.sort(uids))
    expected = _uids(balanced.filter(pc.less_equal(balanced.column("min_t"), 20)))
    assert {f"{high:016x}{low:016x}" for high, low in uids.tolist()} == expected


def test_metaclip_has_one_record_for_each_image(pool: Config, balanced: pa.Table, tmp_path: Path) -> None:
    described = _export(pool, tmp_path / "x", 20, format="metaclip", rows_per_file=100)
    records = _lines(tmp_path / "x")
    expected = balanced.filter(pc.less_equal(balanced.column("min_t"), 20)).to_pylist()
    assert len(records) == len({record["url"] for record in records}) == described["images"]
    assert any(len(record["texts"]) > 1 for record in records)
    for record in records:
        assert list(record) == ["uuid", "url", "texts"]
        assert record["uuid"] == hashlib.sha224(record["url"].encode()).hexdigest()[:24]
    found = {(record["url"], *text[:2], tuple(text[2])) for record in records for text in record["texts"]}
    assert found == {(row["url"], row["text_key"], row["text"], tuple(row["entry_ids"])) for row in expected}
    assert max(len(path.read_text().splitlines()) for path in (tmp_path / "x").glob("*.jsonl")) == 100


def test_jsonl_has_every_column(pool: Config, tmp_path: Path) -> None:
    _export(pool, tmp_path / "lines", 20, format="jsonl")
    _export(pool, tmp_path / "parquet", 20)
    rows = pa.concat_tables(pq.read_table(file) for file in sorted((tmp_path / "parquet").glob("*.parquet")))
    assert _lines(tmp_path / "lines") == rows.to_pylist()


@pytest.mark.parametrize("form", ["img2dataset", "datacomp", "metaclip", "jsonl"])
def test_one_text_for_each_image(pool: Config, balanced: pa.Table, tmp_path: Path, form: str) -> None:
    best: dict[int, tuple[float, int]] = {}
    for row in balanced.to_pylist():
        if row["min_t"] <= 20:
            key = (row["min_t"], row["uid_lo"])
            best[row["uid_hi"]] = min(best.get(row["uid_hi"], key), key)
    expected = {f"{high:016x}{low:016x}" for high, (_, low) in best.items()}
    described = _export(pool, tmp_path / "x", 20, format=form, texts_per_image="one")
    assert described["pairs"] == described["images"] == len(expected)
    folder = tmp_path / "x"
    if form == "img2dataset":
        found = {uid for file in folder.glob("*.parquet") for uid in pq.read_table(file).column("uid").to_pylist()}
        assert found == expected
    elif form == "datacomp":
        assert {f"{high:016x}{low:016x}" for high, low in np.load(folder / "uids.npy").tolist()} == expected
    elif form == "jsonl":
        assert {row["uid"] for row in _lines(folder)} == expected
    else:
        assert {len(record["texts"]) for record in _lines(folder)} == {1}


def test_the_same_export_again_writes_nothing_and_another_is_refused(pool: Config, tmp_path: Path) -> None:
    assert _export(pool, tmp_path / "x")["written"]
    stamps = {path.name: path.stat().st_mtime_ns for path in (tmp_path / "x").iterdir()}
    assert not _export(pool, tmp_path / "x")["written"]
    assert {path.name: path.stat().st_mtime_ns for path in (tmp_path / "x").iterdir()} == stamps
    for other in ({"t": 21.0}, {"format": "jsonl"}, {"texts_per_image": "one"}, {"rows_per_file": 7}):
        with pytest.raises(ConfigError, match="holds another export"):
            _export(pool, tmp_path / "x", **other)
    (tmp_path / "y").mkdir()
    (tmp_path / "y" / "notes.txt").write_text("mine")
    with pytest.raises(ConfigError, match=r"notes\.txt"):
        _export(pool, tmp_path / "y")


def test_a_killed_or_damaged_export_goes_on(pool: Config, tmp_path: Path) -> None:
    _export(pool, tmp_path / "whole")
    shutil.copytree(tmp_path / "whole", tmp_path / "x")
    (tmp_path / "x" / "part-00000-00000.parquet").write_bytes(b"short")
    assert _export(pool, tmp_path / "x")["written"]
    assert _bytes(tmp_path / "x") == _bytes(tmp_path / "whole")

    store = Store(pool.storage)

    def interrupt(done: int, total: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        export_pool(pool.storage, pool.pool, str(tmp_path / "y"), Wanted(20), interrupt)
    assert not (tmp_path / "y" / "export.json").exists()
    assert store.read_json("pools/small.json")
    with pytest.raises(ConfigError, match=r"started\.json"):
        _export(pool, tmp_path / "y", 21)
    _export(pool, tmp_path / "y")
    assert _bytes(tmp_path / "y") == _bytes(tmp_path / "whole")


@pytest.mark.slow
def test_an_object_store_gets_the_same_bytes(pool: Config, tmp_path: Path, bucket: str) -> None:
    for form in ("img2dataset", "datacomp"):
        _export(pool, tmp_path / form, format=form)
        described = _export(pool, f"{bucket}/{form}", format=form)
        assert described["written"]
        system, path = fsspec.core.url_to_fs(f"{bucket}/{form}")
        found = {name.rsplit("/", 1)[1]: system.cat_file(name) for name in system.find(path)}
        assert found == _bytes(tmp_path / form)
        assert not _export(pool, f"{bucket}/{form}", format=form)["written"]


def test_an_empty_partition_is_no_trouble(pool: Config, tmp_path: Path) -> None:
    for form in ("img2dataset", "datacomp", "metaclip", "jsonl"):
        described = _export(pool, tmp_path / form, 1e-12, format=form)
        assert described["pairs"] == described["images"] == 0
    assert np.load(tmp_path / "datacomp" / "uids.npy").dtype == np.dtype("u8,u8")


@pytest.mark.parametrize(
    ("wanted", "message"),
    [
        ({"t": 0}, "t 0"),
        ({"t": float("nan")}, "t nan"),
        ({"t": 1, "format": "csv"}, "img2dataset, datacomp"),
        ({"t": 1, "rows_per_file": 0}, "rows per file 0"),
        ({"t": 1, "rows_per_file": 1_000_001}, "at most 1,000,000"),
        ({"t": 1, "texts_per_image": "some"}, "all, one"),
    ],
)
def test_impossible_wishes(wanted: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        Wanted(**wanted)


def test_unknown_pool_and_unwritable_target(pool: Config, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"nobody.*small"):
        export_pool(pool.storage, "nobody", str(tmp_path / "x"), Wanted(20))
    assert not (tmp_path / "x").exists()
    with pytest.raises(StoreError, match="/proc/nowhere"):
        _export(pool, "/proc/nowhere")
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="file"):
        _export(pool, tmp_path / "file" / "below")


def test_a_missing_partition_is_named(crawl: Path, pool: Config, tmp_path: Path) -> None:
    shutil.copytree(pool.storage, tmp_path / "pool")
    file = next((tmp_path / "pool").glob(f"{BalanceJob.STAGE}-v{BalanceJob.VERSION}/*/pairs.parquet"))
    file.unlink()
    with pytest.raises(StoreError, match=str(file)):
        export_pool(str(tmp_path / "pool"), "small", str(tmp_path / "x"), Wanted(20))
    assert not (tmp_path / "x" / "export.json").exists()


@pytest.mark.parametrize(
    ("form", "folder"), [("img2dataset", "export"), ("datacomp", "uids"), ("metaclip", "records"), ("jsonl", "lines")]
)
def test_the_page_on_a_format_reads_it(
    pool: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, form: str, folder: str
) -> None:
    described = _export(pool, tmp_path / "demo-data" / folder, 50, format=form)
    monkeypatch.chdir(tmp_path)
    found = run_example(f"format-{form}.md")
    if form == "img2dataset":
        assert 0 < found["pairs"].num_rows < described["pairs"]
        page = (ROOT / "docs/format-img2dataset.md").read_text()
        assert all(f"`{name}`" in page for name in found["pairs"].column_names)
    elif form == "datacomp":
        assert len(found["as_text"]) == described["pairs"]
        assert found["uids"].dtype == np.dtype("u8,u8")
    else:
        assert (found.get("captions") or [found["text"]])[0]
