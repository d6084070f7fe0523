"""WAT records scanned as bytes for what extraction needs, without an object for anything else.

A record is walked once, from quote to quote as `metaclip.wat.string_kernel` found them, and validated as JSON
(RFC 8259); the strings of its images stay where they are. A record with anything unusual about it is left to
`definition.add_metadata`, and is not changed: a part of another type than expected, a name twice, an escape in a
name, a control character, a lone surrogate, or deep nesting.

Functions take `at`, a place in the data, and `quotes`, the places of quotes, of which `quotes[0]` is the number of
the next. A string takes two quotes and a record has an even number, so every string that is opened is closed.
Those that read a value return where it ends, or -1 where it is not in order.

Equals `metaclip.wat.definition`; held by tests/metaclip/wat/test_scanner.py.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from metaclip.kernels.jit import kernel
from metaclip.kernels.memory import bare, unowned, word_at
from metaclip.kernels.types import Address, Bytes, Data, Flags, Int, Ints, Offsets, Places, Spans, Truth

LEFT, PASSED_OVER, PAGE = 0, 1, 2
"""What becomes of a record: left to `definition.add_metadata`, no response, a page."""
BASE, CONTENT_TYPE, DIRECTIVES = 0, 1, 2
MOST_DIRECTIVES = 8

_DEEPEST = 60
_QUOTE, _BACKSLASH, _COMMA, _COLON, _SPACE = map(ord, '"\\,: ')
_OBJECT, _OBJECT_END, _LIST, _LIST_END = map(ord, "{}[]")
_MINUS, _POINT = map(ord, "-.")


class _Text(NamedTuple):
    """Up to 24 bytes as words to compare with; three that may overlap for more than eight."""

    size: int
    mask: np.uint64
    """For the first word."""
    first: np.uint64
    second: np.uint64
    second_at: int
    third: np.uint64
    third_at: int


def _text_of(text: str) -> _Text:
    size = len(text)
    places = 0, min(8, max(0, size - 8)), max(0, size - 8)
    words = [np.uint64(int.from_bytes(text[place : place + 8].encode(), "little")) for place in places]
    return _Text(size, _MASKS[min(size, 8)], words[0], words[1], places[1], words[2], places[2])


_MASKS = tuple(np.uint64((1 << 8 * size) - 1) for size in range(9))
_TRUE, _FALSE, _NULL = map(_text_of, ("true", "false", "null"))
_ENVELOPE, _WARC_HEADER, _PAYLOAD = map(_text_of, ("Envelope", "WARC-Header-Metadata", "Payload-Metadata"))
_WARC_TYPE, _TARGET, _RESPONSE_TYPE = map(_text_of, ("WARC-Type", "WARC-Target-URI", "response"))
_RESPONSE, _HEADERS, _HTML = map(_text_of, ("HTTP-Response-Metadata", "Headers", "HTML-Metadata"))
_HEAD, _LINKS, _BASE_NAME, _METAS = map(_text_of, ("Head", "Links", "Base", "Metas"))
_NAME, _HTTP_EQUIV, _CONTENT = map(_text_of, ("name", "http-equiv", "content"))
_PATH, _URL, _ALT, _TITLE = map(_text_of, ("path", "url", "alt", "title"))
_IMAGE_TITLE, _IMAGE = map(_text_of, ("data-image-title", "IMG@/src"))
_TYPE_HEADER, _ROBOTS_HEADER = map(_text_of, ("content-type", "x-robots-tag"))
_LOWER, _BACKSLASHES = np.uint64(0x2020202020202020), np.uint64(0x5C5C5C5C5C5C5C5C)
_ONES, _TOPS = np.uint64(0x0101010101010101), np.uint64(0x8080808080808080)
_ZERO, _ONE = np.uint64(0), np.uint64(1)
# As Common Crawl's links have them, up to where the value may begin, and what may follow a value.
_PATH_START, _URL_START, _TEXT_START = map(_text_of, ('"path":', '"url":', '"text":'))
_ALT_START, _TITLE_START = map(_text_of, ('"alt":', '"title":'))
_ANCHOR = _text_of('A@/href"')
_NEXT_NAME, _NEXT_NAME_CLOSE = map(_text_of, ('", "', '","'))
_NEXT_OBJECT, _NEXT_OBJECT_CLOSE = map(_text_of, ('"}, {"', '"},{"'))

_GAP = np.zeros(256, np.bool_)
_GAP[[0x20, 0x09, 0x0A, 0x0D]] = True
# The fields of a link: those of an image first, in the order of `image_columns.ATTRIBUTES`.
_URL_FIELD, _ALT_FIELD, _TITLE_FIELD, _IMAGE_TITLE_FIELD, _PATH_FIELD, _NO_FIELD = range(6)
_KNOWN = (1 << _NO_FIELD) - 1


class Scan(NamedTuple):
    """What was found in records; filled by `scan_records`."""

    kinds: npt.NDArray[np.uint8]
    """uint8[records]: LEFT, PASSED_OVER or PAGE."""
    strings: npt.NDArray[np.int64]
    """int64[records, DIRECTIVES + MOST_DIRECTIVES, 2]: start and end of `Head.Base`, of Content-Type and of what
    speaks to robots in a PAGE, as they are written; -1 where there is none."""
    images: npt.NDArray[np.int64]
    """int64[records + 1]: the images of record r are `spans[images[r]:images[r + 1]]`."""
    spans: npt.NDArray[np.int32 | np.int64]
    """int[images, attributes, 2], as in `ImageColumns`, as they are written; room for one for each `IMG@/src`."""


@kernel
def _is_escaped(data: Data, at: Int, end: Int) -> Truth:
    """Tell whether there is a backslash in a string."""
    while at < end:
        differing = word_at(data, at) ^ _BACKSLASHES
        zeros = (differing - _ONES) & ~differing & _TOPS
        if at + 8 > end:
            zeros &= _MASKS[end - at]
        if zeros != _ZERO:
            return True
        at += 8
    return False


@kernel
def _pass_more_blanks(data: Data, at: Int) -> Int:
    """Return where white space ends, however much it is."""
    while _GAP[data[at]]:
        at += 1
    return at


@kernel
def _pass_blanks(data: Data, at: Int) -> Int:
    """Return where white space ends; mostly there is none, or one blank."""
    if data[at] == _SPACE:
        at += 1
    return at if data[at] > _SPACE else _pass_more_blanks(data, at)


@kernel
def _starts_with(data: Data, at: Int, text: _Text) -> Truth:
    """Tell whether the data at `at` begin with a text."""
    if word_at(data, at) & text.mask != text.first:
        return False
    if text.size <= 8:
        return True
    return word_at(data, at + text.second_at) == text.second and word_at(data, at + text.third_at) == text.third


@kernel
def _equals(data: Data, start: Int, end: Int, text: _Text) -> Truth:
    """Tell whether data[start:end] is a text."""
    return end - start == text.size and _starts_with(data, start, text)


@kernel
def _equals_header(data: Data, start: Int, end: Int, name: _Text) -> Truth:
    """Compare a string with a name of 9 to 16 bytes in lower case, whatever the case."""
    if end - start != name.size or word_at(data, start) | _LOWER != name.first:
        return False
    return word_at(data, end - 8) | _LOWER == name.third


@kernel
def _equals_lower(data: Data, start: Int, end: Int, name: Bytes) -> Truth:
    """Compare with a name in lower case, whatever the case."""
    same = end - start == name.size
    k = 0
    while same and k < name.size:
        byte = data[start + k]
        same = (byte | 0x20 if 0x41 <= byte <= 0x5A else byte) == name[k]
        k += 1
    return same


@kernel
def _pass_string(quotes: Places | Address) -> Int:
    """Pass the next string; return where its closing quote is."""
    quote = np.int64(quotes[0])
    quotes[0] = quote + 2
    return np.int64(quotes[quote + 1])


@kernel
def _pass_digits(data: Data, at: Int) -> Int:
    """Return where the digits at `at` end, or -1 where there are none."""
    start = at
    while 0x30 <= data[at] <= 0x39:
        at += 1
    return at if at > start else np.int64(-1)


@kernel
def _pass_scalar(data: Data, at: Int) -> Int:
    """Return where the number, `true`, `false` or `null` at `at` ends, or -1."""
    if _starts_with(data, at, _TRUE) or _starts_with(data, at, _NULL):
        return at + 4
    if _starts_with(data, at, _FALSE):
        return at + 5
    if data[at] == _MINUS:
        at += 1
    at = at + 1 if data[at] == 0x30 else _pass_digits(data, at)
    if at >= 0 and data[at] == _POINT:
        at = _pass_digits(data, at + 1)
    if at >= 0 and data[at] | 0x20 == 0x65:
        at += 1
        if data[at] == _MINUS or data[at] == 0x2B:
            at += 1
        at = _pass_digits(data, at)
    return at


@kernel
def _pass_nested(data: Data, quotes: Places | Address, at: Int, quote: Int) -> tuple[Int, Int]:
    """Do what `_pass_value` does, given the number of the next quote; return that behind the value too."""
    depth, objects = 0, _ZERO
    while True:
        byte = data[at]
        opened = False
        if byte == _QUOTE:
            at = np.int64(quotes[quote + 1]) + 1
            quote += 2
        elif byte in (_OBJECT, _LIST):
            at = _pass_blanks(data, at + 1)
            opened = data[at] != byte + 2  # the closing bracket of either
            if opened:
                depth += 1
                objects = objects << _ONE | np.uint64(byte == _OBJECT)
                if depth > _DEEPEST:
                    return np.int64(-1), quote
            else:
                at += 1
        else:
            at = _pass_scalar(data, at)
            if at < 0:
                return at, quote
        while not opened:
            if depth == 0:
                return at, quote
            at = _pass_blanks(data, at)
            byte = data[at]
            at += 1
            if byte == _COMMA:
                at = _pass_blanks(data, at)
                opened = True
            elif byte == (_OBJECT_END if objects & _ONE else _LIST_END):
                depth -= 1
                objects >>= _ONE
            else:
                return np.int64(-1), quote
        if objects & _ONE:
            if data[at] != _QUOTE:
                return np.int64(-1), quote
            at = _pass_blanks(data, np.int64(quotes[quote + 1]) + 1)
            quote += 2
            if data[at] != _COLON:
                return np.int64(-1), quote
            at = _pass_blanks(data, at + 1)


@kernel
def _pass_value(data: Data, quotes: Places | Address, at: Int) -> Int:
    """Return where the value at `at` ends, or -1 where it is not JSON."""
    if data[at] == _QUOTE:
        return _pass_string(quotes) + 1
    at, quote = _pass_nested(data, quotes, at, np.int64(quotes[0]))
    quotes[0] = quote
    return at


@kernel
def _next_name(data: Data, quotes: Places | Address, at: Int, first: Truth) -> tuple[Int, Int, Int]:
    """Go to the next value of the object that `at` is in, after its bracket or a value.

    Returns:
        Start and end of the name and where the value is; start and end alike and where the object
        ends if it does; -1 as the last where it is not JSON or the name has an escape.
    """
    at = _pass_blanks(data, at)
    if data[at] == _OBJECT_END:
        return at, at, at + 1
    if not first:
        if data[at] != _COMMA:
            return at, at, np.int64(-1)
        at = _pass_blanks(data, at + 1)
    if data[at] != _QUOTE:
        return at, at, np.int64(-1)
    start, end = at + 1, _pass_string(quotes)
    if end == start or _is_escaped(data, start, end):
        return at, at, np.int64(-1)
    at = _pass_blanks(data, end + 1)
    if data[at] != _COLON:
        return at, at, np.int64(-1)
    return start, end, _pass_blanks(data, at + 1)


@kernel
def _next_item(data: Data, at: Int, first: Truth) -> tuple[Truth, Int]:
    """Go to the next value of the list that `at` is in; return whether there is one, and where it is.

    Where there is none, that is where the list ends, or -1 where it is not JSON.
    """
    at = _pass_blanks(data, at)
    if data[at] == _LIST_END:
        return False, at + 1
    if first:
        return True, at
    if data[at] != _COMMA:
        return False, np.int64(-1)
    return True, _pass_blanks(data, at + 1)


@kernel
def _read_text(data: Data, quotes: Places | Address, at: Int) -> tuple[Int, Int, Int]:
    """Read a string or null; return its start and end (-1 for null), and where it ends with its quote, or -1."""
    if data[at] == _QUOTE:
        end = _pass_string(quotes)
        return at + 1, end, end + 1
    return np.int64(-1), np.int64(-1), (at + 4 if _starts_with(data, at, _NULL) else np.int64(-1))


@kernel
def _read_link(data: Data, quotes: Places | Address, at: Int, fields: Ints) -> tuple[Int, Int, Truth]:
    """Read a link from behind its bracket into `fields`.

    Returns:
        Where it ends, or -1, bits for the fields that it has, and whether it is an image.
    """
    first, is_image, seen = True, False, 0
    while True:
        name, name_end, at = _next_name(data, quotes, at, first)
        if name == name_end or at < 0:
            return at, seen, is_image
        first = False
        if _equals(data, name, name_end, _URL):
            field = _URL_FIELD
        elif _equals(data, name, name_end, _ALT):
            field = _ALT_FIELD
        elif _equals(data, name, name_end, _TITLE):
            field = _TITLE_FIELD
        elif _equals(data, name, name_end, _IMAGE_TITLE):
            field = _IMAGE_TITLE_FIELD
        elif _equals(data, name, name_end, _PATH):
            field = _PATH_FIELD
        else:
            at = _pass_value(data, quotes, at)
            if at < 0:
                return at, seen, is_image
            continue
        if seen & 1 << field:
            return np.int64(-1), seen, is_image
        seen |= 1 << field
        start, end, at = _read_text(data, quotes, at)
        if at < 0 or (field == _PATH_FIELD and _is_escaped(data, start, end)):
            return np.int64(-1), seen, is_image
        fields[field, 0], fields[field, 1] = start, end
        if field == _PATH_FIELD:
            is_image = _equals(data, start, end, _IMAGE)


@kernel
def _note_image(spans: Spans, image: Int, fields: Ints, seen: Int) -> None:
    """Fill the spans of an image, unless it has no text."""
    spans[image] = -1
    text = False
    for k in range(_ALT_FIELD, _PATH_FIELD):
        text |= seen & 1 << k != 0 and fields[k, 1] > fields[k, 0]
    if text:
        for k in range(_PATH_FIELD):
            if seen & 1 << k:
                spans[image, k, 0], spans[image, k, 1] = fields[k, 0], fields[k, 1]


@kernel
def _find_plain_field(data: Data, quotes: Places | Address, at: Int, quote: Int) -> tuple[Int, Int]:
    """Return which field's name is at `at`, -1 if it is none, and how long that is with quotes and colon."""
    if _starts_with(data, at, _URL_START):
        return _URL_FIELD, 6
    if _starts_with(data, at, _TEXT_START):
        return _NO_FIELD, 7
    if _starts_with(data, at, _PATH_START):
        return _PATH_FIELD, 7
    if _starts_with(data, at, _ALT_START):
        return _ALT_FIELD, 6
    if _starts_with(data, at, _TITLE_START):
        return _TITLE_FIELD, 8
    if data[at] != _QUOTE:
        return -1, 0
    start, end = at + 1, np.int64(quotes[quote + 1])
    if end == start or data[end + 1] != _COLON or _is_escaped(data, start, end):
        return -1, 0
    return (_IMAGE_TITLE_FIELD if _equals(data, start, end, _IMAGE_TITLE) else _NO_FIELD), end + 2 - at


