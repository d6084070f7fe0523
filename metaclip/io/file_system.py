"""What `Files` needs of a kind of storage."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple, Protocol


class Child(NamedTuple):
    """What stands directly in a folder."""

    name: str
    is_folder: bool


class StoredObject(NamedTuple):
    """A file as a listing tells of it; `Files` gives its path relative to the root."""

    path: str
    bytes: int
    modified: datetime


class Upload(NamedTuple):
    """An upload in parts that was begun and not ended: nobody sees it, but it costs."""

    address: str
    id: str
    begun: datetime


class FileSystem(Protocol):
    """A kind of storage. Paths are its own, and failures are raised as they come, see `metaclip.io.failures`."""

    is_local: bool
    """Whether its files are those of this machine."""
    is_shared_between_processes: bool
    """Whether another process sees the same files."""
    removed_at_once: int
    """How many files one call of `remove` may be given."""

    def reach(self, path: str) -> None:
        """Look whether a file can be read, without the patience that work has; FileNotFoundError is fine."""

    def children(self, folder: str) -> list[Child]:
        """Return what is directly in a folder; nothing where there is none."""

    def files_under(self, folder: str) -> Iterable[StoredObject]:
        """Return all files in a folder, however deep."""

    def open(self, path: str, **how: Any) -> Any:
        """Open a file for reading."""

    def read(self, path: str) -> bytes:
        """Return a small file's content."""

    def size(self, path: str) -> int:
        """Return a file's size in bytes."""

    def write(self, path: str, content: bytes) -> None:
        """Replace a small file as a whole."""

    def temporary(self, path: str) -> Path:
        """Return where to write a file that `put` will move to the path."""

    def put(self, temporary: Path, path: str) -> None:
        """Move a finished file into place."""

    def remove(self, paths: Sequence[str]) -> None:
        """Remove up to `removed_at_once` files; those that are gone already do not matter."""

    def remove_empty_folders(self, folder: str, before: datetime) -> None:
        """Remove a folder and those within that hold nothing and have not changed since a time."""

    def unfinished_uploads(self, folder: str) -> list[Upload]:
        """Return uploads in parts that were begun under a folder and not ended."""

    def abort(self, upload: Upload) -> None:
        """Give up an upload."""
