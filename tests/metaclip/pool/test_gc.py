"""What no pool needs goes, and nothing else, whenever it is interrupted."""

import os
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from metaclip.errors import ConfigError, StoreError
from metaclip.io.storage.files import Files
from metaclip.pool import gc
from metaclip.pool.gc import collect, parse_grace
from metaclip.pool.run_log import run_log
from metaclip.store.manifest import stage_key
from metaclip.store.store import Store
from tests.s3 import S3Server

SCHEMA = pa.schema([pa.field("a", pa.int64(), nullable=False)])
NOW = timedelta()


@pytest.fixture(params=["local", "s3"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    if request.param == "local":
        return Store(str(tmp_path / "root"))
    return Store(f"{request.getfixturevalue('bucket')}/base")


def _output(store: Store, stage: str, *inputs: str) -> str:
    """Write an output of two files and return its key."""
    key = stage_key(stage, 1, {}, inputs)
    with store.create(stage, 1, {}, list(inputs), f"{stage}-v1/{key}/manifest.json") as output:
        output.parquet("a.parquet", SCHEMA, iter([pa.table({"a": [1]}, schema=SCHEMA)]))
        output.json("b.json", 1, 1)
        output.commit({})
    return key


def _address(stage: str, key: str) -> str:
    return f"{stage}-v1/{key}/manifest.json"


def _pool(store: Store, name: str = "pool", t: str = "20") -> dict[str, str]:
    """Write a small pool: counts of words that no record names, entries made from them, and a set."""
    keys = {"ngrams": _output(store, "ngrams", "file-1")}
    keys["metadata"] = _output(store, "metadata", keys["ngrams"])
    keys["extract"] = _output(store, "extract", "crawl-1")
    keys["curate"] = _output(store, "curate", keys["extract"], t)
    stages = {
        "metadata": _address("metadata", keys["metadata"]),
        "extract": [_address("extract", keys["extract"])],
        "curate": {t: [_address("curate", keys["curate"])]},
    }
    store.write_json(f"pools/{name}.json", {"pool": name, "stages": stages})
    return keys


def _files(store: Store) -> dict[str, int]:
    return {file.path: file.bytes for top in store.folders() for file in store.files(top)}


@pytest.mark.slow
def test_what_a_pool_was_made_from_stays_and_the_rest_goes(store: Store) -> None:
    _pool(store)
    before = _files(store)
    _output(store, "extract", "crawl-2")
    _output(store, "match", "nobody")
    store.write_whole("dedup-v1/0123/pairs.parquet", b"a writer was killed")
    store.write_whole("mine/notes.txt", b"not ours")
    store.write_whole("extract-v1/notes.txt", b"not ours either")
    tried = collect(store.root, dry_run=True, grace=NOW)
    assert len(_files(store)) == len(before) + 3 + 3 + 1 + 2
    done = collect(store.root, grace=NOW)
    assert done["removed"] == tried["removed"]
    assert [(each["stage"], each["outputs"], each["files"]) for each in done["removed"]] == [
        ("dedup-v1", 1, 1),
        ("extract-v1", 1, 3),
        ("match-v1", 1, 3),
    ]
    assert _files(store) == {**before, "mine/notes.txt": 8, "extract-v1/notes.txt": 15}
    assert done["kept"] == tried["kept"]
    assert sum(each["outputs"] for each in done["kept"]) == 4
    assert done["pools"] == ["pool"]
    assert collect(store.root, grace=NOW)["removed"] == []


def test_what_is_young_stays(store: Store) -> None:
    _output(store, "extract", "crawl-2")
    store.write_whole("dedup-v1/0123/pairs.parquet", b"a writer at work")
    done = collect(store.root, grace=timedelta(hours=1))
    assert done["removed"] == []
    assert sum(each["outputs"] for each in done["young"]) == 2
    assert len(_files(store)) == 4


def test_one_young_file_keeps_an_old_output(tmp_path: Path) -> None:
    store = Store(str(tmp_path))
    key = _output(store, "extract", "crawl-2")
    two_days_ago = time.time() - 2 * 86_400
    for path in (tmp_path / "extract-v1" / key).iterdir():
        os.utime(path, (two_days_ago, two_days_ago))
    os.utime(tmp_path / "extract-v1" / key / "b.json")
    assert collect(store.root)["removed"] == []
    os.utime(tmp_path / "extract-v1" / key / "b.json", (two_days_ago, two_days_ago))
    assert [each["outputs"] for each in collect(store.root)["removed"]] == [1]
    assert not (tmp_path / "extract-v1" / key).exists()


def test_nothing_goes_while_a_run_goes_on(store: Store) -> None:
    _pool(store)
    _output(store, "extract", "crawl-2")
    before = _files(store)
    with run_log(store, "pool", "a1", "curate"):
        with pytest.raises(StoreError, match=r"a run goes on .*curate of pool pool"):
            collect(store.root, grace=NOW)
        told = collect(store.root, dry_run=True, grace=NOW)
        assert len(told["active"]) == len(told["removed"]) == 1
        assert {path: size for path, size in _files(store).items() if not path.startswith("runs")} == before
    assert collect(store.root, grace=NOW)["removed"]


def test_a_run_that_begins_meanwhile_stops_it(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gc, "OUTPUTS_AT_ONCE", 1)
    _output(store, "extract", "crawl-2")
    _output(store, "extract", "crawl-3")
    remove, logs = gc._remove, []

    def begin_a_run(*arguments: Any) -> None:
        remove(*arguments)
        logs.append(run_log(store, "pool", "a1", "curate"))
        logs[-1].__enter__()

    monkeypatch.setattr(gc, "_remove", begin_a_run)
    with pytest.raises(StoreError, match="1 outputs were removed before it began"):
        collect(store.root, grace=NOW)
    logs[0].__exit__(None, None, None)
    assert len(store.files("extract-v1")) == 3


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"{", "not valid JSON"),
        (b"{}", "not a pool's record"),
        (b"[]", "not a pool's record"),
        (b'{"stages": {"extract": ["extract-v1/k"]}}', "no address of a manifest"),
        (b'{"stages": {"extract": 3}}', "no address of a manifest"),
        (b'{"stages": {}}', "names no outputs"),
    ],
)
def test_a_record_that_cannot_be_read_is_refused(tmp_path: Path, content: bytes, message: str) -> None:
    store = Store(str(tmp_path))
    _pool(store)
    _output(store, "extract", "crawl-2")
    store.write_whole("pools/other.json", content)
    before = _files(store)
    with pytest.raises(StoreError, match=message):
        collect(store.root, grace=NOW)
    assert _files(store) == before