@kernel
def _read_plain_links(
    data: Data, quotes: Places | Address, at: Int, spans: Spans, image: Int, fields: Ints
) -> tuple[Int, Int, Truth]:
    """Read links from the bracket at `at` on, as long as they are laid out as nearly all are.

    These have strings only, and white space nowhere but one blank after a comma or a colon.

    Returns:
        Where the last one ends, or the bracket of one to be read otherwise; the images so far; whether
        it is the former.
    """
    quote = np.int64(quotes[0])
    while True:
        begin, place = quote, at + 1
        is_image, seen = False, 0
        plain = True
        while plain:
            field, size = _find_plain_field(data, quotes, place, quote)
            place += size
            if data[place] == _SPACE:
                place += 1
            if field < 0 or data[place] != _QUOTE or seen & 1 << field & _KNOWN:
                plain = False
                break
            seen |= 1 << field
            place += 1
            end = np.int64(quotes[quote + 3])
            quote += 4
            fields[field, 0], fields[field, 1] = place, end
            if field == _PATH_FIELD:
                is_image = _equals(data, place, end, _IMAGE)
                if not is_image and not _starts_with(data, place, _ANCHOR):
                    plain = not _is_escaped(data, place, end)
            if _starts_with(data, end, _NEXT_NAME):
                place = end + 3
            elif _starts_with(data, end, _NEXT_NAME_CLOSE):
                place = end + 2
            else:
                plain &= data[end + 1] == _OBJECT_END
                break
        if not plain:
            quotes[0] = begin
            return at, image, False
        if is_image:
            _note_image(spans, image, fields, seen)
            image += 1
        if _starts_with(data, end, _NEXT_OBJECT):
            at = end + 4
        elif _starts_with(data, end, _NEXT_OBJECT_CLOSE):
            at = end + 3
        else:
            quotes[0] = quote
            return end + 2, image, True


