"""The LLVM code that the project writes: what `metaclip.kernels.memory` declares, for compiled kernels.

A place is not checked, and what lies beyond an array is read all the same, except with NUMBA_BOUNDSCHECK: then
every place is, in `_address`, and none may be negative. Words are little-endian, as on every platform that numba
knows.

Equals `metaclip.kernels.memory`; held by tests/metaclip/kernels/test_memory.py.
"""

from collections.abc import Callable
from typing import Any, TypeAlias

import numba
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from metaclip.kernels.types import LANES, WIDE_LANES

CHECKED = bool(numba.config.BOUNDSCHECK)  # type: ignore[attr-defined]
"""Whether kernels are compiled with a check of every index; what reads memory here is then checked too."""

_Numba: TypeAlias = Any
"""An object of numba's compiler or of llvmlite; neither has types."""

_Generator: TypeAlias = tuple[_Numba, Callable[[_Numba, _Numba, _Numba, _Numba], _Numba]]
"""What an intrinsic is made of: its signature, and a function that emits its code."""

# To numba, an intrinsic cannot be called; in a kernel it can.
_intrinsic: Callable[[Callable[..., _Generator]], Any] = intrinsic

_TUPLE: _Numba = types.BaseTuple
_FIVE_WORDS: _Numba = types.UniTuple(types.uint64, 5)  # type: ignore[no-untyped-call]
_BIT, _BYTE, _HALF_WORD, _WORD, _DOUBLE_WORD = (ir.IntType(bits) for bits in (1, 8, 32, 64, 128))
_LANES, _WIDE_LANES = ir.VectorType(_BYTE, LANES), ir.VectorType(_BYTE, WIDE_LANES)


def _address(
    context: _Numba, builder: _Numba, kind: _Numba, array: _Numba, place: _Numba, place_kind: _Numba, size: _Numba
) -> _Numba:
    """Return where `size` bytes from a place on are, of an array or of what `bare` gives of one."""
    place = context.cast(builder, place, place_kind, types.int64)
    if not isinstance(kind, types.Array):
        return builder.gep(array, [place])
    found = context.make_array(kind)(context, builder, array)
    if CHECKED:
        before = builder.icmp_signed("<", place, ir.Constant(_WORD, 0))
        beyond = builder.icmp_signed(">", builder.add(place, size), found.nitems)
        with builder.if_then(builder.or_(before, beyond), likely=False):
            context.call_conv.return_user_exc(builder, IndexError, ("index is out of bounds",))
    return builder.gep(found.data, [place])


def _load(context: _Numba, builder: _Numba, signature: _Numba, arguments: _Numba, kind: _Numba, size: int) -> _Numba:
    """Load a value of so many bytes from the array and the place that the first two arguments are."""
    (array_kind, place_kind), (array, place) = signature.args[:2], arguments[:2]
    address = _address(context, builder, array_kind, array, place, place_kind, ir.Constant(_WORD, size))
    return builder.load(builder.bitcast(address, kind.as_pointer()), align=1)


def _all(vector: _Numba, value: int) -> _Numba:
    return ir.Constant(vector, [value] * vector.count)


def _spread(builder: _Numba, vector: _Numba, byte: _Numba) -> _Numba:
    one = builder.insert_element(_all(vector, 0), builder.trunc(byte, _BYTE), ir.Constant(_WORD, 0))
    return builder.shuffle_vector(one, _all(vector, 0), _all(ir.VectorType(_HALF_WORD, vector.count), 0))


def _compared(builder: _Numba, comparison: str, lanes: _Numba, byte: _Numba) -> _Numba:
    return builder.icmp_unsigned(comparison, lanes, _spread(builder, lanes.type, byte))


def _bits(builder: _Numba, truths: _Numba) -> _Numba:
    bits = builder.bitcast(truths, ir.IntType(truths.type.count))
    return bits if truths.type.count == WIDE_LANES else builder.zext(bits, _WORD)


def _emit_unowned(_typing: _Numba, arrays: _Numba) -> _Generator:
    def without_owner(context: _Numba, builder: _Numba, kind: _Numba, value: _Numba) -> _Numba:
        if isinstance(kind, _TUPLE):
            parts = [
                without_owner(context, builder, part, builder.extract_value(value, place))
                for place, part in enumerate(kind.types)
            ]
            return context.make_tuple(builder, kind, parts)
        if isinstance(kind, types.Array):
            array = context.make_array(kind)(context, builder, value)
            array.meminfo = ir.Constant(array.meminfo.type, None)
            return array._getvalue()
        return value

    def generate(context: _Numba, builder: _Numba, signature: _Numba, arguments: _Numba) -> _Numba:
        return without_owner(context, builder, signature.args[0], arguments[0])

    return arrays(arrays), generate