def test_a_named_manifest_that_cannot_be_read_is_refused_and_a_missing_one_is_told(tmp_path: Path) -> None:
    store = Store(str(tmp_path))
    keys = _pool(store)
    store.write_whole(_address("metadata", keys["metadata"]), b"{")
    with pytest.raises(StoreError, match="not a manifest"):
        collect(store.root, grace=NOW)
    store.remove(_address("metadata", keys["metadata"]))
    done = collect(store.root, grace=NOW)
    assert done["missing"] == [_address("metadata", keys["metadata"])]
    # Its other files are of an output that the pool names, so they are left for the run that mends it.
    assert store.has(f"metadata-v1/{keys['metadata']}/b.json", 2)


@pytest.mark.parametrize("after", range(1, 9))
def test_interrupted_it_leaves_no_output_with_a_part_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, after: int
) -> None:
    store = Store(str(tmp_path))
    _pool(store)
    before = _files(store)
    others = [_address("extract", _output(store, "extract", f"other-{number}")) for number in range(3)]
    remove: Callable[[Files, str], None] = os.unlink  # type: ignore[assignment]
    removed = 0

    def interrupt(*arguments: Any, **options: Any) -> None:
        nonlocal removed
        removed += 1
        if removed > after:
            raise KeyboardInterrupt
        remove(*arguments, **options)

    monkeypatch.setattr(os, "remove", interrupt)
    with pytest.raises(KeyboardInterrupt):
        collect(store.root, grace=NOW)
    monkeypatch.undo()
    for address in others:
        assert store.read(address) is None or store.find(address, "full") is not None
    collect(store.root, grace=NOW)
    assert _files(store) == before