@kernel
def _read_links(data: Data, quotes: Places | Address, at: Int, spans: Spans, image: Int) -> tuple[Int, Int]:
    """Read a list of links from behind its bracket; return where it ends, or -1, and the images so far."""
    fields = np.empty((_NO_FIELD + 1, 2), np.int64)
    first = True
    while True:
        more, at = _next_item(data, at, first)
        if not more:
            return at, image
        if data[at] != _OBJECT:
            return np.int64(-1), image
        first = False
        at, image, over = _read_plain_links(data, quotes, at, spans, image, fields)
        if not over:
            at, seen, is_image = _read_link(data, quotes, at + 1, fields)
            if at < 0:
                return at, image
            if is_image:
                _note_image(spans, image, fields, seen)
                image += 1


@kernel
def _is_robots_name(data: Data, start: Int, end: Int, robots: Bytes, robots_bounds: Offsets) -> Truth:
    """Compare with the names that speak to robots, whatever the case."""
    for k in range(robots_bounds.size - 1):
        if _equals_lower(data, start, end, robots[robots_bounds[k] : robots_bounds[k + 1]]):
            return True
    return False


@kernel
def _read_metas(
    data: Data,
    quotes: Places | Address,
    at: Int,
    strings: Ints,
    record: Int,
    robots: Bytes,
    robots_bounds: Offsets,
    directives: Int,
) -> tuple[Int, Int]:
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
            name, name_end, at = _next_name(data, quotes, at, first)
            if name == name_end or at < 0:
                break
            first, which = False, 0
            if _equals(data, name, name_end, _CONTENT):
                which = 1
            elif _equals(data, name, name_end, _NAME):
                which = 2
            elif _equals(data, name, name_end, _HTTP_EQUIV):
                which = 4
            if not which:
                at = _pass_value(data, quotes, at)
                if at < 0:
                    break
                continue
            if seen & which:
                return np.int64(-1), directives
            seen |= which
            start, end, at = _read_text(data, quotes, at)
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
            is_robots |= _is_robots_name(data, start, end, robots, robots_bounds)
        if at < 0:
            return at, directives
        if is_robots and content_end > content:
            if directives == MOST_DIRECTIVES:
                return np.int64(-1), directives
            strings[record, DIRECTIVES + directives, 0] = content
            strings[record, DIRECTIVES + directives, 1] = content_end
            directives += 1


