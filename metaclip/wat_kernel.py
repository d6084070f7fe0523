"""WAT records scanned as bytes: what extraction needs of them, without an object for anything else.

A record is walked once, validated as JSON (RFC 8259), and the strings of its images stay where they
are; escapes are decoded in place once the record is known to be in order. Only what is in order is
taken: a record with anything unusual about it (a part of another type than expected, a name twice, an
escape in a name, a control character, a lone surrogate, deep nesting) is left to `wat.add_metadata`,
which says what is right, and finds the record as it was.
"""

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from metaclip.jit import kernel

LEFT, PASSED_OVER, PAGE = 0, 1, 2
"""What becomes of a record: left to `wat.add_metadata`, no response, a page."""
BASE, CONTENT_TYPE, DIRECTIVES = 0, 1, 2
MOST_DIRECTIVES = 8
PADDING = 32
"""Bytes of any kind that have to follow the data; a zero byte has to follow each record."""

_DEEPEST = 60
_QUOTE, _BACKSLASH, _COMMA, _COLON = ord('"'), ord("\\"), ord(","), ord(":")
_OBJECT, _OBJECT_END, _LIST, _LIST_END = ord("{"), ord("}"), ord("["), ord("]")
_U, _MINUS, _POINT = ord("u"), ord("-"), ord(".")


def _bytes(text: bytes) -> npt.NDArray[np.uint8]:
    return np.frombuffer(text, np.uint8)


_TRUE, _FALSE, _NULL = _bytes(b"true"), _bytes(b"false"), _bytes(b"null")
_ENVELOPE, _WARC_HEADER, _PAYLOAD = _bytes(b"Envelope"), _bytes(b"WARC-Header-Metadata"), _bytes(b"Payload-Metadata")
_WARC_TYPE, _TARGET, _RESPONSE_TYPE = _bytes(b"WARC-Type"), _bytes(b"WARC-Target-URI"), _bytes(b"response")
_RESPONSE, _HEADERS, _HTML = _bytes(b"HTTP-Response-Metadata"), _bytes(b"Headers"), _bytes(b"HTML-Metadata")
_HEAD, _LINKS, _BASE_NAME, _METAS = _bytes(b"Head"), _bytes(b"Links"), _bytes(b"Base"), _bytes(b"Metas")
_NAME, _HTTP_EQUIV, _CONTENT = _bytes(b"name"), _bytes(b"http-equiv"), _bytes(b"content")
_PATH, _URL, _ALT, _TITLE = _bytes(b"path"), _bytes(b"url"), _bytes(b"alt"), _bytes(b"title")
_IMAGE_TITLE, _IMAGE = _bytes(b"data-image-title"), _bytes(b"IMG@/src")
_TYPE_HEADER, _ROBOTS_HEADER = _bytes(b"content-type"), _bytes(b"x-robots-tag")

# What the character after a backslash stands for; 0 where it may not stand there. `u` is apart.
_ESCAPES = np.zeros(256, np.uint8)
for _letter, _meaning in zip(b'"\\/bfnrt', b'"\\/\b\f\n\r\t', strict=True):
    _ESCAPES[_letter] = _meaning
_HEX = np.full(256, -1, np.int64)
for _value in range(16):
    _HEX[[ord(f"{_value:x}"), ord(f"{_value:X}")]] = _value
_GAP = np.zeros(256, np.bool_)
_GAP[[0x20, 0x09, 0x0A, 0x0D]] = True
_REFERENCE = np.zeros(256, np.bool_)
_REFERENCE[[byte for byte in range(128) if chr(byte).isalnum() or chr(byte) == "#"]] = True


