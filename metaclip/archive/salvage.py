"""Records of archives that the fast reader gives up on: damaged, oddly packed, or plainly wrong.

warcio parses the headers, which it takes as they come (bare line feeds, folded lines, ARC); around
it stand decompression that goes on after a break, lengths that are checked, and a search for the
next header where a record does not end as stated. Everything odd is counted.
"""

import io
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

from warcio.recordloader import ARC2WARCHeadersParser, ArcWarcRecordLoader
from warcio.statusandheaders import StatusAndHeaders, StatusAndHeadersParser, StatusAndHeadersParserException

from metaclip.archive.damaged_members import Break, Event, Readable, Start, read_members

_MAX_HEADER = 256 << 10
_BLANK = b"\r\n\0"
_HOLE = 1 << 20
_HEADER = re.compile(rb"\n(WARC/[01]\.\d+[ \t]*\r?\n[A-Za-z][A-Za-z-]*[ \t]*:)")
_HEADER_END = re.compile(rb"\n\r?\n")


class NotAtRecordError(Exception):
    """What lies at the offset is not the start of a record."""


@dataclass(slots=True)
class Salvaged:
    """One record: its headers, its block (None if it was not wanted or too large), its offset."""

    type: str
    headers: StatusAndHeaders
    body: bytes | None
    offset: int


def salvage(
    stream: Readable,
    offset: int,
    types: frozenset[str],
    max_record_bytes: int,
    counts: Counter[str],
) -> Iterator[Salvaged]:
    """Read every record that can be read, from an offset on; nothing is raised for damage.

    Counts: `damaged.record.truncated` (the block is shorter than stated), and
    `damaged.record.length_mismatch` (it runs into the next header, and was cut there), both given
    on; `dropped.record.<reason>` for records, `dropped.file_part.<reason>` for stretches between
    readable parts, `dropped.file_tail.<reason>` for the end of a file.

    Raises:
        NotAtRecordError: for an offset other than 0 that is not the start of a record.
    """
    text = _Text(read_members(stream, offset), counts)
    arc = False
    if offset and not (text.next_segment() and text.ahead(5) == b"WARC/"):
        raise NotAtRecordError
    while True:
        if not text.skip_blank():
            if not text.next_segment():
                return
            continue
        start = text.ahead(11)
        arc = arc or start == b"filedesc://"
        if not arc and not start.startswith(b"WARC/"):
            text.lose("garbage")
            continue
        place = text.place
        headers = _parse_arc(text) if arc else _parse_warc(text)
        if isinstance(headers, str):
            counts[f"dropped.record.{headers}"] += 1
            if arc:
                text.lose(headers)  # nothing marks the next record of an ARC file
            else:
                text.find_header()
            continue
        kind = headers.get_header("WARC-Type").strip().lower()
        length = int(headers.get_header("Content-Length"))
        body: bytes | None = None
        if length <= max_record_bytes:
            body = _take_body(text, length, counts, checked=not arc)
        elif text.skip(length):
            counts["damaged.record.truncated"] += 1
        yield Salvaged(kind, headers, body if kind in types else None, place)


def _parse_warc(text: "_Text") -> StatusAndHeaders | str:
    """Take a WARC header off the text; return the reason instead if it is unusable."""
    raw = text.take_header()
    if raw is None:
        return "header_unfinished"
    try:
        headers = StatusAndHeadersParser(ArcWarcRecordLoader.WARC_TYPES).parse(io.BytesIO(raw))
    except StatusAndHeadersParserException:
        headers = StatusAndHeaders("", [])
    length = (headers.get_header("Content-Length") or "").strip()
    if not (headers.get_header("WARC-Type") or "").strip() or not re.fullmatch(r"[0-9]{1,18}", length):
        # Only its first line is given up: a sound header may follow before the empty line.
        text.put_back(raw[raw.find(b"\n") :])
        return "bad_header"
    return headers


def _parse_arc(text: "_Text") -> StatusAndHeaders | str:
    """Take an ARC header line (URL, address, date, type, length) as if it were WARC."""
    raw = text.take_line()
    try:
        headers = ARC2WARCHeadersParser().parse(io.BytesIO(raw))
    except (StatusAndHeadersParserException, ValueError):
        return "bad_header"
    return headers if re.fullmatch(r"[0-9]{1,18}", headers.get_header("Content-Length")) else "bad_header"


def _take_body(text: "_Text", length: int, counts: Counter[str], *, checked: bool) -> bytes:
    """Take a record's block, and check that it ends where the next record or the segment does."""
    body = text.take(length)
    after = text.ahead(64).lstrip(_BLANK)
    complete = len(body) == length
    if complete and (not checked or not after or after.startswith(b"WARC/")):
        return body
    # The block may end anywhere within the header that it runs into.
    found = _HEADER.search(body + text.ahead(256)) if checked else None
    if found is not None and found.start(1) < length:
        counts["damaged.record.length_mismatch"] += 1
        text.put_back(body[found.start(1) :])
        body = body[: found.start(1)]
        return next((body.removesuffix(end) for end in (b"\r\n\r\n", b"\n\n", b"\n") if body.endswith(end)), body)
    if not complete:
        counts["damaged.record.truncated"] += 1
    return body


