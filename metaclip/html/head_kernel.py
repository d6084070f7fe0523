"""Heads of many HTTP responses read together: those with nothing odd about them.

The kernel finds what `message.parse_message` and `charset` find. A response is odd, and left to them, where they
change anything or decide by more than the head: folded lines, bytes beyond ASCII and control characters in the
head, encodings to undo, X-Robots-Tag, no Content-Type, byte-order marks, bodies that may not be markup, and meta
tags with a comment inside.

Equals `metaclip.html.message`; held by tests/metaclip/html/test_responses.py.
"""

from typing import Any

import numpy as np
import numpy.typing as npt

from metaclip.html.charset import PRESCAN_BYTES
from metaclip.kernels.jit import kernel
from metaclip.kernels.types import Bytes, Int, Ints, Truth

BODY, TYPE, TYPE_END, LABEL, LABEL_END = range(5)
"""Columns of `find_heads`: where the body starts, or -1 for an odd response; where the last Content-Type
starts and ends; where the label of the first meta tag that names a character set does, or -1."""

_TAB, _LF, _CR, _SPACE, _BANG, _QUOTE, _APOSTROPHE, _DASH = map(ord, "\t\n\r !\"'-")
_SLASH, _COLON, _SEMICOLON, _LESS, _IS, _MORE = map(ord, "/:;<=>")


def _lower(text: str) -> npt.NDArray[np.uint8]:
    return np.frombuffer(text.encode(), np.uint8)


_HTTP, _CONTENT_TYPE, _META = _lower("http/"), _lower("content-type"), _lower("<meta")
_ODD_HEADERS = tuple(map(_lower, ("content-encoding", "transfer-encoding", "x-robots-tag")))
_CHARSET, _CONTENT, _HTTP_EQUIV = _lower("charset"), _lower("content"), _lower("http-equiv")
# Byte-order marks, and what bodies begin with that are not HTML whatever their type says.
_ODD_START = np.zeros(256, np.bool_)
_ODD_START[[0xEF, 0xFE, 0xFF, 0x89, 0x1F, ord("%"), ord("G"), ord("P")]] = True


@kernel
def _starts_with_lower(data: Bytes, start: Int, end: Int, lower: Bytes) -> Truth:
    """Tell whether data[start:end] begins with these bytes, letters in either case."""
    if end - start < lower.size:
        return False
    for k in range(lower.size):
        byte = np.int64(data[start + k])
        if 65 <= byte <= 90:
            byte += 32
        if byte != lower[k]:
            return False
    return True


@kernel
def _contains_lower(data: Bytes, start: Int, end: Int, lower: Bytes) -> Truth:
    """Tell whether data[start:end] contains these bytes, letters in either case."""
    at, last = start, end - lower.size
    while at <= last and not _starts_with_lower(data, at, end, lower):
        at += 1
    return at <= last


@kernel
def _is_blank(byte: Int) -> Truth:
    """Tell whether a byte is white space to regular expressions for bytes."""
    return byte == _SPACE or _TAB <= byte <= _CR


@kernel
def _read_head(data: Bytes, start: Int, end: Int, found: Ints) -> Int:
    """Find Content-Type and return where the body starts, or -1."""
    if not _starts_with_lower(data, start, end, _HTTP):
        return -1
    line, colon, p, first = start, -1, start, True
    while p < end:
        byte = np.int64(data[p])
        if byte == _COLON and colon < 0:
            colon = p
        elif byte >= 0x80 or (byte < _SPACE and byte != _TAB and byte != _LF):
            if byte != _CR or p + 1 >= end or data[p + 1] != _LF:
                return -1
        elif byte == _LF:
            if colon >= 0 and not first:
                name_end = colon
                while line < name_end and _is_blank(data[line]):
                    line += 1
                while line < name_end and _is_blank(data[name_end - 1]):
                    name_end -= 1
                for header in _ODD_HEADERS:
                    if name_end - line == header.size and _starts_with_lower(data, line, name_end, header):
                        return -1
                if name_end - line == _CONTENT_TYPE.size and _starts_with_lower(data, line, name_end, _CONTENT_TYPE):
                    found[TYPE], found[TYPE_END] = colon + 1, p
            line, colon, first = p + 1, -1, False
            if line < end and data[line] == _LF:
                return line + 1
            if line + 1 < end and data[line] == _CR and data[line + 1] == _LF:
                return line + 2
            if line < end and (data[line] == _SPACE or data[line] == _TAB):
                return -1
        p += 1
    return -1


