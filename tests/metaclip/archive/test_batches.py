"""Records in batches against `read_records`, which says what is right."""

import gzip
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from metaclip.archive import batches as record_batches
from metaclip.archive.batches import BATCH_BYTES, read_batches
from metaclip.archive.records import read_records
from metaclip.errors import TransportError, UnreadableFileError
from tests.metaclip.archive.test_records import CRAWL, PACKINGS, WILD, parts_of_archives, record
from tests.servers import serve
from tests.shared import shared_data

RESPONSES = frozenset({"response"})
LIMIT = 1 << 26


def batched(
    path: Path | str, types: frozenset[str] = RESPONSES, limit: int = LIMIT
) -> tuple[list[tuple[str, bytes]], Counter[str], str]:
    statistics: Counter[str] = Counter()
    found: list[tuple[str, bytes]] = []
    try:
        for batch in read_batches(str(path), types, statistics, limit):
            for number in range(len(batch)):
                assert batch.data[int(batch.blocks[number, 1])] == 0
                found.append((batch.url(number), bytes(batch.block(number))))
            # What the user writes there does not show in later records.
            for start, end in batch.blocks.tolist():
                batch.data[start:end] = b"#" * (end - start)
    except UnreadableFileError as error:
        return found, statistics, error.reason
    return found, statistics, ""


def one_by_one(
    path: Path | str, types: frozenset[str] = RESPONSES, limit: int = LIMIT
) -> tuple[list[tuple[str, bytes]], Counter[str], str]:
    statistics: Counter[str] = Counter()
    found: list[tuple[str, bytes]] = []
    try:
        found += [(each.url, each.body) for each in read_records(str(path), types, statistics, limit)]
    except UnreadableFileError as error:
        return found, statistics, error.reason
    return found, statistics, ""


def counted(statistics: Counter[str]) -> dict[str, int]:
    """Leave out how often warcio was needed: empty members and zeros between members are nothing odd to isal."""
    return {name: count for name, count in statistics.items() if count and name != "archive.warcio_takeovers"}


def check(path: Path | str, types: frozenset[str] = RESPONSES, limit: int = LIMIT) -> list[tuple[str, bytes]]:
    found, statistics, reason = batched(path, types, limit)
    expected, expected_statistics, expected_reason = one_by_one(path, types, limit)
    assert found == expected
    assert counted(statistics) == counted(expected_statistics)
    assert reason == expected_reason
    return found


@pytest.mark.parametrize("name", [*(f"wild/{name}" for name in WILD), *(f"crawl/{name}" for name in CRAWL)])
def test_real_files_give_the_same(name: str) -> None:
    check(shared_data(*name.split("/")), frozenset({"response", "metadata", "resource", "conversion"}))


