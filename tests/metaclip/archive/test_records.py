import bz2
import gzip
import lzma
import random
import re
import struct
import subprocess
import sys
import zlib
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from uuid import uuid4

import fsspec
import pytest
import zstandard
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from warcio.archiveiterator import ArchiveIterator

from metaclip.archive import records as archive
from metaclip.archive.batches import read_batches
from metaclip.archive.records import Record, read_records
from metaclip.errors import TransportError, UnreadableFileError
from tests.servers import serve
from tests.shared import shared_data

ALL = frozenset(
    ("warcinfo", "response", "resource", "request", "metadata", "revisit", "conversion", "continuation", "unknown")
)

# Headers in each file of wild/, as `zcat -f FILE | grep -ac '^WARC/[01]\.'` counts them.
WILD = {
    "allenai+dolma__sample-0000.warc.gz": 48,
    "allenai+dolma__sample-0001.warc.gz": 34,
    "archivesunleashed+aut__example.warc.gz": 822,
    "chatnoir-eu+chatnoir-resiliparse__block-sized-records.warc.gz": 3,
    "chatnoir-eu+chatnoir-resiliparse__clipped.warc.gz": 1,
    "chatnoir-eu+chatnoir-resiliparse__clueweb-quirk.warc.gz": 30,
    "chatnoir-eu+chatnoir-resiliparse__warcfile.warc.gz": 50,
    "chfoo+warcat__at.warc": 8,
    "chfoo+warcat__at.warc.gz": 8,
    "chfoo+warcat__bad_http_chunked_content.warc": 1,
    "chfoo+warcat__c1_warcinfo.warc": 1,
    "chfoo+warcat__long_url.warc": 1,
    "chfoo+warcat__not_utf8_http_header.warc": 1,
    "commoncrawl+ia-web-commons__IAH-urls-wget.warc": 36,
    "commoncrawl+ia-web-commons__IAH-urls-wget.warc.gz": 36,
    "commoncrawl+ia-web-commons__html-lang-attribute.warc": 5,
    "commoncrawl+ia-web-commons__link-extraction-test.warc": 10,
    "commoncrawl+ia-web-commons__meta-itemprop.warc": 1,
    "commoncrawl+ia-web-commons__mutliple-headers.warc": 1,
    "commoncrawl+ia-web-commons__text-extraction-test.warc": 4,
    "commoncrawl+ia-web-commons__title-extraction-embedded-SVG.warc": 1,
    "commoncrawl+whirlwind-python__whirlwind.warc.gz": 4,
    "commoncrawl+whirlwind-python__whirlwind.warc.wat.gz": 2,
    "commoncrawl+whirlwind-python__whirlwind.warc.wet.gz": 2,
    "iipc+jwarc__cc.warc.gz": 1,
    "iipc+jwarc__gzip_extra_sl.warc.gz": 1,
    "internetarchive+CDX-Writer__304-response.warc.gz": 1,
    "internetarchive+CDX-Writer__304-revisit.warc.gz": 1,
    "internetarchive+CDX-Writer__bracket_in_target_uri.warc.gz": 1,
    "internetarchive+CDX-Writer__crlf_at_1k_boundary.warc.gz": 1,
    "internetarchive+CDX-Writer__crlf_at_1k_boundary_2.warc.gz": 1,
    "internetarchive+CDX-Writer__date_resolution_microsecond.warc.gz": 1,
    "internetarchive+CDX-Writer__date_resolution_nanosecond.warc.gz": 1,
    "internetarchive+CDX-Writer__empty-gzips.warc.gz": 9,
    "internetarchive+CDX-Writer__ftp-resource-block-digest.warc.gz": 1,
    "internetarchive+CDX-Writer__ftp-resource-no-digest.warc.gz": 1,
    "internetarchive+CDX-Writer__ftp-resource-payload-digest.warc.gz": 1,
    "internetarchive+CDX-Writer__giant_html.warc.gz": 1,
    "internetarchive+CDX-Writer__meta_tag_large.warc.gz": 1,
    "internetarchive+CDX-Writer__missing_content_type.warc.gz": 1,
    "internetarchive+CDX-Writer__no_sha1_whitespace_in_contenttype.warc.gz": 1,
    "internetarchive+CDX-Writer__password-protected-no-meta.warc.gz": 1,
    "internetarchive+CDX-Writer__password-protected.warc.gz": 1,
    "internetarchive+CDX-Writer__revisit_without_sha1.warc.gz": 1,
    "internetarchive+CDX-Writer__space_in_target_uri.warc.gz": 1,
    "internetarchive+CDX-Writer__tweet.warc.gz": 1,
    "internetarchive+CDX-Writer__wget_ia.warc.gz": 2,
    "r-spark+sparkwarc__sample.warc": 18,
    "r-spark+sparkwarc__sample.warc.gz": 18,
    "r-spark+sparkwarc__sample.wat": 16,
    "r-spark+sparkwarc__sample.wat.gz": 16,
    "r-spark+sparkwarc__sample.wet": 69,
    "r-spark+sparkwarc__sample.wet.gz": 69,
}
GIANT = "internetarchive+CDX-Writer__giant_html.warc.gz"  # one page of 431 MB in 1.9 MB
# What is odd about those that are not read straight through: counted, beside the takeover.
ODD: dict[str, dict[str, int]] = {
    "chatnoir-eu+chatnoir-resiliparse__block-sized-records.warc.gz": {},
    "chatnoir-eu+chatnoir-resiliparse__clipped.warc.gz": {
        "dropped.file_tail.truncated": 1,
        "damaged.record.truncated": 1,
    },
    "internetarchive+CDX-Writer__date_resolution_microsecond.warc.gz": {"damaged.record.truncated": 1},
    "internetarchive+CDX-Writer__date_resolution_nanosecond.warc.gz": {"damaged.record.truncated": 1},
    "internetarchive+CDX-Writer__empty-gzips.warc.gz": {},
    "r-spark+sparkwarc__sample.warc": {"damaged.record.length_mismatch": 12, "damaged.record.truncated": 1},
    "r-spark+sparkwarc__sample.warc.gz": {"damaged.record.length_mismatch": 12, "damaged.record.truncated": 1},
    "r-spark+sparkwarc__sample.wat": {"damaged.record.length_mismatch": 1},
    "r-spark+sparkwarc__sample.wat.gz": {"damaged.record.length_mismatch": 1},
    "r-spark+sparkwarc__sample.wet": {"damaged.record.length_mismatch": 10},
    "r-spark+sparkwarc__sample.wet.gz": {"damaged.record.length_mismatch": 10},
}
CRAWL = [f"warc/CC-MAIN-PUBLIC-0000{i}.warc.gz" for i in range(6)] + [
    f"wat/CC-MAIN-PUBLIC-0000{i}.warc.wat.gz" for i in range(6)
]


