"""Images to pairs as kernels: texts are cleaned, plain addresses resolved, columns filled.

For many pages at once, they do what `texts.clean_text` and `urls.resolve` do for one text and one address. A
reference that needs anything percent-encoded, or is unusual otherwise, is marked ODD and left to `urls.resolve`; so
is one in a `srcset`.

Equals `metaclip.pairs.collector`; held by tests/metaclip/pairs/test_assembly.py.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from metaclip.kernels.jit import kernel
from metaclip.kernels.memory import bare, copy_bytes, put_word, unowned, word_at
from metaclip.kernels.types import Byte, Bytes, Data, Flags, Int, Ints, Offsets, Spans, Truth, Word
from metaclip.pairs.image_columns import ATTRIBUTES

# What an image's address is made of: a part of its page's base, and a span of the data.
ABSOLUTE, ROOTED, RELATIVE, SAME_SCHEME = 0, 1, 2, 3
ODD = 4
"""To be resolved elsewhere; then ABSOLUTE or DROPPED."""
DROPPED = 5
EMPTY, DATA = 6, 7
NO_TEXT = 8
LONG_TEXT = 9
"""Of texts, not of images."""

# Bits of the table of characters that `urls.CHARACTERS` holds.
PATH, QUERY, HOST, HOST_END, NAME, FIRST = 1, 2, 4, 8, 16, 32

SRCSET = ATTRIBUTES.index("srcset")
_SLASH, _DOT, _PERCENT, _MARK, _COLON, _HASH = ord("/"), ord("."), ord("%"), ord("?"), ord(":"), ord("#")
_BLANK = np.zeros(256, np.bool_)
_BLANK[[*range(0x09, 0x0E), *range(0x1C, 0x21)]] = True
_SECURE = np.frombuffer(b"https://", np.uint8)
_DATA = np.frombuffer(b"data:", np.uint8)


_ONES, _TOPS = np.uint64(0x0101010101010101), np.uint64(0x8080808080808080)
_BLANKS, _HASHES, _ZERO = np.uint64(0x20) * _ONES, np.uint64(_HASH) * _ONES, np.uint64(0)
_SLASHES, _DOTS, _PERCENTS = np.uint64(_SLASH) * _ONES, np.uint64(_DOT) * _ONES, np.uint64(_PERCENT) * _ONES


class Rules(NamedTuple):
    """What of an image is looked at; attributes by their place in `image_columns.ATTRIBUTES`."""

    text_keys: npt.NDArray[np.int64]
    """Those whose texts are taken."""
    lazy: npt.NDArray[np.int64]
    """Those that stand in for `src`."""
    characters: npt.NDArray[np.uint8]
    """`urls.CHARACTERS`."""
    most_text: int
    """The bytes of the longest text that is taken."""


class Found(NamedTuple):
    """Rows (an image and one of its texts) and the images that they belong to."""

    text_data: npt.NDArray[np.uint8]
    """uint8: the rows' texts end to end; room for three bytes for each byte of the attributes."""
    text_ends: npt.NDArray[np.int64]
    """int64[rows]: where in `text_data` a row's text ends."""
    row_keys: npt.NDArray[np.uint8]
    """uint8[rows]: the text's place in the text keys."""
    row_images: npt.NDArray[np.int64]
    """int64[rows]: a number into the images below."""
    pages: npt.NDArray[np.int64]
    """int64[images]: an image's page."""
    places: npt.NDArray[np.int64]
    """int64[images]: an image's place in the columns."""
    forms: npt.NDArray[np.uint8]
    """uint8[images]: what its address is made of."""
    starts: npt.NDArray[np.int64]
    """int64[images]: where its reference starts."""
    ends: npt.NDArray[np.int64]
    """int64[images]: where its reference ends."""
    ups: npt.NDArray[np.int64]
    """int64[images]: how many folders above that of its page's base a RELATIVE one begins."""
    is_extra: npt.NDArray[np.bool_]
    """bool[images]: whether its address was ODD and lies in `extra`."""
    extra: npt.NDArray[np.uint8]
    """uint8: addresses that were resolved elsewhere."""


