"""Hashing a file while it is written."""

import hashlib
import io
from typing import Any, BinaryIO


class HashingFile(io.RawIOBase):
    """Counts and hashes the bytes written to a file, so that it need not be read again for its manifest."""

    def __init__(self, sink: BinaryIO) -> None:
        super().__init__()
        self._sink = sink
        self.digest = hashlib.sha256()
        self.size = 0
        self.rows: int | None = None

    def writable(self) -> bool:
        """Return True."""
        return True

    def write(self, data: Any) -> int:
        """Write bytes; return their number."""
        view = memoryview(data)
        self.digest.update(view)
        self._sink.write(view)
        self.size += view.nbytes
        return view.nbytes

    def tell(self) -> int:
        """Return the number of bytes written."""
        return self.size
