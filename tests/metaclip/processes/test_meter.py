"""What reading and writing takes is counted where it happens: in a folder, in S3, on a web server."""

from pathlib import Path

import numpy as np
import pytest

from metaclip.io.streams import open_stream
from metaclip.processes.meter import METER, NOTHING, Cost
from metaclip.store.store import Store
from tests.servers import serve


def _taken(before: Cost) -> tuple[int, int, int, int, int]:
    """Return bytes read and written, requests, those to stores, and bytes from stores since then."""
    cost = METER.look().minus(before)
    return cost.bytes_read, cost.bytes_written, cost.requests, cost.store_requests, cost.store_bytes_read


def test_costs_add_up() -> None:
    one = Cost(1.5, 1, 2, 3, 4, 5)
    assert one.plus(one) == Cost(3.0, 2, 4, 6, 8, 10)
    assert one.plus(one).minus(one) == one
    assert one.minus(one) == NOTHING


def test_processor_time_is_counted() -> None:
    before = METER.look()
    np.sort(np.arange(2_000_000) % 1009)
    assert METER.look().minus(before).core_seconds > 0.001


def test_files_of_a_folder_take_no_requests(tmp_path: Path) -> None:
    store, before = Store(str(tmp_path)), METER.look()
    store.write_whole("a", bytes(1000))
    assert _taken(before) == (0, 1000, 0, 0, 0)
    with store.open("a") as file:
        file.read(300)
    store.read_range("a", 0, 20)
    assert _taken(before) == (320, 1000, 0, 0, 0)
    before = METER.look()
    with open_stream(str(tmp_path / "a")) as stream:
        assert stream.read() == bytes(1000)
    assert _taken(before) == (1000, 0, 0, 0, 0)


def test_every_request_to_an_object_store_is_counted(bucket: str) -> None:
    store, before = Store(f"{bucket}/pool"), METER.look()
    store.write_whole("a", bytes(1000))
    assert _taken(before) == (0, 1000, 1, 1, 0)
    assert store.read("a") == bytes(1000)
    assert store.read("none") is None
    assert _taken(before) == (1000, 1000, 3, 3, 1000)
    before = METER.look()
    with open_stream(f"{bucket}/pool/a") as stream:  # a file of the source
        assert stream.read() == bytes(1000)
    assert _taken(before) == (1000, 0, 1, 1, 0)


@pytest.mark.slow
def test_every_attempt_at_a_web_server_is_counted() -> None:
    with serve() as site:
        site.files["/a"] = bytes(1000)
        site.answers = [(503, {"Retry-After": "0"})]
        before = METER.look()
        with open_stream(f"{site.address}/a") as stream:
            assert stream.read() == bytes(1000)
        assert _taken(before) == (1000, 0, 2, 0, 0)
