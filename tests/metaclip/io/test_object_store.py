"""The store on a real S3 server: requests, retries, errors, large files, names."""

import hashlib
import multiprocessing
import os
import random
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pytest

from metaclip.config.settings import Source
from metaclip.errors import StoreError, StoreOutOfReachError
from metaclip.io import object_store
from metaclip.io.storage import s3_files
from metaclip.io.storage.files import ahead, side_by_side
from metaclip.io.streams import open_stream
from metaclip.sources.listing import list_shards
from metaclip.store.manifest import Reference, stage_key
from metaclip.store.store import Store
from metaclip.tables.parquet import RANGE_GROUP_ROWS, group_bytes, read_groups
from tests.s3 import S3Server, free_ports
from tests.s3_proxy import Fault, Proxy, Request, counting

SCHEMA = pa.schema([pa.field("a", pa.int64(), nullable=False)])
MANIFEST = "demo-v1/k/manifest.json"


@pytest.fixture
def proxy(bucket: str, s3_server: S3Server, monkeypatch: pytest.MonkeyPatch) -> Iterator[Proxy]:
    """Count the requests of this process to the bucket's server."""
    with counting(s3_server.endpoint) as proxy:
        monkeypatch.setenv("AWS_ENDPOINT_URL_S3", proxy.endpoint)
        yield proxy


def _write(store: Store, rows: int = 3, name: str = "k", group_rows: int | None = None) -> Reference:
    manifest = f"demo-v1/{stage_key('demo', 1, {}, [name])}/manifest.json"
    with store.create("demo", 1, {}, [name], manifest) as output:
        output.parquet("a.parquet", SCHEMA, iter([pa.table({"a": range(rows)}, schema=SCHEMA)]), group_rows)
        return output.commit({})


def test_roundtrip_under_a_prefix_with_any_name(bucket: str) -> None:
    store = Store(f"{bucket}/Pools/für Ünï 中文 a+b%20c")
    store.check()
    reference = _write(store)
    assert store.find(reference.manifest, "full") is not None
    content = store.read_bytes(reference, "a.parquet")
    assert store.local_file(reference, "a.parquet").read_bytes() == content
    assert store.open_parquet(reference, "a.parquet").read().column("a").to_pylist() == [0, 1, 2]
    store.write_json("pools/größe.json", {"ü": 1})
    assert store.names("pools") == ["größe"]
    assert store.folders() == ["demo-v1", "pools"]
    assert [each.path for each in store.files("demo-v1")] == [f"{reference.folder}/a.parquet", reference.manifest]
    store.remove_all([reference.manifest, f"{reference.folder}/a.parquet", "demo-v1/never-there"])
    assert store.files("demo-v1") == []
    assert store.find(reference.manifest) is None


@pytest.mark.slow
def test_one_request_for_a_manifest_and_for_each_file_and_no_listing(proxy: Proxy, bucket: str) -> None:
    store = Store(f"{bucket}/base")
    standing = side_by_side(lambda number: _write(store, name=str(number)), range(40))
    assert (proxy.count("PUT"), len(proxy.requests)) == (80, 80)
    proxy.requests.clear()
    found = side_by_side(lambda one: store.find(one.manifest), standing)
    assert all(found)
    assert (proxy.count("GET"), proxy.count("HEAD"), len(proxy.requests)) == (40, 40, 80)
    proxy.requests.clear()
    assert not any(side_by_side(lambda number: store.find(f"demo-v1/{number}/manifest.json"), range(40)))
    assert store.read_json("pools/none.json") is None
    assert (proxy.count("GET"), len(proxy.requests)) == (41, 41)
    assert proxy.listings == []
    store.names("pools")
    assert [request.query["prefix"] for request in proxy.listings] == [["base/pools/"]]


def test_what_others_write_and_remove_is_seen_at_once(bucket: str, s3_server: S3Server) -> None:
    store, other = Store(f"{bucket}/base"), s3_server.client()
    assert store.names("pools") == []
    assert store.read_json("pools/a.json") is None
    other.pipe_file(f"{bucket}/base/pools/a.json", b"1")
    assert store.names("pools") == ["a"]
    assert store.read_json("pools/a.json") == 1
    reference = _write(store)
    other.rm_file(f"{bucket}/base/{reference.folder}/a.parquet")
    assert store.find(reference.manifest) is None


def test_parquet_is_read_by_ranges_of_row_groups(proxy: Proxy, bucket: str) -> None:
    store = Store(bucket)
    reference = _write(store, rows=655_360)
    size = store.size(f"{reference.folder}/a.parquet")
    proxy.requests.clear()
    file = store.open_parquet(reference, "a.parquet")
    assert file.num_row_groups == 10
    assert file.read_row_group(2).column("a").to_pylist() == list(range(131_072, 196_608))
    spans = [request.range.removeprefix("bytes=").split("-") for request in proxy.requests if request.range]
    assert len(spans) == proxy.count("GET") == 2  # the footer, and one row group
    assert sum(int(last) - int(first) + 1 for first, last in spans) < size / 2


