"""Gzip members decompressed into a buffer, one after the other, at the speed of libdeflate.

libdeflate is a third faster than isal, but takes members only as a whole, input and output. So it decompresses all
that fit in the buffers. A member that does not, because it is very large, cut short or damaged, and all after it
are left to isal, which streams. libdeflate's C interface is called as its wheel, `deflate`, carries it; where a
platform's wheel hides it, isal does everything. Both check CRC and length.

Equals `gzip`; held by tests/metaclip/archive/test_decompress.py.
"""

import ctypes
import importlib.util
import io
from functools import cache
from typing import Any, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt
from isal import isal_zlib

from metaclip.kernels.jit import kernel
from metaclip.kernels.memory import address_of, call_native
from metaclip.kernels.types import Bytes, Int, Ints

DAMAGE: tuple[type[Exception], ...] = (EOFError, OSError, isal_zlib.error)  # type: ignore[assignment]
"""What `Inflater.fill` raises where members are damaged or break off."""

_READ = 128 << 10
_HELD = 2 << 20
_LARGEST = 8 << 20
"""Compressed bytes of the largest member that libdeflate is given."""
_SUCCESS, _NO_ROOM = 0, 3


class Source(Protocol):
    """Compressed bytes."""

    def readinto(self, buffer: Any, /) -> int:
        """Fill a buffer as far as it goes; 0 at the end."""


class Inflater:
    """Decompresses a source of gzip members."""

    def __init__(self, source: Source) -> None:
        self.ended = False
        """Whether all was given."""
        self.blocked = False
        """Whether the rest of the room was too small for the next member."""
        self._starts = np.empty(1 << 12, np.int64)
        self._members_begun = 0
        self._source = source
        self._library = _libdeflate()
        self._reader: Any = None
        if self._library is None:
            self._stream(b"")
            return
        self._decompressor = self._library.allocate()
        self._data = np.empty(_HELD, np.uint8)  # compressed bytes, from _at to _end yet to be used
        self._at = self._end = 0
        self._exhausted = False

    def close(self) -> None:
        """Free the decompressor."""
        if self._library is not None:
            self._library.free(self._decompressor)
            self._library = None

    @property
    def starts(self) -> npt.NDArray[np.int64]:
        """int64[members]: where in the buffer members began that are not empty, as far as libdeflate took them."""
        return self._starts[: self._members_begun]

    def fill(self, buffer: npt.NDArray[np.uint8], begin: int, end: int) -> int:
        """Decompress into buffer[begin:end] until that is full, `blocked` or `ended`; return where it is filled to.

        Raises:
            EOFError, OSError, isal_zlib.error: `DAMAGE`, at a member that is damaged or breaks off.
        """
        self.blocked = False
        self._members_begun = 0
        while begin < end and not (self.ended or self.blocked):
            begin = self._members(buffer, begin, end) if self._reader is None else self._piece(buffer, begin, end)
        return begin

    def stream(self) -> None:
        """Let isal do the rest, which gives members in parts, whatever their size."""
        if self._reader is None:
            self._stream(self._data[self._at : self._end].tobytes())

    def _members(self, buffer: npt.NDArray[np.uint8], begin: int, end: int) -> int:
        if self._at == self._end:
            self._refill()
        if self._at == self._end:
            self.ended = True
            return begin
        assert self._library is not None
        if self._members_begun == len(self._starts):
            self._starts = np.resize(self._starts, 2 * len(self._starts))
        starts = self._starts[self._members_begun :]
        self._at, begin, result, begun = inflate_members(
            self._library.function, self._decompressor, self._data, self._at, self._end, buffer, begin, end, starts
        )
        self._members_begun += begun
        self.blocked = result == _NO_ROOM
        if result not in (_SUCCESS, _NO_ROOM):
            # Not all of the member may be there yet.
            if self._exhausted or self._end - self._at >= _LARGEST:
                self.stream()
            else:
                self._refill()
        return begin

    def _refill(self) -> None:
        rest = self._data[self._at : self._end]
        if 2 * len(rest) > len(self._data):
            self._data = np.empty(2 * len(self._data), np.uint8)
        self._data[: len(rest)] = rest
        self._at, self._end = 0, len(rest)
        view = self._data.data
        while self._end < len(self._data) and not self._exhausted:
            size = self._source.readinto(view[self._end : self._end + _READ])
            self._end += size
            self._exhausted = not size

    def _stream(self, ahead: bytes) -> None:
        # What `igzip.IGzipFile` reads with; that itself would copy everything once more.
        self._reader = isal_zlib._GzipReader(_Rest(ahead, self._source), _READ)  # type: ignore[arg-type]

    def _piece(self, buffer: npt.NDArray[np.uint8], begin: int, end: int) -> int:
        size: int = self._reader.readinto(buffer.data[begin:end])
        self.ended = not size
        return begin + size