class Columns(NamedTuple):
    """The columns of pairs: addresses and texts end to end, text keys and pages by number."""

    urls: npt.NDArray[np.uint8]
    texts: npt.NDArray[np.uint8]
    keys: npt.NDArray[np.uint8]
    pages: npt.NDArray[np.int64]


@kernel
def _equal_bytes(word: Word, bytes_alike: Word) -> Word:
    """Compare eight ASCII characters with eight copies of one; return the top bit of each byte that is equal."""
    return (_TOPS - (word ^ bytes_alike)) & _TOPS


@kernel
def _continues(data: Data, at: Int, end: Int) -> Truth:
    """Tell whether the byte at `at` continues a UTF-8 sequence."""
    return at < end and (data[at] & 0xC0) == 0x80


@kernel
def _sequence_length(data: Data, at: Int, end: Int) -> Int:
    """Return the length of the UTF-8 sequence beyond ASCII at `at`, negative where it is none.

    One that breaks off or goes wrong is as long as the part that could have become one (Unicode 15,
    section 3.9, table 3-8), as Python has it.
    """
    first = data[at]
    if first < 0xC2 or first > 0xF4:
        return -1
    if first < 0xE0:
        return 2 if _continues(data, at + 1, end) else -1
    low, high = 0x80, 0xBF
    if first == 0xE0:
        low = 0xA0
    elif first == 0xED:
        high = 0x9F
    elif first == 0xF0:
        low = 0x90
    elif first == 0xF4:
        high = 0x8F
    if at + 1 >= end or data[at + 1] < low or data[at + 1] > high:
        return -1
    if not _continues(data, at + 2, end):
        return -2
    if first < 0xF0:
        return 3
    return 4 if _continues(data, at + 3, end) else -3


@kernel
def _is_wide_blank(data: Data, at: Int, length: Int) -> Truth:
    """Tell whether a valid sequence is white space, as `str.isspace` has it."""
    first, second = data[at], data[at + 1]
    if length == 2:
        return first == 0xC2 and (second == 0x85 or second == 0xA0)
    if length != 3:
        return False
    third = data[at + 2]
    if first == 0xE2:
        if second == 0x80:
            return third <= 0x8A or third == 0xA8 or third == 0xA9 or third == 0xAF
        return second == 0x81 and third == 0x9F
    if first == 0xE1:
        return second == 0x9A and third == 0x80
    return first == 0xE3 and second == 0x80 and third == 0x80


@kernel
def clean(data: Data, at: Int, end: Int, out: Data, begin: Int) -> Int:
    """Write data[at:end] as `texts.clean_text` gives it to `out` from `begin` on; return where it ends.

    `out` has room for three bytes for each of them.
    """
    position, gap = begin, False
    while at < end:
        # Eight at a time, as long as they are ASCII, no controls and no two blanks together.
        while at + 8 <= end:
            word = word_at(data, at)
            if (word | word - _BLANKS) & _TOPS != _ZERO:
                break
            blanks = _equal_bytes(word, _BLANKS)
            if blanks & (blanks << np.uint64(8) | np.uint64(0x80)) != _ZERO:
                break
            if gap:
                out[position] = 0x20
                position += 1
            put_word(out, position, word)
            gap = blanks >> np.uint64(63) != _ZERO
            position += 7 if gap else 8
            at += 8
        if at == end:
            break
        byte = data[at]
        if byte < 0x80:
            at += 1
            if _BLANK[byte]:
                gap = position > begin
                continue
            if gap:
                out[position] = 0x20
                position += 1
                gap = False
            if byte:
                out[position] = byte
                position += 1
                continue
            length = np.int64(0)
        else:
            length = np.int64(_sequence_length(data, at, end))
            if length > 0 and _is_wide_blank(data, at, length):
                at += length
                gap = position > begin
                continue
            if gap:
                out[position] = 0x20
                position += 1
                gap = False
        if length > 0:
            for k in range(length):
                out[position + k] = data[at + k]
            position += length
            at += length
        else:
            out[position], out[position + 1], out[position + 2] = 0xEF, 0xBF, 0xBD
            position += 3
            at -= length
    return position


@kernel
def _all_kinds(data: Data, at: Int, characters: Bytes) -> Byte:
    """Return the kinds that all of eight bytes have in the table of characters."""
    kinds = characters[data[at]]
    for k in range(1, 8):
        kinds &= characters[data[at + k]]
    return kinds


