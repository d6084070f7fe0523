"""Hashing a file while it is written: as a whole, and block by block, so that any part can be compared later."""

import hashlib
import io
from typing import Any, BinaryIO

import xxhash

from metaclip.io.failures import diagnose

BLOCK_BYTES = 64 << 10
"""A file is hashed in blocks of this size; the last one may be shorter."""

DIGITS = 8
"""Hex digits that are kept of the hash of a block: a damaged one passes once in four billion times."""


def block_digest(block: Any) -> str:
    """Return the first hex digits of the XXH3 (64 bits) of a block.

    It tells whether a block was damaged, at the speed of memory. It is no protection from somebody who can
    write to the store, who could replace the manifest too.
    """
    return xxhash.xxh3_64_hexdigest(block)[:DIGITS]


class HashingFile(io.RawIOBase):
    """Counts and hashes the bytes written to a file, so that it need not be read again for its manifest.

    With an address, a failure to write becomes an error of the store that names it.
    """

    def __init__(self, sink: BinaryIO, address: str | None = None) -> None:
        super().__init__()
        self._sink = sink
        self._address = address
        self.digest = hashlib.sha256()
        self.size = 0
        self.rows: int | None = None
        self._blocks: list[str] = []
        self._block = xxhash.xxh3_64()
        self._left = BLOCK_BYTES

    def writable(self) -> bool:
        """Return True."""
        return True

    def write(self, data: Any) -> int:
        """Write bytes; return their number."""
        view = memoryview(data).cast("B")
        self.digest.update(view)
        self._hash_blocks(view)
        try:
            self._sink.write(view)
        except OSError as error:
            if self._address is None:
                raise
            raise diagnose(self._address, error).as_store_error() from error
        self.size += view.nbytes
        return view.nbytes

    def _hash_blocks(self, view: memoryview) -> None:
        while view.nbytes >= self._left:
            self._block.update(view[: self._left])
            self._blocks.append(self._block.hexdigest()[:DIGITS])
            view = view[self._left :]
            self._block.reset()
            self._left = BLOCK_BYTES
        self._block.update(view)
        self._left -= view.nbytes

    @property
    def blocks(self) -> str:
        """The hashes of all blocks so far, one after the other."""
        return "".join([*self._blocks, *([self._block.hexdigest()[:DIGITS]] if self._left < BLOCK_BYTES else [])])

    def tell(self) -> int:
        """Return the number of bytes written."""
        return self.size
