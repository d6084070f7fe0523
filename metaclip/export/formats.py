"""The formats of an export: write the pairs of one partition to files."""

import hashlib
import shutil
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt
import pyarrow as pa

from metaclip.errors import StoreError
from metaclip.export.selection import Selection
from metaclip.io.hashing import HashingFile
from metaclip.pairs.uids import UIDS
from metaclip.schemas import kept_fields
from metaclip.stages.curate import curated_schema, cut, to_curated
from metaclip.store.delivery import Target
from metaclip.store.manifest import StoredFile
from metaclip.tables.parquet import write_parquet
from metaclip.tables.scratch import ScratchTable

LINES_AT_ONCE = 16_384


@dataclass
class Written:
    """The files that were written, and their numbers of pairs and images."""

    files: list[StoredFile]
    pairs: int = 0
    images: int = 0


Form = Callable[[Target, int, Selection, int], Written]
"""Writes one partition, whose number names its files, with at most so many rows in each."""


def _part(number: int, file: int, suffix: str, selection: Selection) -> str:
    folder = "" if selection.only is None else f"{selection.only}/"
    return f"{folder}part-{number:05d}-{file:05d}.{suffix}"


def write_img2dataset(target: Target, number: int, selection: Selection, rows_per_file: int) -> Written:
    """Write Parquet of `schemas.CURATED`, in the order of the curated set, which scatters hosts."""
    written = Written([])
    images = _Images()
    for file, tables in enumerate(cut(images.counting(selection.tables()), rows_per_file)):
        with target.file(_part(number, file, "parquet", selection), written.files) as sink:
            schema = curated_schema(selection.schema, selection.groups)
            sink.rows = write_parquet(sink, schema, (to_curated(table, selection.groups) for table in tables))
            written.pairs += sink.rows
    written.images = images.count
    return written


def write_jsonl(target: Target, number: int, selection: Selection, rows_per_file: int) -> Written:
    """Write JSON Lines with the columns of `schemas.CURATED`, one pair a line, in the order of the curated set."""
    written = Written([])
    images = _Images()
    for file, tables in enumerate(cut(images.counting(selection.tables()), rows_per_file)):
        with target.file(_part(number, file, "jsonl", selection), written.files) as sink:
            sink.rows = 0
            for table in tables:
                for start in range(0, table.num_rows, LINES_AT_ONCE):
                    rows = to_curated(table.slice(start, LINES_AT_ONCE), selection.groups).to_pylist()
                    _write_lines(sink, rows)
                    sink.rows += len(rows)
            written.pairs += sink.rows
    written.images = images.count
    return written


def write_metaclip(target: Target, number: int, selection: Selection, rows_per_file: int) -> Written:
    """Write JSON Lines of MetaCLIP's records, one image on each line, sorted by uid, another hash.

    A record is `uuid` (the first 24 hex digits of the SHA-224 of the address), `url`, and `texts`: a
    list of [text key, text, matched entry ids]. Columns that the source's files had of their own follow, each with the
    values of all texts.
    """
    written = Written([])
    scratch = ScratchTable(selection.schema)
    halves = []
    for table in selection.tables():
        scratch.append(table)
        halves.append((table.column("uid_hi").to_numpy(), table.column("uid_lo").to_numpy()))
    if not halves:
        return written
    high, low = (np.concatenate(half) for half in zip(*halves, strict=True))
    order = np.lexsort((low, high))
    borders = np.append(np.flatnonzero(np.diff(high[order], prepend=~high[order[:1]])), len(order))
    written.images, written.pairs = len(borders) - 1, len(order)
    for file, first in enumerate(range(0, written.images, rows_per_file)):
        last = min(first + rows_per_file, written.images)
        with target.file(_part(number, file, "jsonl", selection), written.files) as sink:
            for start in range(first, last, LINES_AT_ONCE):
                end = min(start + LINES_AT_ONCE, last)
                rows = scratch.take(order[borders[start] : borders[end]])
                _write_lines(sink, list(_records(rows, borders[start : end + 1] - borders[start])))
            sink.rows = last - first
    return written


def _records(table: pa.Table, borders: npt.NDArray[np.int64]) -> Iterator[dict[str, Any]]:
    urls = table.column("url").to_pylist()
    columns = (table.column(name).to_pylist() for name in ("text_key", "text", "entry_ids"))
    texts = list(zip(*columns, strict=True))
    own = {field.name: table.column(field.name).to_pylist() for field in kept_fields(table.schema)}
    for first, end in zip(borders[:-1].tolist(), borders[1:].tolist(), strict=True):
        url = urls[first]
        uuid = hashlib.sha224(url.encode()).hexdigest()[:24]
        kept = {name: values[first:end] for name, values in own.items()}
        yield {"uuid": uuid, "url": url, "texts": texts[first:end], **kept}


def _write_lines(sink: HashingFile, rows: list[dict[str, Any]]) -> None:
    sink.write(msgspec.json.Encoder().encode_lines(rows))


def write_datacomp(target: Target, selections: Iterator[Selection], folder: str = "") -> Written:
    """Write the uids of all partitions as one sorted `uids.npy` of dtype `u8,u8`, in a folder of the target.

    Raises:
        StoreError: if the partitions are not in the order of uids.
    """
    written = Written([])
    last: Any = None
    # Their number is at the start of the file, but is known only at the end.
    with tempfile.TemporaryFile(prefix="metaclip-") as spool:
        for selection in selections:
            uids = selection.uids()
            if not len(uids):
                continue
            if last is not None and not tuple(last) < tuple(uids[0]):
                raise StoreError("the pool's partitions are not in the order of uids; run the pool again")
            last = uids[-1]
            spool.write(uids.tobytes())
            written.pairs += len(uids)
            written.images += int(np.count_nonzero(np.diff(uids["f0"]))) + 1
        spool.seek(0)
        with target.file(f"{folder}uids.npy", written.files) as sink:
            header = {"descr": np.lib.format.dtype_to_descr(UIDS), "fortran_order": False, "shape": (written.pairs,)}
            np.lib.format.write_array_header_1_0(sink, header)
            shutil.copyfileobj(spool, sink, 1 << 20)
            sink.rows = written.pairs
    return written


class _Images:
    """Counts distinct images in a stream of tables; all rows of an image are in one partition."""

    def __init__(self) -> None:
        self._seen: list[npt.NDArray[np.uint64]] = []

    def counting(self, tables: Iterator[pa.Table]) -> Iterator[pa.Table]:
        for table in tables:
            self._seen.append(table.column("uid_hi").to_numpy())
            yield table

    @property
    def count(self) -> int:
        return len(np.unique(np.concatenate(self._seen))) if self._seen else 0
