"""Heads of many HTTP responses read together: those with nothing odd about them.

The kernel finds what `message.parse_message` and `charset` find. A response is odd, and left to them, where they
change anything or decide by more than the head: folded lines, bytes beyond ASCII and control characters in the
head, encodings to undo, X-Robots-Tag, no Content-Type, byte-order marks, and bodies that may not be markup.

Equals `metaclip.html.message`; held by tests/metaclip/html/test_responses.py.
"""

from typing import Any

import numpy as np
import numpy.typing as npt

from metaclip.html.charset import PRESCAN_BYTES
from metaclip.kernels.jit import kernel
from metaclip.kernels.types import Bytes, Int, Ints, Truth

BODY, TYPE, TYPE_END, TYPES, LABEL, LABEL_END = range(6)
"""Columns of `find_heads`: where the body starts, or -1 for an odd response; where the last Content-Type starts and
ends, and how many there are; where the label of the first meta tag that names a character set does, or -1."""

_TAB, _LF, _CR, _SPACE, _BANG, _QUOTE, _APOSTROPHE, _DASH = map(ord, "\t\n\r !\"'-")
_SLASH, _COLON, _SEMICOLON, _LESS, _IS, _MORE, _QUESTION = map(ord, "/:;<=>?")
_FF = 0x0C


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
                    # A quote that does not end goes on in the header that follows.
                    for k in range(found[TYPE], found[TYPE_END]):
                        if data[k] == _QUOTE:
                            return -1
                    found[TYPE], found[TYPE_END] = colon + 1, p
                    found[TYPES] += 1
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
def _is_space(byte: Int) -> Truth:
    """Tell whether a byte is white space to the prescan; a vertical tab is not."""
    return byte in (_SPACE, _TAB, _LF, _FF, _CR)


@kernel
def _equals_lower(data: Bytes, start: Int, end: Int, lower: Bytes) -> Truth:
    return end - start == lower.size and _starts_with_lower(data, start, end, lower)


@kernel
def _next_attribute(data: Bytes, p: Int, end: Int) -> tuple[Int, Int, Int, Int, Int]:
    """Read one attribute; return start and end of its name and of its value, and where it ends.

    The name starts at -1 if the tag ends instead, and the attribute ends at -1 if the data ends first.
    """
    while p < end and (_is_space(data[p]) or data[p] == _SLASH):
        p += 1
    if p >= end:
        return -1, -1, -1, -1, -1
    if data[p] == _MORE:
        return -1, -1, -1, -1, p + 1
    name = p
    while p < end and not (
        _is_space(data[p]) or data[p] == _SLASH or data[p] == _MORE or (data[p] == _IS and p > name)
    ):
        p += 1
    name_end = p
    while p < end and _is_space(data[p]):
        p += 1
    value, value_end = p, p
    if p < end and data[p] == _IS:
        p += 1
        while p < end and _is_space(data[p]):
            p += 1
        if p < end and (data[p] == _QUOTE or data[p] == _APOSTROPHE):
            quote = data[p]
            p += 1
            value = p
            while p < end and data[p] != quote:
                p += 1
            value_end = p
            p += 1
        else:
            value = p
            while p < end and not (_is_space(data[p]) or data[p] == _MORE):
                p += 1
            value_end = p
    return name, name_end, value, value_end, p if p < end else -1


@kernel
def _label_in(data: Bytes, p: Int, end: Int) -> tuple[Int, Int]:
    """Find the label in a `content` attribute; it starts at -1 where there is none."""
    while p + _CHARSET.size <= end:
        if not _starts_with_lower(data, p, end, _CHARSET):
            p += 1
            continue
        p += _CHARSET.size
        at = p
        while at < end and _is_space(data[at]):
            at += 1
        if at >= end or data[at] != _IS:
            continue
        at += 1
        while at < end and _is_space(data[at]):
            at += 1
        label = at
        if at < end and (data[at] == _QUOTE or data[at] == _APOSTROPHE):
            at += 1
            while at < end and data[at] != data[label]:
                at += 1
            return (label + 1, at) if at < end else (-1, -1)
        while at < end and not (_is_space(data[at]) or data[at] == _SEMICOLON):
            at += 1
        return label, at
    return -1, -1


@kernel
def _pass_tag(data: Bytes, p: Int, end: Int, found: Ints, is_meta: Truth) -> Int:
    """Read a tag's attributes and, in a meta tag, the label; return where the tag ends, or -1 where the data does."""
    label, label_end, content, content_end = -1, -1, -1, -1
    charset, pragma, contents = False, 0, False
    while True:
        name, name_end, value, value_end, p = _next_attribute(data, p, end)
        if p < 0:
            return -1
        if name < 0:
            break
        if not is_meta:
            continue
        if not charset and _equals_lower(data, name, name_end, _CHARSET):
            charset, label, label_end = True, value, value_end
        elif not contents and _equals_lower(data, name, name_end, _CONTENT):
            contents, content, content_end = True, value, value_end
        elif pragma == 0 and _equals_lower(data, name, name_end, _HTTP_EQUIV):
            pragma = 1 if _equals_lower(data, value, value_end, _CONTENT_TYPE) else 2
    if not charset and pragma == 1 and contents:
        label, label_end = _label_in(data, content, content_end)
    if label >= 0:
        found[LABEL], found[LABEL_END] = label, label_end
    return p


@kernel
def _is_letter(byte: Int) -> Truth:
    return 65 <= byte <= 90 or 97 <= byte <= 122


@kernel
def _prescan_body(data: Bytes, start: Int, end: Int, found: Ints) -> None:
    """Find the first label, as `charset` does: the standard's prescan of a byte stream (13.2.3.2)."""
    p = start
    while p + 1 < end and found[LABEL] < 0:
        follows = data[p + 1]
        if data[p] != _LESS:
            p += 1
        elif follows == _BANG and p + 4 <= end and data[p + 2] == _DASH and data[p + 3] == _DASH:
            p += 2
            while p + 3 <= end and not (data[p] == _DASH and data[p + 1] == _DASH and data[p + 2] == _MORE):
                p += 1
            p += 3
        elif (
            p + 5 < end
            and _starts_with_lower(data, p, end, _META)
            and (_is_space(data[p + 5]) or data[p + 5] == _SLASH)
        ):
            p = _pass_tag(data, p + 5, end, found, True)
        elif _is_letter(follows) or (follows == _SLASH and p + 2 < end and _is_letter(data[p + 2])):
            while p < end and not (_is_space(data[p]) or data[p] == _MORE):
                p += 1
            p = _pass_tag(data, p, end, found, False)
        elif follows in (_BANG, _SLASH, _QUESTION):
            while p < end and data[p] != _MORE:
                p += 1
            p += 1
        else:
            p += 1
        if p < 0:
            return


@kernel
def find_heads(data: Bytes, blocks: Ints, found: Ints) -> None:
    """Look at responses given as int64[n, 2], and fill int64[n, 6]; columns as named above."""
    for record in range(blocks.shape[0]):
        start, end = blocks[record, 0], blocks[record, 1]
        row = found[record]
        row[:] = -1
        row[TYPES] = 0
        body = _read_head(data, start, end, row)
        if body < 0 or row[TYPE] < 0 or (body < end and _ODD_START[data[body]]):
            continue
        _prescan_body(data, body, min(body + PRESCAN_BYTES, end), row)
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