@kernel
def _pass_strings(data: Data, quotes: Places | Address, at: Int) -> Int:
    """Return where the list of strings at `at` ends, or -1 where it is none."""
    if data[at] != _LIST:
        return np.int64(-1)
    at += 1
    first = True
    while True:
        more, at = _next_item(data, at, first)
        if not more:
            return at
        if data[at] != _QUOTE:
            return np.int64(-1)
        first = False
        at = _pass_string(quotes) + 1


@kernel
def _read_headers(
    data: Data, quotes: Places | Address, at: Int, strings: Ints, record: Int, directives: Int
) -> tuple[Int, Int]:
    """Read HTTP headers from behind the bracket; return where they end, or -1, and the directives."""
    first, typed, told = True, False, False
    while True:
        name, name_end, at = _next_name(data, quotes, at, first)
        if name == name_end or at < 0:
            return at, directives
        first = False
        is_type = _equals_header(data, name, name_end, _TYPE_HEADER)
        is_robots = _equals_header(data, name, name_end, _ROBOTS_HEADER)
        if (is_type and typed) or (is_robots and (told or directives == MOST_DIRECTIVES)):
            return np.int64(-1), directives
        if data[at] == _QUOTE:
            start = at + 1
            end = _pass_string(quotes)
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
        if is_type or is_robots:
            return np.int64(-1), directives
        at = _pass_strings(data, quotes, at)
        if at < 0:
            return at, directives


