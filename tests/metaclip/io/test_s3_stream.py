"""Inputs on S3: against a real server, and one before it that fails."""

import os
import threading
from collections.abc import Iterator
from dataclasses import replace
from uuid import uuid4

import fsspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from metaclip.errors import ChangedFileError, InputError, TransportError, UnreadableFileError
from metaclip.io.client import Backoff, Client
from metaclip.io.streams import identify, open_stream
from tests.s3 import S3Server
from tests.s3_proxy import Fault, Proxy, Request, counting

QUICK = Client(backoff=Backoff(4, first_pause=0.01, shortest_pause=0, longest_pause=0.05, timeout=5))
CONTENT = bytes(range(256)) * 8000


@pytest.fixture(scope="module")
def bucket(s3_server: S3Server) -> str:
    """One bucket for this module: making one takes seconds."""
    s3_server.client().mkdir("inputs")
    return "s3://inputs"


@pytest.fixture
def address(bucket: str) -> str:
    address = f"{bucket}/crawl-data/{uuid4()} b.warc.gz"
    with fsspec.open(address, "wb") as file:
        file.write(CONTENT)
    return address


@pytest.fixture
def proxy(address: str, s3_server: S3Server, monkeypatch: pytest.MonkeyPatch) -> Iterator[Proxy]:
    with counting(s3_server.endpoint) as proxy:
        monkeypatch.setenv("AWS_ENDPOINT_URL_S3", proxy.endpoint)
        yield proxy


class Failing:
    """Fails the first so many GET requests."""

    def __init__(self, times: int, fault: Fault) -> None:
        self.left = times
        self.fault = fault

    def __call__(self, request: Request) -> Fault | None:
        if request.method != "GET" or not self.left:
            return None
        self.left -= 1
        return self.fault


def test_a_whole_object_is_one_request(proxy: Proxy, address: str) -> None:
    with open_stream(address, 0, QUICK) as stream:
        assert stream.read() == CONTENT
    assert [(request.method, request.range) for request in proxy.requests] == [("GET", None)]


@pytest.mark.slow
@pytest.mark.parametrize("fault", ["slow down", "broken", "reset"])
def test_a_server_that_fails_is_asked_again(proxy: Proxy, address: str, fault: Fault) -> None:
    proxy.fault = Failing(3, fault)
    with open_stream(address, 0, QUICK) as stream:
        assert stream.read() == CONTENT
    proxy.fault = Failing(100, fault)  # aiohttp, too, asks again once after a reset
    with pytest.raises(TransportError, match="given up after 4 attempts"):
        open_stream(address, 0, QUICK)


def test_a_cut_transfer_goes_on_at_the_byte_reached(proxy: Proxy, address: str) -> None:
    proxy.fault = Failing(2, "cut")
    with open_stream(address, 0, QUICK) as stream:
        assert stream.read() == CONTENT
    first, second, third = [request.range for request in proxy.requests]
    assert first is None
    assert second is not None
    assert third is not None
    assert 0 < int(second[6:-1]) < int(third[6:-1]) < len(CONTENT)


@pytest.mark.slow
def test_an_object_that_changes_is_not_mixed(proxy: Proxy, address: str, s3_server: S3Server) -> None:
    proxy.fault = Failing(1, "cut")
    slots = threading.BoundedSemaphore(1)
    with open_stream(address, 0, replace(QUICK, slots=slots)) as stream:
        assert stream.read(10) == CONTENT[:10]
        s3_server.client().pipe_file(address, CONTENT[::-1])
        with pytest.raises(ChangedFileError, match="changed while it was read"):
            stream.read()
    assert slots.acquire(timeout=1)


@pytest.mark.parametrize("offset", [1, 70_000, len(CONTENT), len(CONTENT) + 5])
def test_reading_starts_at_any_offset(address: str, offset: int) -> None:
    with open_stream(address, offset, QUICK) as stream:
        assert stream.read() == CONTENT[offset:]


def test_parquet_is_read_from_its_footer(bucket: str) -> None:
    table = pa.table({"url": [f"http://e.org/{number}" for number in range(1000)], "text": ["a cat"] * 1000})
    with fsspec.open(f"{bucket}/a.parquet", "wb") as file:
        pq.write_table(table, file, row_group_size=100)
    with open_stream(f"{bucket}/a.parquet", 0, QUICK) as stream:
        assert stream.read(4) == b"PAR1"
        assert pq.read_table(stream).equals(table)


@pytest.mark.slow
def test_what_is_missing_or_refused_is_said_at_once(bucket: str, proxy: Proxy, monkeypatch: pytest.MonkeyPatch) -> None:
    for missing in (f"{bucket}/none.warc.gz", "s3://no-such-bucket-here/a.warc.gz"):
        with pytest.raises(UnreadableFileError) as caught:
            open_stream(missing, 0, QUICK)
        assert caught.value.reason == "not_found"
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wrong")
    with pytest.raises(UnreadableFileError) as caught:
        open_stream(f"{bucket}/crawl-data/a b.warc.gz", 0, QUICK)
    assert caught.value.reason == "forbidden"
    assert "SignatureDoesNotMatch" in str(caught.value)
    assert len(proxy.requests) == 3


@pytest.mark.slow
def test_without_credentials_common_crawls_bucket_is_explained(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/nonexistent")
    monkeypatch.setenv("AWS_CONFIG_FILE", "/nonexistent")
    with pytest.raises(InputError, match=r"not to anonymous.*https://data\.commoncrawl\.org/"):
        open_stream("s3://commoncrawl/crawl-data/CC-MAIN-2024-33/wat.paths.gz", 0, QUICK)
    with pytest.raises(InputError, match="FSSPEC_S3_ANON"):
        open_stream("s3://other/a", 0, QUICK)


def test_an_object_is_known_by_its_tag(address: str, s3_server: S3Server) -> None:
    first = identify(address)
    assert first.bytes == len(CONTENT)
    s3_server.client().pipe_file(address, CONTENT[::-1])
    assert identify(address) != first
