"""Attribute values of HTML decoded where they stand: character references, line ends, zero bytes.

As the standard has it for attributes (13.2.3.5, 13.2.5.36 to 38 and 13.2.5.72 to 84): a name without
its semicolon stays as it is before `=` or an alphanumeric; numbers that are no characters are
replaced; a carriage return, with a line feed or alone, is a line feed; a zero byte is U+FFFD.
"""

import html.entities
from typing import Any

import numpy as np

from metaclip.jit import kernel

_AND, _HASH, _SEMICOLON, _IS, _LF, _CR, _X = map(ord, "&#;=\n\rx")
_U32 = np.uint32
_BASIS, _PRIME = _U32(2166136261), _U32(16777619)  # FNV-1a

_SPECIAL = np.zeros(256, np.bool_)
_SPECIAL[[0, _CR, _AND]] = True
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
_ROBOTS = tuple(np.frombuffer(name, np.uint8) for name in (b"robots", b"ccbot", b"img2dataset"))


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
def _named(data: Any, start: Any, end: Any) -> Any:
    """Return the number of the name data[start:end], or -1."""
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
def _write_character(code: Any, text: Any) -> Any:
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
def _reference(data: Any, p: Any, end: Any, text: Any) -> Any:
    """Read what begins with the ampersand at p; return where it ends and the length of what it means."""
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
    number = _named(data, start, q) if q > start else -1
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
def decode(data: Any, spans: Any) -> Any:
    """Decode values in place and shorten their spans, int[n, 2]; those with a negative start are none.

    Return the numbers, int64, of values that would need more bytes than they have (zero bytes, `&nGt;`)
    and are spoilt.
    """
    text = np.empty(16, np.uint8)
    spoilt = []
    for i in range(spans.shape[0]):
        p, end = spans[i, 0], spans[i, 1]
        while p < end and not _SPECIAL[data[p]]:
            p += 1
        if p >= end:
            continue
        write = p
        while p < end:
            byte = data[p]
            length = 1
            text[0] = byte
            if byte == _AND:
                p, length = _reference(data, p, end, text)
            else:
                p += 1
                if byte == _CR:
                    if p < end and data[p] == _LF:
                        p += 1
                    text[0] = _LF
                elif byte == 0:
                    length = _write_character(_REPLACEMENT, text)
            if write + length > p:
                spoilt.append(i)
                break
            for k in range(length):
                data[write + k] = text[k]
            write += length
        spans[i, 1] = write
    return np.array(spoilt, np.int64)


@kernel
def _mentions(data: Any, start: Any, end: Any, name: Any) -> Any:
    for p in range(start, end - name.size + 1):
        same = True
        for k in range(name.size):
            byte = data[p + k]
            if 65 <= byte <= 90:
                byte += 32
            if byte != name[k]:
                same = False
                break
        if same:
            return True
    return False


@kernel
def mention_robots(data: Any, metas: Any) -> Any:
    """Pick the meta tags, int[n, slots, 2], whose name or http-equiv may be one of `html.ROBOTS_NAMES`."""
    picked = np.zeros(metas.shape[0], np.bool_)
    for i in range(metas.shape[0]):
        for slot in range(2):
            start, end = metas[i, slot, 0], metas[i, slot, 1]
            for name in _ROBOTS:
                if _mentions(data, start, end, name):
                    picked[i] = True
    return picked
