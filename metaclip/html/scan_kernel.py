"""The scanner's kernel: images, base and robots meta tags of pages, found by tokens alone.

It follows the tokenization stage of the HTML standard (section 13.2.5), and as much of the tree
construction (13.2.6, scripting off) as decides which tags become elements: text that only looks like
tags, templates, which cell of which table is open, SVG and MathML. Where only a tree tells whether
or where an element stands, the page is flagged and left to the tree builder: images, bases and meta
tags in a table but outside its cells (they move before the table), HTML inside SVG and MathML,
framesets, column groups in templates, `<selectedcontent>` (which copies an option), and nesting
beyond MOST_TABLES or MOST_FOREIGN.

Values are spans of the page's bytes; `metaclip.html.value_kernel` decodes them.

Equals `metaclip.html.tree`; held by tests/metaclip/html/test_scanner.py.
"""

from typing import NamedTuple

import numpy as np

from metaclip.kernels.jit import kernel
from metaclip.kernels.memory import byte_at, count_bits, equal_at, first_bit, low_or_at, tag_at, word_at
from metaclip.kernels.types import LANES, Bytes, Flags, Int, Ints, Spans, Truth, Word

PADDING = 64
"""So many bytes may be read beyond the end of a page."""
MOST_TABLES = 64
MOST_FOREIGN = 64
IMAGE_SLOTS = 7
META_SLOTS = 3


def _key(name: str) -> np.uint64:
    """Return the first eight bytes of a name in lower case as one word, as `_name_key` does."""
    return np.uint64(int.from_bytes(name.encode()[:8], "little"))


# What a tag means to the scanner. All from _BREAKOUT on end SVG and
# MathML, at least where they start; attributes count for those from _IMG on.
_OTHER, _RAW, _SCRIPT, _PLAINTEXT, _TEMPLATE, _SVG, _MATH = range(7)
_TD, _TH, _CAPTION, _TBODY, _THEAD, _TFOOT, _TR, _COLUMN = range(10, 18)
_BREAKOUT, _TABLE, _ODD, _IMG, _BASE, _META = range(20, 26)
_NAMES = {
    _RAW: "style xmp iframe noembed noframes title textarea",
    _SCRIPT: "script",
    _PLAINTEXT: "plaintext",
    _TEMPLATE: "template",
    _SVG: "svg",
    _MATH: "math",
    _TD: "td",
    _TH: "th",
    _CAPTION: "caption",
    _TBODY: "tbody",
    _THEAD: "thead",
    _TFOOT: "tfoot",
    _TR: "tr",
    _COLUMN: "col colgroup",
    # HTML standard, 13.2.6.5
    _BREAKOUT: "b big blockquote body br center code dd div dl dt em embed h1 h2 h3 h4 h5 h6 head hr i li listing"
    " menu nobr ol p pre ruby s small span strong strike sub sup tt u ul var font",
    _IMG: "img image",
    _BASE: "base",
    _META: "meta",
    _TABLE: "table",
    _ODD: "frameset foreignobject annotation-xml selectedcontent",
}
# A hash table without collisions: FACTOR was searched for. Names beyond eight bytes are told apart by
# these and their length, which is exact for plaintext (checked where it counts) and careful for others.
_FACTOR, _SHIFT = np.uint64(0xBF9CC545635518F7), np.uint64(55)
_KEYS = np.zeros(1 << 9, np.uint64)
_CODES = np.zeros(1 << 9, np.int16)  # length * 32 + code
for _code, _names in _NAMES.items():
    for _name in _names.split():
        _slot = (int(_key(_name)) * int(_FACTOR) & (1 << 64) - 1) >> int(_SHIFT)
        if _KEYS[_slot]:
            raise AssertionError(f"{_name}: two names in one slot; another factor is needed")
        _KEYS[_slot], _CODES[_slot] = _key(_name), len(_name) * 32 + _code

