"""Open files of the store, whose reads fail with the store's errors."""

import io
import os
from collections.abc import Callable
from typing import Any, cast

from metaclip.io.failures import diagnose, faults


class StoreFile(io.RawIOBase):
    """An open file of fsspec that fails with `StoreError`."""

    def __init__(self, address: str, file: Any, count: Callable[[int], None] = lambda _: None) -> None:
        super().__init__()
        self._count = count
        self._address = address
        self._file = file

    def readable(self) -> bool:
        """Return True."""
        return True

    def seekable(self) -> bool:
        """Return True: any part can be read."""
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Go to an offset."""
        return cast(int, self._file.seek(offset, whence))

    def tell(self) -> int:
        """Return the offset."""
        return cast(int, self._file.tell())

    def read(self, size: int = -1) -> bytes:
        """Read so many bytes, fewer only at the end.

        Raises:
            StoreError: also where the file has vanished since it was opened.
        """
        try:
            data = cast(bytes, self._file.read(size))
            self._count(len(data))
            return data
        except faults() as error:
            raise diagnose(self._address, error).as_store_error() from error

    def readinto(self, buffer: Any) -> int:
        """Read into a buffer."""
        view = memoryview(buffer)
        data = self.read(len(view))
        view[: len(data)] = data
        return len(data)

    def close(self) -> None:
        """Close the file."""
        if not self.closed:
            self._file.close()
        super().close()
