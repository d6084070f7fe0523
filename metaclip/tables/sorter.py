"""Rows brought in order in bounded memory: sorted piece by piece, set aside on local disk, and merged."""

import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import IO, TypeAlias

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from metaclip.tables.merge import merge_sorted
from metaclip.tables.parquet import ROW_GROUP_ROWS

MEMORY_BYTES = 48 << 20
"""Rows up to this size stay in memory and touch no disk."""

_FAN_IN = 32
_PIECE_BYTES = 2 << 20
"""So much of each file is in memory while files are merged, however long rows are."""

Order: TypeAlias = Callable[[pa.Table], npt.NDArray[np.int64]]


class Sorter:
    """Collects tables and gives their rows back in order.

    What is more than `MEMORY_BYTES` goes to unnamed temporary files, sorted, and these are merged; they
    vanish with the process however that ends. The folder is the system's (`TMPDIR`). So memory does not
    depend on how many rows there are.
    """

    def __init__(self, schema: pa.Schema, keys: Sequence[str], order: Order) -> None:
        """Sort rows of a schema.

        Args:
            schema: of all tables.
            keys: the numeric columns to sort by, the first one first.
            order: gives the rows of a table that stay, int64, in the order of the keys; no key twice. Whether
                it is asked about all rows at once or about parts, and again about what stayed of these, must
                not matter.
        """
        self.rows = 0
        """Rows added so far."""
        self._schema = schema
        self._keys = keys
        self._order = order
        self._held: list[pa.Table] = []
        self._held_bytes = 0
        self._levels: list[list[IO[bytes]]] = []  # sorted tables; _FAN_IN of one level become one of the next

    def append(self, table: pa.Table) -> None:
        """Add rows."""
        if table.num_rows:
            self.rows += table.num_rows
            if table.get_total_buffer_size() > 2 * table.nbytes:
                # A slice would keep all that it was cut from in memory.
                table = table.take(pa.array(np.arange(table.num_rows)))
            self._held.append(table)
            self._held_bytes += table.nbytes
            if self._held_bytes > MEMORY_BYTES:
                self._spill(self._sorted(), 0)

    def tables(self) -> Iterator[pa.Table]:
        """Give the rows in order, at most some ten thousand at a time; nothing is appended after."""
        held = self._sorted()
        if not self._levels:
            yield from held
            return
        files = [file for level in self._levels for file in level]
        yield from self._merged([*map(_read, files), held])
        for file in files:
            file.close()

    def _sorted(self) -> Iterator[pa.Table]:
        """Give the rows that are held in order, and hold them no longer."""
        if not self._held:
            return
        table = pa.concat_tables(self._held).combine_chunks()
        self._held, self._held_bytes = [], 0
        order = self._order(table)
        for start in range(0, len(order), ROW_GROUP_ROWS):
            yield table.take(pa.array(order[start : start + ROW_GROUP_ROWS]))

    def _spill(self, tables: Iterable[pa.Table], level: int) -> None:
        file: IO[bytes] = tempfile.TemporaryFile(prefix="metaclip-")  # noqa: SIM115 (closed once it was read)
        with pa.ipc.new_stream(file, self._schema) as writer:
            for table in tables:
                writer.write_table(table, max_chunksize=max(1, table.num_rows * _PIECE_BYTES // max(1, table.nbytes)))
        if level == len(self._levels):
            self._levels.append([])
        files = self._levels[level]
        files.append(file)
        if len(files) == _FAN_IN:
            self._levels[level] = []
            self._spill(self._merged(map(_read, files)), level + 1)
            for merged in files:
                merged.close()

    def _merged(self, tables: Iterable[Iterable[pa.Table]]) -> Iterator[pa.Table]:
        for piece in merge_sorted(tables, self._keys):
            whole = piece.combine_chunks()
            yield whole.take(pa.array(self._order(whole)))


def _read(file: IO[bytes]) -> Iterator[pa.Table]:
    file.seek(0)
    for batch in pa.ipc.open_stream(file):
        yield pa.Table.from_batches([batch])
