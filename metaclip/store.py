"""The store: immutable outputs under keys, each made to exist by a manifest that is written last.

Layout, keys and manifests are the contract of docs/storage.md. A root is any fsspec address; a
local folder gets files by moving them into place, an object store by putting them whole.
"""

import hashlib
import json
import logging
import os
import re
import shutil
import socket
import tempfile
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path, PurePosixPath
from typing import Any, Literal, cast

import fsspec
import psutil
import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import ValidationError

from metaclip.errors import StoreError
from metaclip.manifest import Manifest, Reference, StoredFile, json_bytes
from metaclip.output import OutputWriter

LAYOUT = 1

Verify = Literal["size", "full"]

logger = logging.getLogger(__name__)


class Store:
    """Reads and writes outputs under one root."""

    def __init__(self, root: str) -> None:
        """Connect to a root without touching it.

        Raises:
            StoreError: if the address names no known file system.
        """
        self.root = root
        options: dict[str, Any] = {}
        if root.startswith(("s3://", "s3a://")):
            # A cached listing would hide what other workers wrote meanwhile.
            options["use_listings_cache"] = False
        try:
            self._fs, path = fsspec.core.url_to_fs(root, **options)
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

    def check(self) -> None:
        """Make sure that the root can be read and written, before any work starts.

        Raises:
            StoreError: with the reason, and what to look at.
        """
        marker = "layout.json"
        try:
            found = self._read(marker)
            if found is None:
                self.write_whole(marker, json_bytes({"layout": LAYOUT}))
                return
            layout = json.loads(found)["layout"]
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise StoreError(
                f"storage {self.root}: cannot be used: {type(error).__name__}: {error}. Check that the folder or"
                " bucket exists, that it may be written, and (object stores) the credentials in the environment"
            ) from error
        if layout != LAYOUT:
            raise StoreError(f"storage {self.root}: laid out as version {layout}, this code knows {LAYOUT}")

    # Reading

    def find(self, manifest: str, verify: Verify = "size") -> Manifest | None:
        """Return the manifest at an address relative to the root if its output is whole, else None.

        `verify="size"` compares the size of each file, `"full"` its SHA-256 as well. What is missing
        or altered is logged, for the output will be made again.
        """
        content = self._read(manifest)
        if content is None:
            return None
        try:
            found = Manifest.model_validate_json(content)
        except ValidationError:
            logger.warning("%s: not a manifest of this layout; the output is made again", self.address(manifest))
            return None
        folder = str(PurePosixPath(manifest).parent)
        for file in found.files:
            fault = self._fault(f"{folder}/{file.name}", file, verify)
            if fault:
                logger.warning("%s: %s; the output is made again", self.address(f"{folder}/{file.name}"), fault)
                return None
        return found

    def manifest(self, address: str) -> Manifest:
        """Read a manifest that must be there.

        Raises:
            StoreError: if it is missing or cannot be read.
        """
        content = self._read(address)
        if content is None:
            raise StoreError(f"{self.address(address)}: missing; run the pool again, which remakes only what is lost")
        try:
            return Manifest.model_validate_json(content)
        except ValidationError as error:
            raise StoreError(
                f"{self.address(address)}: not a manifest: {error}; delete it and run the pool again"
            ) from error

    def read_json(self, relative: str) -> Any | None:
        """Read a JSON file, or return None where there is none.

        Raises:
            StoreError: if it holds no JSON.
        """
        content = self._read(relative)
        if content is None:
            return None
        try:
            return json.loads(content)
        except ValueError as error:
            raise StoreError(f"{self.address(relative)}: not valid JSON: {error}") from error

    def output_json(self, manifest: str, name: str) -> Any:
        """Read a JSON file of the output whose manifest is at an address relative to the root.

        Raises:
            StoreError: if it is missing or holds no JSON.
        """
        relative = f"{PurePosixPath(manifest).parent}/{name}"
        found = self.read_json(relative)
        if found is None:
            raise StoreError(f"{self.address(relative)}: missing; run the pool again, which remakes it")
        return found

    def names(self, folder: str) -> list[str]:
        """Return the names, without `.json`, of the JSON files directly in a folder."""
        try:
            paths = self._fs.ls(self.path(folder), detail=False)
        except FileNotFoundError:
            return []
        return sorted(PurePosixPath(path).stem for path in paths if str(path).endswith(".json"))

    def folders(self, folder: str) -> list[str]:
        """Return the names of the folders directly in a folder."""
        try:
            found = self._fs.ls(self.path(folder), detail=True)
        except FileNotFoundError:
            return []
        return sorted(PurePosixPath(each["name"]).name for each in found if each["type"] == "directory")

    def listing(self) -> list[str]:
        """Return the names directly under the root; those of temporary files left out."""
        try:
            paths = self._fs.ls(self._base, detail=False)
        except FileNotFoundError:
            return []
        names = {PurePosixPath(path).name for path in paths if str(path).rstrip("/") != self._base}
        return sorted(name for name in names if not (name.startswith(".") and name.endswith(".tmp")))

    def has(self, relative: str, size: int) -> bool:
        """Say whether a file is there with that size."""
        try:
            return bool(self._fs.info(self.path(relative))["size"] == size)
        except FileNotFoundError:
            return False

    def remove(self, relative: str) -> None:
        """Remove a file if it is there."""
        with suppress(FileNotFoundError):
            self._fs.rm_file(self.path(relative))

    def remove_folder(self, relative: str) -> None:
        """Remove a folder with all that it holds, if it is there."""
        with suppress(FileNotFoundError):
            self._fs.rm(self.path(relative), recursive=True)

    def read_bytes(self, reference: Reference, name: str) -> bytes:
        """Read one file of an output whole.

        Raises:
            StoreError: if it is missing.
        """
        content = self._read(f"{reference.folder}/{name}")
        if content is None:
            raise StoreError(f"{self.address(f'{reference.folder}/{name}')}: missing; run the pool again")
        return content

    def open_parquet(self, reference: Reference, name: str) -> pq.ParquetFile:
        """Open a Parquet file of an output for reading by row group.

        Raises:
            StoreError: if it is missing or no Parquet.
        """
        relative = f"{reference.folder}/{name}"
        try:
            if self.is_local:
                return pq.ParquetFile(self.path(relative), memory_map=True)
            return pq.ParquetFile(self._fs.open(self.path(relative), "rb"), pre_buffer=True)
        except (OSError, pa.ArrowInvalid) as error:
            raise StoreError(f"{self.address(relative)}: {error}; run the pool again, which remakes it") from error

    def local_file(self, reference: Reference, name: str) -> Path:
        """Return a path of this machine that holds a file of an output, fetching it once if need be.

        Raises:
            StoreError: if it is missing, or what was fetched is not what the manifest states.
        """
        relative = f"{reference.folder}/{name}"
        if self.is_local:
            return Path(self.path(relative))
        stated = self.manifest(reference.manifest).file(name)
        cache = Path(tempfile.gettempdir()) / f"metaclip-cache-{os.getuid()}"
        cache.mkdir(mode=0o700, exist_ok=True)
        target = cache / f"{stated.sha256}-{name}"
        if not (target.exists() and target.stat().st_size == stated.bytes):
            temporary = cache / f"{uuid.uuid4().hex}.tmp"
            try:
                with self._fs.open(self.path(relative), "rb") as source, temporary.open("wb") as sink:
                    shutil.copyfileobj(source, sink, 1 << 20)
                if _sha256(temporary) != stated.sha256:
                    raise StoreError(f"{self.address(relative)}: altered since it was written; delete it and run again")
                temporary.replace(target)
            except FileNotFoundError as error:
                raise StoreError(f"{self.address(relative)}: missing; run the pool again") from error
            finally:
                temporary.unlink(missing_ok=True)
        return target

    # Writing

    @contextmanager
    def create(
        self, stage: str, version: int, config: Mapping[str, Any], inputs: Sequence[str], manifest: str
    ) -> Iterator[OutputWriter]:
        """Write an output: data files first, the manifest at `manifest` by `commit`, last."""
        writer = OutputWriter(self, stage, version, config, inputs, manifest)
        try:
            yield writer
        finally:
            writer.close()

    def write_json(self, relative: str, value: object) -> None:
        """Replace a JSON file as a whole."""
        self.write_whole(relative, json_bytes(value))

    def write_whole(self, relative: str, content: bytes) -> None:
        """Replace a small file as a whole."""
        if not self.is_local:
            self._fs.pipe_file(self.path(relative), content)
            return
        target = Path(self.path(relative))
        target.parent.mkdir(parents=True, exist_ok=True)
        temporary = _temporary_beside(target)
        try:
            with temporary.open("wb") as sink:
                sink.write(content)
                sink.flush()
                os.fsync(sink.fileno())
            temporary.replace(target)
        finally:
            temporary.unlink(missing_ok=True)

    def put(self, temporary: Path, relative: str) -> None:
        """Move a finished file into place."""
        if self.is_local:
            temporary.replace(self.path(relative))
        else:
            self._fs.put_file(str(temporary), self.path(relative))

    def temporary(self, relative: str) -> Path:
        """Return where to write a file that `put` will move into place."""
        if not self.is_local:
            handle, name = tempfile.mkstemp(prefix="metaclip-")
            os.close(handle)
            return Path(name)
        target = Path(self.path(relative))
        target.parent.mkdir(parents=True, exist_ok=True)
        _remove_leftovers(target.parent)
        return _temporary_beside(target)

    def _read(self, relative: str) -> bytes | None:
        try:
            return cast(bytes, self._fs.cat_file(self.path(relative)))
        except (FileNotFoundError, NotADirectoryError):
            return None

    def _fault(self, relative: str, stated: StoredFile, verify: Verify) -> str | None:
        try:
            size = self._fs.info(self.path(relative))["size"]
            if size != stated.bytes:
                return f"has {size:,} bytes where its manifest states {stated.bytes:,}"
            if verify == "full":
                with self._fs.open(self.path(relative), "rb") as source:
                    if hashlib.file_digest(source, "sha256").hexdigest() != stated.sha256:
                        return "does not have the SHA-256 that its manifest states"
        except FileNotFoundError:
            return "missing"
        return None


def _sha256(path: Path) -> str:
    with path.open("rb") as source:
        return hashlib.file_digest(source, "sha256").hexdigest()


_LEFTOVER = re.compile(r"\.(?P<host>.+)-(?P<pid>\d+)-[0-9a-f]{32}\.tmp$")


def _temporary_beside(target: Path) -> Path:
    # Starts with a dot so that tools that read the folder pass it by.
    return target.parent / f".{socket.gethostname()}-{os.getpid()}-{uuid.uuid4().hex}.tmp"


def _remove_leftovers(folder: Path) -> None:
    """Remove temporary files whose writer, a process of this machine, was killed."""
    for path in folder.glob(".*.tmp"):
        match = _LEFTOVER.search(path.name)
        if match and match["host"] == socket.gethostname() and not psutil.pid_exists(int(match["pid"])):
            with suppress(FileNotFoundError):
                path.unlink()