_LOWER = np.uint64(0x2020202020202020)
_MASK = np.array([(1 << 8 * n) - 1 for n in range(9)], np.uint64)
_SCRIPT_KEY, _IMAGE_KEY, _TITLE_KEY, _DESC_KEY = _key("script"), _key("image"), _key("title"), _key("desc")
_MI, _MO, _MN, _MS, _MTEXT = _key("mi"), _key("mo"), _key("mn"), _key("ms"), _key("mtext")
_SRC, _ALT, _DATA_SRC, _SRCSET = _key("src"), _key("alt"), _key("data-src"), _key("srcset")
_DATA_IMA, _GE_TITLE, _DATA_ORI, _ORIGINAL = _key("data-ima"), _key("ge-title"), _key("data-ori"), _key("original")
_HREF, _NAME, _CONTENT, _HTTP_EQU, _TP_EQUIV = map(_key, ("href", "name", "content", "http-equ", "tp-equiv"))
_CDATA = np.uint64(int.from_bytes(b"<![CDATA", "little"))

_TAB, _VT, _CR, _SPACE, _BANG, _QUOTE, _APOSTROPHE, _DASH = map(ord, "\t\v\r !\"'-")
_SLASH, _LESS, _IS, _MORE, _ASK, _OPEN, _CLOSE, _T = map(ord, "/<=>?[]t")
_ZERO = np.uint64(0)
_MARKED_BYTES = 2048
_USUAL_MARKS = 4  # in 64 bytes
_U1, _U2, _U4, _U8, _U16, _U32, _U63 = map(np.uint64, (1, 2, 4, 8, 16, 32, 63))


_DONE, _FLAGGED, _FULL = range(3)
"""What `_scan_page` says: only a tree gets a flagged page right; a full array holds no more of its page."""


class _Scratch(NamedTuple):
    """Memory of a scan that pages use one after the other."""

    found: Ints
    """int64[IMAGE_SLOTS, 2]: spans of a tag's attributes."""
    cells: Ints
    """See `_change_table`."""
    sections: Ints
    """See `_change_table`."""
    names: Ints
    """Where the names of open elements of SVG or MathML are."""
    lengths: Ints
    """How long these names are."""
    marks: Ints
    """See `_mark_tags`."""


@kernel
def _is_blank(byte: Int) -> Truth:
    """Tell whether a byte is white space to HTML."""
    return byte == _SPACE or (_TAB <= byte <= _CR and byte != _VT)


@kernel
def _is_letter(byte: Int) -> Truth:
    return 97 <= (byte | 0x20) <= 122


@kernel
def _find_byte(data: Bytes, p: Int, end: Int, byte: Int) -> Int:
    """Return where a byte comes next, or the end."""
    while p < end:
        bits = equal_at(data, p, byte)
        if bits != _ZERO:
            return min(p + first_bit(bits), end)
        p += LANES
    return end


@kernel
def _find_blank_or(data: Bytes, p: Int, end: Int, first: Int, second: Int, third: Int) -> Int:
    """Return where white space or one of three bytes comes next, or the end."""
    while p < end:
        bits = low_or_at(data, p, first, second, third)
        if bits == _ZERO:
            p += LANES
            continue
        p += first_bit(bits)
        byte = byte_at(data, p)
        if byte > _SPACE or _is_blank(byte):
            return min(p, end)
        p += 1
    return end


@kernel
def _mark_tags(data: Bytes, p: Int, stop: Int, marks: Ints) -> Int:
    """Write the place of each `<` from p on to `marks`, up to `stop` or little farther; return their number.

    To look for them one by one would be to guess each time, mostly wrong, how far the next one is.
    """
    count = 0
    while p < stop:
        bits = equal_at(data, p, _LESS) | equal_at(data, p + LANES, _LESS) << _U32
        after = count + count_bits(bits)
        for k in range(_USUAL_MARKS):
            marks[count + k] = p + first_bit(bits)
            bits &= bits - _U1
        count += _USUAL_MARKS
        while bits != _ZERO:
            marks[count] = p + first_bit(bits)
            bits &= bits - _U1
            count += 1
        count = after
        p += 2 * LANES
    return count


@kernel
def _comment_end(data: Bytes, p: Int, end: Int) -> Int:
    """Return where a comment ends whose `<!--` ends before p, or the end."""
    if p < end and byte_at(data, p) == _MORE:
        return p + 1
    if p + 1 < end and byte_at(data, p) == _DASH and byte_at(data, p + 1) == _MORE:
        return p + 2
    while p < end:
        bits = equal_at(data, p, _DASH) & equal_at(data, p + 1, _DASH)
        bits &= equal_at(data, p + 2, _MORE) | equal_at(data, p + 2, _BANG)
        while bits != _ZERO:
            q = p + first_bit(bits) + 2
            if q < end and byte_at(data, q) == _MORE:
                return q + 1
            if q + 1 < end and byte_at(data, q + 1) == _MORE:
                return q + 2
            bits &= bits - np.uint64(1)
        p += LANES
    return end


