"""The store: immutable outputs under keys. An output exists once its manifest, written last, is there.

Layout, keys and manifests are specified in docs/storage.md.
"""

import hashlib
import json
import logging
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import Any, Literal

import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import ValidationError

from metaclip.errors import StoreError
from metaclip.io.storage.files import MARKER, Files
from metaclip.io.storage.s3_files import PART_BYTES
from metaclip.io.temporary import own_folder, remove_leftovers, temporary_beside
from metaclip.store.manifest import Manifest, Reference, StoredFile, json_bytes
from metaclip.store.writer import OutputWriter

LAYOUT = 1

Verify = Literal["size", "full"]

logger = logging.getLogger(__name__)


class Store(Files):
    """Reads and writes outputs under one root."""

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
                return
            layout = json.loads(found)["layout"]
        except StoreError as error:
            raise type(error)(f"storage {self.root}: cannot be used: {error}") from error
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise StoreError(
                f"storage {self.root}: cannot be used: {type(error).__name__}: {error}. Check that the folder"
                f" exists and may be written, and that {MARKER} is a file of this project"
            ) from error
        if layout != LAYOUT:
            raise StoreError(f"storage {self.root}: laid out as version {layout}, this code knows {LAYOUT}")

    # Reading

    def find(self, manifest: str, verify: Verify = "size") -> Manifest | None:
        """Return the manifest at an address relative to the root if its output is complete, else None.

        `verify="size"` compares the size of each file, `"full"` its SHA-256 as well. Missing and altered
        files are logged, because the output will be made again.
        """
        content = self.read(manifest)
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
        """Return a manifest that must exist.

        Raises:
            StoreError: if it is missing or cannot be read.
        """
        content = self.read(address)
        if content is None:
            raise StoreError(f"{self.address(address)}: missing; run the pool again, which remakes only what is lost")
        try:
            return Manifest.model_validate_json(content)
        except ValidationError as error:
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
        except ValueError as error:
            raise StoreError(f"{self.address(relative)}: not valid JSON: {error}") from error

    def output_json(self, manifest: str, name: str) -> Any:
        """Return the content of a JSON file of the output whose manifest is at this address.

        Raises:
            StoreError: if it is missing or holds no JSON.
        """
        relative = f"{PurePosixPath(manifest).parent}/{name}"
        found = self.read_json(relative)
        if found is None:
            raise StoreError(f"{self.address(relative)}: missing; run the pool again, which remakes it")
        return found

    def read_bytes(self, reference: Reference, name: str) -> bytes:
        """Return the content of a file of an output.

        Raises:
            StoreError: if it is missing.
        """
        content = self.read(f"{reference.folder}/{name}")
        if content is None:
            raise StoreError(f"{self.address(f'{reference.folder}/{name}')}: missing; run the pool again")
        return content

    def open_parquet(self, reference: Reference, name: str) -> pq.ParquetFile:
        """Open a Parquet file of an output for reading by row group.

        Raises:
            StoreError: if it is missing or not a Parquet file.
        """
        relative = f"{reference.folder}/{name}"
        try:
            if self.is_local:
                return pq.ParquetFile(self.path(relative))
            # Arrow asks for a row group's columns in one range; a cache below it would read more than that.
            return pq.ParquetFile(self.open(relative, cache_type="none"), pre_buffer=True)
        except (OSError, pa.ArrowInvalid) as error:
            raise StoreError(f"{self.address(relative)}: {error}; run the pool again, which remakes it") from error

    def local_file(self, reference: Reference, name: str) -> Path:
        """Return a local path of a file of an output; a remote file is fetched to this machine once.

        Raises:
            StoreError: if it is missing, or its content is not what the manifest states.
        """
        relative = f"{reference.folder}/{name}"
        if self.is_local:
            return Path(self.path(relative))
        stated = self.manifest(reference.manifest).file(name)
        cache = own_folder("cache")
        target = cache / f"{stated.sha256}-{name}"
        if not (target.exists() and target.stat().st_size == stated.bytes):
            remove_leftovers(cache)
            temporary = temporary_beside(target)
            try:
                with self.open(relative, block_size=PART_BYTES) as source, temporary.open("wb") as sink:
                    shutil.copyfileobj(source, sink, PART_BYTES)
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
        """Write an output: first its data files, then, by `commit`, its manifest at the address `manifest`."""
        writer = OutputWriter(self, stage, version, config, inputs, manifest)
        try:
            yield writer
        finally:
            writer.close()

    def write_json(self, relative: str, value: object) -> None:
        """Replace a JSON file as a whole."""
        self.write_whole(relative, json_bytes(value))

    def _fault(self, relative: str, stated: StoredFile, verify: Verify) -> str | None:
        try:
            size = self.size(relative)
            if size != stated.bytes:
                return f"has {size:,} bytes where its manifest states {stated.bytes:,}"
            if verify == "full":
                with self.open(relative, block_size=PART_BYTES) as source:
                    if hashlib.file_digest(source, "sha256").hexdigest() != stated.sha256:
                        return "does not have the SHA-256 that its manifest states"
        except FileNotFoundError:
            return "missing"
        return None


def _sha256(path: Path) -> str:
    with path.open("rb") as source:
        return hashlib.file_digest(source, "sha256").hexdigest()
