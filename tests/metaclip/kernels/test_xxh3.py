"""The kernel gives the hashes of the package xxhash."""

import numpy as np
import pytest
import xxhash

from metaclip.kernels.jit import frozen
from metaclip.kernels.xxh3 import hash_bytes


@pytest.mark.slow
def test_every_length_equals_the_package() -> None:
    data = np.random.default_rng(0).bytes(20_000)
    array = frozen(np.frombuffer(data, np.uint8), np.uint8)
    for length in [*range(2100), 3071, 3072, 3073, 8192, 19_000]:
        for start in (0, length % 61):
            expected = xxhash.xxh3_64_intdigest(data[start : start + length])
            assert int(hash_bytes(array, start, start + length)) == expected, length


@pytest.mark.slow
@pytest.mark.parametrize("byte", [0, 0x80, 0xFF])
def test_uniform_bytes_equal_the_package(byte: int) -> None:
    data = bytes([byte]) * 1100
    array = frozen(np.frombuffer(data, np.uint8), np.uint8)
    for length in range(1100):
        assert int(hash_bytes(array, 0, length)) == xxhash.xxh3_64_intdigest(data[:length]), length
