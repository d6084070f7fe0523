"""Each (address, text) once: sort pairs by uid and keep one row of each, in bounded memory.

Of rows with one uid, the one with the smallest (page_url, text_key) stays, so that neither the
order of the input nor how it was cut into shards shows in the result.
"""

import tempfile
from collections.abc import Iterable, Iterator
from typing import IO, Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from metaclip.merge import merge_sorted
from metaclip.output import ROW_GROUP_ROWS

MEMORY_BYTES = 48 << 20
"""Rows up to this size stay in memory and touch no disk."""

_FAN_IN = 32
_PIECE_ROWS = 4096


class UniquePairs:
    """Collects pairs and gives them back sorted by (uid_hi, uid_lo), each uid once.

    What is more than `MEMORY_BYTES` goes to unnamed temporary files, sorted, and these are merged; they
    vanish with the process however that ends. The folder is the system's (`TMPDIR`). So memory does not
    depend on how many pairs there are.
    """

    def __init__(self, schema: pa.Schema) -> None:
        self.rows = 0
        """Rows added so far, repeats included."""
        self._schema = schema
        self._held: list[pa.Table] = []
        self._held_bytes = 0
        self._levels: list[list[IO[bytes]]] = []  # sorted tables; _FAN_IN of one level become one of the next

    def append(self, table: pa.Table) -> None:
        """Add pairs, in any order."""
        if table.num_rows:
            self.rows += table.num_rows
            self._held.append(table)
            self._held_bytes += table.nbytes
            if self._held_bytes > MEMORY_BYTES:
                self._spill(self._sorted(), 0)

    def tables(self) -> Iterator[pa.Table]:
        """Give the rows that stay, some ten thousand at a time; nothing is appended after."""
        held = self._sorted()
        if not self._levels:
            yield from held
            return
        files = [file for level in self._levels for file in level]
        yield from _merged([*map(_read, files), held])
        for file in files:
            file.close()

    def _sorted(self) -> Iterator[pa.Table]:
        """Give the rows that are held and stay, in order, and hold them no longer."""
        if not self._held:
            return
        table = pa.concat_tables(self._held).combine_chunks()
        self._held, self._held_bytes = [], 0
        order = unique_order(table)
        for start in range(0, len(order), ROW_GROUP_ROWS):
            yield table.take(pa.array(order[start : start + ROW_GROUP_ROWS]))

    def _spill(self, tables: Iterable[pa.Table], level: int) -> None:
        file: IO[bytes] = tempfile.TemporaryFile(prefix="metaclip-")  # noqa: SIM115 (closed once it was read)
        with pa.ipc.new_stream(file, self._schema) as writer:
            for table in tables:
                writer.write_table(table, max_chunksize=_PIECE_ROWS)
        if level == len(self._levels):
            self._levels.append([])
        files = self._levels[level]
        files.append(file)
        if len(files) == _FAN_IN:
            self._levels[level] = []
            self._spill(_merged(map(_read, files)), level + 1)
            for file in files:
                file.close()


def unique_order(table: pa.Table) -> npt.NDArray[np.int64]:
    """Return the rows of a table that stay, int64, in the order of their uids."""
    high, low = table.column("uid_hi").to_numpy(), table.column("uid_lo").to_numpy()
    order = np.lexsort((low, high))
    repeats = _as_before(high[order])
    repeats &= _as_before(low[order])
    return _resolve(table, order, repeats) if repeats.any() else order


def _resolve(table: pa.Table, order: npt.NDArray[np.int64], repeats: npt.NDArray[np.bool_]) -> npt.NDArray[np.int64]:
    """Let the smallest (page_url, text_key) of each group of repeats stay."""
    starts = np.concatenate([[True], ~repeats])
    places = np.flatnonzero(np.concatenate([[False], repeats]) | np.concatenate([repeats, [False]]))
    groups = (np.cumsum(starts) - 1)[places]
    rows = table.select(["page_url", "text_key"]).take(pa.array(order[places]))
    # Most repeats stand on one page and are alike in every column, so that any may stay.
    differ = _as_before(groups)
    differ &= ~(_alike(rows.column("page_url")) & _alike(rows.column("text_key")))
    contested = np.isin(groups, groups[1:][differ])
    rows, groups, places = rows.filter(pa.array(contested)), groups[contested], places[contested]
    rows = rows.append_column("group", pa.array(groups)).append_column("place", pa.array(places))
    # Arrow compares text by bytes, so no locale shows. Full ties are alike in every column.
    ranked = rows.sort_by([(name, "ascending") for name in ("group", "page_url", "text_key", "place")])
    firsts = np.flatnonzero(np.diff(ranked.column("group").to_numpy(), prepend=-1))
    starts[places] = False
    starts[ranked.column("place").to_numpy()[firsts]] = True
    kept: npt.NDArray[np.int64] = order[starts]
    return kept


def _merged(tables: Iterable[Iterable[pa.Table]]) -> Iterator[pa.Table]:
    for piece in merge_sorted(tables):
        whole = piece.combine_chunks()
        yield whole.take(pa.array(unique_order(whole)))


def _read(file: IO[bytes]) -> Iterator[pa.Table]:
    file.seek(0)
    for batch in pa.ipc.open_stream(file):
        yield pa.Table.from_batches([batch])


def _alike(column: pa.ChunkedArray) -> npt.NDArray[np.bool_]:
    """Tell of each value but the first whether it is that before it."""
    return np.asarray(pc.equal(column.slice(1), column.slice(0, len(column) - 1)))


def _as_before(values: npt.NDArray[Any]) -> npt.NDArray[np.bool_]:
    same: npt.NDArray[np.bool_] = values[1:] == values[:-1]
    return same