class Scan(NamedTuple):
    """What was found in records; filled by `scan_records`."""

    kinds: npt.NDArray[np.uint8]
    """uint8[records]: LEFT, PASSED_OVER or PAGE."""
    strings: npt.NDArray[np.int64]
    """int64[records, DIRECTIVES + MOST_DIRECTIVES, 2]: start and end of `Head.Base`, of Content-Type and of what
    speaks to robots; -1 where there is none."""
    images: npt.NDArray[np.int64]
    """int64[records + 1]: the images of record r are `spans[images[r]:images[r + 1]]`."""
    spans: npt.NDArray[np.int32 | np.int64]
    """int[images, attributes, 2], as in `ImageColumns`; room for one for each `IMG@/src` in the data."""
    references: npt.NDArray[np.int64]
    """int64[4 * images, 2]: image and attribute of strings that may hold character references."""


def _special_typing(_typing: Any, array: Any, index: Any) -> Any:
    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        data = context.make_array(signature.args[0])(context, builder, arguments[0]).data
        place = context.cast(builder, arguments[1], signature.args[1], types.int64)
        vector, word = ir.VectorType(ir.IntType(8), PADDING), ir.IntType(PADDING)
        block = builder.load(builder.bitcast(builder.gep(data, [place]), vector.as_pointer()), align=1)

        def each(byte: int) -> Any:
            return ir.Constant(vector, [byte] * PADDING)

        found = builder.icmp_unsigned("<", block, each(0x20))
        found = builder.or_(found, builder.icmp_unsigned("==", block, each(_QUOTE)))
        found = builder.or_(found, builder.icmp_unsigned("==", block, each(_BACKSLASH)))
        bits = builder.zext(builder.bitcast(found, word), ir.IntType(64))
        bits = builder.or_(bits, ir.Constant(ir.IntType(64), 1 << PADDING))
        return builder.cttz(bits, ir.Constant(ir.IntType(1), 1))

    return types.int64(array, index), generate


# How many of the next 32 bytes may stand in a string as they are.
_plain_bytes: Any = intrinsic(_special_typing)


@kernel
def _special(data: Any, at: Any) -> Any:
    """Return where the next quote, backslash or control character is; there is one in the padding."""
    while True:
        plain = _plain_bytes(data, at)
        at += plain
        if plain < PADDING:
            return at


@kernel
def _gap(data: Any, at: Any) -> Any:
    while _GAP[data[at]]:
        at += 1
    return at


@kernel
def _is(data: Any, start: Any, end: Any, name: Any) -> Any:
    same = end - start == name.size
    k = 0
    while same and k < name.size:
        same = data[start + k] == name[k]
        k += 1
    return same


@kernel
def _is_lower(data: Any, start: Any, end: Any, name: Any) -> Any:
    """Compare with a name in lower case, whatever the case."""
    same = end - start == name.size
    k = 0
    while same and k < name.size:
        byte = data[start + k]
        same = (byte | 0x20 if 0x41 <= byte <= 0x5A else byte) == name[k]
        k += 1
    return same


@kernel
def _code_unit(data: Any, at: Any) -> Any:
    r"""Return the value of the `\uXXXX` at `at`, or -1."""
    if data[at] != _BACKSLASH or data[at + 1] != _U:
        return np.int64(-1)
    value = np.int64(0)
    for k in range(2, 6):
        digit = _HEX[data[at + k]]
        if digit < 0:
            return np.int64(-1)
        value = value << 4 | digit
    return value


@kernel
def _escape(data: Any, at: Any) -> Any:
    """Return the character that the escape at `at` stands for, -1 where it is none, and its length."""
    if data[at + 1] != _U:
        meaning = np.int64(_ESCAPES[data[at + 1]])
        return (meaning if meaning else np.int64(-1)), 2
    high = _code_unit(data, at)
    if high < 0xD800 or high > 0xDFFF:
        return high, 6
    low = _code_unit(data, at + 6)
    if high > 0xDBFF or low < 0xDC00 or low > 0xDFFF:
        return np.int64(-1), 6
    return 0x10000 + ((high - 0xD800) << 10) + low - 0xDC00, 12