def _emit_bare(typing: _Numba, array: _Numba) -> _Generator:
    if CHECKED:
        return _emit_unowned(typing, array)

    def generate(context: _Numba, builder: _Numba, signature: _Numba, arguments: _Numba) -> _Numba:
        return context.make_array(signature.args[0])(context, builder, arguments[0]).data

    return types.CPointer(array.dtype)(array), generate  # type: ignore[no-untyped-call]


def _emit_address_of(_typing: _Numba, data: _Numba, place: _Numba, _size: _Numba) -> _Generator:
    def generate(context: _Numba, builder: _Numba, signature: _Numba, arguments: _Numba) -> _Numba:
        (kind, place_kind, _), (array, place, size) = signature.args, arguments
        return builder.ptrtoint(_address(context, builder, kind, array, place, place_kind, size), _WORD)

    return types.int64(data, place, types.int64), generate


def _emit_byte_at(_typing: _Numba, data: _Numba, place: _Numba) -> _Generator:
    def generate(context: _Numba, builder: _Numba, signature: _Numba, arguments: _Numba) -> _Numba:
        return builder.zext(_load(context, builder, signature, arguments, _BYTE, 1), _WORD)

    return types.int64(data, place), generate


def _emit_half_word_at(_typing: _Numba, data: _Numba, place: _Numba) -> _Generator:
    def generate(context: _Numba, builder: _Numba, signature: _Numba, arguments: _Numba) -> _Numba:
        return builder.zext(_load(context, builder, signature, arguments, _HALF_WORD, 4), _WORD)

    return types.uint64(data, place), generate


def _emit_word_at(_typing: _Numba, data: _Numba, place: _Numba) -> _Generator:
    def generate(context: _Numba, builder: _Numba, signature: _Numba, arguments: _Numba) -> _Numba:
        return _load(context, builder, signature, arguments, _WORD, 8)

    return types.uint64(data, place), generate


def _emit_put_word(_typing: _Numba, data: _Numba, place: _Numba, _word: _Numba) -> _Generator:
    def generate(context: _Numba, builder: _Numba, signature: _Numba, arguments: _Numba) -> _Numba:
        (kind, place_kind, _), (array, place, word) = signature.args, arguments
        address = _address(context, builder, kind, array, place, place_kind, ir.Constant(_WORD, 8))
        builder.store(word, builder.bitcast(address, _WORD.as_pointer()), align=1)
        return context.get_dummy_value()

    return types.none(data, place, types.uint64), generate


def _emit_equal_at(_typing: _Numba, data: _Numba, place: _Numba, _byte: _Numba) -> _Generator:
    def generate(context: _Numba, builder: _Numba, signature: _Numba, arguments: _Numba) -> _Numba:
        lanes = _load(context, builder, signature, arguments, _LANES, LANES)
        return _bits(builder, _compared(builder, "==", lanes, arguments[2]))

    return types.uint64(data, place, types.int64), generate


def _emit_low_or_at(
    _typing: _Numba, data: _Numba, place: _Numba, _first: _Numba, _second: _Numba, _third: _Numba
) -> _Generator:
    def generate(context: _Numba, builder: _Numba, signature: _Numba, arguments: _Numba) -> _Numba:
        lanes = _load(context, builder, signature, arguments, _LANES, LANES)
        found = builder.icmp_unsigned("<=", lanes, _all(_LANES, 0x20))
        for byte in arguments[2:]:
            found = builder.or_(found, _compared(builder, "==", lanes, byte))
        return _bits(builder, found)

    return types.uint64(data, place, types.int64, types.int64, types.int64), generate


def _emit_copy_lanes(
    _typing: _Numba,
    data: _Numba,
    place: _Numba,
    target: _Numba,
    write: _Numba,
    _first: _Numba,
    _second: _Numba,
    _third: _Numba,
) -> _Generator:
    def generate(context: _Numba, builder: _Numba, signature: _Numba, arguments: _Numba) -> _Numba:
        lanes = _load(context, builder, signature, arguments, _LANES, LANES)
        (kind, write_kind), (array, write) = signature.args[2:4], arguments[2:4]
        address = _address(context, builder, kind, array, write, write_kind, ir.Constant(_WORD, LANES))
        builder.store(lanes, builder.bitcast(address, _LANES.as_pointer()), align=1)
        found = ir.Constant(ir.VectorType(_BIT, LANES), [0] * LANES)
        for byte in arguments[4:]:
            found = builder.or_(found, _compared(builder, "==", lanes, byte))
        return _bits(builder, found)

    return types.uint64(data, place, target, write, types.int64, types.int64, types.int64), generate


