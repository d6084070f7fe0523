"""Files in any file system that fsspec supports, by fsspec's common interface."""

import threading
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext, suppress
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath
from typing import Any, cast

from metaclip.errors import StoreError
from metaclip.io.storage.file_system import Child, StoredObject, Upload
from metaclip.io.storage.locked import Change, LockLostError, locked
from metaclip.io.temporary import own_folder, remove_leftovers, temporary_beside

_OWN_THREADS = threading.Lock()
"""Held while a thread of this process changes a file."""


class AnyFiles:
    """Files of a file system of fsspec; a path is that file system's own."""

    is_local = False
    removed_at_once = 1

    def __init__(self, system: Any) -> None:
        self.system = system
        protocol = system.protocol
        self.is_shared_between_processes = "memory" not in ((protocol,) if isinstance(protocol, str) else protocol)

    def reach(self, path: str) -> None:
        """Do nothing: the first request will show whether the storage answers."""

    def children(self, folder: str) -> list[Child]:
        """Return what is directly in a folder; nothing where there is none."""
        try:
            found = self.system.ls(folder, detail=True)
        except (FileNotFoundError, NotADirectoryError):
            return []
        return [Child(PurePosixPath(each["name"]).name, each["type"] == "directory") for each in found]

    def files_under(self, folder: str) -> Iterator[StoredObject]:
        """Yield all files in a folder, however deep."""
        for name, each in self.system.find(folder, detail=True).items():
            if each["type"] != "directory" and name.startswith(f"{folder}/"):
                yield StoredObject(name, each["size"], _modified(each))

    def sizes_under(self, folder: str, start: str) -> Iterator[tuple[str, int]]:
        """Yield path and size of all files in those folders and files of a folder whose names begin with `start`."""
        for file in self.files_under(folder):
            if file.path.startswith(f"{folder}/{start}"):
                yield file.path, file.bytes

    def open(self, path: str, **how: Any) -> Any:
        """Open a file for reading."""
        return self.system.open(path, "rb", **how)

    def read(self, path: str) -> bytes:
        """Return a small file's content."""
        return cast(bytes, self.system.cat_file(path))

    def read_range(self, path: str, start: int, end: int) -> bytes:
        """Return the bytes from `start` to `end` of a file, fewer where it ends before."""
        return cast(bytes, self.system.cat_file(path, start=start, end=end))

    def size(self, path: str) -> int:
        """Return a file's size in bytes."""
        return cast(int, self.system.info(path)["size"])

    def write(self, path: str, content: bytes) -> None:
        """Replace a small file as a whole."""
        self.system.pipe_file(path, content)

    def create_new(self, path: str, content: bytes) -> bool:
        """Create a small file, and return whether there was none.

        Raises:
            StoreError: if this file system cannot do so.
        """
        try:
            self.system.pipe_file(path, content, mode="create")
        except FileExistsError:
            return False
        except (TypeError, ValueError, NotImplementedError) as error:
            raise self._no_updates(path) from error
        return True

    def update(self, path: str, change: Change) -> None:
        """Replace a small file by what `change` makes of it, with no write of others in between."""
        while True:
            with suppress(LockLostError), _OWN_THREADS, self._locked(path) as confirm:
                try:
                    before = self.read(path)
                except FileNotFoundError:
                    before = None
                after = change(before)
                confirm()
                if after != before:
                    self.write(path, after)
                return

    def _locked(self, path: str) -> AbstractContextManager[Callable[[], None]]:
        # What no other process sees, the lock of this process's threads is enough for.
        return locked(self, path) if self.is_shared_between_processes else nullcontext(lambda: None)

    def prove_updates(self, path: str) -> None:
        """Check that a file is created only if there is none."""
        if not self.is_shared_between_processes:
            return
        probe = str(PurePosixPath(path).parent / f".{uuid.uuid4().hex}.lock")
        try:
            if not self.create_new(probe, b"1") or self.create_new(probe, b"2"):
                raise self._no_updates(path)
        finally:
            self.remove([probe])

    def _no_updates(self, path: str) -> StoreError:
        return StoreError(
            f"{self.system.unstrip_protocol(path)}: this kind of storage cannot create a file only if there is none,"
            " so two runs that finish together would lose each other's sets; use a folder or an S3 store"
        )

    def temporary(self, path: str) -> Path:
        """Return a name in this user's own folder of the machine."""
        folder = own_folder("upload")
        remove_leftovers(folder)
        return temporary_beside(folder / "file")

    def put(self, temporary: Path, path: str) -> None:
        """Copy a finished file to its place, and remove it here."""
        self.system.put_file(str(temporary), path)
        temporary.unlink()

    def remove(self, paths: Sequence[str]) -> None:
        """Remove files; missing ones are ignored."""
        for path in paths:
            with suppress(FileNotFoundError):
                self.system.rm_file(path)

    def remove_empty_folders(self, folder: str, before: datetime) -> None:
        """Do nothing: an object store has no folders of its own."""

    def unfinished_uploads(self, folder: str) -> list[Upload]:
        """Return none: fsspec has no listing of them."""
        return []

    def abort(self, upload: Upload) -> None:
        """Do nothing: `unfinished_uploads` returns none."""


def _modified(listed: Mapping[str, Any]) -> datetime:
    """Return when a file was written, by what file systems call that."""
    for name in ("mtime", "created", "LastModified", "last_modified", "updated"):
        value = listed.get(name)
        if isinstance(value, datetime):
            return value if value.tzinfo else value.replace(tzinfo=UTC)
        if isinstance(value, int | float):
            return datetime.fromtimestamp(value, UTC)
    raise StoreError(f"{listed.get('name')}: its file system does not say when it was written")