@kernel
def _string(data: Any, at: Any) -> Any:
    """Return where a string that starts at `at` (after its quote) has its closing quote, or -1."""
    while True:
        at = _special(data, at)
        if data[at] == _QUOTE:
            return at
        if data[at] != _BACKSLASH:
            return np.int64(-1)
        code, length = _escape(data, at)
        if code < 0:
            return np.int64(-1)
        at += length


@kernel
def _decode(data: Any, start: Any, end: Any) -> Any:
    """Decode the escapes of a valid string in place; return where it then ends."""
    at = _special(data, start)
    if at >= end:
        return end
    position = at
    while at < end:
        if data[at] != _BACKSLASH:
            data[position] = data[at]
            position += 1
            at += 1
            continue
        code, length = _escape(data, at)
        at += length
        if code < 0x80:
            data[position] = code
            position += 1
        elif code < 0x800:
            data[position], data[position + 1] = 0xC0 | code >> 6, 0x80 | code & 0x3F
            position += 2
        elif code < 0x10000:
            data[position], data[position + 1] = 0xE0 | code >> 12, 0x80 | code >> 6 & 0x3F
            data[position + 2] = 0x80 | code & 0x3F
            position += 3
        else:
            data[position], data[position + 1] = 0xF0 | code >> 18, 0x80 | code >> 12 & 0x3F
            data[position + 2], data[position + 3] = 0x80 | code >> 6 & 0x3F, 0x80 | code & 0x3F
            position += 4
    return position


@kernel
def _digits(data: Any, at: Any) -> Any:
    """Return where the digits at `at` end, or -1 where there are none."""
    start = at
    while 0x30 <= data[at] <= 0x39:
        at += 1
    return at if at > start else np.int64(-1)


@kernel
def _scalar(data: Any, at: Any) -> Any:
    """Return where the number, `true`, `false` or `null` at `at` ends, or -1."""
    for word in (_TRUE, _NULL, _FALSE):
        if _is(data, at, at + word.size, word):
            return at + word.size
    if data[at] == _MINUS:
        at += 1
    at = at + 1 if data[at] == 0x30 else _digits(data, at)
    if at >= 0 and data[at] == _POINT:
        at = _digits(data, at + 1)
    if at >= 0 and data[at] | 0x20 == 0x65:
        at += 1
        if data[at] == _MINUS or data[at] == 0x2B:
            at += 1
        at = _digits(data, at)
    return at


@kernel
def _skip(data: Any, at: Any) -> Any:
    """Return where the value at `at` ends, or -1 where it is not JSON."""
    depth, objects = 0, np.uint64(0)
    while True:
        byte = data[at]
        opened = False
        if byte == _QUOTE:
            at = _string(data, at + 1) + 1
            if at == 0:
                return np.int64(-1)
        elif byte in (_OBJECT, _LIST):
            at = _gap(data, at + 1)
            opened = data[at] != byte + 2  # the closing bracket of either
            if opened:
                depth += 1
                objects = objects << np.uint64(1) | np.uint64(byte == _OBJECT)
                if depth > _DEEPEST:
                    return np.int64(-1)
            else:
                at += 1
        else:
            at = _scalar(data, at)
            if at < 0:
                return at
        while not opened:
            if depth == 0:
                return at
            at = _gap(data, at)
            byte = data[at]
            at += 1
            if byte == _COMMA:
                at = _gap(data, at)
                opened = True
            elif byte == (_OBJECT_END if objects & np.uint64(1) else _LIST_END):
                depth -= 1
                objects >>= np.uint64(1)
            else:
                return np.int64(-1)
        if objects & np.uint64(1):
            if data[at] != _QUOTE:
                return np.int64(-1)
            at = _string(data, at + 1) + 1
            if at == 0:
                return np.int64(-1)
            at = _gap(data, at)
            if data[at] != _COLON:
                return np.int64(-1)
            at = _gap(data, at + 1)


