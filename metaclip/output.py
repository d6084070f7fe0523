"""Writing an output: its data files first, and the manifest that makes it exist last."""

from __future__ import annotations

import hashlib
import io
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, BinaryIO

import pyarrow as pa
import pyarrow.parquet as pq

import metaclip
from metaclip.manifest import Manifest, Reference, StoredFile, json_bytes, stage_key
from metaclip.schemas import CLIMBING, REPEATED

if TYPE_CHECKING:
    from metaclip.store import Store

ROW_GROUP_ROWS = 65_536


class OutputWriter:
    """One output while it is written; nobody sees it before `commit`."""

    def __init__(
        self,
        store: Store,
        stage: str,
        version: int,
        config: Mapping[str, Any],
        inputs: Sequence[str],
        manifest: str,
    ) -> None:
        self._store = store
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
        """Write one data file; set its `rows` where it has any."""
        temporary = self._store.temporary(f"{self._folder}/{name}")
        self._temporaries.append(temporary)
        with temporary.open("wb") as sink:
            hashing = HashingFile(sink)
            yield hashing
            sink.flush()
            os.fsync(sink.fileno())
        self._store.put(temporary, f"{self._folder}/{name}")
        self._files.append(
            StoredFile(name=name, bytes=hashing.size, sha256=hashing.digest.hexdigest(), rows=hashing.rows)
        )

    def parquet(self, name: str, schema: pa.Schema, tables: Iterator[pa.Table]) -> int:
        """Write a stream of tables as one Parquet file in row groups of equal size; return its rows."""
        with self.file(name) as sink:
            sink.rows = write_parquet(sink, schema, tables)
            return sink.rows

    def json(self, name: str, value: object, rows: int) -> None:
        """Write a JSON file that stands for so many rows."""
        with self.file(name) as sink:
            sink.write(json_bytes(value))
            sink.rows = rows

    def written(self, name: str) -> StoredFile:
        """Return what is known of a file that was written already."""
        (found,) = [file for file in self._files if file.name == name]
        return found

    def adopt(self, files: Sequence[StoredFile]) -> None:
        """List files that another manifest of the same folder committed."""
        self._files.extend(files)

    def commit(self, statistics: Mapping[str, Any]) -> Reference:
        """Make the output exist."""
        manifest = Manifest(
            stage=self._stage,
            version=self._version,
            key=stage_key(self._stage, self._version, self._config, self._inputs),
            config=self._config,
            inputs=self._inputs,
            files=sorted(self._files, key=lambda file: file.name),
            statistics=dict(statistics),
            code_version=metaclip.__version__,
        )
        self._store.write_whole(self._manifest, json_bytes(manifest.model_dump()))
        return Reference(self._manifest, manifest.key, manifest.rows)

    def close(self) -> None:
        """Remove what an interrupted write left."""
        for temporary in self._temporaries:
            temporary.unlink(missing_ok=True)


class HashingFile(io.RawIOBase):
    """A sink that counts and hashes what passes, so that no file is read again for its manifest."""

    def __init__(self, sink: BinaryIO) -> None:
        super().__init__()
        self._sink = sink
        self.digest = hashlib.sha256()
        self.size = 0
        self.rows: int | None = None

    def writable(self) -> bool:
        """Say that this is a sink."""
        return True

    def write(self, data: Any) -> int:
        """Pass bytes on."""
        view = memoryview(data)
        self.digest.update(view)
        self._sink.write(view)
        self.size += view.nbytes
        return view.nbytes

    def tell(self) -> int:
        """Return the bytes written."""
        return self.size


def write_parquet(sink: HashingFile, schema: pa.Schema, tables: Iterator[pa.Table]) -> int:
    """Write tables so that the bytes depend on the rows alone, not on how they were cut into tables.

    What `schemas.REPEATED` names is stored through a dictionary and the rest as it is, which takes half
    the time of dictionaries for all columns and less room; zstd's first level takes 2 % more room than
    its third for two thirds of the time.
    """
    encodings = dict.fromkeys(CLIMBING & set(schema.names), "DELTA_BINARY_PACKED")
    rows = 0
    pending: list[pa.Table] = []
    held = 0
    with pq.ParquetWriter(
        sink,
        schema,
        compression="zstd",
        compression_level=1,
        use_dictionary=[name for name in schema.names if name in REPEATED],
        column_encoding=encodings or None,
    ) as writer:
        for table in tables:
            rows += table.num_rows
            pending.append(table)
            held += table.num_rows
            while held >= ROW_GROUP_ROWS:
                whole = pa.concat_tables(pending)
                _write_group(writer, whole.slice(0, ROW_GROUP_ROWS))
                pending, held = [whole.slice(ROW_GROUP_ROWS)], held - ROW_GROUP_ROWS
        if held:
            _write_group(writer, pa.concat_tables(pending))
    return rows


def group_bytes(file: pq.ParquetFile, group: int, columns: Sequence[str] | None = None) -> int:
    """Return the bytes that a row group takes up in its file, or some of its columns do."""
    stated = file.metadata.row_group(group)
    chunks = [stated.column(number) for number in range(stated.num_columns)]
    return sum(
        chunk.total_compressed_size
        for chunk in chunks
        if columns is None or chunk.path_in_schema.partition(".")[0] in columns
    )


def _write_group(writer: pq.ParquetWriter, table: pa.Table) -> None:
    # Pages are cut at the borders of chunks too, so chunks must not show.
    writer.write_table(table.combine_chunks(), row_group_size=ROW_GROUP_ROWS)