def read(
    path: Path | str, types: frozenset[str] = ALL, limit: int = archive.MAX_RECORD_BYTES
) -> tuple[list[Record], Counter[str]]:
    statistics: Counter[str] = Counter()
    return list(read_records(str(path), types, statistics, limit)), statistics


def oddities(statistics: Counter[str]) -> dict[str, int]:
    return {key: count for key, count in statistics.items() if count and not key.startswith(("records", "bytes_read"))}


def content(records: list[Record]) -> list[tuple[str, str, bytes]]:
    return [(record.type, record.url, record.body) for record in records]


def record(
    number: int, body: bytes = b"x" * 50, length: int | None = None, kind: str = "response", end: bytes = b"\r\n"
) -> bytes:
    head = (
        b"WARC/1.0",
        b"WARC-Type: " + kind.encode(),
        b"WARC-Target-URI: http://e.org/%d" % number,
        b"Content-Length: %d" % (len(body) if length is None else length),
    )
    return end.join((*head, b"", b"")) + body + b"\r\n\r\n"


def gzip_blocks(data: bytes, size: int = 300) -> bytes:
    """Pack as bgzip does: members that take no notice of records."""
    return b"".join(gzip.compress(data[i : i + size]) for i in range(0, len(data), size))


def zstd(data: bytes) -> bytes:
    return zstandard.ZstdCompressor().compress(data)


PACKINGS: dict[str, Callable[[list[bytes]], bytes]] = {
    "plain": b"".join,
    "gzip member a record": lambda records: b"".join(map(gzip.compress, records)),
    "gzip member a file": lambda records: gzip.compress(b"".join(records)),
    "gzip blocks": lambda records: gzip_blocks(b"".join(records)),
    "zstd frame a record": lambda records: b"".join(map(zstd, records)),
    "zstd frame a file": lambda records: zstd(b"".join(records)),
    "bz2": lambda records: bz2.compress(b"".join(records)),
    "bz2 stream a record": lambda records: b"".join(map(bz2.compress, records)),
    "xz": lambda records: lzma.compress(b"".join(records)),
    "xz stream a record": lambda records: b"".join(map(lzma.compress, records)),
}