@kernel
def _next_name(data: Any, at: Any, first: Any) -> Any:
    """Go to the next value of the object that `at` is in, after its bracket or a value.

    Returns:
        Start and end of the name and where the value is; start and end alike and where the object
        ends if it does; -1 as the last where it is not JSON or the name has an escape.
    """
    at = _gap(data, at)
    if data[at] == _OBJECT_END:
        return at, at, at + 1
    if not first:
        if data[at] != _COMMA:
            return at, at, np.int64(-1)
        at = _gap(data, at + 1)
    if data[at] != _QUOTE:
        return at, at, np.int64(-1)
    start = at + 1
    end = _special(data, start)
    if data[end] != _QUOTE or end == start:
        return at, at, np.int64(-1)
    at = _gap(data, end + 1)
    if data[at] != _COLON:
        return at, at, np.int64(-1)
    return start, end, _gap(data, at + 1)


@kernel
def _next_item(data: Any, at: Any, first: Any) -> Any:
    """As `_next_name` for a list: whether there is a value, and where it is or the list ends."""
    at = _gap(data, at)
    if data[at] == _LIST_END:
        return False, at + 1
    if first:
        return True, at
    if data[at] != _COMMA:
        return False, np.int64(-1)
    return True, _gap(data, at + 1)


@kernel
def _text(data: Any, at: Any) -> Any:
    """Read a string or null: its start and end (-1 for null) and where it ends with its quote, or -1."""
    if data[at] == _QUOTE:
        end = _string(data, at + 1)
        return at + 1, end, (end + 1 if end >= 0 else end)
    if _is(data, at, at + 4, _NULL):
        return np.int64(-1), np.int64(-1), at + 4
    return np.int64(-1), np.int64(-1), np.int64(-1)


@kernel
def _may_hold_reference(data: Any, start: Any, end: Any) -> Any:
    """Tell whether there is an ampersand, letters or digits, and a semicolon."""
    for at in range(start, end):
        if data[at] == 0x26:
            stop = at + 1
            while stop < end and _REFERENCE[data[stop]]:
                stop += 1
            if stop < end and data[stop] == 0x3B:
                return True
    return False


@kernel
def _links(data: Any, at: Any, spans: Any, image: Any) -> Any:
    """Read a list of links from behind its bracket; return where it ends, or -1, and the images so far."""
    first_item = True
    while True:
        more, at = _next_item(data, at, first_item)
        if not more:
            return at, image
        if data[at] != _OBJECT:
            return np.int64(-1), image
        at += 1
        first_item, first, is_image = False, True, False
        seen = np.int64(0)
        starts = ends = (np.int64(-1), np.int64(-1), np.int64(-1), np.int64(-1))
        while True:
            name, name_end, at = _next_name(data, at, first)
            if name == name_end or at < 0:
                break
            first = False
            length, which = name_end - name, 0
            if length == 3:
                which = 1 if _is(data, name, name_end, _URL) else 2 if _is(data, name, name_end, _ALT) else 0
            elif length == 4:
                which = 16 if _is(data, name, name_end, _PATH) else 0
            elif length == 5:
                which = 4 if _is(data, name, name_end, _TITLE) else 0
            elif length == 16:
                which = 8 if _is(data, name, name_end, _IMAGE_TITLE) else 0
            if not which:
                at = _skip(data, at)
                if at < 0:
                    break
                continue
            if seen & which:
                return np.int64(-1), image
            seen |= which
            start, end, at = _text(data, at)
            if at < 0:
                break
            if which == 1:
                starts, ends = (start, starts[1], starts[2], starts[3]), (end, ends[1], ends[2], ends[3])
            elif which == 2:
                starts, ends = (starts[0], start, starts[2], starts[3]), (ends[0], end, ends[2], ends[3])
            elif which == 4:
                starts, ends = (starts[0], starts[1], start, starts[3]), (ends[0], ends[1], end, ends[3])
            elif which == 8:
                starts, ends = (starts[0], starts[1], starts[2], start), (ends[0], ends[1], ends[2], end)
            elif start >= 0:
                if _special(data, start) < end:
                    return np.int64(-1), image
                is_image = _is(data, start, end, _IMAGE)
        if at < 0:
            return at, image
        if not is_image:
            continue
        spans[image] = -1
        if ends[1] > starts[1] or ends[2] > starts[2] or ends[3] > starts[3]:
            for k in range(4):
                spans[image, k, 0], spans[image, k, 1] = starts[k], ends[k]
        image += 1


