"""A file that is hashed while it is written."""

import hashlib
import io
from typing import Any, BinaryIO


class HashingFile(io.RawIOBase):
    """A sink that counts and hashes what passes, so that no file is read again for its manifest."""

    def __init__(self, sink: BinaryIO) -> None:
        super().__init__()
        self._sink = sink
        self.digest = hashlib.sha256()
        self.size = 0
        self.rows: int | None = None

    def writable(self) -> bool:
        """Say that this is a sink."""
        return True

    def write(self, data: Any) -> int:
        """Pass bytes on."""
        view = memoryview(data)
        self.digest.update(view)
        self._sink.write(view)
        self.size += view.nbytes
        return view.nbytes

    def tell(self) -> int:
        """Return the bytes written."""
        return self.size
