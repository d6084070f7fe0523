import gzip
import io
from collections import Counter

import pytest

from metaclip.archive.salvage import NotAtRecordError, Salvaged, salvage


def record(number: int, body: bytes = b"x" * 50, length: int | str | None = None, end: bytes = b"\r\n") -> bytes:
    head = (
        b"WARC/1.0",
        b"WARC-Type: response",
        b"WARC-Target-URI: http://e.org/%d" % number,
        b"Content-Length: " + str(len(body) if length is None else length).encode(),
    )
    return end.join((*head, b"", b"")) + body + b"\r\n\r\n"


def pack(*parts: bytes) -> bytes:
    return b"".join(map(gzip.compress, parts))


def run(data: bytes, offset: int = 0, limit: int = 1 << 20) -> tuple[list[Salvaged], dict[str, int]]:
    counts: Counter[str] = Counter()
    stream = io.BytesIO(data)
    stream.seek(offset)
    return list(salvage(stream, offset, frozenset(["response"]), limit, counts)), dict(counts)


def numbers(records: list[Salvaged]) -> str:
    return "".join(found.headers.get_header("WARC-Target-URI")[-1] for found in records)


A, B, C, D = (record(i) for i in range(4))
OVER = record(1, b"<p>" * 10, 90)  # its block is stated 60 bytes longer than it is
FLIPPED = bytearray(gzip.compress(record(1, bytes(range(256)))))
FLIPPED[40] ^= 255


@pytest.mark.parametrize(
    ("data", "found", "counted"),
    [
        (A + B + C, "012", {}),
        (pack(A, B, C), "012", {}),
        (pack(A + B, C), "012", {}),
        # Line ends, separators and padding
        (A + record(1, end=b"\n") + C, "012", {}),
        (A.rstrip() + B.rstrip() + C, "012", {}),
        (b"\r\n\r\n" + A + b"\n" * 99 + B + b"\0" * 999, "01", {}),
        (pack(A, b"", B, b"", b"", C) + b"\0" * 999, "012", {}),
        (pack(A) + b"\0" * 99 + pack(B), "01", {}),
        # Lengths that are too large: plain, in one member, in a member of its own
        (A + OVER + C + D, "0123", {"damaged.record.length_mismatch": 1}),
        (pack(A + OVER + C + D), "0123", {"damaged.record.length_mismatch": 1}),
        (pack(A, OVER, C, D), "0123", {"damaged.record.truncated": 1}),
        (A + record(1, length=5000), "01", {"damaged.record.truncated": 1}),
        # Lengths that are too small or none
        (A + record(1, length=9) + C, "012", {"dropped.file_part.garbage": 1}),
        (pack(A, record(1, length=9), C), "012", {"dropped.file_part.garbage": 1}),
        (A + record(1, length="abc") + C, "02", {"dropped.record.bad_header": 1}),
        (A + record(1, length=-5) + C, "02", {"dropped.record.bad_header": 1}),
        (A + record(1, length=10**30) + C, "02", {"dropped.record.bad_header": 1}),
        (A + B.replace(b"Content-Length: 50\r\n", b"") + C, "02", {"dropped.record.bad_header": 1}),
        (A + B.replace(b"WARC-Type: response\r\n", b"") + C, "02", {"dropped.record.bad_header": 1}),
        # Headers
        (A + b"WARC/7.0\r\nX: y\r\n\r\n" + C, "02", {"dropped.record.bad_header": 1}),
        (A + b"WARC/ oh\r\n" + C, "02", {"dropped.record.bad_header": 1}),
        (A + b"WARC/1.0\r\nX: " + b"y" * 300_000 + b"\r\n" + C, "02", {"dropped.record.header_unfinished": 1}),
        (A + b"WARC/1.0\r\nWARC-Ty", "0", {"dropped.record.header_unfinished": 1}),
        # Bytes that belong to nothing
        (b"junk\n" + A + B, "01", {"dropped.file_part.garbage": 1}),
        (A + b"junk\n" * 50_000 + B, "01", {"dropped.file_part.garbage": 1}),
        (A + B + b"junk", "01", {"dropped.file_tail.garbage": 1}),
        (pack(A, b"junk", B), "01", {"dropped.file_part.garbage": 1}),
        (pack(A) + b"junk" * 50_000 + pack(B), "01", {"dropped.file_part.garbage": 1}),
        (pack(A) + b"junk \x1f\x8b\x08 junk" * 99 + pack(B), "01", {"dropped.file_part.garbage": 1}),
        (pack(A) + b"junk", "0", {"dropped.file_tail.garbage": 1}),
        # Members that break
        (pack(A) + bytes(FLIPPED) + pack(C), "02", {"dropped.file_part.corrupt_gzip": 1}),
        (pack(A) + bytes(FLIPPED), "0", {"dropped.file_tail.corrupt_gzip": 1}),
        (pack(A, B)[:-5], "01", {"dropped.file_tail.truncated": 1}),
    ],
)
def test_what_can_be_read_is_read_and_the_rest_is_counted(data: bytes, found: str, counted: dict[str, int]) -> None:
    records, counts = run(data)
    if bytes(FLIPPED) in data:
        # What came before the break is given on, if it reached the block.
        counts.pop("damaged.record.truncated", None)
        counts.pop("dropped.record.header_unfinished", None)
        records = [record for record in records if record.headers.get_header("WARC-Target-URI") != "http://e.org/1"]
    assert numbers(records) == found
    assert counts == counted


def test_a_member_cut_short_inside_a_file_gives_what_it_holds_and_the_next_in_full() -> None:
    cut = gzip.compress(record(1, b"".join(b"%d" % (i * i) for i in range(3000))))[:-2000]
    records, counts = run(pack(A) + cut + pack(C))
    assert numbers(records) == "012"
    assert records[2].body == b"x" * 50
    assert records[1].body is not None
    assert records[1].body.startswith(b"0149162536496481100")
    assert counts == {"damaged.record.truncated": 1, "dropped.file_part.corrupt_gzip": 1}


def test_a_block_that_runs_into_the_next_header_is_cut_where_that_starts() -> None:
    records, _ = run(A + OVER + C)
    assert [found.body for found in records] == [b"x" * 50, b"<p>" * 10, b"x" * 50]


def test_a_block_that_quotes_a_header_is_left_whole() -> None:
    quoting = b"see\r\n\r\n" + A + b"that was a record"
    records, counts = run(record(1, quoting) + C)
    assert numbers(records) == "12"
    assert records[0].body == quoting
    assert not counts


def test_a_false_length_in_the_gigabytes_costs_one_record_where_members_hold_one() -> None:
    records, counts = run(pack(A, record(1, length=10**12), C))
    assert numbers(records) == "012"
    assert records[1].body is None
    assert counts == {"damaged.record.truncated": 1}


def test_reading_starts_at_a_record_or_not_at_all() -> None:
    data = pack(A, B)
    records, _ = run(data, len(pack(A)))
    assert [(numbers([found]), found.offset) for found in records] == [("1", len(pack(A)))]
    with pytest.raises(NotAtRecordError):
        run(A + B, 5)
    with pytest.raises(NotAtRecordError):
        run(pack(A, b"half a record"), len(pack(A)))


def test_offsets_are_those_of_records_in_plain_files_and_of_members_in_packed_ones() -> None:
    plain, _ = run(A + OVER + C)
    assert [found.offset for found in plain] == [0, len(A), len(A + OVER)]
    packed, _ = run(pack(A, B + C))
    assert [found.offset for found in packed] == [0, len(pack(A)), len(pack(A))]