@kernel
def _is_query(data: Data, at: Int, end: Int, characters: Bytes) -> Truth:
    """Tell whether the rest is a query in normal form."""
    while at + 8 <= end:
        if not _all_kinds(data, at, characters) & QUERY:
            return False
        at += 8
    while at < end:
        if not characters[data[at]] & QUERY:
            return False
        at += 1
    return True


@kernel
def _plain_path(data: Data, at: Int, end: Int, characters: Bytes) -> Int:
    """Return up to where, in steps of eight bytes, there is nothing but path without what may begin dots."""
    while at + 8 < end and _all_kinds(data, at, characters) & PATH:
        following = word_at(data, at + 1)
        may_be_dots = _equal_bytes(following & ~_TOPS, _DOTS) | _equal_bytes(following & ~_TOPS, _PERCENTS)
        if _equal_bytes(word_at(data, at), _SLASHES) & may_be_dots != _ZERO:
            break
        at += 8
    return at


@kernel
def _is_path(data: Data, at: Int, end: Int, first_part: Truth, characters: Bytes) -> Truth:
    """Tell whether the rest is path and query in normal form, without segments that may be dots.

    In the first part of a relative reference, up to its first slash, a colon would end a scheme.
    """
    while at < end:
        if not first_part:
            at = _plain_path(data, at, end, characters)
        stop = min(at + 8, end)
        while at < stop:
            byte = data[at]
            if byte == _MARK:
                return _is_query(data, at + 1, end, characters)
            if not characters[byte] & PATH or (first_part and byte == _COLON):
                return False
            at += 1
            if byte == _SLASH:
                first_part = False
                if at < end and data[at] == _DOT:
                    return False
                if at + 2 < end and data[at] == _PERCENT and data[at + 1] == 0x32 and data[at + 2] | 0x20 == 0x65:
                    return False
    return True


@kernel
def _is_host_and_path(data: Data, at: Int, end: Int, characters: Bytes) -> Truth:
    """Tell whether the rest is a host, a path and a query in normal form."""
    if at >= end or not characters[data[at]] & HOST_END:
        return False
    named = False
    while at < end and characters[data[at]] & HOST:
        named |= characters[data[at]] & NAME != 0
        at += 1
    if not named or at >= end or data[at] != _SLASH or not characters[data[at - 1]] & HOST_END:
        return False
    return _is_path(data, at, end, False, characters)


@kernel
def address_form(data: Data, at: Int, end: Int, characters: Bytes) -> Int:
    """Tell what the address of the reference data[at:end] is made of, or EMPTY, DATA or ODD."""
    n = end - at
    if n <= 0:
        return EMPTY
    if data[at] == _SLASH:
        if n > 1 and data[at + 1] == _SLASH:
            return SAME_SCHEME if _is_host_and_path(data, at + 2, end, characters) else ODD
        return ROOTED if _is_path(data, at, end, False, characters) else ODD
    same = 0
    while same < min(n, 8) and data[at + same] == _SECURE[same]:
        same += 1
    if same == 4 and n > 7 and data[at + 4] == _COLON and data[at + 5] == _SLASH and data[at + 6] == _SLASH:
        return ABSOLUTE if _is_host_and_path(data, at + 7, end, characters) else ODD
    if same == 8:
        return ABSOLUTE if _is_host_and_path(data, at + 8, end, characters) else ODD
    if n >= 5:
        same = 0
        while same < 5 and data[at + same] == _DATA[same]:
            same += 1
        if same == 5:
            return DATA
    if characters[data[at]] & FIRST and _is_path(data, at, end, True, characters):
        return RELATIVE
    return ODD