@kernel
def _find_label(data: Bytes, start: Int, end: Int, found: Ints) -> Truth:
    """Find the label of a character set in a meta tag; return whether there is one."""
    if _contains_lower(data, start, end, _CONTENT) and not _contains_lower(data, start, end, _HTTP_EQUIV):
        return False
    for at in range(start + 1, end - _CHARSET.size + 1):
        before = data[at - 1]
        if not (_is_blank(before) or before in (_QUOTE, _APOSTROPHE, _SLASH, _SEMICOLON)):
            continue
        if not _starts_with_lower(data, at, end, _CHARSET):
            continue
        p = at + _CHARSET.size
        while p < end and _is_blank(data[p]):
            p += 1
        if p >= end or data[p] != _IS:
            continue
        p += 1
        while p < end and _is_blank(data[p]):
            p += 1
        if p < end and data[p] in (_QUOTE, _APOSTROPHE):
            p += 1
            while p < end and _is_blank(data[p]):
                p += 1
        stop = p
        while stop < end and not (
            _is_blank(data[stop]) or data[stop] in (_QUOTE, _APOSTROPHE, _SLASH, _MORE, _SEMICOLON)
        ):
            stop += 1
        if stop > p:
            found[LABEL], found[LABEL_END] = p, stop
            return True
    return False


@kernel
def _is_comment(data: Bytes, p: Int, end: Int) -> Truth:
    return p + 4 <= end and data[p + 1] == _BANG and data[p + 2] == _DASH and data[p + 3] == _DASH


@kernel
def _prescan_body(data: Bytes, start: Int, end: Int, found: Ints) -> Truth:
    """Find the first label in meta tags outside comments; return whether nothing odd comes before it."""
    p = start
    bounded = True  # whether what is before p cannot begin a tag that goes on behind a comment
    while p < end:
        if data[p] != _LESS:
            bounded = data[p] == _MORE or _is_blank(data[p])
            p += 1
        elif _is_comment(data, p, end):
            if not bounded:
                return False
            p += 4
            while p + 3 <= end and not (data[p] == _DASH and data[p + 1] == _DASH and data[p + 2] == _MORE):
                p += 1
            if p + 3 > end:
                return True
            p += 3
        elif (
            p + 5 < end
            and _starts_with_lower(data, p, end, _META)
            and (_is_blank(data[p + 5]) or data[p + 5] == _SLASH)
        ):
            tag = p
            p += 6
            while p < end and data[p] != _MORE:
                if data[p] == _LESS and _is_comment(data, p, end):
                    return False
                p += 1
            if _find_label(data, tag, p, found):
                return True
        else:
            bounded = False
            p += 1
    return True


@kernel
def find_heads(data: Bytes, blocks: Ints, found: Ints) -> None:
    """Fill `found`, int64[n, 5] with columns as named above, for responses at `blocks`, int64[n, 2]."""
    for record in range(blocks.shape[0]):
        start, end = blocks[record, 0], blocks[record, 1]
        row = found[record]
        row[:] = -1
        body = _read_head(data, start, end, row)
        if body < 0 or row[TYPE] < 0 or (body < end and _ODD_START[data[body]]):
            continue
        if _prescan_body(data, body, min(body + PRESCAN_BYTES, end), row):
            row[BODY] = body


ASCII, ESCAPES, BEYOND_ASCII = range(3)


@kernel
def look_inside(data: Bytes, start: Int, end: Int) -> Int:
    """Return BEYOND_ASCII if a byte is, else ESCAPES if there are any, else ASCII."""
    at, escapes = start, False
    while at < end:
        stop = min(at + 4096, end)
        beyond: Any = np.uint8(0)
        escaped: Any = np.uint8(0)
        for k in range(at, stop):
            beyond = np.uint8(beyond | data[k])
            escaped = np.uint8(escaped | np.uint8(data[k] == np.uint8(0x1B)))
        if beyond >= 0x80:
            return BEYOND_ASCII
        escapes |= escaped > 0
        at = stop
    return ESCAPES if escapes else ASCII