@pytest.mark.parametrize("name", WILD)
def test_every_wild_file_gives_every_record(name: str) -> None:
    path = shared_data("wild", name)
    records, statistics = read(path)
    assert statistics["records"] == WILD[name]
    assert statistics["bytes_read"] == path.stat().st_size
    expected = {"archive.warcio_takeovers": 1, **ODD[name]} if name in ODD else {}
    if name == GIANT:
        expected = {"dropped.record.too_large": 1}
    assert len(records) == WILD[name] - (name == GIANT)
    assert oddities(statistics) == expected


def test_no_wild_file_is_left_out() -> None:
    assert {path.name for path in shared_data("wild").iterdir() if path.is_file()} == set(WILD)


@pytest.mark.parametrize("name", [name for name in WILD if name not in ODD and name != GIANT])
def test_sound_wild_files_agree_with_warcio(name: str) -> None:
    path = shared_data("wild", name)
    with path.open("rb") as file:
        expected = [
            (found.rec_type, found.content_stream().read()) for found in ArchiveIterator(file, no_record_parse=True)
        ]
    assert [(found.type, found.body) for found in read(path)[0]] == expected


@pytest.mark.parametrize("name", CRAWL)
def test_crawl_files_agree_with_warcio(name: str) -> None:
    path = shared_data("crawl", name)
    records, statistics = read(path)
    assert not oddities(statistics)
    with path.open("rb") as file:
        iterator = ArchiveIterator(file, no_record_parse=True)
        for found, expected in zip(records, iterator, strict=True):
            assert found.type == expected.rec_type
            assert found.url == (expected.rec_headers.get_header("WARC-Target-URI") or "")
            assert found.body == expected.content_stream().read()
            assert found.offset == iterator.get_record_offset()


def test_types_are_chosen_and_all_are_counted() -> None:
    records, statistics = read(shared_data("crawl", CRAWL[0]), frozenset(["response"]))
    assert {found.type for found in records} == {"response"}
    assert statistics["records.response"] == len(records) > 0
    assert statistics["records.request"] > 0
    assert statistics["records"] == sum(n for key, n in statistics.items() if key.startswith("records."))


