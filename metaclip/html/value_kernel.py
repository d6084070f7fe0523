"""Attribute values of HTML taken out of pages and decoded: character references, line ends, zero bytes.

As the standard has it for attributes (13.2.3.5, 13.2.5.36 to 38 and 13.2.5.72 to 84): a name without
its semicolon stays as it is before `=` or an alphanumeric; numbers that are no characters are
replaced; a carriage return, with a line feed or alone, is a line feed; a zero byte is U+FFFD.

Equals `metaclip.html.tree`; held by tests/metaclip/html/test_scanner.py.
"""

import html.entities
from typing import Any

import numpy as np

from metaclip.kernels.jit import kernel
from metaclip.kernels.memory import byte_at, copy_lanes, first_bit
from metaclip.kernels.types import LANES, Bytes, Flags, Int, Ints, Spans, Truth

_AND, _HASH, _SEMICOLON, _IS, _LF, _CR, _X = map(ord, "&#;=\n\rx")
_U32 = np.uint32
_BASIS, _PRIME = _U32(2166136261), _U32(16777619)  # FNV-1a

_ALNUM = np.array([chr(i).isalnum() and i < 128 for i in range(256)])
_DIGIT = np.array([int(chr(i), 16) if chr(i) in "0123456789abcdefABCDEF" else 99 for i in range(256)])

# What a numeric reference to 0x80 to 0x9F means: windows-1252, where that has a character.
_C1 = np.array([ord(bytes([i]).decode("cp1252", "ignore") or chr(i)) for i in range(0x80, 0xA0)])
_REPLACEMENT, _LAST = 0xFFFD, 0x10FFFF

# Python's table is the standard's. Each name comes with a semicolon, some (`legacy`) also without.
_NAMED = {name[:-1]: text for name, text in html.entities.html5.items() if name.endswith(";")}
_NAME_DATA = np.frombuffer("".join(_NAMED).encode(), np.uint8)
_NAME_BOUNDS = np.cumsum([0, *map(len, _NAMED)])
_LEGACY = np.array([name in html.entities.html5 for name in _NAMED])
_TEXT_DATA = np.frombuffer("".join(_NAMED.values()).encode(), np.uint8)
_TEXT_BOUNDS = np.cumsum([0, *(len(text.encode()) for text in _NAMED.values())])
_LONGEST = max(map(len, _NAMED))
_SLOTS = 1 << 13
_NONE = np.uint64(0)
_ROBOTS, _CCBOT, _DATASET = (np.uint64(int.from_bytes(name, "little")) for name in (b"robots", b"ccbot", b"2dataset"))


def _name_slots() -> Any:
    """Put name numbers + 1 into a hash table with linear probing; 0 is empty."""
    slots = np.zeros(_SLOTS, np.int16)
    for number, name in enumerate(_NAMED):
        digest = int(_BASIS)
        for byte in name.encode():
            digest = (digest ^ byte) * int(_PRIME) & 0xFFFFFFFF
        slot = digest % _SLOTS
        while slots[slot]:
            slot = (slot + 1) % _SLOTS
        slots[slot] = number + 1
    return slots


_NAME_SLOTS = _name_slots()


@kernel
def _find_entity(data: Bytes, start: Int, end: Int) -> Int:
    """Return the number of the entity named data[start:end], or -1."""
    if end - start > _LONGEST:
        return -1
    digest = _BASIS
    for i in range(start, end):
        digest = _U32((digest ^ _U32(data[i])) * _PRIME)
    slot = np.int64(digest) % _SLOTS
    while True:
        number = np.int64(_NAME_SLOTS[slot]) - 1
        if number < 0:
            return number
        first = _NAME_BOUNDS[number]
        if _NAME_BOUNDS[number + 1] - first == end - start:
            same = True
            for i in range(end - start):
                if data[start + i] != _NAME_DATA[first + i]:
                    same = False
                    break
            if same:
                return number
        slot = (slot + 1) % _SLOTS


@kernel
def _write_character(code: Int, text: Bytes) -> Int:
    """Write a character in UTF-8; return its length."""
    if code < 0x80:
        text[0] = code
        return 1
    if code < 0x800:
        text[0] = 0xC0 | code >> 6
        text[1] = 0x80 | code & 0x3F
        return 2
    if code < 0x10000:
        text[0] = 0xE0 | code >> 12
        text[1] = 0x80 | code >> 6 & 0x3F
        text[2] = 0x80 | code & 0x3F
        return 3
    text[0] = 0xF0 | code >> 18
    text[1] = 0x80 | code >> 12 & 0x3F
    text[2] = 0x80 | code >> 6 & 0x3F
    text[3] = 0x80 | code & 0x3F
    return 4