class _Text:
    """Decompressed bytes in segments: a segment ends where no record can go on.

    That is at a break, and where a member starts with a record of its own; members that merely cut
    a record into blocks (bgzip) are joined, and empty ones passed over.
    """

    def __init__(self, events: Iterator[Event], counts: Counter[str]) -> None:
        self._events = events
        self._counts = counts
        self._buffer = bytearray()
        self._taken = 0  # bytes of the segment that were taken off the buffer
        self._start = Start(0)  # of the segment
        self._open = False  # the segment may go on beyond the buffer
        self._next: tuple[Start, bytes] | None = None  # the next segment's start and first bytes

    @property
    def place(self) -> int:
        """The byte of the file where the next record starts; if compressed, where its segment does."""
        return self._start.offset + (self._taken if self._start.plain else 0)

    def next_segment(self) -> bool:
        """Go to the next segment once this one is used up; False at the end of the file."""
        while self._next is None:
            event = next(self._events, None)
            if event is None:
                return False
            if isinstance(event, Break):
                self._count(event)
            elif isinstance(event, Start):
                self._start = event
            else:
                self._next = self._start, event
        self._start, piece = self._next
        self._buffer[:] = piece
        self._taken = 0
        self._open = True
        self._next = None
        return True

    def skip_blank(self) -> bool:
        """Take line ends and padding off; False at the end of the segment."""
        passed = 0
        while self._buffer or self._more():
            kept = len(self._buffer.lstrip(_BLANK))
            passed += len(self._buffer) - kept
            self._drop(len(self._buffer) - kept)
            if kept:
                break
        # Tapes and block devices leave some padding; so much is a hole, or was made to cost time.
        if passed >= _HOLE:
            self._counts["dropped.file_part.zeros"] += 1
        return bool(self._buffer)

    def ahead(self, size: int) -> bytes:
        """Return so many of the next bytes, fewer at the segment's end, without taking them."""
        while len(self._buffer) < size and self._more():
            pass
        return bytes(self._buffer[:size])

    def take(self, size: int) -> bytes:
        """Take so many bytes off, fewer at the segment's end."""
        data = self.ahead(size)
        self._drop(len(data))
        return data

    def skip(self, size: int) -> int:
        """Pass over so many bytes; return how many were missing at the segment's end."""
        while size and (self._buffer or self._more()):
            step = min(size, len(self._buffer))
            self._drop(step)
            size -= step
        return size

    def put_back(self, data: bytes) -> None:
        """Undo the taking of these bytes."""
        self._buffer[:0] = data
        self._taken -= len(data)

    def take_line(self) -> bytes:
        """Take a line off, with its end; a line that is too long comes in parts."""
        size = 1 << 10
        while b"\n" not in (line := self.ahead(size)) and len(line) == size < _MAX_HEADER:
            size *= 4
        return self.take(line.find(b"\n") + 1 or len(line))

    def take_header(self) -> bytes | None:
        """Take all up to the next empty line off; None, and only one line taken, if there is none."""
        size = 4 << 10
        while (end := _HEADER_END.search(ahead := self.ahead(size))) is None:
            if len(ahead) < size or size >= _MAX_HEADER:
                if self.take_line().endswith(b"\n"):
                    self.put_back(b"\n")  # by which the search for the next header knows a line's start
                return None
            size *= 4
        return self.take(end.end())

    def find_header(self) -> bool:
        """Pass over bytes until a WARC header; False if the segment has no more."""
        while True:
            found = _HEADER.search(self._buffer)
            if found is not None:
                self._drop(found.start(1))
                return True
            self._drop(max(0, len(self._buffer) - 512))  # a header may stand across the edge
            if not self._more():
                self._drop(len(self._buffer))
                return False

    def lose(self, reason: str) -> None:
        """Pass over bytes until a WARC header, here or in a later segment, and count the loss."""
        more = self.find_header() or self.next_segment()
        self._counts[f"dropped.file_{'part' if more else 'tail'}.{reason}"] += 1

    def _drop(self, size: int) -> None:
        del self._buffer[:size]
        self._taken += size

    def _more(self) -> bool:
        """Add the segment's next piece to the buffer; False at its end."""
        start = None
        while self._open:
            event = next(self._events, None)
            if isinstance(event, bytes):
                if start is None or not event.startswith(b"WARC/"):
                    self._buffer += event
                    return True
                self._next = start, event
            elif isinstance(event, Start):
                start = event
                continue
            elif event is not None:
                self._count(event)
            self._open = False
        return False

    def _count(self, event: Break) -> None:
        self._counts[f"dropped.file_{'tail' if event.tail else 'part'}.{event.reason}"] += 1
