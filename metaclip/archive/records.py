"""Records of WARC, WAT and WET files (and ARC), gzip, zstd, bz2, xz or plain, from anywhere, in whatever state.

fastwarc reads as long as it can be believed: it ends silently at an empty gzip member, reads over
the end of a member whose record is shorter than stated, and gives records without headers where
line ends are bare. So each record is held back until its length, its headers and the place where
the next one starts agree. At the first doubt, `metaclip.archive.salvage` takes over from that record on.

This is the definition; its fast way is `metaclip.archive.batches`.
"""

import gzip
import io
import itertools
import logging
import re
from collections import Counter
from collections.abc import Generator, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from typing import Protocol, cast

import zstandard
from fastwarc import ArchiveIterator, GzipReader, WarcHeader, WarcRecord, ZstdReader
from warcio.statusandheaders import StatusAndHeaders

from metaclip.archive.damaged_members import GZIP_MAGIC, ZSTD_MAGIC, is_skippable, read_members
from metaclip.archive.salvage import NotAtRecordError, salvage
from metaclip.archive.wacz import open_stream
from metaclip.errors import TransportError, UnreadableFileError

logger = logging.getLogger(__name__)

MAX_RECORD_BYTES = 64 << 20

# WARC 1.1, section 5.5; other types are left to the salvager, as they may be a sign of damage.
TYPES = frozenset(("warcinfo", "response", "resource", "request", "metadata", "revisit", "conversion", "continuation"))
# Members without content, at which fastwarc ends.
_EMPTY_GZIP = gzip.compress(b"", mtime=0)
_EMPTY_ZSTD = zstandard.ZstdCompressor().compress(b"")
_DOUBT: tuple[str, None, int] = ("", None, 0)
_MARKUP = re.compile(rb"(\xef\xbb\xbf)?\s*<(!doctype|html|\?xml|error|head|body)", re.IGNORECASE)


class Headers(Protocol):
    """WARC headers, looked up by name whatever its case."""

    def get(self, name: str, default: str | None = None, /) -> str | None:
        """Return the first header of that name."""


@dataclass(slots=True)
class Record:
    """One record of an archive.

    `body` is the record's block (for a response: HTTP head and payload); `offset` is the byte of
    the file where the record, or the gzip member or zstd frame that holds it, starts.
    """

    type: str
    url: str
    headers: Headers
    body: bytes = field(repr=False)
    offset: int


def read_records(
    path: str,
    types: frozenset[str],
    statistics: Counter[str],
    max_record_bytes: int = MAX_RECORD_BYTES,
) -> Iterator[Record]:
    """Read the records of some types, in the file's order, from any path `open_stream` takes.

    Memory is bounded by `max_record_bytes` for a record and some 16 MB beside it. When the
    iteration ends, these were added to `statistics`: `bytes_read` (as stored), `records` and
    `records.<type>` (all types; those unknown
    to WARC 1.1 as `other`), `dropped.record.<reason>` (such as `too_large`, wanted types
    only), `dropped.file_part.<reason>` and `dropped.file_tail.<reason>` (stretches that could not
    be read), `damaged.record.<reason>` (given on, but `truncated` or cut for `length_mismatch`),
    and `archive.warcio_takeovers`.

    Raises:
        UnreadableFileError: for a file without one valid record: `empty_file`, `html_error_page`,
            `corrupt_gzip`, `corrupt_zstd`, `truncated`, `not_an_archive`, `no_valid_record`; or
            that cannot be opened: `not_found`, `forbidden` and the like.
        TransportError: the connection broke for now; what was given so far is to be discarded.
    """
    reading = _Reading(path, types, max_record_bytes)
    try:
        yield from reading.records()
    finally:
        reading.report(statistics)