@kernel
def plain_pages(data: Bytes, offsets: Offsets, characters: Bytes, layout: Ints, plain: Flags) -> None:
    """Find the parts of pages' addresses that are in normal form.

    Args:
        data: uint8, addresses end to end.
        offsets: int64[pages + 1], where each begins.
        characters: uint8[256], `urls.CHARACTERS`.
        layout: int64[pages, 4], filled for the plain ones: see `page_bases.PageBases.layout`.
        plain: bool[pages], filled: whether an address is in normal form.
    """
    text = bare(data)
    for page in range(plain.size):
        start, end = offsets[page], offsets[page + 1]
        plain[page] = address_form(text, start, end, characters) == ABSOLUTE
        if plain[page]:
            scheme = start + 5
            while text[scheme - 1] != _COLON:
                scheme += 1
            origin = scheme + 2
            while text[origin] != _SLASH:
                origin += 1
            folder = at = origin
            while at < end and text[at] != _MARK:
                at += 1
                if text[at - 1] == _SLASH:
                    folder = at
            layout[page, 0], layout[page, 1], layout[page, 2], layout[page, 3] = start, scheme, origin, folder


@kernel
def _trim_reference(data: Data, at: Int, end: Int) -> tuple[Int, Int]:
    """Return where a reference starts and ends without blanks around it and without its fragment."""
    while at < end and data[at] <= 0x20:
        at += 1
    k = at
    while k + 8 <= end:
        differing = word_at(data, k) ^ _HASHES
        if (differing - _ONES) & ~differing & _TOPS != _ZERO:
            break
        k += 8
    while k < end:
        if data[k] == _HASH:
            return at, k
        k += 1
    while at < end and data[end - 1] <= 0x20:
        end -= 1
    return at, end


@kernel
def _reference_form(data: Data, start: Int, stop: Int, characters: Bytes) -> tuple[Int, Int, Int, Int]:
    """Return what an address is made of for the reference data[start:stop].

    Returns:
        Its form, start and end of what is added to the base, and how many folders above that of the base it begins.
    """
    at, end = _trim_reference(data, start, stop)
    ups = 0
    if at < end and data[at] == _DOT:
        while True:
            if at + 1 < end and data[at] == _DOT and data[at + 1] == _SLASH:
                at += 2
            elif at + 2 < end and data[at] == _DOT and data[at + 1] == _DOT and data[at + 2] == _SLASH:
                at += 3
                ups += 1
            else:
                break
        # The rest is a path of which nothing is left to resolve.
        if at < end and characters[data[at]] & FIRST and _is_path(data, at, end, False, characters):
            return RELATIVE, at, end, ups
        return ODD, start, stop, 0
    return address_form(data, at, end, characters), at, end, 0


@kernel
def gather(
    data: Bytes, spans: Spans, pages: Offsets, usable: Flags, rules: Rules, found: Found, faults: Ints
) -> tuple[Int, Int, Int]:
    """Clean the texts of images and look at the addresses of those that have any.

    Args:
        data: uint8, as in `ImageColumns`.
        spans: int[images, attributes, 2], as there.
        pages: int64[pages + 1], as there.
        usable: bool[pages], whether a page has an address.
        rules: a Rules.
        found: a Found, filled.
        faults: int64[LONG_TEXT + 1], images that are left out by reason: EMPTY, DATA or NO_TEXT; and texts that are:
            LONG_TEXT; added to.

    Returns:
        The numbers of images seen, of images found and of rows found.
    """
    text, texts = bare(data), bare(found.text_data)
    spans, rules, found = unowned(spans), unowned(rules), unowned(found)
    characters = rules.characters
    seen = images = rows = 0
    position = np.int64(0)
    for page in range(usable.size):
        if not usable[page]:
            continue
        for image in range(pages[page], pages[page + 1]):
            seen += 1
            before, begin = rows, position
            for k in range(rules.text_keys.size):
                attribute = rules.text_keys[k]
                start, end = spans[image, attribute, 0], spans[image, attribute, 1]
                if start >= end:
                    continue
                filled = clean(text, start, end, texts, position)
                if filled - position > rules.most_text:
                    faults[LONG_TEXT] += 1
                elif filled > position:
                    position = filled
                    found.text_ends[rows], found.row_keys[rows], found.row_images[rows] = position, k, images
                    rows += 1
            if rows == before:
                faults[NO_TEXT] += 1
                continue
            form, start, end, ups = _reference_form(text, spans[image, 0, 0], spans[image, 0, 1], characters)
            fault = form
            for k in range(rules.lazy.size):
                lazy = rules.lazy[k]
                if form in (EMPTY, DATA) and spans[image, lazy, 1] > spans[image, lazy, 0]:
                    form = ODD
                    if lazy != SRCSET:
                        form, start, end, ups = _reference_form(
                            text, spans[image, lazy, 0], spans[image, lazy, 1], characters
                        )
            if form in (EMPTY, DATA):
                faults[fault] += 1
                rows, position = before, begin
                continue
            found.pages[images], found.places[images], found.forms[images] = page, image, form
            found.starts[images], found.ends[images], found.ups[images] = start, end, ups
            images += 1
    return seen, images, rows


