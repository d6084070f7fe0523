"""Files under one root, wherever that is: read, written as a whole, listed, removed.

A root is any fsspec address. What differs between a local folder, S3 and other stores is behind
`metaclip.io.storage.file_system.FileSystem`.
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path, PurePosixPath
from typing import Any, TypeVar

from metaclip.errors import StoreError, StoreOutOfReachError
from metaclip.io.failures import diagnose, explained
from metaclip.io.object_store import connect, is_s3
from metaclip.io.storage.any_files import AnyFiles
from metaclip.io.storage.file_system import FileSystem, StoredObject, Upload
from metaclip.io.storage.local_files import LocalFiles
from metaclip.io.storage.locked import Change
from metaclip.io.storage.s3_files import S3Files
from metaclip.io.storage.store_file import StoreFile
from metaclip.io.temporary import is_temporary
from metaclip.processes.meter import METER

MARKER = "layout.json"
THREADS = 32
"""How many calls to a store run at once."""
AHEAD = 4
"""How many of them if what they return is large."""

_MISSING = (FileNotFoundError, NotADirectoryError)

_T = TypeVar("_T")
_U = TypeVar("_U")


def side_by_side(call: Callable[[_T], _U], things: Iterable[_T]) -> list[_U]:
    """Call a function that waits for a store on many things at once; return the results in their order.

    Raises:
        Whatever `call` raises first, in that order.
    """
    with ThreadPoolExecutor(THREADS) as threads:
        return list(threads.map(call, things))


def side_by_side_in_blocks(call: Callable[[_T], _U], things: Sequence[_T]) -> Iterator[_U]:
    """Yield what `side_by_side` returns, for so many things that not all results should be held at once."""
    for start in range(0, len(things), THREADS):
        yield from side_by_side(call, things[start : start + THREADS])


def ahead(call: Callable[[_T], _U], things: Iterable[_T], at_once: int = AHEAD) -> Iterator[_U]:
    """Yield the results of calls that wait for a store, in their order; the next `at_once` are made meanwhile.

    Raises:
        Whatever `call` raises, in that order.
    """
    coming: deque[Future[_U]] = deque()
    with ThreadPoolExecutor(at_once) as threads:
        try:
            for thing in things:
                coming.append(threads.submit(call, thing))
                if len(coming) > at_once:
                    yield coming.popleft().result()
            while coming:
                yield coming.popleft().result()
        finally:
            for future in coming:
                future.cancel()


class Files:
    """Reads, writes, lists and removes files under one root."""

    def __init__(self, root: str) -> None:
        """Connect to a root without touching it.

        Raises:
            StoreError: if the address names no known file system.
        """
        self.root = root
        try:
            self._system, self._base = _file_system(root)
        except (ValueError, ImportError) as error:
            raise StoreError(
                f"storage {root!r}: {error}; write a folder, or an address such as s3://bucket/prefix"
            ) from error

    @property
    def is_local(self) -> bool:
        """Whether the root is a folder of this machine."""
        return self._system.is_local

    @property
    def is_shared_between_processes(self) -> bool:
        """Whether another process sees the same files (not so for `memory://`)."""
        return self._system.is_shared_between_processes

    def path(self, relative: str) -> str:
        """Return the file system's own path of something under the root."""
        return f"{self._base}/{relative}"

    def address(self, relative: str) -> str:
        """Return the path or address by which people and other tools open something under the root."""
        return self.path(relative) if self.is_local else f"{self.root.rstrip('/')}/{relative}"

    def map(self, call: Callable[[_T], _U], things: Sequence[_T]) -> Iterator[_U]:
        """Call a function that reads from this store on many things at once; yield the results in their order."""
        # Threads take longer to start than a local file to open.
        return map(call, things) if self.is_local and len(things) <= THREADS else side_by_side_in_blocks(call, things)

    def reach(self) -> None:
        """Check that the root can be read, with few retries.

        Raises:
            StoreError: with the reason and the way out.
        """
        try:
            with explained(self.root):
                self._system.reach(self.path(MARKER))
        except FileNotFoundError:
            return
        except StoreOutOfReachError as error:
            if isinstance(error.__cause__, OSError):
                return  # an answer of the store, such as SlowDown: work will be patient
            raise
        except ValueError as error:
            raise diagnose(self.root, error).as_store_error() from error

    # Listing

    def names(self, folder: str) -> list[str]:
        """Return the names, without `.json`, of the JSON files directly in a folder."""
        return sorted(PurePosixPath(name).stem for name, _ in self._children(folder) if name.endswith(".json"))

    def folders(self, folder: str = "") -> list[str]:
        """Return the names of the folders directly in a folder, or in the root."""
        return sorted(name for name, is_folder in self._children(folder) if is_folder)

    def listing(self) -> list[str]:
        """Return the names directly under the root, except those of temporary files."""
        return sorted(name for name, _ in self._children("") if not is_temporary(name))

    def _children(self, folder: str) -> Sequence[tuple[str, bool]]:
        with explained(self.address(folder)):
            return self._system.children(self.path(folder).rstrip("/"))

    def files(self, folder: str) -> list[StoredObject]:
        """Return all files under a folder, by path relative to the root; hidden and temporary ones too."""
        start = len(self.path(""))
        with explained(self.address(folder)):
            found = self._system.files_under(self.path(folder).rstrip("/"))
            return sorted(each._replace(path=each.path[start:]) for each in found)

    def sizes(self, folder: str, starts: Iterable[str], limit: int) -> dict[str, int] | None:
        """Return the sizes of the files under a folder by path relative to the root, listed side by side.

        Args:
            folder: relative to the root.
            starts: what the names directly in the folder begin with; each is listed by itself.
            limit: None is returned if there are more files than this.

        Raises:
            StoreError: if the folder cannot be listed.
        """
        cut = len(self.path(""))
        found: dict[str, int] = {}

        def one(start: str) -> None:
            with explained(self.address(folder)):
                for path, size in self._system.sizes_under(self.path(folder).rstrip("/"), start):
                    found[path[cut:]] = size
                    if len(found) > limit:
                        return

        side_by_side(one, starts)
        return found if len(found) <= limit else None

    # Reading

    def open(self, relative: str, **how: Any) -> StoreFile:
        """Open a file for reading.

        Raises:
            FileNotFoundError: if there is none.
            StoreError: if it cannot be read, now or later.
        """
        with explained(self.address(relative)):
            return StoreFile(self.address(relative), self._system.open(self.path(relative), **how), self._count_read)

    def read(self, relative: str) -> bytes | None:
        """Return a small file's content, or None where there is none.

        Raises:
            StoreError: if it cannot be read.
        """
        try:
            with explained(self.address(relative)):
                return self._counted(self._system.read(self.path(relative)))
        except _MISSING:
            return None

    def read_range(self, relative: str, start: int, end: int) -> bytes:
        """Return the bytes from `start` to `end` of a file, fewer where it ends before.

        Raises:
            FileNotFoundError: if there is none.
            StoreError: if it cannot be read.
        """
        with explained(self.address(relative)):
            return self._counted(self._system.read_range(self.path(relative), start, end))

    def size(self, relative: str) -> int:
        """Return a file's size in bytes.

        Raises:
            FileNotFoundError: if there is none.
            StoreError: if it cannot be looked up.
        """
        with explained(self.address(relative)):
            return self._system.size(self.path(relative))

    def has(self, relative: str, size: int) -> bool:
        """Return whether a file exists with that size."""
        try:
            return self.size(relative) == size
        except _MISSING:
            return False

    # Writing

    def write_whole(self, relative: str, content: bytes) -> None:
        """Replace a small file as a whole.

        Raises:
            StoreError: if it cannot be written.
        """
        with self._writing(relative):
            self._system.write(self.path(relative), content)
        METER.count(bytes_written=len(content))

    def update(self, relative: str, change: Change) -> None:
        """Replace a small file by what `change` makes of its content, with no write of others in between.

        `change` gets None where there is no file, and may be called several times.

        Raises:
            StoreError: if it cannot be written, or this storage has no means to notice the writes of others.
        """
        with self._writing(relative):
            self._system.update(self.path(relative), change)

    def prove_updates(self, relative: str) -> None:
        """Check that `update` keeps its promise; the small file at this address, which must exist, stays as it is.

        Raises:
            StoreError: if this storage has no means for it.
        """
        with self._writing(relative):
            self._system.prove_updates(self.path(relative))

    def temporary(self, relative: str) -> Path:
        """Return where to write a file that `put` will move into place.

        Raises:
            StoreError: if its folder cannot be made.
        """
        with self._writing(relative):
            return self._system.temporary(self.path(relative))

    def put(self, temporary: Path, relative: str) -> None:
        """Move a finished file into place.

        Raises:
            StoreError: if it cannot be written.
        """
        with self._writing(relative):
            size = temporary.stat().st_size
            self._system.put(temporary, self.path(relative))
        METER.count(bytes_written=size)

    def _count_read(self, size: int) -> None:
        METER.count(bytes_read=size, store_bytes_read=0 if self.is_local else size)

    def _counted(self, content: bytes) -> bytes:
        self._count_read(len(content))
        return content

    @contextmanager
    def _writing(self, relative: str) -> Iterator[None]:
        try:
            with explained(self.address(relative)):
                yield
        except _MISSING as error:
            raise diagnose(self.address(relative), error).as_store_error() from error

    # Removing

    def remove(self, relative: str) -> None:
        """Remove a file if it exists."""
        self.remove_all([relative])

    def remove_all(self, paths: Sequence[str]) -> None:
        """Remove files, given relative to the root, if they exist.

        Raises:
            StoreError: naming the first that cannot be removed.
        """
        step = self._system.removed_at_once
        for start in range(0, len(paths), step):
            some = paths[start : start + step]
            with explained(self.address(some[0])):
                self._system.remove([self.path(relative) for relative in some])

    def remove_empty_folders(self, folders: Iterable[str], before: datetime) -> None:
        """Remove these folders and those within that hold nothing and have not changed since a time."""
        for folder in folders:
            with explained(self.address(folder)):
                self._system.remove_empty_folders(self.path(folder), before)

    def unfinished_uploads(self, before: datetime) -> list[Upload]:
        """Return uploads in parts that were begun before a time and never ended."""
        with explained(self.root):
            return [each for each in self._system.unfinished_uploads(self.path("")) if each.begun < before]

    def abort_uploads(self, uploads: Sequence[Upload]) -> None:
        """Give up uploads that `unfinished_uploads` returned."""
        for upload in uploads:
            with explained(upload.address):
                self._system.abort(upload)


def _file_system(root: str) -> tuple[FileSystem, str]:
    """Return the file system of a root, and the root's path in it.

    Raises:
        ValueError, ImportError: if there is no such file system, or no library for it.
    """
    system, path = connect(root)
    protocols = (system.protocol,) if isinstance(system.protocol, str) else system.protocol
    kind = S3Files if is_s3(root) else LocalFiles if "file" in protocols else AnyFiles
    return kind(system), path.rstrip("/")