def test_neighbouring_row_groups_are_read_in_one_request(proxy: Proxy, bucket: str) -> None:
    store = Store(bucket)
    reference = _write(store, rows=163_840, group_rows=RANGE_GROUP_ROWS)
    file = store.open_parquet(reference, "a.parquet")
    proxy.requests.clear()
    tables, sizes = zip(*read_groups(file, [0, 1, 3, 4, 5, 6, 7, 9]), strict=True)
    rows = [[0, 1], [3, 4, 5, 6], [7], [9]]
    assert [table.column("a").to_pylist() for table in tables] == [
        [row for group in groups for row in range(group * RANGE_GROUP_ROWS, (group + 1) * RANGE_GROUP_ROWS)]
        for groups in rows
    ]
    assert sum(sizes) == sum(group_bytes(file, group) for groups in rows for group in groups)
    assert (proxy.count("GET"), len(proxy.requests)) == (len(rows), len(rows))


def test_the_next_files_are_read_while_the_store_takes_its_time(proxy: Proxy, bucket: str) -> None:
    store = Store(bucket)
    written = [_write(store, rows=number + 1, name=str(number)) for number in range(6)]
    asked = {f"/{reference.folder}/a.parquet": threading.Event() for reference in written}
    waited = []

    def answer_when_the_next_is_asked_for(request: Request) -> None:
        names = list(asked)
        for place, name in enumerate(names):
            if request.path.endswith(name):
                asked[name].set()
                waited.append(place + 1 == len(names) or asked[names[place + 1]].wait(20))

    proxy.fault = answer_when_the_next_is_asked_for
    rows = [table.column("a").to_pylist() for table, _ in store.read_rows(written, "a.parquet", lambda _: [0])]
    assert rows == [list(range(number + 1)) for number in range(6)]
    assert len(waited) >= 6
    assert all(waited)


def test_of_a_large_file_the_next_rows_are_read_while_the_first_are_worked_on(proxy: Proxy, bucket: str) -> None:
    store = Store(bucket)
    reference = _write(store, rows=196_608, group_rows=65_536)
    file = store.open_parquet(reference, "a.parquet")
    proxy.requests.clear()
    tables = read_groups(file, range(3), is_remote=True)
    rows, _ = next(tables)
    deadline = time.monotonic() + 20
    while proxy.count("GET") < 2 and time.monotonic() < deadline:
        time.sleep(0.01)
    assert proxy.count("GET") == 2
    assert [rows.num_rows, *(table.num_rows for table, _ in tables)] == [65_536] * 3


def test_calls_ahead_end_with_the_first_error_and_with_who_takes_their_results() -> None:
    begun: list[int] = []

    def call(number: int) -> int:
        begun.append(number)
        if number == 3:
            raise StoreError("three")
        return number

    found = ahead(call, range(1000), 2)
    assert [next(found), next(found), next(found)] == [0, 1, 2]
    with pytest.raises(StoreError, match="three"):
        next(found)
    found = ahead(call, range(4, 1000), 2)
    assert [next(found), next(found)] == [4, 5]
    found.close()
    assert max(begun) <= 8