def test_leftovers_of_killed_writers_and_old_signs_of_life(tmp_path: Path) -> None:
    store = Store(str(tmp_path))
    keys = _pool(store)
    leftover = tmp_path / "extract-v1" / keys["extract"] / f".elsewhere-1234-{'0' * 32}.tmp"
    leftover.write_bytes(b"half")
    for number in range(8):
        with run_log(store, "pool", f"a{number}", "curate"):
            time.sleep(0.01)
    (tmp_path / "match-v1" / "empty").mkdir(parents=True)
    done = collect(store.root, grace=NOW)
    assert done["leftovers"] == {"files": 1, "bytes": 4, "uploads": 0}
    assert done["runs"]["files"] == 3
    assert store.names("runs/pool") == ["a3", "a4", "a5", "a6", "a7"]
    assert not leftover.exists()
    assert not (tmp_path / "match-v1" / "empty").exists()


def test_uploads_that_were_never_ended(bucket: str, s3_server: S3Server) -> None:
    store, client = Store(f"{bucket}/base"), s3_server.client()
    name = bucket.removeprefix("s3://")
    for key in ("base/extract-v1/k/a.parquet", "elsewhere/a"):
        client.call_s3("create_multipart_upload", Bucket=name, Key=key)
    assert collect(store.root)["leftovers"]["uploads"] == 0
    assert collect(store.root, grace=NOW - timedelta(seconds=5))["leftovers"]["uploads"] == 1
    left = client.call_s3("list_multipart_uploads", Bucket=name).get("Uploads", [])
    assert [upload["Key"] for upload in left] == ["elsewhere/a"]


def test_an_empty_store(store: Store) -> None:
    done = collect(store.root)
    assert (done["removed"], done["kept"], done["pools"]) == ([], [], [])


def test_grace() -> None:
    assert parse_grace("24h") == timedelta(hours=24)
    assert parse_grace("1.5d") == timedelta(hours=36)
    assert parse_grace(" 90m ") == timedelta(minutes=90)
    assert parse_grace("0") == timedelta()
    for wrong in ("", "24", "-1h", "1w", "h", "nan"):
        with pytest.raises(ConfigError, match="--grace"):
            parse_grace(wrong)
    assert datetime.now(UTC) - parse_grace("1h") < datetime.now(UTC)


def _ended(store: Store, pool: str, at: datetime | None = None) -> None:
    """Write what a run leaves that ended with a report."""
    with run_log(store, pool, "a1", "curate") as log:
        log.begin("report", 1)
        log.count("report", done=1)
    if at is not None:
        content = store.read_json(f"runs/{pool}/a1.json")
        store.write_json(f"runs/{pool}/a1.json", {**content, "updated": at.isoformat()})


_DAMAGE: dict[str, Any] = {
    "cut": lambda content: content[:40],
    "empty": lambda _: b"",
    "a list": lambda _: b"[]",
    "no UTF-8": lambda _: b"\xff\xfe",
    "very deep": lambda _: b"[" * 100_000,
    "an unknown state": lambda content: content.replace(b'"completed"', b'"sleeping"'),
    "a time without a zone": lambda content: content.replace(b"Z", b""),
    "a time that is none": lambda content: content.replace(b'"updated": "', b'"updated": "x'),
}


@pytest.mark.slow
@pytest.mark.parametrize("damage", _DAMAGE)
def test_signs_of_life_that_cannot_be_read_keep_everything(store: Store, damage: str) -> None:
    _pool(store)
    _output(store, "extract", "crawl-2")
    with run_log(store, "other", "a1", "curate"):
        pass
    content = store.read("runs/other/a1.json")
    assert content is not None
    store.write_whole("runs/other/a1.json", _DAMAGE[damage](content))
    before = _files(store)
    with pytest.raises(StoreError, match=r"in doubt: .*runs/other/a1\.json cannot be read .*delete it"):
        collect(store.root, grace=NOW)
    told = collect(store.root, dry_run=True, grace=NOW)
    assert len(told["doubts"]) == len(told["removed"]) == 1
    assert _files(store) == before
    store.remove("runs/other/a1.json")
    assert collect(store.root, grace=NOW)["removed"]


