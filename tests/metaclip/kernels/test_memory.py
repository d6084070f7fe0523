"""What reads and writes memory does the same in compiled kernels as its definition in Python."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numba import njit

from metaclip.kernels import memory
from metaclip.kernels.jit import compiler

compiler()
DATA = np.random.default_rng(3).integers(0, 256, 300, np.uint8)
DATA[::3] = np.resize(np.frombuffer(b"\"'=>/ \n<", np.uint8), 100)
PLACES = (0, 1, 7, 100, 200)


READERS: dict[str, tuple[Any, ...]] = {
    "byte_at": (),
    "half_word_at": (),
    "word_at": (),
    "equal_at": (34,),
    "low_or_at": (34, 61, 200),
    "tag_at": (),
    "wide_equal_at": (62,),
    "wide_less_at": (0x80,),
}


@pytest.mark.parametrize("name", READERS)
def test_what_is_read(name: str) -> None:
    read, more = getattr(memory, name), READERS[name]
    calls: dict[int, Callable[..., Any]] = {
        0: lambda data, place: read(data, place),
        1: lambda data, place, a: read(data, place, a),
        3: lambda data, place, a, b, c: read(data, place, a, b, c),
    }
    compiled = njit(calls[len(more)])
    for place in PLACES:
        assert compiled(DATA, place, *more) == read(DATA, place, *more)


def test_what_is_written() -> None:
    for call in (
        lambda data, target: memory.put_word(target, 5, memory.word_at(data, 9)),
        lambda data, target: memory.copy_lanes(data, 11, target, 3, 34, 61, 62),
        lambda data, target: memory.unowned(target)[2:4].fill(memory.bare(data)[0]),
    ):
        targets = np.zeros((2, 64), np.uint8)
        assert njit(call)(DATA, targets[0]) == call(DATA, targets[1])
        assert np.array_equal(*targets)
        assert targets.any()


@pytest.mark.parametrize("value", [0, 1, 2, 1 << 63, 0xFFFFFFFFFFFFFFFF, 0x00F0_0100_0000_0000])
def test_words(value: int) -> None:
    word = np.uint64(value)
    assert njit(lambda one: memory.first_bit(one))(word) == memory.first_bit(word)
    assert njit(lambda one: memory.count_bits(one))(word) == memory.count_bits(word)
    other = np.uint64(0x9E3779B97F4A7C15)
    assert njit(lambda a, b: memory.folded_product(a, b))(word, other) == memory.folded_product(word, other)


def test_addresses() -> None:
    assert njit(lambda data: memory.address_of(data, 3, 5))(DATA) == memory.address_of(DATA, 3, 5)
    with pytest.raises(NotImplementedError):
        memory.call_native(0, 0, 0, 0, 0, 0, 0, 0)