@kernel
def _metas(data: Any, at: Any, strings: Any, record: Any, robots: Any, robots_bounds: Any, directives: Any) -> Any:
    """Read a list of meta tags from behind its bracket; return where it ends, or -1, and the directives."""
    first_item = True
    while True:
        more, at = _next_item(data, at, first_item)
        if not more:
            return at, directives
        if data[at] != _OBJECT:
            return np.int64(-1), directives
        at += 1
        first_item, first, is_robots = False, True, False
        seen = np.int64(0)
        content = content_end = np.int64(-1)
        while True:
            name, name_end, at = _next_name(data, at, first)
            if name == name_end or at < 0:
                break
            first, which = False, 0
            if _is(data, name, name_end, _CONTENT):
                which = 1
            elif _is(data, name, name_end, _NAME):
                which = 2
            elif _is(data, name, name_end, _HTTP_EQUIV):
                which = 4
            if not which:
                at = _skip(data, at)
                if at < 0:
                    break
                continue
            if seen & which:
                return np.int64(-1), directives
            seen |= which
            start, end, at = _text(data, at)
            if at < 0:
                break
            if which == 1:
                content, content_end = start, end
                continue
            while start < end and data[start] == 0x20:
                start += 1
            while start < end and data[end - 1] == 0x20:
                end -= 1
            for k in range(start, end):
                if data[k] >= 0x80 or data[k] == _BACKSLASH:
                    return np.int64(-1), directives
            for k in range(robots_bounds.size - 1):
                is_robots |= _is_lower(data, start, end, robots[robots_bounds[k] : robots_bounds[k + 1]])
        if at < 0:
            return at, directives
        if is_robots and content_end > content:
            if directives == MOST_DIRECTIVES:
                return np.int64(-1), directives
            strings[record, DIRECTIVES + directives, 0] = content
            strings[record, DIRECTIVES + directives, 1] = content_end
            directives += 1


@kernel
def _headers(data: Any, at: Any, strings: Any, record: Any, directives: Any) -> Any:
    """Read HTTP headers from behind the bracket; return where they end, or -1, and the directives."""
    first, typed, told = True, False, False
    while True:
        name, name_end, at = _next_name(data, at, first)
        if name == name_end or at < 0:
            return at, directives
        first = False
        is_type = _is_lower(data, name, name_end, _TYPE_HEADER)
        is_robots = _is_lower(data, name, name_end, _ROBOTS_HEADER)
        if (is_type and typed) or (is_robots and (told or directives == MOST_DIRECTIVES)):
            return np.int64(-1), directives
        if data[at] == _QUOTE:
            start = at + 1
            end = _string(data, start)
            if end < 0:
                return end, directives
            at = end + 1
            if is_type:
                typed = True
                strings[record, CONTENT_TYPE, 0] = start
                strings[record, CONTENT_TYPE, 1] = end
            elif is_robots:
                told = True
                strings[record, DIRECTIVES + directives, 0] = start
                strings[record, DIRECTIVES + directives, 1] = end
                directives += 1
            continue
        if data[at] != _LIST or is_type or is_robots:
            return np.int64(-1), directives
        at += 1
        first_item = True
        while True:
            more, at = _next_item(data, at, first_item)
            if not more:
                break
            if data[at] != _QUOTE:
                return np.int64(-1), directives
            first_item = False
            at = _string(data, at + 1) + 1
            if at == 0:
                return np.int64(-1), directives
        if at < 0:
            return at, directives


