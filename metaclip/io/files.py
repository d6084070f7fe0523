"""Files under one root, wherever that is: read, written as a whole, listed, removed.

A root is any fsspec address; a local folder gets files by moving them into place, an object store by
putting them whole.
"""

import logging
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple, TypeVar, cast

from metaclip.errors import StoreError, StoreOutOfReachError
from metaclip.io.object_store import (
    KEYS_A_REQUEST,
    StoreFile,
    connect,
    explain,
    explained,
    is_s3,
    listing_pages,
    object_size,
    remove_objects,
    unfinished_uploads,
)
from metaclip.io.temporary import is_temporary, own_folder, remove_leftovers, temporary_beside

MARKER = "layout.json"
THREADS = 32
"""Questions that a store is asked at once."""

PART_BYTES = 16 << 20
"""Files of twice this size and more go to an object store in parts of this size."""

PARTS_AT_ONCE = 4


logger = logging.getLogger(__name__)

_T = TypeVar("_T")
_U = TypeVar("_U")


def side_by_side(ask: Callable[[_T], _U], things: Iterable[_T]) -> list[_U]:
    """Ask a store about many things at once; answers come in the order of the things.

    Raises:
        Whatever `ask` raises first, in that order.
    """
    with ThreadPoolExecutor(THREADS) as threads:
        return list(threads.map(ask, things))


def side_by_side_in_turn(ask: Callable[[_T], _U], things: Sequence[_T]) -> Iterator[_U]:
    """Ask as `side_by_side` does about so many things that not all answers should be held at once."""
    for start in range(0, len(things), THREADS):
        yield from side_by_side(ask, things[start : start + THREADS])


class StoredObject(NamedTuple):
    """A file as a listing tells of it; `path` is relative to the root."""

    path: str
    bytes: int
    modified: datetime