@kernel
def _read_html(
    data: Data,
    quotes: Places | Address,
    at: Int,
    scan: Scan,
    record: Int,
    robots: Bytes,
    robots_bounds: Offsets,
    counts: Ints,
    told: Int,
) -> Int:
    """Read HTML-Metadata from behind its bracket; return where it ends, or -1."""
    first, seen = True, 0
    while True:
        name, name_end, at = _next_name(data, quotes, at, first)
        if name == name_end or at < 0:
            return at
        first = False
        if _equals(data, name, name_end, _LINKS):
            if seen & 1 or data[at] != _LIST:
                return np.int64(-1)
            seen |= 1
            at, counts[0] = _read_links(data, quotes, at + 1, scan.spans, counts[0])
        elif _equals(data, name, name_end, _HEAD):
            if seen & 2 or data[at] != _OBJECT:
                return np.int64(-1)
            seen |= 2
            at += 1
            first_part, parts = True, 0
            while True:
                name, name_end, at = _next_name(data, quotes, at, first_part)
                if name == name_end or at < 0:
                    break
                first_part = False
                if _equals(data, name, name_end, _BASE_NAME):
                    if parts & 1:
                        return np.int64(-1)
                    parts |= 1
                    start, end, at = _read_text(data, quotes, at)
                    if start >= 0 and at >= 0:
                        scan.strings[record, BASE, 0] = start
                        scan.strings[record, BASE, 1] = end
                elif _equals(data, name, name_end, _METAS):
                    if parts & 2 or data[at] != _LIST:
                        return np.int64(-1)
                    parts |= 2
                    at, told = _read_metas(data, quotes, at + 1, scan.strings, record, robots, robots_bounds, told)
                else:
                    at = _pass_value(data, quotes, at)
                if at < 0:
                    return at
        else:
            at = _pass_value(data, quotes, at)
        if at < 0:
            return at