class _Reading:
    """The state of reading one file, of which the takeover must know how far it came."""

    def __init__(self, path: str, types: frozenset[str], max_record_bytes: int) -> None:
        self._path = path
        self._types = types
        self._limit = max_record_bytes
        self._counts: Counter[str] = Counter()
        self._by_type: Counter[str] = Counter()
        self._bytes_read = 0
        self._start = 0  # where the record at hand, or its member, starts
        self._accounted = 0  # records before it in the same member

    def records(self) -> Iterator[Record]:
        """Yield the records; raise if there were none of any type."""
        with closing(_Tap(self._path, 0)) as tap:
            head = tap.peek()
            sound = False
            try:
                if head[:5] == b"WARC/" or _is_compressed(head):
                    sound = yield from self._fast(tap, head)
            finally:
                self._bytes_read = tap.position
        if not sound:
            self._counts["archive.warcio_takeovers"] += 1
            total = sum(self._by_type.values())
            logger.debug("%s: warcio takes over at byte %d", self._path, self._start)
            try:
                # Frames of zstd may need a dictionary that stands at the file's start.
                at_member = not head.startswith(GZIP_MAGIC) and _is_compressed(head)
                yield from self._salvaged(*((0, total) if at_member else (self._start, self._accounted)))
            except NotAtRecordError:
                yield from self._salvaged(0, total)
        if not self._by_type:
            raise self._unreadable(head)

    def report(self, statistics: Counter[str]) -> None:
        """Add what was counted to the caller's statistics."""
        statistics.update(self._counts)
        statistics["bytes_read"] += self._bytes_read
        for kind, count in self._by_type.items():
            statistics["records"] += count
            statistics[f"records.{kind}"] += count
        count_continuations(statistics, self._types, self._by_type["continuation"])

    def _fast(self, tap: "_Tap", head: bytes) -> Generator[Record, None, bool]:
        """Read with fastwarc; return whether it came to the end and all of it can be believed."""
        reader: GzipReader | ZstdReader | None = None
        if _is_compressed(head):
            is_gzip = head.startswith(GZIP_MAGIC)
            tap.end_mark = _EMPTY_GZIP if is_gzip else _EMPTY_ZSTD
            reader = GzipReader(tap) if is_gzip else ZstdReader(tap)
        kind, length = "", 0
        held: Record | None = None
        frame: int | None = -1
        try:
            for record in ArchiveIterator(reader if reader is not None else tap, parse_http=False):
                if kind:
                    self._account(kind, held)
                    if held is not None:
                        yield held
                start = reader.frame_start_position() if reader is not None else record.stream_pos
                if start == frame:
                    self._accounted += 1
                else:
                    self._accounted = 0
                    self._start = frame = start or 0
                kind, held, length = self._judge(record)
                if not kind or (reader is not None and reader.frame_start_position() != start):
                    return False
        except (OSError, ValueError) as error:
            logger.debug("%s: fastwarc: %s", self._path, error)
            return False
        # The end is true only where the reader came to the mark behind it as to a member of its own.
        # A plain file has no members: there a last record without a block may be half a header.
        if not kind or not tap.ended:
            return False
        if (reader.frame_start_position() != tap.position) if reader is not None else not length:
            return False
        self._account(kind, held)
        if held is not None:
            yield held
        return True

    def _judge(self, record: WarcRecord) -> tuple[str, Record | None, int]:
        """Take a record's block from fastwarc; `_DOUBT` if anything about the record is in doubt."""
        headers = record.headers  # looked up by WarcHeader: ten times as fast as by a string
        length = record.content_length
        kind = (headers.get(WarcHeader.WARC_TYPE) or "").lower()
        if kind not in TYPES:
            return _DOUBT
        # A length that fastwarc cannot read becomes 0.
        if not length and (headers.get(WarcHeader.CONTENT_LENGTH) or "").strip() != "0":
            return _DOUBT
        if kind not in self._types or length > self._limit:
            return (kind, None, length) if record.reader.consume() == length else _DOUBT
        body = record.reader.read()
        url = headers.get(WarcHeader.WARC_TARGET_URI) or ""
        if len(body) != length or "\n" in url:  # a line feed: the next header was taken for its value
            return _DOUBT
        if "\ufffd" in url:
            url = (headers.get_bytes(WarcHeader.WARC_TARGET_URI) or b"").decode("latin-1")
        return kind, Record(kind, clean_address(url), headers, body, self._start), length

    def _account(self, kind: str, record: Record | None) -> None:
        self._by_type[kind if kind in TYPES else "other"] += 1
        if record is None and kind in self._types:
            self._counts["dropped.record.too_large"] += 1

    def _salvaged(self, offset: int, skip: int) -> Iterator[Record]:
        """Read on from a byte offset, passing over records that are accounted for."""
        with closing(_Tap(self._path, offset)) as tap:
            try:
                for found in salvage(tap, offset, self._types, self._limit, self._counts):
                    if skip:
                        skip -= 1
                        continue
                    record = None
                    if found.body is not None:
                        url = clean_address(found.headers.get_header("WARC-Target-URI") or "")
                        headers = _WarcioHeaders(found.headers)
                        record = Record(found.type, url, headers, found.body, found.offset)
                    self._account(found.type, record)
                    if record is not None:
                        yield record
            finally:
                self._bytes_read = max(self._bytes_read, tap.position)

    def _unreadable(self, head: bytes) -> UnreadableFileError:
        """Say why a file gave no record."""
        with closing(_Tap(self._path, 0)) as tap:
            events = itertools.islice(read_members(tap, 0), 8)
            plain = next((event for event in events if isinstance(event, bytes)), b"")
        broken = [key.rpartition(".")[2] for key in self._counts if key.startswith("dropped.file_")]
        if _MARKUP.match(plain):
            return UnreadableFileError(self._path, "html_error_page", "a web page or error message, not an archive")
        if not plain and not broken:
            return UnreadableFileError(self._path, "empty_file", "holds no bytes" if not head else "holds nothing")
        for reason in ("corrupt_gzip", "corrupt_zstd", "corrupt_bzip", "corrupt_xz", "truncated"):
            if reason in broken:
                return UnreadableFileError(self._path, reason, "breaks before the first record; fetch it again")
        if any(key.startswith("dropped.record.") for key in self._counts):
            return UnreadableFileError(self._path, "no_valid_record", "no record in it has a usable header")
        return UnreadableFileError(self._path, "not_an_archive", "holds no WARC or ARC record")


