"""Writing an output: first its data files, last its manifest, with which it exists."""

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path, PurePosixPath
from typing import Any

import pyarrow as pa

import metaclip
from metaclip.io.failures import explained
from metaclip.io.hashing import HashingFile
from metaclip.io.storage.files import Files
from metaclip.store.manifest import Manifest, Reference, StoredFile, json_bytes, stage_key
from metaclip.tables.parquet import write_parquet


@contextmanager
def hashed(store: Files, name: str, temporary: Path, *, sync: bool) -> Iterator[HashingFile]:
    """Write a temporary file on this machine that is to become a file of a store.

    Raises:
        StoreError: it cannot be written; the message names the file whose disk is at fault.
    """
    # A remote file is first written to this machine, whose disk may be full.
    address = store.address(name) if store.is_local else str(temporary)
    with explained(address):
        sink = temporary.open("wb")
    try:
        yield HashingFile(sink, address)
        with explained(address):
            sink.flush()
            if sync:
                os.fsync(sink.fileno())
    finally:
        with suppress(OSError):  # of a full disk, where it tells the same once more
            sink.close()


class OutputWriter:
    """Writes one output; it does not exist before `commit`."""

    def __init__(
        self,
        store: Files,
        stage: str,
        version: int,
        config: Mapping[str, Any],
        inputs: Sequence[str],
        manifest: str,
        written: dict[str, Manifest],
    ) -> None:
        self._store = store
        self._written = written
        self._stage = stage
        self._version = version
        self._config = dict(config)
        self._inputs = list(inputs)
        self._manifest = manifest
        self._folder = str(PurePosixPath(manifest).parent)
        self._files: list[StoredFile] = []
        self._temporaries: list[Path] = []

    @contextmanager
    def file(self, name: str) -> Iterator[HashingFile]:
        """Write a data file; the caller sets its `rows` where it has any."""
        temporary = self._store.temporary(f"{self._folder}/{name}")
        self._temporaries.append(temporary)
        with hashed(self._store, f"{self._folder}/{name}", temporary, sync=True) as hashing:
            yield hashing
        self._store.put(temporary, f"{self._folder}/{name}")
        self._files.append(
            StoredFile(
                name=name,
                bytes=hashing.size,
                sha256=hashing.digest.hexdigest(),
                rows=hashing.rows,
                blocks=hashing.blocks,
            )
        )

    def parquet(self, name: str, schema: pa.Schema, tables: Iterator[pa.Table], group_rows: int | None = None) -> int:
        """Write a stream of tables as one Parquet file in row groups of equal size; return its rows."""
        with self.file(name) as sink:
            sink.rows = write_parquet(sink, schema, tables, group_rows)
            return sink.rows

    def json(self, name: str, value: object, rows: int) -> None:
        """Write a JSON file that counts as `rows` rows."""
        with self.file(name) as sink:
            sink.write(json_bytes(value))
            sink.rows = rows

    def written(self, name: str) -> StoredFile:
        """Return name, size, hash and rows of a file that was written before."""
        (found,) = [file for file in self._files if file.name == name]
        return found

    def adopt(self, files: Sequence[StoredFile]) -> None:
        """Add files that another manifest of the same folder has committed."""
        self._files.extend(files)

    def commit(self, statistics: Mapping[str, Any]) -> Reference:
        """Write the manifest, with which the output exists."""
        manifest = Manifest(
            stage=self._stage,
            version=self._version,
            key=stage_key(self._stage, self._version, self._config, self._inputs),
            config=self._config,
            inputs=self._inputs,
            files=sorted(self._files, key=lambda file: file.name),
            statistics=dict(statistics),
            code_version=metaclip.__version__,
            inputs_compared=True,
        )
        self._store.write_whole(self._manifest, json_bytes(manifest.model_dump()))
        self._written[self._manifest] = manifest
        return Reference(self._manifest, manifest.key, manifest.rows)

    def close(self) -> None:
        """Remove temporary files that an interrupted write left."""
        for temporary in self._temporaries:
            temporary.unlink(missing_ok=True)