@kernel
def _cdata_end(data: Bytes, p: Int, end: Int) -> Int:
    """Return where a CDATA section ends that begins before p, or the end."""
    while p < end:
        p = _find_byte(data, p, end, _CLOSE)
        if p + 2 < end and byte_at(data, p + 1) == _CLOSE and byte_at(data, p + 2) == _MORE:
            return p + 3
        p += 1
    return end


@kernel
def _is_named(data: Bytes, p: Int, end: Int, key: Word, length: Int) -> Truth:
    """Tell whether the tag name at p is this one, and complete."""
    q = p + length
    if q >= end or ((word_at(data, p) | _LOWER) & _MASK[length]) != key:
        return False
    byte = byte_at(data, q)
    return byte in (_MORE, _SLASH) or _is_blank(byte)


@kernel
def _raw_end(data: Bytes, p: Int, end: Int, key: Word, length: Int) -> Int:
    """Return where the name ends in the end tag that closes an element of raw text, or the end."""
    while p < end:
        p = _find_byte(data, p, end, _LESS)
        if p + 1 < end and byte_at(data, p + 1) == _SLASH and _is_named(data, p + 2, end, key, length):
            return p + 2 + length
        p += 1
    return end


@kernel
def _script_end(data: Bytes, p: Int, end: Int) -> Int:
    """Return where the name ends in the end tag that closes a script, or the end.

    `<!--` escapes a script: in it, `<script` must be ended before `</script>` ends the whole.
    """
    level = 0  # 1 escaped, 2 double escaped
    while p < end:
        bits = equal_at(data, p, _LESS)
        if level:
            bits |= equal_at(data, p, _DASH) & equal_at(data, p + 1, _DASH) & equal_at(data, p + 2, _MORE)
        if bits == _ZERO:
            p += LANES
            continue
        p += first_bit(bits)
        if p + 2 >= end:
            break
        byte, following = byte_at(data, p), byte_at(data, p + 1)
        if byte == _DASH:
            level = 0
            p += 3
        elif following == _SLASH:
            if _is_named(data, p + 2, end, _SCRIPT_KEY, 6):
                if level < 2:
                    return p + 8
                level = 1
            p += 2
        elif level == 0 and following == _BANG:
            if p + 3 < end and byte_at(data, p + 2) == _DASH and byte_at(data, p + 3) == _DASH:
                level = 1
            p += 2  # the dashes may be those of the closing `-->` too
        else:
            if level == 1 and _is_named(data, p + 1, end, _SCRIPT_KEY, 6):
                level = 2
            p += 1
    return end


@kernel
def _slot_of(data: Bytes, p: Int, length: Int, code: Int) -> Int:
    """Return where an attribute of an image, base or meta tag is kept, or -1."""
    key = (word_at(data, p) | _LOWER) & _MASK[min(length, 8)]
    if code == _IMG:
        if length == 3:
            return 0 if key == _SRC else 1 if key == _ALT else -1
        if length == 5:
            return 2 if key == _TITLE_KEY else -1
        if length == 6:
            return 6 if key == _SRCSET else -1
        if length == 8:
            return 4 if key == _DATA_SRC else -1
        if length == 13 and key == _DATA_ORI and (word_at(data, p + 5) | _LOWER) == _ORIGINAL:
            return 5
        if length == 16 and key == _DATA_IMA and (word_at(data, p + 8) | _LOWER) == _GE_TITLE:
            return 3
        return -1
    if code == _BASE:
        return 0 if length == 4 and key == _HREF else -1
    if length == 4:
        return 0 if key == _NAME else -1
    if length == 7:
        return 2 if key == _CONTENT else -1
    return 1 if length == 10 and key == _HTTP_EQU and (word_at(data, p + 2) | _LOWER) == _TP_EQUIV else -1


