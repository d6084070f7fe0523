"""Memory read and written as numba cannot: many bytes at a time, at any place, without a look at the bounds.

In compiled kernels what lies beyond an array is read all the same. Words are little-endian.

This is the definition; its fast way is `metaclip.kernels.llvm`.
"""

from typing import Any, TypeAlias

import numpy as np

from metaclip.kernels.jit import kernel, native
from metaclip.kernels.types import LANES, WIDE_LANES, Address, Data, Int, Word

Arrays: TypeAlias = Any
"""An array, or a tuple of arrays, named or not."""


def _bits(truths: Any) -> Word:
    """Return a word whose bit i is truths[i], of at most 64."""
    return np.uint64(int.from_bytes(np.packbits(truths, bitorder="little").tobytes(), "little"))


@native
def unowned(arrays: Arrays) -> Arrays:
    """Return an argument of the kernel, an array or a tuple of arrays, without its owner.

    numba counts the holders of arrays, by an atomic operation whenever one is passed on or taken out of a tuple;
    without an owner it does not. The caller holds an argument as long as the kernel runs; an array that the
    kernel made would be freed.
    """
    return arrays


@native
def bare(array: Arrays) -> Address:
    """Return where an argument of the kernel, an array, begins in memory; it is indexed as the array is.

    A negative index does not count from the end, which is one thing less to do per access, and it takes one
    register. With NUMBA_BOUNDSCHECK it is the array, so that every index is checked. See `unowned` for its owner.
    """
    return array


@native
def address_of(data: Data, place: Int, _size: Int) -> Int:
    """Return where data[place : place + size] is in memory, for a function that is called by its address."""
    return data.ctypes.data + place


@native
def byte_at(data: Data, place: Int) -> Int:
    """Read one byte as int64; numpy's own indexing would look for negative places."""
    return int(data[place])


@native
def half_word_at(data: Data, place: Int) -> Word:
    """Read four bytes at any place as uint64."""
    return np.uint64(int.from_bytes(data[place : place + 4].tobytes(), "little"))


@native
def word_at(data: Data, place: Int) -> Word:
    """Read eight bytes at any place as uint64."""
    return np.uint64(int.from_bytes(data[place : place + 8].tobytes(), "little"))


@native
def put_word(data: Data, place: Int, word: Word) -> None:
    """Write what `word_at` reads."""
    data[place : place + 8] = np.frombuffer(int(word).to_bytes(8, "little"), np.uint8)


@native
def equal_at(data: Data, place: Int, byte: Int) -> Word:
    """Compare LANES bytes with one; bit i of the result is for byte place + i."""
    return _bits(data[place : place + LANES] == byte)


@native
def low_or_at(data: Data, place: Int, first: Int, second: Int, third: Int) -> Word:
    """Find, of LANES bytes, those up to 0x20 and those equal to one of three; bits as `equal_at`'s."""
    lanes = data[place : place + LANES]
    return _bits((lanes <= 0x20) | (lanes == first) | (lanes == second) | (lanes == third))


@native
def copy_lanes(data: Data, place: Int, target: Data, write: Int, first: Int, second: Int, third: Int) -> Word:
    """Copy LANES bytes from a place to target[write:], and find those equal to one of three; bits as `equal_at`'s."""
    lanes = data[place : place + LANES].copy()
    target[write : write + LANES] = lanes
    return _bits((lanes == first) | (lanes == second) | (lanes == third))


@native
def tag_at(data: Data, place: Int) -> tuple[Word, Word, Word, Word, Word]:
    """Find, of WIDE_LANES bytes, quotes, apostrophes, equals signs, `>`, and slashes with all up to 0x20."""
    lanes = data[place : place + WIDE_LANES]
    quote, apostrophe, equals, more = (_bits(lanes == ord(byte)) for byte in "\"'=>")
    return quote, apostrophe, equals, more, _bits((lanes <= 0x20) | (lanes == ord("/")))


@native
def wide_equal_at(data: Data, place: Int, byte: Int) -> Word:
    """Compare WIDE_LANES bytes with one; bit i of the result is for byte place + i."""
    return _bits(data[place : place + WIDE_LANES] == byte)


@native
def wide_less_at(data: Data, place: Int, byte: Int) -> Word:
    """Find, of WIDE_LANES bytes, those less than one; bits as `wide_equal_at`'s."""
    return _bits(data[place : place + WIDE_LANES] < byte)


@native
def first_bit(word: Word) -> Int:
    """Count the zero bits below the lowest one; 64 if there is none."""
    value = int(word)
    return (value & -value).bit_length() - 1 if value else 64


@native
def count_bits(word: Word) -> Int:
    """Count the ones."""
    return int(word).bit_count()


@native
def folded_product(a: Word, b: Word) -> Word:
    """Return the exclusive or of the two halves of the product of 128 bits."""
    product = int(a) * int(b)
    return np.uint64((product >> 64) ^ (product & (1 << 64) - 1))


@native
def call_native(_function: Int, _a: Int, _b: Int, _c: Int, _d: Int, _e: Int, _f: Int, _g: Int) -> Int:
    """Call a C function by its address, with seven words; return its result, which is an `enum` (32 bits)."""
    raise NotImplementedError("only compiled kernels call a function by its address")


@kernel
def copy_bytes(source: Data, start: Int, size: Int, target: Data, at: Int) -> None:
    """Copy source[start : start + size] to target[at:], eight bytes at a time where there are as many."""
    if size < 8:
        for k in range(size):
            target[at + k] = source[start + k]
        return
    for k in range(0, size - 8, 8):
        put_word(target, at + k, word_at(source, start + k))
    put_word(target, at + size - 8, word_at(source, start + size - 8))