@pytest.mark.parametrize("packing", sorted(PACKINGS))
def test_every_packing_gives_the_same(packing: str, tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(PACKINGS[packing]([record(i, b"body %d" % i * i) for i in range(6)]))
    assert len(check(path)) == 6


def test_sound_gzip_is_read_without_an_object_for_each_record(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(record_batches, "read_records", None)
    path = tmp_path / "a"
    path.write_bytes(b"".join(gzip.compress(record(i)) for i in range(2 * 4096 + 1)))
    found, statistics, _ = batched(path)
    assert [url for url, _ in found] == [f"http://e.org/{i}" for i in range(2 * 4096 + 1)]
    assert statistics == {"records": 8193, "records.response": 8193, "bytes_read": path.stat().st_size}


@pytest.mark.slow
def test_records_longer_than_a_batch_and_than_the_limit(tmp_path: Path) -> None:
    sizes = [10, 3 * BATCH_BYTES, 20, 5 * BATCH_BYTES, 30]
    parts = [record(i, bytes([65 + i]) * size) for i, size in enumerate(sizes)]
    parts.insert(1, record(9, b"r" * 9 * BATCH_BYTES, kind="request"))
    path = tmp_path / "a"
    path.write_bytes(b"".join(map(gzip.compress, parts)))
    assert [len(block) for _, block in check(path)] == sizes
    assert [len(block) for _, block in check(path, limit=4 * BATCH_BYTES)] == [10, 3 * BATCH_BYTES, 20, 30]
    assert [len(block) for _, block in check(path, limit=100)] == [10, 20, 30]


@pytest.mark.parametrize(
    "odd",
    [
        record(7, length=3),
        record(7, length=300),
        record(7, end=b"\n"),
        record(7, kind="unheard-of"),
        record(7).replace(b"WARC/1.0", b"WARC/0.18"),
        record(7).replace(b"WARC/1.0", b"WARC/1.1"),
        record(7).replace(b"WARC-Type: response", b"warc-TYPE:\t Response "),
        record(7).replace(b"Content-Length: ", b"Content-Length: +"),
        record(7).replace(b"http://e.org/7", b"<http://e.org/\xc3\xbc>"),
        record(7).replace(b"http://e.org/7", b"http://e.org/\xfc"),
        record(7).replace(b"http://e.org/7", b"http://e.org/7\r\nWARC-Target-URI: http://e.org/8"),
        record(7).replace(b"http://e.org/7", b"http://e.org/7\r\n\t8"),
        record(7).replace(b"WARC-Target-URI: http://e.org/7\r\n", b""),
        record(7) + b"\r\n",
        b"",
        b"\r\n\r\n",
        b"nothing",
    ],
)
def test_one_odd_record_costs_no_other(odd: bytes, tmp_path: Path) -> None:
    path = tmp_path / "a"
    for parts in ([odd, record(1), record(2)], [record(1), odd, record(2)], [record(1), record(2), odd]):
        path.write_bytes(b"".join(map(gzip.compress, parts)))
        check(path)


@pytest.mark.parametrize("packing", sorted(PACKINGS))
@pytest.mark.parametrize("over", [0, -4, -1, 1])
def test_a_length_that_ends_within_the_next_record_by_chance(packing: str, over: int, tmp_path: Path) -> None:
    r"""Behind the next record's header stands `\r\n\r\n` too, and behind its block what a block should have."""
    following = record(1, b"y" * 20)
    for within in (following.index(b"\r\n\r\n"), len(following) - 4):
        path = tmp_path / f"{within}"
        long = record(0, b"x" * 5, length=5 + 4 + within + over)
        path.write_bytes(PACKINGS[packing]([record(8), long, following, record(2)]))
        check(path)


def test_what_stands_between_and_behind_members(tmp_path: Path) -> None:
    path = tmp_path / "a"
    members = [gzip.compress(record(i)) for i in range(3)]
    for data in (members[0] + bytes(700) + members[1], b"".join(members) + b"garbage", b"".join(members)[:-5]):
        path.write_bytes(data)
        check(path)


@pytest.mark.slow
@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    parts=st.lists(parts_of_archives, min_size=1, max_size=5),
    packing=st.sampled_from([name for name in sorted(PACKINGS) if name.startswith("gzip")]),
    flips=st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.integers(0, 255)), max_size=1),
)
def test_whatever_an_archive_is_like_batches_give_the_same(
    tmp_path: Path, parts: list[bytes], packing: str, flips: list[tuple[float, int]]
) -> None:
    data = bytearray(PACKINGS[packing](parts))
    for place, value in flips:
        data[int(place * len(data))] = value
    (tmp_path / "a").write_bytes(data)
    check(tmp_path / "a")


def test_remote_files_and_connections_that_break(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = b"".join(gzip.compress(record(i, bytes(1000))) for i in range(9))
    (tmp_path / "a").write_bytes(data)
    with serve() as site:
        site.files["/a"] = data
        assert batched(f"{site.address}/a") == batched(tmp_path / "a")

    class Broken:
        def __init__(self) -> None:
            self._rest = data[:300]

        def read(self, size: int) -> bytes:
            if not self._rest:
                raise OSError("gone")
            given, self._rest = self._rest[:size], self._rest[size:]
            return given

        def close(self) -> None:
            pass

    monkeypatch.setattr(record_batches, "open_stream", lambda _: Broken())
    with pytest.raises(TransportError, match="gone"):
        list(read_batches("a", RESPONSES, Counter(), LIMIT))
