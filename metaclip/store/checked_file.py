"""Files of outputs, compared with their manifest while they are read."""

import io
import os
from collections.abc import Callable
from typing import cast

from metaclip.errors import StoreError
from metaclip.io.hashing import BLOCK_BYTES, DIGITS, block_digest
from metaclip.store.manifest import StoredFile

ReadRange = Callable[[int, int], bytes]
"""Returns the bytes from a start to an end; fewer at the end of the file."""


class CheckedFile(io.RawIOBase):
    """A file of an output that gives no byte that differs from what its manifest states.

    A range is read with the rest of its first and last block, in one request, and every block is compared
    before anything of it is given.

    Args:
        address: for people.
        read: reads a range of the file.
        stated: what the manifest states, with the hashes of blocks.
        newest: returns what the manifest states now, for a file that was made again since.
    """

    def __init__(
        self, address: str, read: ReadRange, stated: StoredFile, newest: Callable[[], StoredFile | None]
    ) -> None:
        super().__init__()
        self._address = address
        self._read = read
        self._stated = stated
        self._newest = newest
        self._position = 0

    def readable(self) -> bool:
        """Return True."""
        return True

    def seekable(self) -> bool:
        """Return True: any part can be read."""
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Go to an offset."""
        starts = {os.SEEK_SET: 0, os.SEEK_CUR: self._position, os.SEEK_END: self._stated.bytes}
        self._position = starts[whence] + offset
        return self._position

    def tell(self) -> int:
        """Return the offset."""
        return self._position

    def read(self, size: int = -1) -> bytes:
        """Read so many bytes, fewer only at the end.

        Raises:
            StoreError: if they are not what the manifest states, or cannot be read.
        """
        start = self._position
        end = self._stated.bytes if size < 0 else min(start + size, self._stated.bytes)
        if end <= start:
            return b""
        first, last = start // BLOCK_BYTES, -(-end // BLOCK_BYTES)
        data = self._blocks(first, last)
        self._position = end
        # Without a copy, which Arrow takes as well.
        return cast(bytes, memoryview(data)[start - first * BLOCK_BYTES : end - first * BLOCK_BYTES])

    def readinto(self, buffer: "memoryview | bytearray") -> int:  # type: ignore[override]
        """Read into a buffer."""
        view = memoryview(buffer)
        data = self.read(len(view))
        view[: len(data)] = data
        return len(data)

    def _blocks(self, first: int, last: int) -> bytes:
        """Return the blocks `first` to `last` - 1."""
        start, end = first * BLOCK_BYTES, min(last * BLOCK_BYTES, self._stated.bytes)
        try:
            data = self._read(start, end)
            if not self._as_stated(data, first, end):
                self._stated = self._newest() or self._stated
                data = self._read(start, end)
        except FileNotFoundError as error:
            raise StoreError(f"{self._address}: missing; run the pool again, which remakes it") from error
        if not self._as_stated(data, first, end):
            raise altered(self._address)
        return data

    def _as_stated(self, data: bytes, first: int, end: int) -> bool:
        hashes, view = self._stated.blocks or "", memoryview(data)
        return len(data) == end - first * BLOCK_BYTES and all(
            block_digest(view[at : at + BLOCK_BYTES]) == hashes[place : place + DIGITS]
            for at, place in zip(
                range(0, len(data), BLOCK_BYTES), range(first * DIGITS, len(hashes), DIGITS), strict=False
            )
        )


def altered(address: str) -> StoreError:
    """Return the error for a file that is not what its manifest states."""
    return StoreError(
        f"{address}: altered since it was written, so it cannot be read: its bytes are not those that its manifest"
        " states; run the pool again with --set execution.verify=full, which makes it again"
    )
