"""Records of WARC, WAT and WET files (and ARC), gzipped, zstd or plain, from anywhere, in whatever state.

fastwarc reads as long as it can be believed: it ends silently at an empty gzip member, reads over
the end of a member whose record is shorter than stated, and gives records without headers where
line ends are bare. So each record is held back until its length, its headers and the place where
the next one starts agree. At the first doubt, `metaclip.salvage` takes over from that record on.
"""

import io
import itertools
import logging
import re
from collections import Counter
from collections.abc import Generator, Iterator
from contextlib import closing
from dataclasses import dataclass
from typing import Protocol, cast

from fastwarc import ArchiveIterator, GzipReader, WarcRecord, ZstdReader
from warcio.statusandheaders import StatusAndHeaders

from metaclip.errors import TransportError, UnreadableFileError
from metaclip.members import GZIP_MAGIC, ZSTD_MAGIC, is_skippable, read_members
from metaclip.salvage import NotAtRecordError, salvage
from metaclip.streams import open_stream

logger = logging.getLogger(__name__)

MAX_RECORD_BYTES = 64 << 20

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
    body: bytes
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
    `records.<type>` (all types), `dropped.record.<reason>` (such as `too_large`, wanted types
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


@dataclass(slots=True)
class _Held:
    """A record that fastwarc gave, waiting for the next one to confirm that it ended where it should."""

    type: str
    record: Record | None  # None: not wanted, or too large
    too_large: bool


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
        self._total = 0  # records before it in the file

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
            logger.debug("%s: warcio takes over at byte %d", self._path, self._start)
            try:
                # Frames of zstd may need a dictionary that stands at the file's start.
                at_member = not head.startswith(GZIP_MAGIC) and _is_compressed(head)
                yield from self._salvaged(*((0, self._total) if at_member else (self._start, self._accounted)))
            except NotAtRecordError:
                yield from self._salvaged(0, self._total)
        if not self._by_type:
            raise self._unreadable(head)

    def report(self, statistics: Counter[str]) -> None:
        """Add what was counted to the caller's statistics."""
        statistics.update(self._counts)
        statistics["bytes_read"] += self._bytes_read
        for kind, count in self._by_type.items():
            statistics["records"] += count
            statistics[f"records.{kind}"] += count

    def _fast(self, tap: "_Tap", head: bytes) -> Generator[Record, None, bool]:
        """Read with fastwarc; return whether it came to the end and all of it can be believed."""
        reader: GzipReader | ZstdReader | None = None
        if _is_compressed(head):
            reader = GzipReader(tap) if head.startswith(GZIP_MAGIC) else ZstdReader(tap)
        held: _Held | None = None
        frame: int | None = -1
        try:
            for record in ArchiveIterator(reader or tap, parse_http=False):
                if held is not None:
                    yield from self._confirm(held)
                start = reader.frame_start_position() if reader else record.stream_pos
                self._accounted = self._accounted + 1 if start == frame else 0
                self._start = frame = start or 0
                held = self._judge(record)
                if held is None or (reader and reader.frame_start_position() != start):
                    return False
        except (OSError, ValueError) as error:
            logger.debug("%s: fastwarc: %s", self._path, error)
            return False
        # The end is true only where all that the file holds went through the reader.
        if not tap.at_end() or (reader and reader.inner_tell() != tap.position):
            return False
        if held is not None:
            yield from self._confirm(held)
        return True

    def _judge(self, record: WarcRecord) -> _Held | None:
        """Take a record's block from fastwarc; None if anything about the record is in doubt."""
        headers = record.headers
        kind = headers.get("WARC-Type")
        length = record.content_length
        stated = headers.get("Content-Length")
        if not kind or stated is None or (stated != str(length) and stated.strip() != str(length)):
            return None
        kind = kind.strip().lower()
        if kind not in self._types or length > self._limit:
            passed = record.reader.consume()
            return _Held(kind, None, kind in self._types) if passed == length else None
        body = record.reader.read()
        if len(body) != length:
            return None
        url = _url(headers.get_bytes(b"WARC-Target-URI", b""))
        return _Held(kind, Record(kind, url, headers, body, self._start), False)

    def _confirm(self, held: _Held) -> Iterator[Record]:
        self._total += 1
        self._by_type[held.type] += 1
        if held.too_large:
            self._counts["dropped.record.too_large"] += 1
        if held.record is not None:
            yield held.record

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
                        url = _clean(found.headers.get_header("WARC-Target-URI") or "")
                        headers = _WarcioHeaders(found.headers)
                        record = Record(found.type, url, headers, found.body, found.offset)
                    yield from self._confirm(_Held(found.type, record, record is None and found.type in self._types))
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
        for reason in ("corrupt_gzip", "corrupt_zstd", "truncated"):
            if reason in broken:
                return UnreadableFileError(self._path, reason, "breaks before the first record; fetch it again")
        if any(key.startswith("dropped.record.") for key in self._counts):
            return UnreadableFileError(self._path, "no_valid_record", "no record in it has a usable header")
        return UnreadableFileError(self._path, "not_an_archive", "holds no WARC or ARC record")


class _WarcioHeaders:
    """warcio's headers, looked up as fastwarc's are."""

    __slots__ = ("_headers",)

    def __init__(self, headers: StatusAndHeaders) -> None:
        self._headers = headers

    def get(self, name: str, default: str | None = None, /) -> str | None:
        return cast(str | None, self._headers.get_header(name, default))


class _Tap:
    """A stream that counts what was read, can be looked into at its start, and fails in one way."""

    def __init__(self, path: str, offset: int) -> None:
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
        return data

    def tell(self) -> int:
        return self.position

    def seek(self, offset: int, whence: int = 0, /) -> int:
        raise io.UnsupportedOperation("archives are read forward only")

    def at_end(self) -> bool:
        return not self.read(1)

    def close(self) -> None:
        self._stream.close()

    def _read(self, size: int) -> bytes:
        try:
            return self._stream.read(size)
        except OSError as error:
            raise TransportError(f"{self._path}: reading failed at byte {self.position}: {error}") from error


def _is_compressed(head: bytes) -> bool:
    return head.startswith((GZIP_MAGIC, ZSTD_MAGIC)) or is_skippable(head[:4])


def _url(raw: bytes | None) -> str:
    try:
        return _clean((raw or b"").decode("utf-8"))
    except UnicodeDecodeError:
        return _clean((raw or b"").decode("latin-1"))


def _clean(url: str) -> str:
    # wget 1.19 wrote addresses in angle brackets.
    return url.strip().removeprefix("<").removesuffix(">").strip()