@kernel
def _read_payload(
    data: Data,
    quotes: Places | Address,
    at: Int,
    scan: Scan,
    record: Int,
    robots: Bytes,
    robots_bounds: Offsets,
    counts: Ints,
) -> tuple[Int, Truth]:
    """Read Payload-Metadata from behind its bracket; return where it ends, or -1, and whether it has a page.

    One with a response that has no page is left.
    """
    first, has_page = True, False
    while True:
        name, name_end, at = _next_name(data, quotes, at, first)
        if name == name_end or at < 0:
            return at, has_page
        first = False
        if not _equals(data, name, name_end, _RESPONSE):
            at = _pass_value(data, quotes, at)
            if at < 0:
                return at, False
            continue
        if has_page or data[at] != _OBJECT:
            return np.int64(-1), False
        at += 1
        first_part, told, has_headers = True, 0, False
        while True:
            name, name_end, at = _next_name(data, quotes, at, first_part)
            if name == name_end or at < 0:
                break
            first_part = False
            if _equals(data, name, name_end, _HEADERS):
                # Directives of the headers come after those of the page where they stand after it.
                if has_headers or data[at] != _OBJECT:
                    return np.int64(-1), False
                has_headers = True
                while told < MOST_DIRECTIVES and scan.strings[record, DIRECTIVES + told, 0] >= 0:
                    told += 1
                at, told = _read_headers(data, quotes, at + 1, scan.strings, record, told)
            elif _equals(data, name, name_end, _HTML):
                if has_page or data[at] != _OBJECT:
                    return np.int64(-1), False
                has_page = True
                at = _read_html(data, quotes, at + 1, scan, record, robots, robots_bounds, counts, told)
            else:
                at = _pass_value(data, quotes, at)
            if at < 0:
                return at, False
        if at < 0 or not has_page:
            return np.int64(-1), False