@kernel
def _attributes(data: Bytes, p: Int, end: Int, code: Int, found: Ints) -> tuple[Int, Truth]:
    """Read a tag from the end of its name on.

    Return where the tag is over, or -1 if the page ends first, and whether it closes itself. Spans of the
    attributes that count for `code` go to `found`: -1 where missing, start -2 where there is no value.
    """
    keep = code >= _IMG
    if keep:
        found[:] = -1
    while True:
        slash = False
        byte = byte_at(data, p)
        while byte == _SLASH or _is_blank(byte):
            slash = byte == _SLASH
            p += 1
            byte = byte_at(data, p)
            if p >= end:
                return -1, False
        if p >= end:
            return -1, False
        if byte == _MORE:
            return p + 1, slash
        name = p
        # An equals sign may begin a name.
        p = _find_blank_or(data, p + 1, end, _SLASH, _MORE, _IS)
        length = p - name
        byte = byte_at(data, p)
        while p < end and _is_blank(byte):
            p += 1
            byte = byte_at(data, p)
        if p >= end:
            return -1, False
        start = stop = -2
        if byte == _IS:
            p += 1
            byte = byte_at(data, p)
            while p < end and _is_blank(byte):
                p += 1
                byte = byte_at(data, p)
            if (byte == _QUOTE) | (byte == _APOSTROPHE):
                start = p + 1
                stop = _find_byte(data, start, end, byte)
                p = stop + 1
            elif byte != _MORE:
                start = p
                p = stop = _find_blank_or(data, p, end, _MORE, _MORE, _MORE)
            if p >= end:
                return -1, False
        if keep:
            slot = _slot_of(data, name, length, code)
            if slot >= 0 and found[slot, 0] == -1:
                found[slot, 0] = start
                found[slot, 1] = stop


@kernel
def _plain_end(data: Bytes, p: Int, end: Int) -> Int:
    """Return where the `>` of a tag is, from the end of its name on, or -1 where this is not certain.

    It is certain where all attributes are of the form `name` or `name="value"`, and 64 bytes more are in the page.
    """
    inside = equal = apart = _ZERO
    while p + 64 <= end:
        quotes, apostrophes, equals, mores, low = tag_at(data, p)
        # Whether there are an odd number of quotes up to each byte: opening ones and what follows.
        within = quotes ^ quotes << _U1
        within ^= within << _U2
        within ^= within << _U4
        within ^= within << _U8
        within ^= within << _U16
        within ^= within << _U32
        within ^= inside
        mores &= ~within
        equals &= ~within
        # All before the first one.
        before = (mores & (~mores + _U1)) - _U1
        low |= quotes & ~within
        odd = apostrophes & ~within | quotes & within ^ (equals << _U1 | equal) | equals & (low << _U1 | apart)
        if odd & before != _ZERO:
            return -1
        if mores != _ZERO:
            return p + first_bit(mores)
        inside = ~((within >> _U63) - _U1)
        equal = equals >> _U63
        apart = low >> _U63
        p += 64
    return -1


@kernel
def _may_hold_html(key: Word, math: Truth) -> Truth:
    """Tell whether HTML may stand in this element of SVG or MathML."""
    if math:
        return key in (_MI, _MO, _MN, _MS, _MTEXT)
    return key in (_TITLE_KEY, _DESC_KEY)


@kernel
def _close_foreign(data: Bytes, name: Int, length: Int, names: Ints, lengths: Ints, depth: Int) -> Int:
    """Return how many elements of SVG or MathML an end tag leaves open, or -1 if it closes none."""
    while depth > 0:
        depth -= 1
        if lengths[depth] == length:
            same = True
            for i in range(length):
                byte, other = byte_at(data, name + i), byte_at(data, names[depth] + i)
                if byte != other and not (_is_letter(byte) and _is_letter(other) and (byte ^ other) == 0x20):
                    same = False
                    break
            if same:
                return depth
    return -1