@pytest.mark.parametrize("packing", PACKINGS)
@pytest.mark.parametrize("doubted", [False, True])
def test_every_packing_is_read_by_fastwarc_and_by_warcio(
    packing: str, doubted: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if doubted:
        monkeypatch.setattr(archive, "TYPES", frozenset())  # nothing that fastwarc gives is believed
    parts = [record(i, b"body %d" % i * i) for i in range(6)]
    path = tmp_path / "a"
    path.write_bytes(PACKINGS[packing](parts))
    records, statistics = read(path)
    assert content(records) == [("response", f"http://e.org/{i}", b"body %d" % i * i) for i in range(6)]
    if doubted:
        assert oddities(statistics) == {"archive.warcio_takeovers": 1}
    elif packing != "gzip blocks" and not packing.startswith(("bz2", "xz")):
        assert not oddities(statistics)
    if packing.endswith("a record"):
        assert [found.offset for found in records] == [
            len(PACKINGS[packing](parts[:i])) for i in range(6)
        ]  # fmt: skip


@pytest.mark.parametrize("cut", [False, True])
def test_zstd_frames_may_need_the_dictionary_at_the_files_start(cut: bool, tmp_path: Path) -> None:
    parts = [record(i, b"hello world %d" % i * 9) for i in range(300)]
    trained = zstandard.train_dictionary(4096, parts)
    pack = zstandard.ZstdCompressor(dict_data=trained).compress
    for stored in (trained.as_bytes(), zstd(trained.as_bytes())):
        head = b"\x5d\x2a\x4d\x18" + struct.pack("<I", len(stored)) + stored
        frames = [pack(part) for part in parts[:5]]
        if cut:
            frames[3] = frames[3][:-9]
        (tmp_path / "a.warc.zst").write_bytes(head + b"".join(frames))
        records, statistics = read(tmp_path / "a.warc.zst")
        assert [found.url[-1] for found in records] == (["0", "1", "2", "4"] if cut else list("01234"))
        assert statistics["dropped.file_part.corrupt_zstd"] == cut
        assert records[2].body == b"hello world 2" * 9


def test_arc_files_are_read_by_warcio(tmp_path: Path) -> None:
    version = b"1 0 x\nURL IP-address Archive-date Content-type Archive-length\n"
    page = b"HTTP/1.0 200 OK\r\nContent-Type: text/html\r\n\r\n<p>hello"
    parts = [
        b"filedesc://a.arc 0.0.0.0 20010101000000 text/plain %d\n%s\n" % (len(version), version),
        b"http://e.org/1 1.2.3.4 20010101000000 text/html %d\n%s\n" % (len(page), page),
        b"http://e.org/2 1.2.3.4 20010101000000 text/html %d\n%s\n" % (len(page), page),
    ]
    for data in (b"".join(parts), b"".join(map(gzip.compress, parts))):
        (tmp_path / "a.arc").write_bytes(data)
        records, statistics = read(tmp_path / "a.arc")
        assert content(records)[1:] == [("response", f"http://e.org/{i}", page) for i in (1, 2)]
        assert statistics["records"] == 3


def test_addresses_are_stripped_of_brackets_and_spaces(tmp_path: Path) -> None:
    for doubted in (b"", gzip.compress(b"")):
        for written, url in (
            (b" <http://e.org/a> ", "http://e.org/a"),
            (b"", ""),
            (b"http://\xe9.org", "http://é.org"),
        ):
            packed = gzip.compress(record(0).replace(b"http://e.org/0", written))
            (tmp_path / "a").write_bytes(doubted + packed)
            assert read(tmp_path / "a")[0][0].url == url


def test_headers_are_looked_up_whatever_their_case(tmp_path: Path) -> None:
    for doubted in (b"", gzip.compress(b"")):
        (tmp_path / "a").write_bytes(doubted + gzip.compress(record(0)) + gzip.compress(record(1)))
        records, _ = read(tmp_path / "a")
        assert [found.headers.get("warc-TARGET-uri") for found in records] == ["http://e.org/0", "http://e.org/1"]
        assert records[0].headers.get("None", "other") == "other"


def test_records_that_are_too_large_are_counted_and_passed_over(tmp_path: Path) -> None:
    parts = [record(0), record(1, b"y" * 5000), record(2), record(3, b"y" * 5000, kind="request"), record(4)]
    for doubted in (b"", gzip.compress(b"")):
        (tmp_path / "a").write_bytes(doubted + b"".join(map(gzip.compress, parts)))
        records, statistics = read(tmp_path / "a", frozenset(["response"]), 1000)
        assert [found.url[-1] for found in records] == ["0", "2", "4"]
        assert statistics["dropped.record.too_large"] == 1
        assert statistics["records"] == 5


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "empty_file"),
        (gzip.compress(b""), "empty_file"),
        (b"\n<!DOCTYPE html><html>WARC/1.0 blocked", "html_error_page"),
        (gzip.compress(b"<html><body>503"), "html_error_page"),
        (b"<?xml version='1.0'?><Error><Code>SlowDown</Code></Error>", "html_error_page"),
        (b"hello world\n" * 50, "not_an_archive"),
        (gzip.compress(b"hello world\n"), "not_an_archive"),
        (zstd(b"hello world\n"), "not_an_archive"),
        (b"\x1f\x8b\x08" + b"\xff" * 200, "corrupt_gzip"),
        (gzip.compress(record(0))[:20], "truncated"),
        (b"\x28\xb5\x2f\xfd" + b"\xff" * 200, "corrupt_zstd"),
        (b"WARC/1.0\r\nWARC-Type: response\r\n\r\nabc", "no_valid_record"),
        (b"WARC/1.0\r\nWARC-Ty", "no_valid_record"),
    ],
)
def test_a_file_without_records_is_refused_with_a_reason(data: bytes, reason: str, tmp_path: Path) -> None:
    (tmp_path / "a.warc").write_bytes(data)
    with pytest.raises(UnreadableFileError) as caught:
        read(tmp_path / "a.warc")
    assert caught.value.reason == reason
    assert str(tmp_path / "a.warc") in str(caught.value)


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UnreadableFileError) as caught:
        read(tmp_path / "none")
    assert caught.value.reason == "not_found"