@kernel
def _html(data: Any, at: Any, scan: Any, record: Any, robots: Any, robots_bounds: Any, counts: Any, told: Any) -> Any:
    """Read HTML-Metadata from behind its bracket; return where it ends, or -1."""
    first, seen = True, 0
    while True:
        name, name_end, at = _next_name(data, at, first)
        if name == name_end or at < 0:
            return at
        first = False
        if _is(data, name, name_end, _LINKS):
            if seen & 1 or data[at] != _LIST:
                return np.int64(-1)
            seen |= 1
            at, counts[0] = _links(data, at + 1, scan.spans, counts[0])
        elif _is(data, name, name_end, _HEAD):
            if seen & 2 or data[at] != _OBJECT:
                return np.int64(-1)
            seen |= 2
            at += 1
            first_part, parts = True, 0
            while True:
                name, name_end, at = _next_name(data, at, first_part)
                if name == name_end or at < 0:
                    break
                first_part = False
                if _is(data, name, name_end, _BASE_NAME):
                    if parts & 1:
                        return np.int64(-1)
                    parts |= 1
                    start, end, at = _text(data, at)
                    if start >= 0 and at >= 0:
                        scan.strings[record, BASE, 0] = start
                        scan.strings[record, BASE, 1] = end
                elif _is(data, name, name_end, _METAS):
                    if parts & 2 or data[at] != _LIST:
                        return np.int64(-1)
                    parts |= 2
                    at, told = _metas(data, at + 1, scan.strings, record, robots, robots_bounds, told)
                else:
                    at = _skip(data, at)
                if at < 0:
                    return at
        else:
            at = _skip(data, at)
        if at < 0:
            return at


@kernel
def _payload(data: Any, at: Any, scan: Any, record: Any, robots: Any, robots_bounds: Any, counts: Any) -> Any:
    """Read Payload-Metadata from behind its bracket; return where it ends, or -1, and whether it has a page.

    One with a response that has no page is left.
    """
    first, has_page = True, False
    while True:
        name, name_end, at = _next_name(data, at, first)
        if name == name_end or at < 0:
            return at, has_page
        first = False
        if not _is(data, name, name_end, _RESPONSE):
            at = _skip(data, at)
            if at < 0:
                return at, False
            continue
        if has_page or data[at] != _OBJECT:
            return np.int64(-1), False
        at += 1
        first_part, told, has_headers = True, 0, False
        while True:
            name, name_end, at = _next_name(data, at, first_part)
            if name == name_end or at < 0:
                break
            first_part = False
            if _is(data, name, name_end, _HEADERS):
                # Directives of the headers come after those of the page where they stand after it.
                if has_headers or data[at] != _OBJECT:
                    return np.int64(-1), False
                has_headers = True
                while told < MOST_DIRECTIVES and scan.strings[record, DIRECTIVES + told, 0] >= 0:
                    told += 1
                at, told = _headers(data, at + 1, scan.strings, record, told)
            elif _is(data, name, name_end, _HTML):
                if has_page or data[at] != _OBJECT:
                    return np.int64(-1), False
                has_page = True
                at = _html(data, at + 1, scan, record, robots, robots_bounds, counts, told)
            else:
                at = _skip(data, at)
            if at < 0:
                return at, False
        if at < 0 or not has_page:
            return np.int64(-1), False