@kernel
def _decode_entity(data: Bytes, p: Int, end: Int, text: Bytes) -> tuple[Int, Int]:
    """Decode the reference that begins at p into `text`; return where it ends and how long its text is."""
    text[0] = _AND
    start = p + 1
    if start < end and data[start] == _HASH:
        base = 10
        start += 1
        if start < end and data[start] | 0x20 == _X:
            base = 16
            start += 1
        q = start
        code = 0
        while q < end and _DIGIT[data[q]] < base:
            code = min(code * base + _DIGIT[data[q]], _LAST + 1)
            q += 1
        if q == start:
            return p + 1, 1
        if code == 0 or code > _LAST or 0xD800 <= code <= 0xDFFF:
            code = _REPLACEMENT
        elif 0x80 <= code <= 0x9F:
            code = _C1[code - 0x80]
        if q < end and data[q] == _SEMICOLON:
            q += 1
        return q, _write_character(code, text)
    q = start
    while q < end and _ALNUM[data[q]]:
        q += 1
    number = _find_entity(data, start, q) if q > start else -1
    if number < 0:
        return p + 1, 1
    if q < end and data[q] == _SEMICOLON:
        q += 1
    elif not _LEGACY[number] or (q < end and data[q] == _IS):
        return p + 1, 1
    first = _TEXT_BOUNDS[number]
    length = _TEXT_BOUNDS[number + 1] - first
    for i in range(length):
        text[i] = _TEXT_DATA[first + i]
    return q, length


@kernel
def _decode_value(source: Bytes, p: Int, end: Int, values: Bytes, write: Int, text: Bytes) -> Int:
    """Write the value source[p:end]; return where it ends, or -1 if it needs more bytes than it has."""
    room = write - p
    while p < end:
        bits = copy_lanes(source, p, values, write, _AND, _CR, 0)
        plain = min(first_bit(bits) if bits != _NONE else LANES, end - p)
        p += plain
        write += plain
        while p < end:
            byte = byte_at(source, p)
            length = 1
            text[0] = byte
            if byte == _AND:
                p, length = _decode_entity(source, p, end, text)
            elif byte == _CR:
                p += 2 if p + 1 < end and source[p + 1] == _LF else 1
                text[0] = _LF
            elif byte == 0:
                p += 1
                length = _write_character(_REPLACEMENT, text)
            else:
                break
            if write + length > p + room:
                return -1
            for k in range(length):
                values[write + k] = text[k]
            write += length
    return write


@kernel
def decode_values(data: Bytes, added: Bytes, places: Ints, ends: Ints, spans: Spans, flags: Flags) -> Bytes:
    """Return values decoded, uint8, and let their spans, int[n, slots, 2], point there.

    The spans up to ends[page], int64[pages], are of the pages of this number and before; pages lie in
    `data` or `added` as `places` says (see `scanner.scan_places`). Those with a negative start are
    none. A page is flagged, and what is said of it does not count, where a value would need more bytes
    than it has (zero bytes, `&nGt;`).
    """
    text = np.empty(16, np.uint8)
    size = 0
    for i in range(spans.shape[0]):
        for slot in range(spans.shape[1]):
            size += spans[i, slot, 1] - spans[i, slot, 0]
    values = np.empty(size + LANES, np.uint8)
    i = write = 0
    for page in range(ends.size):
        source = added if places[page, 2] else data
        while i < ends[page]:
            for slot in range(spans.shape[1]):
                start = spans[i, slot, 0]
                if start < 0:
                    continue
                end = _decode_value(source, np.int64(start), np.int64(spans[i, slot, 1]), values, write, text)
                if end < 0:
                    flags[page] = True
                    end = write
                spans[i, slot, 0], spans[i, slot, 1] = write, end
                write = end
            i += 1
    return values


@kernel
def _may_mention(source: Bytes, start: Int, end: Int) -> Truth:
    """Tell whether a value contains a part of a name that speaks to robots, or a character reference."""
    word = np.uint64(0)
    for p in range(start, end):
        byte = source[p]
        if byte == _AND:
            return True
        word = word >> np.uint64(8) | np.uint64(byte | 0x20) << np.uint64(56)
        if word >> np.uint64(16) == _ROBOTS or word >> np.uint64(24) == _CCBOT or word == _DATASET:
            return True
    return False


@kernel
def may_mention_robots(data: Bytes, added: Bytes, places: Ints, ends: Ints, metas: Spans) -> Flags:
    """Pick the meta tags whose name or http-equiv may be one of `page_rules.ROBOTS_NAMES`, bool[metas].

    They are given as to `decode_values`.
    """
    picked = np.zeros(metas.shape[0], np.bool_)
    i = 0
    for page in range(ends.size):
        source = added if places[page, 2] else data
        while i < ends[page]:
            for slot in range(2):
                if _may_mention(source, metas[i, slot, 0], metas[i, slot, 1]):
                    picked[i] = True
            i += 1
    return picked
