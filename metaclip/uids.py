"""Uids as arrays: their two halves, and the 32 hex digits that people see."""

from typing import cast

import numpy as np
import numpy.typing as npt
import pyarrow as pa

UIDS = np.dtype("<u8,<u8")
"""A uid as its two halves, `uid_hi` first: DataComp's `u8,u8`, whatever the machine."""


def parse_uids(strings: pa.ChunkedArray | pa.Array) -> npt.NDArray[np.void]:
    """Turn uids of 32 hex digits into an array of `u8,u8`, without a Python object for each."""
    chunks = strings.chunks if isinstance(strings, pa.ChunkedArray) else [strings]
    digits = b"".join(_characters(chunk) for chunk in chunks if len(chunk))
    halves = np.frombuffer(bytes.fromhex(digits.decode("ascii")), ">u8").reshape(-1, 2)
    uids = np.empty(len(halves), UIDS)
    uids["f0"], uids["f1"] = halves[:, 0], halves[:, 1]
    return uids


def _characters(chunk: pa.Array) -> bytes:
    array = chunk.cast(pa.large_string())
    offsets = np.frombuffer(array.buffers()[1], np.int64)[array.offset : array.offset + len(array) + 1]
    return cast(bytes, array.buffers()[2].slice(offsets[0], offsets[-1] - offsets[0]).to_pybytes())
