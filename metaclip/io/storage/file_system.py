"""What `Files` needs of a kind of storage."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from metaclip.io.storage.locked import Change


class Child(NamedTuple):
    """A file or folder directly in a folder."""

    name: str
    is_folder: bool


class StoredObject(NamedTuple):
    """A file in a listing; the path that `Files` returns is relative to the root."""

    path: str
    bytes: int
    modified: datetime


class Upload(NamedTuple):
    """An upload in parts that was begun and not ended; it is not visible, but it takes space."""

    address: str
    id: str
    begun: datetime


class FileSystem(Protocol):
    """A kind of storage. Paths are those of fsspec; failures are raised as fsspec raises them."""

    is_local: bool
    """Whether its files are those of this machine."""
    is_shared_between_processes: bool
    """Whether another process sees the same files."""
    removed_at_once: int
    """How many files one call of `remove` may be given."""

    def reach(self, path: str) -> None:
        """Try to read a file, with few retries, to see whether the storage answers.

        Raises:
            FileNotFoundError: the storage answers, and has no such file.
        """

    def children(self, folder: str) -> list[Child]:
        """Return what is directly in a folder; nothing where there is none."""

    def files_under(self, folder: str) -> Iterable[StoredObject]:
        """Return all files in a folder, however deep."""

    def sizes_under(self, folder: str, start: str) -> Iterable[tuple[str, int]]:
        """Return path and size of all files in those folders and files of a folder whose names begin with `start`."""

    def open(self, path: str, **how: Any) -> Any:
        """Open a file for reading."""

    def read(self, path: str) -> bytes:
        """Return a small file's content."""

    def read_range(self, path: str, start: int, end: int) -> bytes:
        """Return the bytes from `start` to `end` of a file, fewer where it ends before."""

    def size(self, path: str) -> int:
        """Return a file's size in bytes."""

    def write(self, path: str, content: bytes) -> None:
        """Replace a small file as a whole."""

    def update(self, path: str, change: Change) -> None:
        """Replace a small file by what `change` makes of it, with no write of others in between."""

    def prove_updates(self, path: str) -> None:
        """Check that `update` keeps its promise; the small file at this path, which must exist, stays as it is.

        Raises:
            StoreError: if this storage has no means for it.
        """

    def temporary(self, path: str) -> Path:
        """Return where to write a file that `put` will move to the path."""

    def put(self, temporary: Path, path: str) -> None:
        """Move a finished file into place."""

    def remove(self, paths: Sequence[str]) -> None:
        """Remove up to `removed_at_once` files; missing ones are ignored."""

    def remove_empty_folders(self, folder: str, before: datetime) -> None:
        """Remove a folder and those within that hold nothing and have not changed since a time."""

    def unfinished_uploads(self, folder: str) -> list[Upload]:
        """Return uploads in parts that were begun under a folder and not ended."""

    def abort(self, upload: Upload) -> None:
        """Give up an upload."""
