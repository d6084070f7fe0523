"""The store: immutable outputs under keys. An output exists once its manifest, written last, is there.

Layout, keys and manifests are specified in docs/storage.md.
"""

import copy
import hashlib
import json
import logging
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import Any, Literal, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from metaclip.errors import StoreError
from metaclip.io.storage.files import MARKER, Files, ahead
from metaclip.io.storage.s3_files import PART_BYTES
from metaclip.io.temporary import own_folder, remove_leftovers, replaced
from metaclip.store.checked_file import CheckedFile, altered
from metaclip.store.manifest import Manifest, Reference, StoredFile, json_bytes
from metaclip.store.writer import OutputWriter
from metaclip.tables.parquet import read_groups

LAYOUT = 1

Verify = Literal["size", "full"]

_MISSING = "missing"

_WHOLE: set[tuple[object, ...]] = set()
"""Files that this process compared as a whole: address, SHA-256, and the state of a local file when it was compared."""

logger = logging.getLogger(__name__)


class Examined(NamedTuple):
    """What `Store.examine` finds."""

    manifest: Manifest | None
    """None if the output is not complete."""
    is_altered: bool
    """Whether a file has another content than its manifest states."""


class Store(Files):
    """Reads and writes outputs under one root."""

    def __init__(self, root: str) -> None:
        super().__init__(root)
        self.written: dict[str, Manifest] = {}
        """The manifests that were written through this object, by address."""
        self._compares_all = False

    def check(self) -> None:
        """Check that the root can be read and written, before any work starts.

        Raises:
            StoreError: with the reason, and what to look at.
        """
        self.reach()
        try:
            found = self.read(MARKER)
            if found is None:
                self.write_whole(MARKER, json_bytes({"layout": LAYOUT}))
            layout = LAYOUT if found is None else json.loads(found)["layout"]
        except StoreError as error:
            raise type(error)(f"storage {self.root}: cannot be used: {error}") from error
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise StoreError(
                f"storage {self.root}: cannot be used: {type(error).__name__}: {error}. Check that the folder"
                f" exists and may be written, and that {MARKER} is a file of this project"
            ) from error
        if layout != LAYOUT:
            raise StoreError(f"storage {self.root}: laid out as version {layout}, this code knows {LAYOUT}")
        self.prove_updates(MARKER)

    # Reading

    def find(self, manifest: str, verify: Verify = "size") -> Manifest | None:
        """Return the manifest at an address relative to the root if its output is complete, else None.

        `verify="size"` compares the size of each file, `"full"` its SHA-256 and its rows as well. Missing and
        altered files are logged, because the output will be made again.
        """
        return self.examine(manifest, verify).manifest

    def examine(self, manifest: str, verify: Verify = "size", sizes: Mapping[str, int] | None = None) -> Examined:
        """Do the same as `find`, and tell whether a file was altered.

        `sizes` are those of a listing that was just made, by path relative to the root; what it has is not looked
        up again.
        """
        content = None if sizes is not None and manifest not in sizes else self.read(manifest)
        if content is None:
            return Examined(None, False)
        try:
            found = Manifest.parse(manifest, content)
        except ValueError as error:
            logger.warning(
                "%s: not a manifest of this layout (%s); the output is made again", self.address(manifest), error
            )
            return Examined(None, False)
        folder = str(PurePosixPath(manifest).parent)
        for file in found.files:
            fault = self._fault(f"{folder}/{file.name}", file, verify, sizes)
            if fault:
                logger.warning("%s: %s; the output is made again", self.address(f"{folder}/{file.name}"), fault)
                return Examined(None, fault != _MISSING)
        return Examined(found, False)

    def manifest(self, address: str) -> Manifest:
        """Return a manifest that must exist.

        Raises:
            StoreError: if it is missing or cannot be read.
        """
        content = self.read(address)
        if content is None:
            raise StoreError(f"{self.address(address)}: missing; run the pool again, which remakes only what is lost")
        try:
            return Manifest.parse(address, content)
        except ValueError as error:
            raise StoreError(
                f"{self.address(address)}: not a manifest: {error}; delete it and run the pool again"
            ) from error

    def read_json(self, relative: str) -> Any | None:
        """Return the content of a JSON file, or None where there is no file.

        Raises:
            StoreError: if it holds no JSON.
        """
        content = self.read(relative)
        if content is None:
            return None
        try:
            return json.loads(content)
        except (ValueError, RecursionError) as error:
            raise StoreError(f"{self.address(relative)}: not valid JSON: {error}") from error

    def output_json(self, manifest: str, name: str) -> Any:
        """Return the content of a JSON file of the output whose manifest is at this address.

        Raises:
            StoreError: if it is missing, is not what the manifest states, or holds no JSON.
        """
        reference = Reference(manifest, PurePosixPath(manifest).parent.name, 0)
        try:
            return json.loads(self.read_bytes(reference, name))
        except ValueError as error:
            raise StoreError(f"{self.address(f'{reference.folder}/{name}')}: not valid JSON: {error}") from error

    def read_bytes(self, reference: Reference, name: str) -> bytes:
        """Return the content of a file of an output.

        Raises:
            StoreError: if it is missing, or is not what the manifest states.
        """
        relative = f"{reference.folder}/{name}"
        content = self.read(relative)
        if content is None:
            raise StoreError(f"{self.address(relative)}: missing; run the pool again, which remakes it")
        if hashlib.sha256(content).hexdigest() != self._stated(reference, name).sha256:
            raise altered(self.address(relative))
        return content

    def open_parquet(self, reference: Reference, name: str) -> pq.ParquetFile:
        """Open a Parquet file of an output for reading by row group; what is read of it is compared with the manifest.

        Raises:
            StoreError: if it is missing or not a Parquet file; later, if what is read was altered.
        """
        relative = f"{reference.folder}/{name}"
        stated = self._stated(reference, name)
        try:
            # Arrow asks for a row group's columns in one range; a cache below it would read more than that.
            return pq.ParquetFile(self._compared(relative, stated, reference), pre_buffer=not self.is_local)
        except (OSError, pa.ArrowException) as error:
            raise StoreError(f"{self.address(relative)}: {error}; run the pool again, which remakes it") from error

    def read_rows(
        self, outputs: Sequence[Reference], name: str, groups: Callable[[pq.ParquetFile], Sequence[int]]
    ) -> Iterator[tuple[pa.Table, int]]:
        """Yield rows of a Parquet file of each output, one output after the other, as `read_groups` does.

        A remote store takes its time to answer: the next files are opened, and the first rows of each read, meanwhile.

        Args:
            outputs: whose files are read.
            name: of the file.
            groups: gives the row groups of a file that are wanted, ascending.

        Raises:
            StoreError: as `open_parquet` does.
        """

        def begin(output: Reference) -> tuple[tuple[pa.Table, int] | None, Iterator[tuple[pa.Table, int]]]:
            file = self.open_parquet(output, name)
            tables = read_groups(file, groups(file), is_remote=not self.is_local)
            return next(tables, None), tables

        for first, others in map(begin, outputs) if self.is_local else ahead(begin, outputs):
            if first is not None:
                yield first
            yield from others

    def open_arrow(self, reference: Reference, name: str) -> pa.ipc.RecordBatchFileReader:
        """Open an Arrow file of an output for reading by batch; what is read of it is compared with the manifest.

        Raises:
            StoreError: if it is missing or no Arrow file; later, if what is read was altered.
        """
        relative = f"{reference.folder}/{name}"
        try:
            return pa.ipc.open_file(pa.PythonFile(self._compared(relative, self._stated(reference, name), reference)))
        except (OSError, pa.ArrowException) as error:
            raise StoreError(f"{self.address(relative)}: {error}; run the pool again, which remakes it") from error

    def local_file(self, reference: Reference, name: str) -> Path:
        """Return a local path of a file of an output; a remote file is fetched to this machine once.

        Raises:
            StoreError: if it is missing, or its content is not what the manifest states.
        """
        relative = f"{reference.folder}/{name}"
        stated = self._stated(reference, name)
        if self.is_local:
            self._compare_whole(relative, stated, reference)
            return Path(self.path(relative))
        cache = own_folder("cache")
        target = cache / f"{stated.sha256}-{name}"
        if not (target.exists() and target.stat().st_size == stated.bytes):
            remove_leftovers(cache)
            try:
                with replaced(target) as temporary:
                    with self.open(relative, block_size=PART_BYTES) as source, temporary.open("wb") as sink:
                        shutil.copyfileobj(source, sink, PART_BYTES)
                    if _sha256(temporary) != stated.sha256:
                        raise altered(self.address(relative))
            except FileNotFoundError as error:
                raise StoreError(f"{self.address(relative)}: missing; run the pool again") from error
        return target

    def for_work(self) -> "Store":
        """Return the same store for work whose result is kept.

        Files of earlier versions, whose manifests have no hashes of blocks, are then compared as a whole before
        anything is read of them.
        """
        found = copy.copy(self)
        found._compares_all = True
        return found

    def _stated(self, reference: Reference, name: str) -> StoredFile:
        """Return what a manifest states about a file; what this store wrote itself it knows without reading it."""
        return (self.written.get(reference.manifest) or self.manifest(reference.manifest)).file(name)

    def _compared(self, relative: str, stated: StoredFile, reference: Reference) -> Any:
        """Return a file, or a local path, whose content is compared with what is stated."""
        if stated.blocks is not None:
            return CheckedFile(
                self.address(relative),
                lambda start, end: self.read_range(relative, start, end),
                stated,
                lambda: self.manifest(reference.manifest).file(stated.name),
            )
        if self._compares_all:
            self._compare_whole(relative, stated, reference)
        return self.path(relative) if self.is_local else self.open(relative, cache_type="none")

    def _compare_whole(self, relative: str, stated: StoredFile, reference: Reference) -> None:
        seen = (self.address(relative), stated.sha256, self._local_state(relative))
        if seen in _WHOLE:
            return
        if stated.blocks is not None:
            source = self._compared(relative, stated, reference)
            while source.read(PART_BYTES):
                pass
            _WHOLE.add(seen)
            return
        try:
            with self.open(relative, block_size=PART_BYTES) as source:
                found = hashlib.file_digest(source, "sha256").hexdigest()
        except FileNotFoundError as error:
            raise StoreError(f"{self.address(relative)}: missing; run the pool again, which remakes it") from error
        if found != stated.sha256:
            raise altered(self.address(relative))
        _WHOLE.add(seen)

    def _local_state(self, relative: str) -> tuple[int, ...] | None:
        """Return what changes when a local file does; None for a remote file, and where there is none."""
        try:
            state = Path(self.path(relative)).stat() if self.is_local else None
        except FileNotFoundError:
            return None
        return state and (state.st_ino, state.st_size, state.st_mtime_ns, state.st_ctime_ns)

    # Writing

    @contextmanager
    def create(
        self, stage: str, version: int, config: Mapping[str, Any], inputs: Sequence[str], manifest: str
    ) -> Iterator[OutputWriter]:
        """Write an output: first its data files, then, by `commit`, its manifest at the address `manifest`."""
        writer = OutputWriter(self, stage, version, config, inputs, manifest, self.written)
        try:
            yield writer
        finally:
            writer.close()

    def write_json(self, relative: str, value: object) -> None:
        """Replace a JSON file as a whole."""
        self.write_whole(relative, json_bytes(value))

    def _fault(self, relative: str, stated: StoredFile, verify: Verify, sizes: Mapping[str, int] | None) -> str | None:
        try:
            size = self.size(relative) if sizes is None else sizes.get(relative)
            if size is None:
                return _MISSING
            if size != stated.bytes:
                return f"has {size:,} bytes where its manifest states {stated.bytes:,}"
            if verify == "full":
                with self.open(relative, block_size=PART_BYTES) as source:
                    if hashlib.file_digest(source, "sha256").hexdigest() != stated.sha256:
                        return "does not have the SHA-256 that its manifest states"
                if relative.endswith(".parquet"):
                    with self.open(relative, cache_type="none") as source:
                        rows = pq.read_metadata(source).num_rows
                    if rows != stated.rows:
                        return f"has {rows:,} rows where its manifest states {stated.rows or 0:,}"
        except FileNotFoundError:
            return _MISSING
        except pa.ArrowException as error:
            return f"is no Parquet file: {error}"
        return None


def _sha256(path: Path) -> str:
    with path.open("rb") as source:
        return hashlib.file_digest(source, "sha256").hexdigest()