@kernel
def _read_warc_header(data: Data, quotes: Places | Address, at: Int) -> tuple[Int, Truth]:
    """Read WARC-Header-Metadata from behind its bracket.

    Returns:
        Where it ends, or -1, and whether it states another type than a response.
    """
    first, seen, is_other = True, 0, False
    while True:
        name, name_end, at = _next_name(data, quotes, at, first)
        if name == name_end or at < 0:
            return at, is_other
        first = False
        is_type = _equals(data, name, name_end, _WARC_TYPE)
        if is_type or _equals(data, name, name_end, _TARGET):
            field = 1 if is_type else 2
            if seen & field:
                return np.int64(-1), False
            seen |= field
            start, end, at = _read_text(data, quotes, at)
            if is_type and at >= 0:
                # With an escape, or null, it is left unless there is a page.
                plain = start >= 0 and not _is_escaped(data, start, end)
                is_other = plain and not _equals(data, start, end, _RESPONSE_TYPE)
        else:
            at = _pass_value(data, quotes, at)
        if at < 0:
            return at, False


@kernel
def _read_record(
    data: Data,
    quotes: Places | Address,
    at: Int,
    scan: Scan,
    record: Int,
    robots: Bytes,
    robots_bounds: Offsets,
    counts: Ints,
) -> tuple[Int, Int]:
    """Read a record; return where it and the white space after it end, or -1, and what becomes of it."""
    at = _pass_blanks(data, at)
    if data[at] != _OBJECT:
        return np.int64(-1), LEFT
    at += 1
    first, has_envelope = True, False
    kind = LEFT
    while True:
        name, name_end, at = _next_name(data, quotes, at, first)
        if name == name_end or at < 0:
            break
        first = False
        if not _equals(data, name, name_end, _ENVELOPE):
            at = _pass_value(data, quotes, at)
            if at < 0:
                return at, LEFT
            continue
        if has_envelope or data[at] != _OBJECT:
            return np.int64(-1), LEFT
        has_envelope = True
        at += 1
        first_part, parts, has_page, is_other = True, 0, False, False
        while True:
            name, name_end, at = _next_name(data, quotes, at, first_part)
            if name == name_end or at < 0:
                break
            first_part = False
            if _equals(data, name, name_end, _PAYLOAD):
                if parts & 1 or data[at] != _OBJECT:
                    return np.int64(-1), LEFT
                parts |= 1
                at, has_page = _read_payload(data, quotes, at + 1, scan, record, robots, robots_bounds, counts)
            elif _equals(data, name, name_end, _WARC_HEADER):
                if parts & 2 or data[at] != _OBJECT:
                    return np.int64(-1), LEFT
                parts |= 2
                at, is_other = _read_warc_header(data, quotes, at + 1)
            else:
                at = _pass_value(data, quotes, at)
            if at < 0:
                return at, LEFT
        if at < 0:
            return at, LEFT
        kind = PAGE if has_page else PASSED_OVER if is_other else LEFT
    return (_pass_blanks(data, at) if at >= 0 else at), kind


@kernel
def scan_records(
    data: Bytes,
    bounds: Ints,
    quotes: Places,
    starts: Ints,
    addressed: Flags,
    robots: Bytes,
    robots_bounds: Offsets,
    scan: Scan,
) -> Int:
    """Scan records for what extraction needs.

    Args:
        data: uint8, records, each followed by a zero byte, and eight bytes of any kind.
        bounds: int64[records, 2], where each starts and ends.
        quotes: int[n], from `string_kernel.find_quotes`; its first element is written to.
        starts: int64[records], from there.
        addressed: bool[records], whether each has an address; a page without is LEFT.
        robots: uint8, the names of meta tags that speak to robots, in lower case, end to end.
        robots_bounds: int64[names + 1], where each name begins.
        scan: a Scan, filled.

    Returns:
        The number of images.
    """
    text, places = bare(data), bare(quotes)
    robots, robots_bounds, scan = unowned(robots), unowned(robots_bounds), unowned(scan)
    counts = np.zeros(1, np.int64)
    scan.images[0] = 0
    for record in range(bounds.shape[0]):
        images = counts[0]
        scan.strings[record] = -1
        places[0] = starts[record]
        at, kind = np.int64(-1), LEFT
        if starts[record] >= 0:
            at, kind = _read_record(text, places, bounds[record, 0], scan, record, robots, robots_bounds, counts)
        if at != bounds[record, 1] or (kind == PAGE and not addressed[record]):
            kind = LEFT
        if kind != PAGE:
            scan.strings[record] = -1
            counts[0] = images
        scan.kinds[record] = kind
        scan.images[record + 1] = counts[0]
    return counts[0]