class _Rest(io.RawIOBase):
    """A source, with bytes that come before it."""

    def __init__(self, ahead: bytes, source: Source) -> None:
        super().__init__()
        self._ahead = memoryview(ahead)
        self._source = source

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        if not self._ahead:
            return self._source.readinto(buffer)
        size = min(len(buffer), len(self._ahead))
        buffer[:size] = self._ahead[:size]
        self._ahead = self._ahead[size:]
        return size


class _Library(NamedTuple):
    """libdeflate's functions."""

    function: int
    """The address of `libdeflate_gzip_decompress_ex`."""
    allocate: Any
    free: Any


@cache
def _libdeflate() -> _Library | None:
    found = importlib.util.find_spec("deflate._deflate")
    if found is None or found.origin is None:
        return None
    library = ctypes.CDLL(found.origin)
    try:
        allocate, free = library.libdeflate_alloc_decompressor, library.libdeflate_free_decompressor
        function = ctypes.cast(library.libdeflate_gzip_decompress_ex, ctypes.c_void_p).value
    except AttributeError:  # the names are not among those that the wheel shows
        return None
    allocate.restype, free.argtypes = ctypes.c_void_p, [ctypes.c_void_p]
    return _Library(function or 0, allocate, free)


@kernel
def inflate_members(
    function: Int,
    decompressor: Int,
    source: Bytes,
    at: Int,
    stop: Int,
    target: Bytes,
    begin: Int,
    end: Int,
    starts: Ints,
) -> tuple[Int, Int, Int, Int]:
    """Decompress the gzip members in source[at:stop] into target[begin:end] until one is odd or does not fit.

    Args:
        function: the address of `libdeflate_gzip_decompress_ex`.
        decompressor: that of a decompressor of libdeflate.
        source: uint8.
        at: where the first member begins.
        stop: where the bytes end.
        target: uint8, filled.
        begin: where the first is to go.
        end: where the room ends.
        starts: int64, filled with where in the target members begin that are not empty; no more are decompressed
            than it has room for.

    Returns:
        Where the first member begins that was not decompressed, where the target is filled to,
        libdeflate's result for that member, 0 where there is none, and how many starts there are.
    """
    # libdeflate_gzip_decompress_ex(decompressor, in, in_nbytes, out, out_nbytes_avail, actual_in_nbytes_ret,
    # actual_out_nbytes_ret), of libdeflate.h.
    sizes = np.zeros(2, np.int64)
    told = sizes.ctypes.data
    result = count = np.int64(0)
    while count < starts.size:
        while at < stop and not source[at]:  # zeros between members are nothing
            at += 1
        if at == stop:
            break
        compressed, plain = address_of(source, at, stop - at), address_of(target, begin, end - begin)
        result = call_native(function, decompressor, compressed, stop - at, plain, end - begin, told, told + 8)
        if result:
            break
        at += sizes[0]
        if sizes[1]:
            starts[count] = begin
            count += 1
        begin += sizes[1]
    return at, begin, result, count