@kernel
def _base_bytes(found: Found, image: Int, layout: Ints, bases: Bytes) -> Int:
    """Return how much of its page's base an address begins with."""
    form, page = found.forms[image], found.pages[image]
    if form == ABSOLUTE:
        return np.int64(0)
    part = 1 if form == SAME_SCHEME else 2 if form == ROOTED else 3
    end = layout[page, part]
    if form == RELATIVE:
        for _ in range(found.ups[image]):
            # There is nothing above the first slash after the origin.
            if end > layout[page, 2] + 1:
                end -= 1
                while bases[end - 1] != _SLASH:
                    end -= 1
    return end - layout[page, 0]


@kernel
def measure(
    rows: Int, found: Found, layout: Ints, bases: Bytes, most: Int, url_offsets: Offsets, text_offsets: Offsets
) -> tuple[Int, Int]:
    """Lay out the columns of the rows whose image has an address that is not too long; others become DROPPED.

    Args:
        rows: how many `gather` found.
        found: a Found; no form is ODD any more.
        layout: int64[pages, 4], where in the bytes of bases a page's base starts, and where its scheme, its
            origin and its folder end.
        bases: uint8, the bytes of bases.
        most: the bytes of the longest address that stays.
        url_offsets: int64[rows + 1], filled.
        text_offsets: int64[rows + 1], filled.

    Returns:
        The numbers of rows that stay, and of images whose address is too long.
    """
    found, layout, bases = unowned(found), unowned(layout), unowned(bases)
    row = too_long = 0
    begin = np.int64(0)
    url_offsets[0] = text_offsets[0] = 0
    for given in range(rows):
        image = found.row_images[given]
        if found.forms[image] != DROPPED:
            size = found.ends[image] - found.starts[image]
            size += _base_bytes(found, image, layout, bases)
            if size > most:
                found.forms[image] = DROPPED  # for its other texts too
                too_long += 1
            else:
                url_offsets[row + 1] = url_offsets[row] + size
                text_offsets[row + 1] = text_offsets[row] + found.text_ends[given] - begin
                row += 1
        begin = found.text_ends[given]
    return row, too_long


@kernel
def fill(
    rows: Int,
    found: Found,
    layout: Ints,
    bases: Bytes,
    data: Bytes,
    url_offsets: Offsets,
    text_offsets: Offsets,
    columns: Columns,
) -> None:
    """Write the columns that `measure` laid out.

    Args:
        rows: how many `gather` found.
        found: a Found; no form is ODD any more.
        layout: int64[pages, 4], as for `measure`.
        bases: uint8, the bytes of bases.
        data: uint8, what the spans of references that were not ODD lie in.
        url_offsets: int64[rows + 1], from `measure`.
        text_offsets: int64[rows + 1], from `measure`.
        columns: a Columns, filled.
    """
    found, layout = unowned(found), unowned(layout)
    starts, given, extra, cleaned = bare(bases), bare(data), bare(found.extra), bare(found.text_data)
    urls, texts, keys, pages = bare(columns.urls), bare(columns.texts), bare(columns.keys), bare(columns.pages)
    row, begin = 0, np.int64(0)
    for place in range(rows):
        image = found.row_images[place]
        form = found.forms[image]
        if form != DROPPED:
            page = found.pages[image]
            at = url_offsets[row]
            size = _base_bytes(found, image, layout, bases)
            copy_bytes(starts, layout[page, 0], size, urls, at)
            start = found.starts[image]
            source = extra if found.is_extra[image] else given
            copy_bytes(source, start, found.ends[image] - start, urls, at + size)
            copy_bytes(cleaned, begin, found.text_ends[place] - begin, texts, text_offsets[row])
            keys[row], pages[row] = found.row_keys[place], page
            row += 1
        begin = found.text_ends[place]