def count_continuations(counts: Counter[str], types: frozenset[str], number: int | None = None) -> None:
    """Count segments that continue a record as dropped, where their first segments are wanted and they are not."""
    number = counts["records.continuation"] if number is None else number
    if number and "response" in types and "continuation" not in types:
        counts["dropped.record.continuation"] += number


class _WarcioHeaders:
    """warcio's headers, looked up as fastwarc's are."""

    __slots__ = ("_headers",)

    def __init__(self, headers: StatusAndHeaders) -> None:
        self._headers = headers

    def get(self, name: str, default: str | None = None, /) -> str | None:
        return cast(str | None, self._headers.get_header(name, default))


class _Tap:
    """A stream that counts what was read, can be looked into at its start, and fails in one way.

    `end_mark` is given once, uncounted, behind the last byte.
    """

    def __init__(self, path: str, offset: int) -> None:
        self.end_mark = b""
        self.ended = False
        self._path = path
        self._stream = open_stream(path, offset)
        self._ahead = b""
        self.position = offset

    def peek(self) -> bytes:
        """Return the first bytes, which `read` gives again."""
        self._ahead = self._read(512)
        return self._ahead

    def read(self, size: int = -1, /) -> bytes:
        if self._ahead:
            data, self._ahead = (self._ahead, b"") if size < 0 else (self._ahead[:size], self._ahead[size:])
        else:
            data = self._read(size)
        self.position += len(data)
        if not data:
            self.ended = True
            data, self.end_mark = self.end_mark, b""
        return data

    def tell(self) -> int:
        return self.position

    def seek(self, offset: int, whence: int = 0, /) -> int:
        raise io.UnsupportedOperation("archives are read forward only")

    def close(self) -> None:
        self._stream.close()

    def _read(self, size: int) -> bytes:
        try:
            return self._stream.read(size)
        except OSError as error:
            raise TransportError(f"{self._path}: reading failed at byte {self.position}: {error}") from error


def _is_compressed(head: bytes) -> bool:
    return head.startswith((GZIP_MAGIC, ZSTD_MAGIC)) or is_skippable(head[:4])


def clean_address(url: str) -> str:
    """Return the address of a page without what some crawlers wrote around it."""
    # wget 1.19 wrote addresses in angle brackets.
    url = url.strip()
    return url.removeprefix("<").removesuffix(">").strip() if url.startswith("<") else url