@kernel
def _record(data: Any, at: Any, scan: Any, record: Any, robots: Any, robots_bounds: Any, counts: Any) -> Any:
    """Read a record; return where it ends, or -1, and what it is."""
    at = _gap(data, at)
    if data[at] != _OBJECT:
        return np.int64(-1), LEFT
    at += 1
    first, has_envelope = True, False
    kind = LEFT
    while True:
        name, name_end, at = _next_name(data, at, first)
        if name == name_end or at < 0:
            break
        first = False
        if not _is(data, name, name_end, _ENVELOPE):
            at = _skip(data, at)
            if at < 0:
                return at, LEFT
            continue
        if has_envelope or data[at] != _OBJECT:
            return np.int64(-1), LEFT
        has_envelope = True
        at += 1
        first_part, parts, has_page, is_other = True, 0, False, False
        while True:
            name, name_end, at = _next_name(data, at, first_part)
            if name == name_end or at < 0:
                break
            first_part = False
            if _is(data, name, name_end, _PAYLOAD):
                if parts & 1 or data[at] != _OBJECT:
                    return np.int64(-1), LEFT
                parts |= 1
                at, has_page = _payload(data, at + 1, scan, record, robots, robots_bounds, counts)
            elif _is(data, name, name_end, _WARC_HEADER):
                if parts & 2 or data[at] != _OBJECT:
                    return np.int64(-1), LEFT
                parts |= 2
                at += 1
                first_field, fields = True, 0
                while True:
                    name, name_end, at = _next_name(data, at, first_field)
                    if name == name_end or at < 0:
                        break
                    first_field = False
                    is_type = _is(data, name, name_end, _WARC_TYPE)
                    if is_type or _is(data, name, name_end, _TARGET):
                        field = 1 if is_type else 2
                        if fields & field:
                            return np.int64(-1), LEFT
                        fields |= field
                        start, end, at = _text(data, at)
                        if is_type and at >= 0:
                            # With an escape, or null, it is left unless there is a page.
                            plain = start >= 0 and _special(data, start) >= end
                            is_other = plain and not _is(data, start, end, _RESPONSE_TYPE)
                    else:
                        at = _skip(data, at)
                    if at < 0:
                        return at, LEFT
            else:
                at = _skip(data, at)
            if at < 0:
                return at, LEFT
        if at < 0:
            return at, LEFT
        kind = PAGE if has_page else PASSED_OVER if is_other else LEFT
    return (_gap(data, at) if at >= 0 else at), kind


@kernel
def _decode_strings(data: Any, strings: Any) -> None:
    """Decode what was found beside images in one record, int64[n, 2]."""
    for k in range(strings.shape[0]):
        if strings[k, 0] >= 0:
            strings[k, 1] = _decode(data, strings[k, 0], strings[k, 1])


@kernel
def _decode_images(data: Any, spans: Any, first: Any, last: Any, references: Any, reference: Any) -> Any:
    """Decode the strings of images first to last - 1; return how many may hold references so far."""
    for image in range(first, last):
        for k in range(4):
            start = spans[image, k, 0]
            if start >= 0:
                end = _decode(data, start, spans[image, k, 1])
                spans[image, k, 1] = end
                if _may_hold_reference(data, start, end):
                    references[reference, 0], references[reference, 1] = image, k
                    reference += 1
    return reference


@kernel
def scan_records(data: Any, bounds: Any, addressed: Any, robots: Any, robots_bounds: Any, scan: Any) -> Any:
    """Scan records.

    Args:
        data: uint8, records, each followed by a zero byte, and PADDING bytes of any kind; escapes of
            strings that are found in a PAGE are decoded in place, and nothing else is altered.
        bounds: int64[records, 2], where each starts and ends.
        addressed: bool[records], whether each has an address; a page without is LEFT.
        robots: uint8, the names of meta tags that speak to robots, in lower case, end to end.
        robots_bounds: int64[names + 1], where each name begins.
        scan: a Scan, filled.

    Returns:
        The numbers of images and of references.
    """
    counts, references = np.zeros(1, np.int64), np.int64(0)
    scan.images[0] = 0
    for record in range(bounds.shape[0]):
        images = counts[0]
        scan.strings[record] = -1
        at, kind = _record(data, bounds[record, 0], scan, record, robots, robots_bounds, counts)
        if at != bounds[record, 1] or (kind == PAGE and not addressed[record]):
            kind = LEFT
        if kind == PAGE:
            _decode_strings(data, scan.strings[record])
            references = _decode_images(data, scan.spans, images, counts[0], scan.references, references)
        else:
            counts[0] = images
        scan.kinds[record] = kind
        scan.images[record + 1] = counts[0]
    return counts[0], references
