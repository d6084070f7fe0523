"""XXH3-64 of bytes in arrays.

Source: the XXH3 section of the xxHash specification (github.com/Cyan4973/xxHash,
doc/xxhash_spec.md), with seed 0 and the default secret.

Equals `xxhash`; held by tests/metaclip/kernels/test_xxh3.py.
"""

import numpy as np

from metaclip.kernels.jit import kernel
from metaclip.kernels.memory import folded_product, half_word_at, word_at
from metaclip.kernels.types import Data, Int, Word, Words

U32, U64 = np.uint32, np.uint64

_SECRET = np.frombuffer(
    bytes.fromhex(
        "b8fe6c3923a44bbe7c01812cf721ad1cded46de9839097db7240a4a4b7b3671fcb79e64eccc0e578825ad07dccff7221"
        "b8084674f743248ee03590e6813a264c3c2852bb91c300cb88d0658b1b532ea371644897a20df94e3819ef46a9deacd8"
        "a8fa763fe39c343ff9dcbbc7c70b4f1d8a51e04bcdb45931c89f7ec9d9787364eac5ac8334d3ebc3c581a0fffa1363eb"
        "170ddd51b7f0da49d316552629d4689e2b16be587d47a1fc8ff8b8d17ad031ce45cb3a8f95160428afd7fbcabb4b407e"
    ),
    np.uint8,
)
_P32_1, _P32_2, _P32_3 = U64(0x9E3779B1), U64(0x85EBCA77), U64(0xC2B2AE3D)
_P64_1, _P64_2, _P64_3 = U64(0x9E3779B185EBCA87), U64(0xC2B2AE3D27D4EB4F), U64(0x165667B19E3779F9)
_P64_4, _P64_5 = U64(0x85EBCA77C2B2AE63), U64(0x27D4EB2F165667C5)
_MX_1, _MX_2 = U64(0x165667919E3779F9), U64(0x9FB21C651E98DF25)
_START = np.array([_P32_3, _P64_1, _P64_2, _P64_3, _P64_4, _P32_2, _P64_5, _P32_1], np.uint64)
_LOW = U64(0xFFFFFFFF)


@kernel
def _finish(h: Word) -> Word:
    """Mix the bits of a hash: XXH3_avalanche."""
    h = (h ^ (h >> U64(37))) * _MX_1
    return h ^ (h >> U64(32))


@kernel
def _finish64(h: Word) -> Word:
    """Mix the bits of a hash of few bytes: XXH64_avalanche."""
    h = (h ^ (h >> U64(33))) * _P64_2
    h = (h ^ (h >> U64(29))) * _P64_3
    return h ^ (h >> U64(32))


@kernel
def _mix(data: Data, at: Int, secret: Int) -> Word:
    """Hash 16 bytes with 16 of the secret: XXH3_mix16B."""
    return folded_product(
        word_at(data, at) ^ word_at(_SECRET, secret),
        word_at(data, at + 8) ^ word_at(_SECRET, secret + 8),
    )


@kernel
def _short(data: Data, start: Int, n: Int) -> Word:
    """Hash at most 16 bytes."""
    end, length = start + n, U64(n)
    if n > 8:
        low = word_at(data, start) ^ word_at(_SECRET, 24) ^ word_at(_SECRET, 32)
        high = word_at(data, end - 8) ^ word_at(_SECRET, 40) ^ word_at(_SECRET, 48)
        swapped = U64(0)
        for k in range(8):
            swapped |= ((low >> U64(8 * k)) & U64(255)) << U64(56 - 8 * k)
        return _finish(length + swapped + high + folded_product(low, high))
    if n > 3:
        h = half_word_at(data, end - 4) + (half_word_at(data, start) << U64(32))
        h ^= word_at(_SECRET, 8) ^ word_at(_SECRET, 16)
        h ^= ((h << U64(49)) | (h >> U64(15))) ^ ((h << U64(24)) | (h >> U64(40)))
        h *= _MX_2
        h = (h ^ ((h >> U64(35)) + length)) * _MX_2
        return h ^ (h >> U64(28))
    if n > 0:
        first, middle, last = U64(data[start]), U64(data[start + (n >> 1)]), U64(data[end - 1])
        h = (first << U64(16)) | (middle << U64(24)) | last | (length << U64(8))
        return _finish64(h ^ half_word_at(_SECRET, 0) ^ half_word_at(_SECRET, 4))
    return _finish64(word_at(_SECRET, 56) ^ word_at(_SECRET, 64))


@kernel
def _stripe(data: Data, at: Int, secret: Int, sums: Words) -> None:
    """Add 64 bytes to the accumulators, uint64[8]: XXH3_accumulate_512."""
    for k in range(8):
        value = word_at(data, at + 8 * k)
        mixed = value ^ word_at(_SECRET, secret + 8 * k)
        sums[k ^ 1] += value
        sums[k] += (mixed & _LOW) * (mixed >> U64(32))


@kernel
def _long(data: Data, start: Int, n: Int) -> Word:
    """Hash more than 240 bytes."""
    sums = _START.copy()
    blocks = (n - 1) // 1024
    for block in range(blocks):
        for k in range(16):
            _stripe(data, start + 1024 * block + 64 * k, 8 * k, sums)
        for k in range(8):
            sums[k] = (sums[k] ^ (sums[k] >> U64(47)) ^ word_at(_SECRET, 128 + 8 * k)) * _P32_1
    for k in range((n - 1 - 1024 * blocks) // 64):
        _stripe(data, start + 1024 * blocks + 64 * k, 8 * k, sums)
    _stripe(data, start + n - 64, 121, sums)
    h = U64(n) * _P64_1
    for k in range(4):
        h += folded_product(
            sums[2 * k] ^ word_at(_SECRET, 11 + 16 * k), sums[2 * k + 1] ^ word_at(_SECRET, 19 + 16 * k)
        )
    return _finish(h)


@kernel
def hash_bytes(data: Data, start: Int, end: Int) -> Word:
    """Return the XXH3-64 of data[start:end], which must lie within the uint8 array."""
    n = end - start
    if n <= 16:
        return _short(data, start, n)
    if n > 240:
        return _long(data, start, n)
    h = U64(n) * _P64_1
    if n <= 128:
        pairs = (n - 1) // 32
        for k in range(pairs, -1, -1):
            h += _mix(data, start + 16 * k, 32 * k)
            h += _mix(data, end - 16 * (k + 1), 32 * k + 16)
        return _finish(h)
    for k in range(8):
        h += _mix(data, start + 16 * k, 16 * k)
    h = _finish(h)
    for k in range(8, n // 16):
        h += _mix(data, start + 16 * k, 16 * k - 125)
    return _finish(h + _mix(data, end - 16, 119))