def _emit_tag_at(_typing: _Numba, data: _Numba, place: _Numba) -> _Generator:
    def generate(context: _Numba, builder: _Numba, signature: _Numba, arguments: _Numba) -> _Numba:
        lanes = _load(context, builder, signature, arguments, _WIDE_LANES, WIDE_LANES)

        def compared(comparison: str, byte: str) -> _Numba:
            return builder.icmp_unsigned(comparison, lanes, _all(_WIDE_LANES, ord(byte)))

        masks = [_bits(builder, compared("==", byte)) for byte in "\"'=>"]
        masks.append(_bits(builder, builder.or_(compared("<=", " "), compared("==", "/"))))
        return context.make_tuple(builder, signature.return_type, masks)

    return _FIVE_WORDS(data, place), generate


def _emit_wide_equal_at(_typing: _Numba, data: _Numba, place: _Numba, _byte: _Numba) -> _Generator:
    def generate(context: _Numba, builder: _Numba, signature: _Numba, arguments: _Numba) -> _Numba:
        lanes = _load(context, builder, signature, arguments, _WIDE_LANES, WIDE_LANES)
        return _bits(builder, _compared(builder, "==", lanes, arguments[2]))

    return types.uint64(data, place, types.int64), generate


def _emit_wide_less_at(_typing: _Numba, data: _Numba, place: _Numba, _byte: _Numba) -> _Generator:
    def generate(context: _Numba, builder: _Numba, signature: _Numba, arguments: _Numba) -> _Numba:
        lanes = _load(context, builder, signature, arguments, _WIDE_LANES, WIDE_LANES)
        return _bits(builder, _compared(builder, "<", lanes, arguments[2]))

    return types.uint64(data, place, types.int64), generate


def _emit_first_bit(_typing: _Numba, _word: _Numba) -> _Generator:
    def generate(_context: _Numba, builder: _Numba, _signature: _Numba, arguments: _Numba) -> _Numba:
        return builder.cttz(arguments[0], ir.Constant(_BIT, 0))

    return types.int64(types.uint64), generate


def _emit_count_bits(_typing: _Numba, _word: _Numba) -> _Generator:
    def generate(_context: _Numba, builder: _Numba, _signature: _Numba, arguments: _Numba) -> _Numba:
        return builder.ctpop(arguments[0])

    return types.int64(types.uint64), generate


def _emit_folded_product(_typing: _Numba, _a: _Numba, _b: _Numba) -> _Generator:
    def generate(_context: _Numba, builder: _Numba, _signature: _Numba, arguments: _Numba) -> _Numba:
        a, b = (builder.zext(argument, _DOUBLE_WORD) for argument in arguments)
        product = builder.mul(a, b)
        high = builder.lshr(product, ir.Constant(_DOUBLE_WORD, 64))
        return builder.trunc(builder.xor(product, high), _WORD)

    return types.uint64(types.uint64, types.uint64), generate


def _emit_call_native(
    _typing: _Numba,
    _function: _Numba,
    _a: _Numba,
    _b: _Numba,
    _c: _Numba,
    _d: _Numba,
    _e: _Numba,
    _f: _Numba,
    _g: _Numba,
) -> _Generator:
    def generate(_context: _Numba, builder: _Numba, _signature: _Numba, arguments: _Numba) -> _Numba:
        prototype = ir.FunctionType(_HALF_WORD, [_WORD] * (len(arguments) - 1))
        called = builder.call(builder.inttoptr(arguments[0], prototype.as_pointer()), arguments[1:])
        return builder.zext(called, _WORD)

    return types.int64(*[types.int64] * 8), generate


INTRINSICS: dict[str, Any] = {
    emit.__name__.removeprefix("_emit_"): _intrinsic(emit)
    for emit in (
        _emit_unowned,
        _emit_bare,
        _emit_address_of,
        _emit_byte_at,
        _emit_half_word_at,
        _emit_word_at,
        _emit_put_word,
        _emit_equal_at,
        _emit_low_or_at,
        _emit_copy_lanes,
        _emit_tag_at,
        _emit_wide_equal_at,
        _emit_wide_less_at,
        _emit_first_bit,
        _emit_count_bits,
        _emit_folded_product,
        _emit_call_native,
    )
}
"""By the name of what they are in `metaclip.kernels.memory`."""