@kernel
def _change_table(code: Int, closing: Truth, cells: Ints, sections: Ints, tables: Int) -> Int:
    """Follow a tag of tables; return how many tables are then open.

    `cells` holds, for each open table, _TD, _TH or _CAPTION while such a one is open, else 0;
    `sections` the open _TBODY, _THEAD or _TFOOT, else 0.
    """
    top = tables - 1
    if code == _TABLE:
        if closing:
            return max(top, 0)
        # A table right inside a table ends it.
        if tables and not cells[top]:
            tables = top
        if tables < MOST_TABLES:
            cells[tables] = sections[tables] = 0
        return tables + 1
    if tables == 0:
        return tables
    cell = cells[top]
    if not closing:
        if code in (_CAPTION, _COLUMN):
            sections[top] = 0
        elif code in (_TBODY, _THEAD, _TFOOT):
            sections[top] = code
        elif not sections[top]:
            sections[top] = _TBODY
        cells[top] = code if code <= _CAPTION else 0
    elif code <= _CAPTION:
        if cell == code:
            cells[top] = 0
    elif cell != _CAPTION:
        if code == _TR:
            cells[top] = 0
        elif code == sections[top]:
            cells[top] = sections[top] = 0
    return tables


@kernel
def _tag_code(key: Word, length: Int) -> Int:
    """Return what a tag means to the scanner, by the first bytes and the length of its name."""
    slot = np.int64((key * _FACTOR) >> _SHIFT)
    if _KEYS[slot] == key and _CODES[slot] >> 5 == length:
        return _CODES[slot] & 31
    return _OTHER


@kernel
def _pass_markup(data: Bytes, p: Int, name: Int, end: Int, closing: Truth, byte: Int, foreign: Int) -> Int:
    """Return where what begins with the `<` at p ends: a comment, a declaration or text, but no tag."""
    if byte == _BANG and not closing:
        if p + 3 < end and byte_at(data, p + 2) == _DASH and byte_at(data, p + 3) == _DASH:
            return _comment_end(data, p + 4, end)
        if foreign and p + 8 < end and word_at(data, p) == _CDATA and byte_at(data, p + 8) == _OPEN:
            return _cdata_end(data, p + 9, end)
        return _find_byte(data, p + 2, end, _MORE) + 1
    if closing or byte == _ASK:
        return _find_byte(data, name, end, _MORE) + 1
    return p + 1


@kernel
def _note_attributes(rows: Spans, row: Int, found: Ints, name: Int) -> None:
    """Fill a row with the attributes of a tag; one without a value is as good as an empty one."""
    for slot in range(rows.shape[1]):
        start = found[slot, 0]
        rows[row, slot, 0] = start if start != -2 else name
        rows[row, slot, 1] = found[slot, 1] if start != -2 else name


