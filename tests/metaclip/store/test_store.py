"""Outputs exist by their manifest, which comes last; what is lost or altered is noticed."""

import hashlib
import json
import multiprocessing
import os
import signal
import time
import uuid
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from metaclip.errors import StoreError
from metaclip.store.manifest import Reference, json_bytes, stage_key
from metaclip.store.store import Store
from metaclip.tables.parquet import RANGE_GROUP_ROWS

SCHEMA = pa.schema([pa.field("a", pa.int64(), nullable=False)])


@pytest.fixture(params=["local", "memory"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    return Store(str(tmp_path / "root") if request.param == "local" else f"memory://{uuid.uuid4().hex}")


def _write(store: Store, numbers: list[int], inputs: list[str] | None = None) -> Reference:
    inputs = inputs or []
    manifest = f"demo-v1/{stage_key('demo', 1, {}, inputs)}/manifest.json"
    with store.create("demo", 1, {}, inputs, manifest) as output:
        output.parquet("a.parquet", SCHEMA, iter([pa.table({"a": numbers}, schema=SCHEMA)]))
        output.json("b.json", {"ü": 1}, 1)
        return output.commit({"n": len(numbers)})


def test_roundtrip(store: Store) -> None:
    store.check()
    reference = _write(store, [1, 2, 3])
    found = store.find(reference.manifest, "full")
    assert found is not None
    assert [file.name for file in found.files] == ["a.parquet", "b.json"]
    assert found.file("a.parquet").rows == 3
    assert found.key == reference.key
    assert store.open_parquet(reference, "a.parquet").read().column("a").to_pylist() == [1, 2, 3]
    assert store.output_json(reference.manifest, "b.json") == {"ü": 1}
    content = store.read_bytes(reference, "a.parquet")
    assert hashlib.sha256(content).hexdigest() == found.file("a.parquet").sha256
    assert store.local_file(reference, "a.parquet").read_bytes() == content


def test_key_is_sha256_of_canonical_json() -> None:
    canonical = '{"config":{"a":1,"b":"ü"},"inputs":["k"],"stage":"s","version":2}'
    assert stage_key("s", 2, {"b": "ü", "a": 1}, ["k"]) == hashlib.sha256(canonical.encode()).hexdigest()[:32]


def test_without_a_manifest_there_is_no_output(store: Store) -> None:
    reference = _write(store, [1])
    store.remove(reference.manifest)
    assert store.find(reference.manifest) is None
    with pytest.raises(StoreError, match="missing"):
        store.manifest(reference.manifest)


def test_the_manifest_is_written_last(tmp_path: Path) -> None:
    store = Store(str(tmp_path))
    manifest = "demo-v1/k/manifest.json"

    def fail_in_the_second_file() -> None:
        with store.create("demo", 1, {}, [], manifest) as output:
            output.json("b.json", 1, 1)
            assert (tmp_path / "demo-v1/k/b.json").exists()
            assert not (tmp_path / manifest).exists()
            with output.file("half"):
                raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail_in_the_second_file()
    assert sorted(path.name for path in (tmp_path / "demo-v1/k").iterdir()) == ["b.json"]


@pytest.mark.parametrize("damage", ["delete", "truncate", "extend", "garbage manifest", "cut manifest"])
def test_damage_is_noticed_and_logged(tmp_path: Path, damage: str, caplog: pytest.LogCaptureFixture) -> None:
    store = Store(str(tmp_path))
    reference = _write(store, [1, 2, 3])
    data, manifest = tmp_path / reference.folder / "a.parquet", tmp_path / reference.manifest
    match damage:
        case "delete":
            data.unlink()
        case "truncate":
            data.write_bytes(data.read_bytes()[:-1])
        case "extend":
            data.write_bytes(data.read_bytes() + b"x")
        case "garbage manifest":
            manifest.write_text("{}")
        case "cut manifest":
            manifest.write_bytes(manifest.read_bytes()[:20])
    assert store.find(reference.manifest) is None
    assert "made again" in caplog.text


def test_replaced_content_of_the_same_size_is_noticed_by_full_verification(tmp_path: Path) -> None:
    store = Store(str(tmp_path))
    reference = _write(store, [1, 2, 3])
    data = tmp_path / reference.folder / "a.parquet"
    data.write_bytes(bytes(len(data.read_bytes())))
    assert store.find(reference.manifest, "size") is not None
    assert store.find(reference.manifest, "full") is None


@pytest.mark.parametrize(("group_rows", "groups"), [(None, 4), (RANGE_GROUP_ROWS, 13)])
def test_parquet_bytes_depend_on_the_rows_alone(group_rows: int | None, groups: int, tmp_path: Path) -> None:
    store = Store(str(tmp_path))
    numbers = list(range(200_000))
    digests = set()
    for cut in (1_000_000, 65_536, 7_919, 100_001):
        with store.create("demo", 1, {}, [], f"demo-v1/{cut}/manifest.json") as output:
            tables = (pa.table({"a": numbers[i : i + cut]}, schema=SCHEMA) for i in range(0, len(numbers), cut))
            assert output.parquet("a.parquet", SCHEMA, tables, group_rows) == len(numbers)
            output.commit({})
        path = tmp_path / f"demo-v1/{cut}/a.parquet"
        digests.add(hashlib.sha256(path.read_bytes()).hexdigest())
        assert pq.read_table(path).column("a").to_pylist() == numbers
        assert pq.read_metadata(path).num_row_groups == groups
    assert len(digests) == 1


def test_two_writers_of_one_key(tmp_path: Path) -> None:
    one, other = Store(str(tmp_path)), Store(str(tmp_path))
    manifest = "demo-v1/k/manifest.json"
    with one.create("demo", 1, {}, [], manifest) as first, other.create("demo", 1, {}, [], manifest) as second:
        for output in (first, second):
            output.parquet("a.parquet", SCHEMA, iter([pa.table({"a": [1]}, schema=SCHEMA)]))
        assert first.commit({}) == second.commit({})
    assert one.find(manifest, "full") is not None
    assert sorted(path.name for path in (tmp_path / "demo-v1/k").iterdir()) == ["a.parquet", "manifest.json"]


def _write_slowly(root: str, ready: str) -> None:
    store = Store(root)
    with store.create("demo", 1, {}, [], "demo-v1/k/manifest.json") as output, output.file("a.parquet") as sink:
        sink.write(b"half of it")
        Path(ready).touch()
        time.sleep(60)


@pytest.mark.slow
def test_leftovers_of_a_killed_writer_go_with_the_next_write(tmp_path: Path) -> None:
    ready = tmp_path / "ready"
    writer = multiprocessing.get_context("spawn").Process(target=_write_slowly, args=(str(tmp_path), str(ready)))
    writer.start()
    while not ready.exists():
        time.sleep(0.01)
    assert writer.pid is not None
    os.kill(writer.pid, signal.SIGKILL)
    writer.join()
    folder = tmp_path / "demo-v1/k"
    assert [path.suffix for path in folder.iterdir()] == [".tmp"]
    with Store(str(tmp_path)).create("demo", 1, {}, [], "demo-v1/k/manifest.json") as output:
        output.json("b.json", 1, 1)
        output.commit({})
    assert sorted(path.name for path in folder.iterdir()) == ["b.json", "manifest.json"]


def test_unusable_roots(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="nosuch"):
        Store("nosuch://x")
    blocked = tmp_path / "file"
    blocked.write_text("not a folder")
    with pytest.raises(StoreError, match="cannot be used"):
        Store(str(blocked)).check()
    (tmp_path / "layout.json").write_text(json.dumps({"layout": 99}))
    with pytest.raises(StoreError, match="version 99"):
        Store(str(tmp_path)).check()


_SCALARS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text()
_JSON = st.recursive(
    _SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text() | st.integers(), inner, max_size=3)
)


@given(_JSON)
def test_json_is_stored_as_the_standard_library_indents_it(value: object) -> None:
    try:
        expected = (json.dumps(value, indent=1, ensure_ascii=False, allow_nan=False) + "\n").encode()
    except UnicodeEncodeError:  # a lone surrogate
        with pytest.raises(UnicodeEncodeError):
            json_bytes(value)
        return
    assert json_bytes(value) == expected


@pytest.mark.parametrize("value", [float("nan"), [float("inf")]])
def test_json_holds_no_number_that_json_has_not(value: object) -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        json_bytes(value)
