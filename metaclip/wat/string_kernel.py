"""Strings of JSON in many records at once: where their quotes are, and their escapes decoded in place.

Quotes are found 64 bytes at a time, whatever stands between them, so that `metaclip.wat.scan_kernel` can go
from one to the next without looking at what is in a string.
"""

from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from metaclip.kernels.jit import CHECKED, bare, bare_data, kernel

LANES = 64
"""Bytes looked at together; so many of any kind have to follow the data, and a zero byte each record."""

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


def _load(context: Any, builder: Any, signature: Any, arguments: Any, kind: Any) -> Any:
    """Load from the place in the data that the first two arguments are."""
    start = bare_data(context, builder, signature.args[0], arguments[0])
    address = builder.gep(start, [context.cast(builder, arguments[1], signature.args[1], types.int64)])
    return builder.load(builder.bitcast(address, kind.as_pointer()), align=1)


def _comparing(comparison: str) -> Any:
    def typing(_typing: Any, data: Any, place: Any, byte: Any) -> Any:  # noqa: ARG001
        """Compare LANES bytes with one; bit i of the result, a uint64, is for byte place + i."""

        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            vector = ir.VectorType(ir.IntType(8), LANES)
            lanes = _load(context, builder, signature, arguments, vector)
            one = builder.trunc(arguments[2], ir.IntType(8))
            same = builder.insert_element(ir.Constant(vector, None), one, ir.Constant(ir.IntType(32), 0))
            first = ir.Constant(ir.VectorType(ir.IntType(32), LANES), None)
            found = builder.icmp_unsigned(comparison, lanes, builder.shuffle_vector(same, same, first))
            return builder.bitcast(found, ir.IntType(LANES))

        return types.uint64(data, place, types.int64), generate

    return intrinsic(typing)


def _raw_zeros(_typing: Any, _bits: Any) -> Any:
    """Count the zero bits below the lowest one of a uint64, 64 if there is none."""

    def generate(_context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        return builder.cttz(arguments[0], ir.Constant(ir.IntType(1), 0))

    return types.int64(types.uint64), generate


def _raw_ones(_typing: Any, _bits: Any) -> Any:
    """Count the one bits of a uint64."""

    def generate(_context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        return builder.ctpop(arguments[0])

    return types.int64(types.uint64), generate


_equal_at: Any = _comparing("==")
_less_at: Any = _comparing("<")
_zeros: Any = intrinsic(_raw_zeros)
_ones: Any = intrinsic(_raw_ones)


@kernel
def _equal(data: Any, at: Any, byte: Any) -> Any:
    if CHECKED:
        data[at], data[at + LANES - 1]
    return _equal_at(data, at, byte)


@kernel
def _find(data: Any, at: Any, end: Any, byte: Any) -> Any:
    """Return where a byte comes next, or the end."""
    while at < end:
        bits = _equal(data, at, byte)
        if bits != _ZERO:
            return min(at + _zeros(bits), end)
        at += LANES
    return end


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
def _find_quotes(data: Any, at: Any, end: Any, quotes: Any, count: Any) -> Any:
    """As `find_quotes` for one record, after `count` quotes; return how many there are then, or -1."""
    before, plain = count, at  # `plain`: where no escape goes on
    while at < end:
        bits, backslashes, controls = _equal(data, at, _QUOTE), _equal(data, at, _BACKSLASH), _less_at(data, at, _SPACE)
        if backslashes | controls != _ZERO or plain > at:
            inside = ~_ZERO << np.uint64(max(plain - at, 0))
            if end - at < LANES:
                inside &= (_ONE << np.uint64(end - at)) - _ONE
            bits, backslashes, controls = bits & inside, backslashes & inside, controls & inside
            while backslashes != _ZERO:
                place = at + _zeros(backslashes)
                backslashes &= backslashes - _ONE
                if place >= plain:
                    code, length = _escape(data, place)
                    if code < 0:
                        return np.int64(-1)
                    plain = place + length
                    if place - at < LANES - 1:
                        bits &= ~(_ONE << np.uint64(place - at + 1))
            while controls != _ZERO:
                below = (controls & (~controls + _ONE)) - _ONE
                controls &= controls - _ONE
                if (count - before + _ones(bits & below)) & 1:
                    return np.int64(-1)
        following = count + _ones(bits)
        # As many as there nearly always are at most: a loop to their very number would mispredict its end.
        for k in range(_QUOTES):
            quotes[count + k] = at + _zeros(bits)
            bits &= bits - _ONE
        for k in range(count + _QUOTES, following):
            quotes[k] = at + _zeros(bits)
            bits &= bits - _ONE
        count = following
        at += LANES
    return np.int64(-1) if count - before & 1 else count


@kernel
def _decode(data: Any, start: Any, end: Any) -> Any:
    """Decode the escapes of a valid string in place; return where it then ends."""
    at = _find(data, start, end, _BACKSLASH)
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
def _may_hold_reference(data: Any, at: Any, end: Any) -> Any:
    """Tell whether there is an ampersand, letters or digits, and a semicolon."""
    at = _find(data, at, end, _AND)
    while at < end:
        at += 1
        while at < end and _REFERENCE[data[at]]:
            at += 1
        if at < end and data[at] == _SEMICOLON:
            return True
        at = _find(data, at, end, _AND)
    return False


@kernel
def find_quotes(data: Any, bounds: Any, quotes: Any, starts: Any) -> None:
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
        after = _find_quotes(text, bounds[record, 0], bounds[record, 1], places, count)
        starts[record] = count if after >= 0 else after
        count = max(count, after)


@kernel
def decode_strings(data: Any, spans: Any, references: Any) -> Any:
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
            end = _decode(text, start, np.int64(spans[k, 1]))
            spans[k, 1] = end
            if _may_hold_reference(text, start, end):
                references[count] = k
                count += 1
    return count
