"""Bytes of an array read many at a time, as kernels do that have no time for numpy's indexing.

Positions are not checked, and what is beyond the array is read all the same, but with NUMBA_BOUNDSCHECK.
"""

from typing import Any

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from metaclip.kernels.jit import CHECKED, bare_data, kernel

LANES = 32
"""Bytes looked at together."""

_LANES = ir.VectorType(ir.IntType(8), LANES)
_BYTE, _WORD = ir.IntType(8), ir.IntType(64)
_FIVE_WORDS: Any = types.UniTuple(types.uint64, 5)  # type: ignore[no-untyped-call]
_SAME = ir.Constant(ir.VectorType(ir.IntType(32), LANES), [0] * LANES)


def _address(context: Any, builder: Any, array_type: Any, array: Any, position: Any) -> Any:
    return builder.gep(bare_data(context, builder, array_type, array), [position])


def _first_address(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
    position = context.cast(builder, arguments[1], signature.args[1], types.int64)
    return _address(context, builder, signature.args[0], arguments[0], position)


def _load(builder: Any, address: Any) -> Any:
    lanes = builder.load(builder.bitcast(address, _LANES.as_pointer()))
    lanes.align = 1
    return lanes


def _all(value: int) -> Any:
    return ir.Constant(_LANES, [value] * LANES)


def _spread(builder: Any, byte: Any) -> Any:
    one = builder.insert_element(_all(0), builder.trunc(byte, _BYTE), ir.Constant(_WORD, 0))
    return builder.shuffle_vector(one, _all(0), _SAME)


def _bits(builder: Any, truths: Any) -> Any:
    return builder.zext(builder.bitcast(truths, ir.IntType(LANES)), _WORD)


def _raw_byte(_typing: Any, data: Any, position: Any) -> Any:
    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.zext(builder.load(_first_address(context, builder, signature, arguments)), _WORD)

    return types.int64(data, position), generate


def _raw_word(_typing: Any, data: Any, position: Any) -> Any:
    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        address = _first_address(context, builder, signature, arguments)
        word = builder.load(builder.bitcast(address, _WORD.as_pointer()))
        word.align = 1
        return word

    return types.uint64(data, position), generate


def _raw_put(_typing: Any, data: Any, position: Any, _word: Any) -> Any:
    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        address = _first_address(context, builder, signature, arguments)
        builder.store(arguments[2], builder.bitcast(address, _WORD.as_pointer()), align=1)
        return context.get_dummy_value()

    return types.none(data, position, types.uint64), generate


def _raw_equal(_typing: Any, data: Any, position: Any, byte: Any) -> Any:  # noqa: ARG001
    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        lanes = _load(builder, _first_address(context, builder, signature, arguments))
        return _bits(builder, builder.icmp_unsigned("==", lanes, _spread(builder, arguments[2])))

    return types.uint64(data, position, types.int64), generate


def _raw_low_or(_typing: Any, data: Any, position: Any, first: Any, second: Any, third: Any) -> Any:  # noqa: ARG001
    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        lanes = _load(builder, _first_address(context, builder, signature, arguments))
        found = builder.icmp_unsigned("<=", lanes, _all(0x20))
        for argument in arguments[2:]:
            found = builder.or_(found, builder.icmp_unsigned("==", lanes, _spread(builder, argument)))
        return _bits(builder, found)

    return types.uint64(data, position, types.int64, types.int64, types.int64), generate


def _raw_copy(
    _typing: Any,
    data: Any,
    position: Any,
    target: Any,
    write: Any,
    first: Any,  # noqa: ARG001
    second: Any,  # noqa: ARG001
    third: Any,  # noqa: ARG001
) -> Any:
    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        lanes = _load(builder, _first_address(context, builder, signature, arguments))
        address = _address(context, builder, signature.args[2], arguments[2], arguments[3])
        stored = builder.store(lanes, builder.bitcast(address, _LANES.as_pointer()))
        stored.align = 1
        found = ir.Constant(ir.VectorType(ir.IntType(1), LANES), [0] * LANES)
        for argument in arguments[4:]:
            found = builder.or_(found, builder.icmp_unsigned("==", lanes, _spread(builder, argument)))
        return _bits(builder, found)

    return types.uint64(data, position, target, write, types.int64, types.int64, types.int64), generate


def _raw_tag(_typing: Any, data: Any, position: Any) -> Any:
    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        wide = ir.VectorType(_BYTE, 64)
        lanes = builder.load(builder.bitcast(_first_address(context, builder, signature, arguments), wide.as_pointer()))
        lanes.align = 1

        def all_of(byte: str) -> Any:
            return ir.Constant(wide, [ord(byte)] * 64)

        masks = [builder.bitcast(builder.icmp_unsigned("==", lanes, all_of(byte)), _WORD) for byte in "\"'=>"]
        low = builder.or_(
            builder.icmp_unsigned("<=", lanes, all_of(" ")), builder.icmp_unsigned("==", lanes, all_of("/"))
        )
        masks.append(builder.bitcast(low, _WORD))
        return context.make_tuple(builder, signature.return_type, masks)

    return _FIVE_WORDS(data, position), generate


def _trailing_zeros(_typing: Any, _word: Any) -> Any:
    def generate(_context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        return builder.cttz(arguments[0], ir.Constant(ir.IntType(1), 0))

    return types.int64(types.uint64), generate


def _raw_count(_typing: Any, _word: Any) -> Any:
    def generate(_context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        return builder.ctpop(arguments[0])

    return types.int64(types.uint64), generate


_byte_at: Any = intrinsic(_raw_byte)
_word_at: Any = intrinsic(_raw_word)
_put_at: Any = intrinsic(_raw_put)
_equal_at: Any = intrinsic(_raw_equal)
_low_or_at: Any = intrinsic(_raw_low_or)
_copy: Any = intrinsic(_raw_copy)
_tag_at: Any = intrinsic(_raw_tag)
_first_bit: Any = intrinsic(_trailing_zeros)
_count_bits: Any = intrinsic(_raw_count)


@kernel
def byte_at(data: Any, p: Any) -> Any:
    """Read one byte as int64; numpy's own indexing would look for negative positions."""
    if CHECKED:
        data[p]
    return _byte_at(data, p)


@kernel
def word_at(data: Any, p: Any) -> Any:
    """Read eight bytes at any position as uint64, the first in the lowest bits."""
    if CHECKED:
        data[p], data[p + 7]
    return _word_at(data, p)


@kernel
def put_word(data: Any, p: Any, word: Any) -> None:
    """Write what `word_at` reads."""
    if CHECKED:
        data[p], data[p + 7]
    _put_at(data, p, word)


@kernel
def copy_bytes(source: Any, start: Any, size: Any, target: Any, at: Any) -> None:
    """Copy source[start : start + size] to target[at:], eight bytes at a time where there are as many."""
    if size < 8:
        for k in range(size):
            target[at + k] = source[start + k]
        return
    for k in range(0, size - 8, 8):
        put_word(target, at + k, word_at(source, start + k))
    put_word(target, at + size - 8, word_at(source, start + size - 8))


@kernel
def equal_at(data: Any, p: Any, byte: Any) -> Any:
    """Compare LANES bytes with one; bit i of the result, a uint64, is for byte p + i."""
    if CHECKED:
        data[p + LANES - 1]
    return _equal_at(data, p, byte)


@kernel
def low_or_at(data: Any, p: Any, first: Any, second: Any, third: Any) -> Any:
    """Find, of LANES bytes, those up to 0x20 and those equal to one of three; bits as `equal_at`'s."""
    if CHECKED:
        data[p + LANES - 1]
    return _low_or_at(data, p, first, second, third)


@kernel
def copy_lanes(data: Any, p: Any, target: Any, write: Any, first: Any, second: Any, third: Any) -> Any:
    """Copy LANES bytes to target[write:], and find those equal to one of three; bits as `equal_at`'s."""
    if CHECKED:
        data[p + LANES - 1]
        target[write + LANES - 1]
    return _copy(data, p, target, write, first, second, third)


@kernel
def tag_at(data: Any, p: Any) -> Any:
    """Find, of 64 bytes, quotes, apostrophes, equals signs, `>`, and slashes with all up to 0x20: five uint64."""
    if CHECKED:
        data[p + 63]
    return _tag_at(data, p)


@kernel
def first_bit(word: Any) -> Any:
    """Count the zero bits below the lowest one of a uint64; 64 if it is zero."""
    return _first_bit(word)


@kernel
def count_bits(word: Any) -> Any:
    """Count the ones of a uint64."""
    return _count_bits(word)