def test_remote_files_are_read_as_local_ones_takeover_included(tmp_path: Path) -> None:
    # An empty member in the middle: the takeover opens the stream again at an offset.
    parts = [gzip.compress(record(i, bytes(1000))) for i in range(9)]
    data = b"".join([*parts[:5], gzip.compress(b""), *parts[5:]])
    (tmp_path / "a").write_bytes(data)
    expected = content(read(tmp_path / "a")[0])
    assert len(expected) == 9
    memory = f"memory://{uuid4()}/a"
    with fsspec.open(memory, "wb") as file:
        file.write(data)
    assert content(read(memory)[0]) == expected
    with serve() as site:
        site.files["/a"] = data
        for ranges in (True, False):
            site.ranges = ranges
            records, statistics = read(f"{site.address}/a")
            assert content(records) == expected
            assert statistics["archive.warcio_takeovers"] == 1
            assert statistics["bytes_read"] == len(data)
        last = [headers["Range"] for _, headers in site.requests if "Range" in headers]
        assert last[0] == f"bytes={sum(map(len, parts[:4]))}-"


def test_a_connection_that_breaks_for_good_is_never_taken_for_the_files_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Broken:
        def __init__(self, path: Path) -> None:
            self._file = path.open("rb")

        def read(self, size: int) -> bytes:
            if self._file.tell() > 150:
                raise TransportError("gone")
            return self._file.read(min(size, 100))

        def close(self) -> None:
            self._file.close()

    (tmp_path / "a").write_bytes(b"".join(gzip.compress(record(i)) for i in range(5)))
    monkeypatch.setattr(archive, "open_stream", lambda *_: Broken(tmp_path / "a"))
    statistics: Counter[str] = Counter()
    with pytest.raises(TransportError, match="gone"):
        list(read_records("a", ALL, statistics))


def test_what_was_counted_is_there_when_reading_stops_early(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"".join(gzip.compress(record(i)) for i in range(5)))
    statistics: Counter[str] = Counter()
    records = read_records(str(tmp_path / "a"), ALL, statistics)
    next(iter(records))
    records.close()  # type: ignore[attr-defined]
    assert statistics["records"] == 1
    assert statistics["bytes_read"] > 0


parts_of_archives = st.builds(
    record,
    number=st.integers(0, 9),
    body=st.binary(max_size=40) | st.just(b"<p>hello</p>" * 200),
    length=st.none() | st.none() | st.integers(0, 3000),
    kind=st.sampled_from(["response", "request", "warcinfo"]),
    end=st.sampled_from([b"\r\n", b"\r\n", b"\n"]),
)


@pytest.mark.slow
@settings(max_examples=400, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    parts=st.lists(parts_of_archives, min_size=1, max_size=5),
    packing=st.sampled_from(sorted(PACKINGS)),
    cut=st.none() | st.floats(0, 1),
    flips=st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.integers(0, 255)), max_size=3),
    insert=st.none() | st.tuples(st.floats(0, 1), st.binary(max_size=30) | st.just(gzip.compress(b""))),
)
def test_whatever_befalls_an_archive_it_gives_records_or_a_reason(
    tmp_path: Path,
    parts: list[bytes],
    packing: str,
    cut: float | None,
    flips: list[tuple[float, int]],
    insert: tuple[float, bytes] | None,
) -> None:
    data = bytearray(PACKINGS[packing](parts))
    for place, value in flips:
        data[int(place * len(data))] = value
    if insert:
        place = int(insert[0] * len(data))
        data[place:place] = insert[1]
    if cut is not None:
        del data[int(cut * len(data)) :]
    (tmp_path / "a").write_bytes(data)
    statistics: Counter[str] = Counter()
    given_on, reason = 0, ""
    try:
        for found in read_records(str(tmp_path / "a"), frozenset(["response"]), statistics):
            assert found.type == "response"
            given_on += 1
    except UnreadableFileError as error:
        reason = error.reason
    assert (statistics["records"] == 0) == bool(re.fullmatch("[a-z_]+", reason))
    assert statistics["records.response"] == given_on
    assert statistics["bytes_read"] == len(data)


@pytest.mark.slow
@settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    kept=st.lists(parts_of_archives, min_size=1, max_size=3),
    damage=st.tuples(st.floats(0, 1, exclude_max=True), st.integers(1, 255)),
)
def test_damage_to_one_member_leaves_the_records_of_others(
    tmp_path: Path, kept: list[bytes], damage: tuple[float, int]
) -> None:
    """A member in the middle is altered anywhere: sound records before and behind it are all given."""
    before = [record(100 + i, b"before %d" % i * 20) for i in range(3)]
    behind = [record(200 + i, b"behind %d" % i * 20) for i in range(3)]
    member = bytearray(gzip.compress(b"".join(kept)))
    place = int(damage[0] * len(member))
    member[place] ^= damage[1]
    pack = PACKINGS["gzip member a record"]
    (tmp_path / "a").write_bytes(pack(before) + bytes(member) + pack(behind))
    bodies = [found.body for found in read(tmp_path / "a")[0]]
    assert bodies[:3] == [b"before %d" % i * 20 for i in range(3)]
    assert bodies[-3:] == [b"behind %d" % i * 20 for i in range(3)]


