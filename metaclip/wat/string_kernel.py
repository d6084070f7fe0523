"""Strings of JSON in many records at once: where their quotes are, and their escapes decoded in place.

Quotes are found 64 bytes at a time, whatever stands between them, so that `metaclip.wat.scan_kernel` can go
from one to the next without looking at what is in a string.

Equals `metaclip.wat.definition`; held by tests/metaclip/wat/test_scanner.py.
"""

import numpy as np

from metaclip.kernels.jit import kernel
from metaclip.kernels.memory import bare, count_bits, first_bit, wide_equal_at, wide_less_at
from metaclip.kernels.types import WIDE_LANES, Address, Bytes, Data, Int, Ints, Places, Spans, Truth

LANES = WIDE_LANES
"""So many bytes of any kind have to follow the data, and a zero byte each record."""

_QUOTES = 12
_QUOTE, _BACKSLASH, _SPACE, _AND, _SEMICOLON, _U = map(ord, '"\\ &;u')
_ZERO, _ONE = np.uint64(0), np.uint64(1)

# What the character after a backslash stands for; 0 where it may not stand there. `u` is apart.
_ESCAPES = np.zeros(256, np.uint8)
for _letter, _meaning in zip(b'"\\/bfnrt', b'"\\/\b\f\n\r\t', strict=True):
    _ESCAPES[_letter] = _meaning
_HEX = np.full(256, -1, np.int64)
for _value in range(16):
    _HEX[[ord(f"{_value:x}"), ord(f"{_value:X}")]] = _value
_REFERENCE = np.zeros(256, np.bool_)
_REFERENCE[[byte for byte in range(128) if chr(byte).isalnum() or chr(byte) == "#"]] = True


@kernel
def _find_byte(data: Data, at: Int, end: Int, byte: Int) -> Int:
    """Return where a byte comes next, or the end."""
    while at < end:
        bits = wide_equal_at(data, at, byte)
        if bits != _ZERO:
            return min(at + first_bit(bits), end)
        at += LANES
    return end


@kernel
def _read_code_unit(data: Data, at: Int) -> Int:
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
def _read_escape(data: Data, at: Int) -> tuple[Int, Int]:
    """Return the character that the escape at `at` stands for, -1 where it is none, and its length."""
    if data[at + 1] != _U:
        meaning = np.int64(_ESCAPES[data[at + 1]])
        return (meaning if meaning else np.int64(-1)), 2
    high = _read_code_unit(data, at)
    if high < 0xD800 or high > 0xDFFF:
        return high, 6
    low = _read_code_unit(data, at + 6)
    if high > 0xDBFF or low < 0xDC00 or low > 0xDFFF:
        return np.int64(-1), 6
    return 0x10000 + ((high - 0xD800) << 10) + low - 0xDC00, 12


@kernel
def _find_quotes_of(data: Data, at: Int, end: Int, quotes: Places | Address, count: Int) -> Int:
    """Do what `find_quotes` does for one record, after `count` quotes; return how many there are then, or -1."""
    before, plain = count, at  # `plain`: where no escape goes on
    while at < end:
        bits, backslashes, controls = (
            wide_equal_at(data, at, _QUOTE),
            wide_equal_at(data, at, _BACKSLASH),
            wide_less_at(data, at, _SPACE),
        )
        if backslashes | controls != _ZERO or plain > at:
            inside = ~_ZERO << np.uint64(max(plain - at, 0))
            if end - at < LANES:
                inside &= (_ONE << np.uint64(end - at)) - _ONE
            bits, backslashes, controls = bits & inside, backslashes & inside, controls & inside
            while backslashes != _ZERO:
                place = at + first_bit(backslashes)
                backslashes &= backslashes - _ONE
                if place >= plain:
                    code, length = _read_escape(data, place)
                    if code < 0:
                        return np.int64(-1)
                    plain = place + length
                    if place - at < LANES - 1:
                        bits &= ~(_ONE << np.uint64(place - at + 1))
            while controls != _ZERO:
                below = (controls & (~controls + _ONE)) - _ONE
                controls &= controls - _ONE
                if (count - before + count_bits(bits & below)) & 1:
                    return np.int64(-1)
        following = count + count_bits(bits)
        # As many as there nearly always are at most: a loop to their very number would mispredict its end.
        for k in range(_QUOTES):
            quotes[count + k] = at + first_bit(bits)
            bits &= bits - _ONE
        for k in range(count + _QUOTES, following):
            quotes[k] = at + first_bit(bits)
            bits &= bits - _ONE
        count = following
        at += LANES
    return np.int64(-1) if count - before & 1 else count


@kernel
def _decode_escapes(data: Data, start: Int, end: Int) -> Int:
    """Decode the escapes of a valid string in place; return where it then ends."""
    at = _find_byte(data, start, end, _BACKSLASH)
    position = at
    while at < end:
        if data[at] != _BACKSLASH:
            data[position] = data[at]
            position += 1
            at += 1
            continue
        code, length = _read_escape(data, at)
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
def _may_hold_reference(data: Data, at: Int, end: Int) -> Truth:
    """Tell whether there is an ampersand, letters or digits, and a semicolon."""
    at = _find_byte(data, at, end, _AND)
    while at < end:
        at += 1
        while at < end and _REFERENCE[data[at]]:
            at += 1
        if at < end and data[at] == _SEMICOLON:
            return True
        at = _find_byte(data, at, end, _AND)
    return False


@kernel
def find_quotes(data: Bytes, bounds: Ints, quotes: Places, starts: Ints) -> None:
    """Find the quotes of records that are not escaped.

    A record cannot be valid JSON where a backslash begins no escape, a surrogate stands alone, or a
    control character or the end is in a string.

    Args:
        data: uint8, records, each followed by a zero byte, and LANES bytes of any kind.
        bounds: int64[records, 2], where each starts and ends.
        quotes: int[bytes of the records + LANES + 1], filled from place 1 on with where they are; an even
            number for each record.
        starts: int64[records], filled with where in `quotes` each record's begin, -1 if it cannot be valid JSON.
    """
    text, places = bare(data), bare(quotes)
    count = np.int64(1)
    for record in range(starts.size):
        after = _find_quotes_of(text, bounds[record, 0], bounds[record, 1], places, count)
        starts[record] = count if after >= 0 else after
        count = max(count, after)


@kernel
def decode_strings(data: Bytes, spans: Spans, references: Ints) -> Int:
    """Decode the escapes of valid strings in place.

    Args:
        data: uint8, as for `find_quotes`.
        spans: int[strings, 2], start and end of each, whose end is changed; negative where there is none.
        references: int64[strings], filled with the numbers of those that may hold character references.

    Returns:
        How many these are.
    """
    text = bare(data)
    count = np.int64(0)
    for k in range(spans.shape[0]):
        start = np.int64(spans[k, 0])
        if start >= 0:
            end = _decode_escapes(text, start, np.int64(spans[k, 1]))
            spans[k, 1] = end
            if _may_hold_reference(text, start, end):
                references[count] = k
                count += 1
    return count