@pytest.mark.parametrize("hours", [1, 24 * 365])
def test_a_sign_in_the_future_keeps_everything(store: Store, hours: int) -> None:
    _pool(store)
    _output(store, "extract", "crawl-2")
    with run_log(store, "pool", "a1", "curate"):
        content = store.read_json("runs/pool/a1.json")
    sign = (datetime.now(UTC) + timedelta(hours=hours)).isoformat()
    store.write_json("runs/pool/a1.json", {**content, "updated": sign})
    before = _files(store)
    with pytest.raises(StoreError, match="goes on"):
        collect(store.root, grace=NOW)
    assert "in the future" in collect(store.root, dry_run=True, grace=NOW)["doubts"][0]
    assert _files(store) == before


def test_a_run_whose_clock_is_late_keeps_everything(store: Store) -> None:
    _pool(store)
    _output(store, "extract", "crawl-2")
    with run_log(store, "pool", "a1", "curate"):
        content = store.read_json("runs/pool/a1.json")
    sign = (datetime.now(UTC) - timedelta(hours=3)).isoformat()
    store.write_json("runs/pool/a1.json", {**content, "updated": sign})
    before = _files(store)
    with pytest.raises(StoreError, match=r"was written just now .* the clock of .* is wrong"):
        collect(store.root, grace=NOW)
    assert _files(store) == before


def test_a_run_that_was_lost_long_ago_keeps_nothing(tmp_path: Path) -> None:
    store = Store(str(tmp_path))
    _pool(store)
    _output(store, "extract", "crawl-2")
    with run_log(store, "pool", "a1", "curate"):
        content = store.read_json("runs/pool/a1.json")
    sign = (datetime.now(UTC) - timedelta(hours=3)).isoformat()
    store.write_json("runs/pool/a1.json", {**content, "updated": sign})
    os.utime(tmp_path / "runs/pool/a1.json", (time.time() - 3 * 3600,) * 2)
    assert collect(store.root, grace=NOW)["removed"]


@pytest.mark.slow
def test_a_record_that_has_vanished_since_the_last_run_keeps_everything(store: Store) -> None:
    _pool(store)
    _pool(store, "lost", "50")
    _ended(store, "lost")
    _ended(store, "pool")
    assert collect(store.root, grace=NOW)["removed"] == []
    store.remove("pools/lost.json")
    before = _files(store)
    with pytest.raises(StoreError, match=r"the record of pool lost is gone.*delete .*runs/lost too"):
        collect(store.root, grace=NOW)
    assert len(collect(store.root, dry_run=True, grace=NOW)["doubts"]) == 1
    assert _files(store) == before
    store.remove("runs/lost/a1.json")
    assert [each["stage"] for each in collect(store.root, grace=NOW)["removed"]] == ["curate-v1"]


def test_a_pool_that_was_dropped_long_ago_goes(store: Store) -> None:
    _pool(store)
    _pool(store, "lost", "50")
    _ended(store, "lost", datetime.now(UTC) - timedelta(days=2))
    store.remove("pools/lost.json")
    with pytest.raises(StoreError, match="the record of pool lost is gone"):
        collect(store.root, grace=timedelta(days=3))
    assert collect(store.root, grace=NOW)["removed"]


def test_a_run_that_never_wrote_a_record_is_in_nobodys_way(store: Store) -> None:
    _pool(store)
    _output(store, "extract", "crawl-2")
    with run_log(store, "begun", "a1", "curate") as log:  # as of `run --until match`
        log.begin("match", 1)
        log.count("match", done=1)
    assert collect(store.root, grace=NOW)["removed"]


def test_a_run_that_ends_meanwhile_stops_it(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gc, "OUTPUTS_AT_ONCE", 1)
    _pool(store)
    for number in range(2, 5):
        _output(store, "extract", f"crawl-{number}")
    remove = gc._remove

    def end_a_run(*arguments: Any) -> None:
        remove(*arguments)
        _pool(store, "new", "70")

    monkeypatch.setattr(gc, "_remove", end_a_run)
    with pytest.raises(StoreError, match=r"a run has ended meanwhile .*1 outputs were removed before"):
        collect(store.root, grace=NOW)
    assert len(store.files("extract-v1")) == 9