MEGABYTE = b"a" * (1 << 20)
LARGE = b"WARC/1.0\r\nWARC-Type: response\r\nContent-Length: %d\r\n\r\n"
BOMBS = {
    "block": [LARGE % (400 << 20), *[MEGABYTE] * 400],
    "bytes behind a block": [LARGE % 10, *[MEGABYTE] * 400],
    "header": [b"WARC/1.0\r\nX: ", *[MEGABYTE] * 400],
    "no line end": [MEGABYTE] * 400,
}


@pytest.mark.long
@pytest.mark.parametrize("bomb", BOMBS)
def test_memory_stays_bounded_whatever_a_file_expands_to(bomb: str, tmp_path: Path) -> None:
    if not Path("/proc/self/status").exists():
        pytest.skip("the peak of a process's memory is read from /proc")
    packer = zlib.compressobj(wbits=31)
    packed = b"".join([*map(packer.compress, BOMBS[bomb]), packer.flush()])
    (tmp_path / "a").write_bytes(packed + gzip.compress(record(1)))
    script = """
import re, sys
from collections import Counter
from pathlib import Path
from metaclip.archive.records import read_records
peak = lambda: int(re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())[1])
before = peak()
urls = [found.url for found in read_records(sys.argv[1], frozenset(["response"]), Counter(), 1 << 20)]
print(urls[-1], peak() - before)
"""
    command = [sys.executable, "-c", script, str(tmp_path / "a")]
    url, kilobytes = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
    assert url == "http://e.org/1"
    assert int(kilobytes) < 100 << 10


@pytest.mark.slow
@pytest.mark.parametrize("pack", [bz2.compress, lzma.compress])
def test_a_stream_that_breaks_is_counted(pack: Callable[[bytes], bytes], tmp_path: Path) -> None:
    parts = [record(i, random.Random(i).randbytes(200_000)) for i in range(12)]
    data = pack(b"".join(parts))
    path = tmp_path / "a"
    path.write_bytes(data[: len(data) * 3 // 4])
    records, statistics = read(path)
    assert 3 <= len(records) < 12
    assert statistics["dropped.file_tail.truncated"] == 1
    broken = bytearray(data)
    broken[len(data) // 2] ^= 255
    path.write_bytes(broken)
    records, statistics = read(path)
    assert 1 <= len(records) <= 12  # xz keeps random bytes as they are, and checks them at the end
    assert statistics["dropped.file_tail.corrupt_" + ("bzip" if pack is bz2.compress else "xz")] == 1
    path.write_bytes(pack(b"no archive" * 100))
    with pytest.raises(UnreadableFileError) as caught:
        read(path)
    assert caught.value.reason == "not_an_archive"


def test_segments_that_continue_a_record_are_counted(tmp_path: Path) -> None:
    path = tmp_path / "a"
    for kinds in (["response", "continuation", "continuation"], ["continuation", "unknown", "response"]):
        path.write_bytes(b"".join(gzip.compress(record(1, kind=kind)) for kind in kinds))
        for reader in (read_records, read_batches):
            statistics: Counter[str] = Counter()
            assert len(list(reader(str(path), frozenset({"response"}), statistics, 1 << 20))) == 1
            assert statistics["dropped.record.continuation"] == kinds.count("continuation")


@pytest.mark.parametrize("place", [0, 1, 2])
@pytest.mark.parametrize("pack", [gzip.compress, bytes])
def test_a_stretch_of_zeros_is_counted(place: int, pack: Callable[[bytes], bytes], tmp_path: Path) -> None:
    parts = [pack(record(1)), pack(record(2))]
    parts.insert(place, pack(bytes(3 << 20)))
    path = tmp_path / "a"
    path.write_bytes(b"".join(parts))
    for reader in (read_records, read_batches):
        statistics: Counter[str] = Counter()
        list(reader(str(path), frozenset({"response"}), statistics, 1 << 20))
        assert statistics["records.response"] == 2
        assert statistics["dropped.file_part.zeros"] == 1
