"""The values of a JSON file one by one: of lines, of an array however it is laid out, or of an array in an object.

A value is found by its brackets, so that neither an array nor an object that wraps one is ever held as a whole.
"""

import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator

import msgspec

from metaclip.archive.damaged_members import Break, Event
from metaclip.rows import lines
from metaclip.rows.columns import URL_COLUMNS

_STRUCTURE = re.compile(rb'["{}\[\],]')
_IN_STRING = re.compile(rb'[^"\\]*+(?:\\.[^"\\]*+)*+', re.DOTALL)
_BLANK = b" \t\r\n\0"
_FIRST_OF_SEVERAL = re.compile(rb'\{(\s*"(?:[^"\\]|\\.)*"\s*:.*[,\[{])?', re.DOTALL)


def parse_json(data: bytes) -> object:
    """Return the value of a JSON text, or None if it is not JSON.

    A byte-order mark, bytes that are not UTF-8, control characters and lone surrogates in strings are accepted.
    """
    data = data.removeprefix(b"\xef\xbb\xbf")
    try:
        return msgspec.json.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        try:
            return json.loads(data.decode("utf-8", "replace"), strict=False)
        except (ValueError, RecursionError):
            return None


def value_depth(head: bytes) -> int | None:
    """Tell by the first bytes of a JSON file how deep its records lie; None if each has a line of its own.

    1 for an array of records, 2 for an object that has such an array (`{"annotations": [{…`), 0 for objects that
    go over several lines.
    """
    text = head.removeprefix(b"\xef\xbb\xbf").lstrip(_BLANK)
    line, _, rest = text.partition(b"\n")
    if text.startswith(b"["):
        # A list in a line of its own, before lines of objects, is one odd line.
        return None if rest.lstrip(_BLANK).startswith(b"{") and isinstance(parse_json(line), list) else 1
    if not text.startswith(b"{"):
        return None
    if rest.strip(_BLANK) and isinstance(parse_json(line), dict):
        return None
    if _wraps_records(text):
        return 2
    return 0 if _FIRST_OF_SEVERAL.fullmatch(line.strip()) else None


def _wraps_records(text: bytes) -> bool:
    """Return whether an object's own fields begin with a list of objects, and name no address before it."""
    depth = at = 0
    while found := _STRUCTURE.search(text, at):
        at = found.end()
        token = found[0]
        if token == b'"':
            end = _IN_STRING.match(text, at)
            name, at = text[at : end.end() if end else at], (end.end() if end else at) + 1
            if depth == 1 and name.decode("utf-8", "replace") in URL_COLUMNS and text[at:].lstrip().startswith(b":"):
                return False
        elif token == b"[" and depth == 1 and text[at:].lstrip(_BLANK).startswith(b"{"):
            return True
        elif token != b",":
            depth += 1 if token in (b"{", b"[") else -1
    return False


def split_values(events: Iterable[Event], level: int, statistics: Counter[str]) -> Iterator[bytes]:
    """Give the texts of the values that lie `level` brackets deep, in order.

    Of level 2 only those in lists that hold objects are given. A value that is too long is counted as a record
    (`dropped.record.too_long`), damage and an end before all brackets are closed as `dropped.file_tail.<reason>`.
    """
    splitter = _Splitter(level)
    for event in events:
        if isinstance(event, Break):
            statistics[f"dropped.file_tail.{event.reason}"] += 1  # nobody knows how deep what follows lies
            return
        if isinstance(event, bytes):
            yield from splitter.feed(event)
            if splitter.too_long:
                statistics["records"] += splitter.too_long
                statistics["dropped.record.too_long"] += splitter.too_long
                splitter.too_long = 0
    if splitter.depth or splitter.in_string:
        statistics["dropped.file_tail.truncated"] += 1


class _Splitter:
    """Where in the brackets reading is; memory is bounded by the longest value."""

    def __init__(self, level: int) -> None:
        self.depth = 0
        self.in_string = False
        self.too_long = 0
        self._level = level
        self._wanted = level < 2  # whether values at the level are those of a list
        self._buffer = bytearray()
        self._begin = 0  # of the value at hand, or of what comes before the next one
        self._skipping = False

    def feed(self, piece: bytes) -> Iterator[bytes]:
        """Take the next bytes, and give the values that end in them."""
        buffer = self._buffer
        at = len(buffer)
        if at and self.in_string and buffer[-1] == 0x5C and self._open_escape():
            at -= 1
        buffer += piece
        while True:
            if self.in_string:
                found = _IN_STRING.match(buffer, at)
                at = found.end() if found else at
                if at >= len(buffer) or buffer[at] != 0x22:
                    break  # it goes on, or a backslash is the last byte
                self.in_string = False
                at += 1
            token = _STRUCTURE.search(buffer, at)
            if token is None:
                break
            at = token.end()
            value = self._token(token[0], token.start(), at)
            if value:
                yield value
        inside = self._wanted and self.depth >= self._level
        keep = self._begin if inside and not self._skipping else len(buffer)
        if inside and not self._skipping and len(buffer) - keep > lines.MAX_BYTES:
            self.too_long += 1
            self._skipping = True
            keep = len(buffer)
        if keep == len(buffer) and self.in_string and buffer and buffer[-1] == 0x5C and self._open_escape():
            keep -= 1  # what it escapes is in the next piece
        del buffer[:keep]
        self._begin = 0

    def _open_escape(self) -> bool:
        """Return whether the last byte is a backslash that escapes the next one."""
        return (len(self._buffer) - len(self._buffer.rstrip(b"\\"))) % 2 == 1

    def _token(self, token: bytes, start: int, end: int) -> bytes:
        """Follow one mark of JSON's structure; return the value that it ends."""
        if token == b'"':
            self.in_string = True
        elif token in (b"{", b"["):
            if self.depth == self._level - 1:
                self._wanted = token == b"["
                self._begin = end
            elif self.depth == 0 == self._level:
                self._begin = start
            self.depth += 1
        elif token == b",":
            if self.depth == self._level and self._wanted:
                return self._take(start, end)
        else:
            self.depth = max(0, self.depth - 1)
            if self.depth == self._level == 0:
                return self._take(end, end)
            if self.depth == self._level - 1 and self._wanted:
                value = self._take(start, end)
                self._wanted = self._level < 2
                return value
        return b""

    def _take(self, stop: int, following: int) -> bytes:
        """Return the value that ends here, none if it was too long."""
        value = b"" if self._skipping else bytes(self._buffer[self._begin : stop]).strip(_BLANK)
        self._skipping, self._begin = False, following
        return value if self._level < 2 or value.startswith(b"{") else b""