class Files:
    """Reads, writes, lists and removes files under one root."""

    def __init__(self, root: str) -> None:
        """Connect to a root without touching it.

        Raises:
            StoreError: if the address names no known file system.
        """
        self.root = root
        try:
            self._fs, path = connect(root)
        except (ValueError, ImportError) as error:
            raise StoreError(
                f"storage {root!r}: {error}; write a folder, or an address such as s3://bucket/prefix"
            ) from error
        self._base = str(path).rstrip("/")

    @property
    def is_local(self) -> bool:
        """Whether the root is a folder of this machine."""
        return "file" in self._protocols

    @property
    def is_shared_between_processes(self) -> bool:
        """Whether another process sees the same files (not so for `memory://`)."""
        return "memory" not in self._protocols

    @property
    def _protocols(self) -> tuple[str, ...]:
        protocol = self._fs.protocol
        return (protocol,) if isinstance(protocol, str) else tuple(protocol)

    def path(self, relative: str) -> str:
        """Return the file system's own path of something under the root."""
        return f"{self._base}/{relative}"

    def address(self, relative: str) -> str:
        """Return what a person or another tool opens: a local path, or an address with its protocol."""
        return self.path(relative) if self.is_local else f"{self.root.rstrip('/')}/{relative}"

    def ask(self, ask: Callable[[_T], _U], things: Sequence[_T]) -> Iterator[_U]:
        """Ask this store about things, in their order, many at once; of few on this machine one after the other."""
        # Threads take longer to start than a local file to open.
        return map(ask, things) if self.is_local and len(things) <= THREADS else side_by_side_in_turn(ask, things)

    def reach(self) -> None:
        """Look whether the root can be read, without the patience that work has.

        Raises:
            StoreError: with the reason, and what to look at.
        """
        if not is_s3(self.root):
            return
        quick, path = connect(self.address(MARKER), patient=False)
        try:
            with explained(self.root):
                quick.cat_file(path, max_concurrency=1)
        except FileNotFoundError:
            return
        except StoreOutOfReachError as error:
            if isinstance(error.__cause__, OSError):
                return  # an answer of the store, such as SlowDown: work will be patient
            raise
        except ValueError as error:
            raise StoreError(f"storage {self.root}: {error}; check AWS_ENDPOINT_URL_S3") from error

    def names(self, folder: str) -> list[str]:
        """Return the names, without `.json`, of the JSON files directly in a folder."""
        return sorted(PurePosixPath(name).stem for name, _ in self._listed(folder) if name.endswith(".json"))

    def folders(self, folder: str = "") -> list[str]:
        """Return the names of the folders directly in a folder, or in the root."""
        return sorted(name for name, is_folder in self._listed(folder) if is_folder)

    def listing(self) -> list[str]:
        """Return the names directly under the root; those of temporary files left out."""
        return sorted(name for name, _ in self._listed("") if not is_temporary(name))

    def _listed(self, folder: str) -> list[tuple[str, bool]]:
        """Return name and whether it is a folder of each thing directly in a folder, which need not exist."""
        path = self.path(folder).rstrip("/")
        with explained(self.address(folder)):
            if is_s3(self.root):
                return self._listed_objects(path)
            try:
                found = self._fs.ls(path, detail=True)
            except (FileNotFoundError, NotADirectoryError):
                return []
        return [(PurePosixPath(each["name"]).name, each["type"] == "directory") for each in found]

    def _listed_objects(self, path: str) -> list[tuple[str, bool]]:
        found: list[tuple[str, bool]] = []
        for prefix, page in listing_pages(self._fs, path, Delimiter="/"):
            found += [(each["Prefix"][len(prefix) : -1], True) for each in page.get("CommonPrefixes", [])]
            found += [(each["Key"][len(prefix) :], False) for each in page.get("Contents", [])]
        return found

    def files(self, folder: str) -> list[StoredObject]:
        """Return all files under a folder, by path; hidden and temporary ones too."""
        with explained(self.address(folder)):
            if is_s3(self.root):
                objects = [
                    each for _, page in listing_pages(self._fs, self.path(folder)) for each in page.get("Contents", [])
                ]
                start = len(self._fs.split_path(self.path("x"))[1]) - 1
                return sorted(StoredObject(each["Key"][start:], each["Size"], each["LastModified"]) for each in objects)
            found = self._fs.find(self.path(folder), detail=True)
        start = len(self.path(""))
        return sorted(
            StoredObject(name[start:], each["size"], _modified(each))
            for name, each in found.items()
            if each["type"] != "directory" and name.startswith(f"{self.path(folder)}/")
        )

    def write_whole(self, relative: str, content: bytes) -> None:
        """Replace a small file as a whole.

        Raises:
            StoreError: if it cannot be written.
        """
        with self._writing(relative):
            if not self.is_local:
                self._fs.pipe_file(self.path(relative), content)
                return
            target = Path(self.path(relative))
            target.parent.mkdir(parents=True, exist_ok=True)
            temporary = temporary_beside(target)
            try:
                with temporary.open("wb") as sink:
                    sink.write(content)
                    sink.flush()
                    os.fsync(sink.fileno())
                temporary.replace(target)
            finally:
                temporary.unlink(missing_ok=True)

    def put(self, temporary: Path, relative: str) -> None:
        """Move a finished file into place; a large one goes to S3 in parts, and is there when all are.

        Raises:
            StoreError: if it cannot be written.
        """
        with self._writing(relative):
            if self.is_local:
                temporary.replace(self.path(relative))
                return
            parts: dict[str, int] = {}
            if is_s3(self.root):
                parts = {"chunksize": PART_BYTES, "max_concurrency": PARTS_AT_ONCE}
            self._fs.put_file(str(temporary), self.path(relative), **parts)
            temporary.unlink()

    def temporary(self, relative: str) -> Path:
        """Return where to write a file that `put` will move into place.

        Raises:
            StoreError: if its folder cannot be made.
        """
        if not self.is_local:
            folder = own_folder("upload")
            remove_leftovers(folder)
            return temporary_beside(folder / "file")
        target = Path(self.path(relative))
        with self._writing(relative):
            target.parent.mkdir(parents=True, exist_ok=True)
            remove_leftovers(target.parent)
        return temporary_beside(target)

    def remove(self, relative: str) -> None:
        """Remove a file if it is there."""
        self.remove_all([relative])

    def remove_all(self, paths: Sequence[str]) -> None:
        """Remove files, given relative to the root; those that are gone already do not matter.

        Raises:
            StoreError: naming the first that cannot be removed.
        """
        if is_s3(self.root):
            for start in range(0, len(paths), KEYS_A_REQUEST):
                some = paths[start : start + KEYS_A_REQUEST]
                with explained(self.address(some[0])):
                    remove_objects(self._fs, [self.path(relative) for relative in some])
            return
        for relative in paths:
            with explained(self.address(relative)), suppress(FileNotFoundError):
                self._fs.rm_file(self.path(relative))

    def unfinished_uploads(self, before: datetime) -> list[dict[str, Any]]:
        """Return uploads in parts that were begun before a time and never ended; nobody sees them, but they cost."""
        if not is_s3(self.root):
            return []
        with explained(self.root):
            return [each for each in unfinished_uploads(self._fs, self.path("")) if each["Initiated"] < before]

    def abort_uploads(self, uploads: Sequence[Mapping[str, Any]]) -> None:
        """Give up uploads that `unfinished_uploads` told of."""
        for upload in uploads:
            bucket = self._fs.split_path(self.path(""))[0]
            with explained(f"s3://{bucket}/{upload['Key']}"), suppress(FileNotFoundError):
                names = {"Key": upload["Key"], "UploadId": upload["UploadId"]}
                self._fs.call_s3("abort_multipart_upload", Bucket=bucket, **names)

    def remove_empty_folders(self, folders: Iterable[str], before: datetime) -> None:
        """Remove these folders and those within that hold nothing and have not changed since a time."""
        if not self.is_local:
            return
        for top in folders:
            for path, _, _ in os.walk(self.path(top), topdown=False):
                folder = Path(path)
                with explained(path), suppress(FileNotFoundError):
                    if folder.stat().st_mtime <= before.timestamp() and not any(folder.iterdir()):
                        folder.rmdir()

    def open(self, relative: str, **how: Any) -> StoreFile:
        """Open a file for reading.

        Raises:
            FileNotFoundError: if there is none.
            StoreError: if it cannot be read, now or later.
        """
        with explained(self.address(relative)):
            return StoreFile(self.address(relative), self._fs.open(self.path(relative), "rb", **how))

    @contextmanager
    def _writing(self, relative: str) -> Iterator[None]:
        try:
            with explained(self.address(relative)):
                yield
        except (FileNotFoundError, NotADirectoryError) as error:
            raise explain(self.address(relative), error) from error

    def read(self, relative: str) -> bytes | None:
        """Return a small file's content, or None where there is none.

        Raises:
            StoreError: if it cannot be read.
        """
        # In one request: a larger number would ask for the size first, and list where there is no file.
        one = {"max_concurrency": 1} if is_s3(self.root) else {}
        try:
            with explained(self.address(relative)):
                return cast(bytes, self._fs.cat_file(self.path(relative), **one))
        except (FileNotFoundError, NotADirectoryError):
            return None

    def size(self, relative: str) -> int:
        """Return a file's size in bytes.

        Raises:
            FileNotFoundError: if there is none.
            StoreError: if the store does not tell.
        """
        with explained(self.address(relative)):
            if is_s3(self.root):
                return object_size(self._fs, self.path(relative))
            return cast(int, self._fs.info(self.path(relative))["size"])

    def has(self, relative: str, size: int) -> bool:
        """Tell whether a file is there with that size."""
        try:
            return self.size(relative) == size
        except (FileNotFoundError, NotADirectoryError):
            return False


def _modified(listed: Mapping[str, Any]) -> datetime:
    """Return when a file was written, by what file systems call that."""
    for name in ("mtime", "created", "LastModified", "last_modified", "updated"):
        value = listed.get(name)
        if isinstance(value, datetime):
            return value if value.tzinfo else value.replace(tzinfo=UTC)
        if isinstance(value, int | float):
            return datetime.fromtimestamp(value, UTC)
    raise StoreError(f"{listed.get('name')}: its file system does not say when it was written")