@pytest.mark.parametrize("fault", [pytest.param("slow down", marks=pytest.mark.long), "broken", "reset"])
def test_failing_requests_are_tried_again(
    proxy: Proxy, bucket: str, fault: Fault, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(random, "random", lambda: 0.05)  # the waits are drawn at random
    failed: set[str] = set()

    def once(request: Request) -> Fault | None:
        """Fail the first request of each kind."""
        if request.method in failed:
            return None
        failed.add(request.method)
        return fault

    proxy.fault = once
    store = Store(f"{bucket}/base")
    store.check()
    reference = _write(store)
    assert store.find(reference.manifest, "full") is not None
    assert store.open_parquet(reference, "a.parquet").read().num_rows == 3
    assert failed == {"GET", "HEAD", "PUT"}


@pytest.mark.slow
def test_a_store_that_keeps_failing_is_out_of_reach(proxy: Proxy, bucket: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "2")
    store = Store(f"{bucket}/base")
    proxy.fault = lambda _: "broken"
    with pytest.raises(StoreOutOfReachError, match=r"base/x\.json at http.*internal error.*run again"):
        store.read_json("x.json")
    with pytest.raises(StoreOutOfReachError):
        _write(store)
    assert proxy.count("GET") == 2


def test_a_file_that_vanishes_while_it_is_read(bucket: str) -> None:
    store = Store(bucket)
    reference = _write(store, rows=200_000)
    file = store.open_parquet(reference, "a.parquet")
    store.remove(f"{reference.folder}/a.parquet")
    with pytest.raises(StoreError, match=r"a\.parquet"):
        file.read()


@pytest.mark.long
@pytest.mark.parametrize(
    ("environment", "root", "message"),
    [
        ({"AWS_SECRET_ACCESS_KEY": "wrong"}, None, "check AWS_SECRET_ACCESS_KEY"),
        ({"AWS_ACCESS_KEY_ID": "wrong"}, None, "check AWS_ACCESS_KEY_ID"),
        ({"AWS_ACCESS_KEY_ID": None, "AWS_SECRET_ACCESS_KEY": None}, None, "no credentials; set AWS_ACCESS_KEY_ID"),
        ({}, "s3://no-such-bucket/base", "the bucket does not exist; create it"),
        ({}, "s3://B@d_name/base", "no name of a bucket"),
        ({}, "s3://", "no name of a bucket"),
        ({"AWS_ENDPOINT_URL_S3": "http://127.0.0.1:{free}"}, None, "check AWS_ENDPOINT_URL_S3 and the network"),
        ({"AWS_ENDPOINT_URL_S3": "127.0.0.1:8333"}, None, "check AWS_ENDPOINT_URL_S3"),
    ],
)
def test_mistakes_are_named_at_once_in_one_line(
    bucket: str, monkeypatch: pytest.MonkeyPatch, environment: dict[str, str | None], root: str | None, message: str
) -> None:
    for name, value in environment.items():
        if value is None:
            monkeypatch.delenv(name)
        else:
            monkeypatch.setenv(name, value.format(free=free_ports(1)[0]))
    started = time.monotonic()
    root = root or f"{bucket}/base"
    with pytest.raises(StoreError) as caught:
        Store(root).check()
    text = str(caught.value)
    assert message in text
    assert root in text
    assert "\n" not in text
    assert time.monotonic() - started < 8


def test_a_large_file_goes_in_parts(proxy: Proxy, bucket: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(s3_files, "PART_BYTES", 5 << 20)
    store = Store(bucket)
    content = random.Random(0).randbytes(13 << 20)
    with store.create("demo", 1, {}, [], MANIFEST) as output:
        with output.file("large") as sink:
            sink.write(content)
        assert not proxy.requests[-1].path.endswith("manifest.json")
        output.commit({})
    parts = [request for request in proxy.requests if "partNumber" in request.query]
    assert len(parts) == 3
    assert proxy.requests[-1].path.endswith("manifest.json")
    found = store.find(MANIFEST, "full")
    assert found is not None
    assert found.file("large").sha256 == hashlib.sha256(content).hexdigest()


def _upload_for_ever(root: str, endpoint: str) -> None:
    os.environ["AWS_ENDPOINT_URL_S3"] = endpoint
    s3_files.PART_BYTES = 5 << 20
    with Store(root).create("demo", 1, {}, [], MANIFEST) as output, output.file("large") as sink:
        sink.write(bytes(30 << 20))


@pytest.mark.long
def test_a_killed_upload_leaves_nothing_to_be_seen(
    proxy: Proxy, bucket: str, s3_server: S3Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))

    def hold_later_parts(request: Request) -> None:
        if int(request.query.get("partNumber", ["0"])[0]) > 4:
            time.sleep(30)

    proxy.fault = hold_later_parts
    process = multiprocessing.get_context("spawn").Process(target=_upload_for_ever, args=(bucket, proxy.endpoint))
    process.start()
    while not any(request.query.get("partNumber") == ["5"] for request in proxy.requests):
        assert process.is_alive()
        time.sleep(0.01)
    assert process.pid is not None
    os.kill(process.pid, signal.SIGKILL)
    process.join()
    assert s3_server.client().find(bucket) == []
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", s3_server.endpoint)
    store = Store(bucket)
    assert store.find(MANIFEST) is None
    (leftover,) = tmp_path.glob("metaclip-upload-*/.*.tmp")
    monkeypatch.setattr("tempfile.tempdir", None)
    _write(store)
    assert not leftover.exists()


@pytest.mark.slow
def test_crawl_files_and_lists_in_s3(bucket: str, s3_server: S3Server, crawl: Path) -> None:
    client = s3_server.client()
    client.put(str(crawl / "warc"), f"{bucket}/crawl/warc", recursive=True)
    names = sorted(path.name for path in (crawl / "warc").iterdir())
    client.pipe_file(f"{bucket}/crawl/warc.paths", "".join(f"warc/{name}\n" for name in names).encode())
    listed = list_shards(Source(paths=[f"{bucket}/crawl/warc.paths"]))
    assert [file.path for shard in listed for file in shard] == [f"{bucket}/crawl/warc/{name}" for name in names]
    found = list_shards(Source(paths=[f"{bucket}/crawl/warc"]))
    assert [file.path for shard in found for file in shard] == [f"{bucket}/crawl/warc/{name}" for name in names]
    with open_stream(listed[0][0].path) as stream:
        assert stream.read() == (crawl / "warc" / names[0]).read_bytes()


def test_threads_share_a_connection_and_new_credentials_give_a_new_one(
    bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    connections = side_by_side(lambda _: object_store.connect(bucket)[0], range(50))
    assert len({id(connection) for connection in connections}) == 1
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "other")
    assert object_store.connect(bucket)[0] is not connections[0]
