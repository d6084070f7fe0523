"""Types of what kernels take and return, by name: shape, dtype and meaning.

numba ignores annotations and takes types from the arguments; these are for readers and for mypy. Arrays are
one-dimensional and contiguous unless their alias or the kernel's docstring says otherwise. Scalars are numba's
own inside a kernel and Python's or numpy's where one is called, so mypy cannot check them: their aliases stand
for `Any` and say what it is.
"""

from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

LANES = 32
"""Bytes that `equal_at`, `low_or_at` and `copy_lanes` look at together."""

WIDE_LANES = 64
"""Bytes that `tag_at`, `wide_equal_at` and `wide_less_at` look at together."""

Int: TypeAlias = Any
"""int64: a place, a length, a count, a code, or the value of one byte."""

Byte: TypeAlias = Any
"""uint8, as read from Bytes, or an int64 of 0 to 255."""

Word: TypeAlias = Any
"""uint64: eight bytes, the first in the lowest bits; a set of 64 bits; or a hash."""

HalfWord: TypeAlias = Any
"""uint32: a hash, or the code point of a character."""

Truth: TypeAlias = Any
"""bool."""

Float: TypeAlias = Any
"""float64."""

Single: TypeAlias = Any
"""float32."""

Bytes: TypeAlias = npt.NDArray[np.uint8]
"""uint8[n]: bytes, of texts mostly."""

Address: TypeAlias = Any
"""What `metaclip.kernels.memory.bare` gives of an array: where it begins in memory, indexed as the array is."""

Data: TypeAlias = Bytes | Address
"""uint8[n] or its Address."""

Flags: TypeAlias = npt.NDArray[np.bool_]
"""bool[n]."""

Offsets: TypeAlias = npt.NDArray[np.int64]
"""int64[n + 1]: item i is data[offsets[i] : offsets[i + 1]]; the first may begin anywhere."""

Ints: TypeAlias = npt.NDArray[np.int64]
"""int64[n], or more dimensions where the docstring says so."""

Indices: TypeAlias = npt.NDArray[np.int32]
"""int32[n], or more dimensions where the docstring says so."""

Places: TypeAlias = npt.NDArray[np.int32 | np.int64]
"""int32[n] or int64[n], whichever the size of the data asks for: places in data."""

Spans: TypeAlias = npt.NDArray[np.int32 | np.int64]
"""int32 or int64, the last dimension of size 2: where each value in the data starts and ends; negative for none."""

EntryIds: TypeAlias = npt.NDArray[np.uint32]
"""uint32[m]: ids of entries."""

HalfShorts: TypeAlias = npt.NDArray[np.uint16]
"""uint16[n]: costs of words."""

HalfWords: TypeAlias = npt.NDArray[np.uint32]
"""uint32[n]: hashes, code points or counts."""

Words: TypeAlias = npt.NDArray[np.uint64]
"""uint64[n], or more dimensions where the docstring says so."""

Floats: TypeAlias = npt.NDArray[np.float64]
"""float64[n]."""

Singles: TypeAlias = npt.NDArray[np.float32]
"""float32[n], or more dimensions where the docstring says so."""