@kernel
def _scan_page(
    data: Bytes, p: Int, end: Int, image: Int, meta: Int, spans: Spans, metas: Spans, base: Spans, scratch: _Scratch
) -> tuple[Int, Int, Int]:
    """Scan data[p:end]; return _DONE, _FLAGGED or _FULL, and how many images and meta tags there are then."""
    found, cells, sections, names, lengths, marks = scratch
    mark, mark_count, marked = 0, 0, p
    tables = templates = foreign = 0
    math = opened = flagged = False
    base[0] = base[1] = -1
    while True:
        while mark < mark_count and marks[mark] < p:
            mark += 1
        if mark == mark_count:
            p = max(p, marked)
            if p >= end:
                break
            marked = min(p + _MARKED_BYTES, end)
            mark, mark_count = 0, _mark_tags(data, p, marked, marks)
            continue
        p = marks[mark]
        if p + 1 >= end:
            break
        byte = byte_at(data, p + 1)
        closing = byte == _SLASH
        name = p + 1
        if closing:
            name += 1
            byte = byte_at(data, name)
        if not _is_letter(byte) or name >= end:
            p = _pass_markup(data, p, name, end, closing, byte, foreign)
            continue
        p = _find_blank_or(data, name, end, _SLASH, _MORE, _MORE)
        if p >= end:
            break
        length = p - name
        key = (word_at(data, name) | _LOWER) & _MASK[min(length, 8)]
        code = _tag_code(key, length)
        slash = False
        tag_end = -1
        if closing or code < _IMG:
            tag_end = p if byte_at(data, p) == _MORE else _plain_end(data, p, end)
        if tag_end >= 0:
            slash = byte_at(data, tag_end - 1) == _SLASH
            p = tag_end + 1
        else:
            p, slash = _attributes(data, p, end, _OTHER if closing else code, found)
            if p < 0:
                break
        if foreign:
            if closing:
                foreign = _close_foreign(data, name, length, names, lengths, foreign)
                flagged = foreign < 0
                opened = False
            elif opened or foreign == MOST_FOREIGN or (code >= _BREAKOUT and key != _IMAGE_KEY):
                flagged = True
            elif not slash:
                names[foreign], lengths[foreign] = name, length
                foreign += 1
                opened = _may_hold_html(key, math)
            if flagged:
                break
            continue
        if (code == _OTHER) | (code == _BREAKOUT):
            continue
        if code == _TEMPLATE:
            templates = max(templates - 1, 0) if closing else templates + 1
        elif (_TD <= code <= _COLUMN) or code == _TABLE:
            if templates:
                # A column group ignores text areas and the like, so that tags may stand in them.
                flagged = code == _COLUMN and not closing
            else:
                tables = _change_table(code, closing, cells, sections, tables)
                flagged = tables > MOST_TABLES
        elif closing:
            continue
        elif code in (_RAW, _SCRIPT):
            p = _script_end(data, p, end) if code == _SCRIPT else _raw_end(data, p, end, key, length)
            if p >= end:
                break
            p, slash = _attributes(data, p, end, _OTHER, found)
            if p < 0:
                break
        elif code == _PLAINTEXT:
            if byte_at(data, name + 8) | 0x20 == _T:
                break
        elif code in (_SVG, _MATH):
            if not slash:
                names[0], lengths[0] = name, length
                foreign = 1
                math = code == _MATH
                opened = False
        elif code == _ODD:
            flagged = True
        elif templates:
            continue
        elif tables and not cells[tables - 1]:
            flagged = True
        elif code == _IMG:
            if image == spans.shape[0]:
                return _FULL, image, meta
            _note_attributes(spans, image, found, name)
            image += 1
        elif code == _BASE:
            if base[0] < 0 and found[0, 0] >= 0:
                base[0], base[1] = found[0, 0], found[0, 1]
        elif found[0, 0] != -1 or found[1, 0] != -1:
            if meta == metas.shape[0]:
                return _FULL, image, meta
            _note_attributes(metas, meta, found, name)
            meta += 1
        if flagged:
            break
    return (_FLAGGED if flagged else _DONE), image, meta


@kernel
def scan(
    given: Bytes,
    added: Bytes,
    places: Ints,
    page: Int,
    image: Int,
    meta: Int,
    results: tuple[Spans, Ints, Spans, Ints, Spans, Flags],
) -> tuple[Int, Int, Int]:
    """Scan pages from `page` on until all are done or `spans` or `metas` might not hold the next one.

    Takes `given` and `added`, uint8, with PADDING bytes after the last page; `places`, int64[pages, 3],
    where each page starts and ends, and 0 for `given` or 1 for `added`; how many images and meta tags
    there are already; and `results`, which are filled:

    spans: int[n, IMAGE_SLOTS, 2], of each image, in the order of `image_columns.ATTRIBUTES`
    image_ends: int64[pages], how many images there are up to the end of each page
    metas: int[m, META_SLOTS, 2], name, http-equiv and content of meta tags that have one of the first two
    meta_ends: int64[pages]
    bases: int[pages, 1, 2], of the first `href` with a value of a base, else -1
    flags: bool[pages], whether only a tree builder gets the page right

    Return the pages, images and meta tags that are done.
    """
    spans, image_ends, metas, meta_ends, bases, flags = results
    scratch = _Scratch(
        np.empty((IMAGE_SLOTS, 2), np.int64),
        np.zeros(MOST_TABLES, np.int64),
        np.zeros(MOST_TABLES, np.int64),
        np.empty(MOST_FOREIGN, np.int64),
        np.empty(MOST_FOREIGN, np.int64),
        np.empty(_MARKED_BYTES + 2 * LANES + _USUAL_MARKS, np.int64),
    )
    while page < places.shape[0]:
        data, base = added if places[page, 2] else given, bases[page, 0]
        start, end = places[page, 0], places[page, 1]
        state, images, meta_tags = _scan_page(data, start, end, image, meta, spans, metas, base, scratch)
        if state == _FULL:
            break
        if state == _DONE:
            image, meta = images, meta_tags
        else:
            base[0] = base[1] = -1
        flags[page] = state == _FLAGGED
        image_ends[page], meta_ends[page] = image, meta
        page += 1
    return page, image, meta
