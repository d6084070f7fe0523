"""Rows set aside on local disk and taken back in another order, in bounded memory."""

import ctypes
import mmap
import sys
import tempfile
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

MEMORY_BYTES = 64 << 20
"""Rows up to this size stay in memory and touch no disk."""

_JOINED_BYTES = 16 << 20


def _give_back() -> None:
    """Give memory that was freed back to the system, so that the mapping's pages may take its place."""
    pa.default_memory_pool().release_unused()
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None) if sys.platform == "linux" else None
    if trim is not None:  # which only glibc has
        trim(0)


class ScratchTable:
    """Collects tables and gives rows back in any order.

    Past `MEMORY_BYTES` rows go to an unnamed temporary file, which vanishes with the process however
    that ends; only its pages in use occupy memory. The folder is the system's (`TMPDIR`).
    """

    def __init__(self, schema: pa.Schema) -> None:
        self.schema = schema
        self.rows = 0
        self._held: list[pa.RecordBatch] = []
        self._held_bytes = 0
        self._file: Any = None
        self._mapped: mmap.mmap | None = None
        self._writer: pa.RecordBatchStreamWriter | None = None
        self._batches: list[pa.RecordBatch] | None = None
        self._starts: npt.NDArray[np.int64] = np.zeros(1, np.int64)

    def append(self, table: pa.Table) -> None:
        """Add rows at the end."""
        for batch in table.combine_chunks().to_batches():
            self._held.append(batch)
            self._held_bytes += batch.nbytes
            self.rows += batch.num_rows
        if self._held_bytes > MEMORY_BYTES:
            self._spill()

    def _spill(self) -> None:
        if self._writer is None:
            self._file = tempfile.TemporaryFile(prefix="metaclip-")  # noqa: SIM115 (lives as long as its mapping)
            self._writer = pa.ipc.new_stream(self._file, self.schema)
        # Few batches to a spill: taking rows costs a step for each; but not one, for it is a copy.
        held, self._held, self._held_bytes = self._held[::-1], [], 0
        while held:
            joined, size = [held.pop()], 0
            while held and (size := size + joined[-1].nbytes) < _JOINED_BYTES:
                joined.append(held.pop())
            for batch in pa.Table.from_batches(joined, self.schema).combine_chunks().to_batches():
                self._writer.write_batch(batch)

    def _finish(self) -> list[pa.RecordBatch]:
        if self._batches is None:
            if self._writer is None:
                table = pa.Table.from_batches(self._held, self.schema).combine_chunks()
                self._batches = table.to_batches()
            else:
                if self._held:
                    self._spill()
                self._writer.close()
                self._file.flush()
                _give_back()
                self._mapped = mmap.mmap(self._file.fileno(), 0, access=mmap.ACCESS_READ)
                self._batches = list(pa.ipc.open_stream(pa.BufferReader(pa.py_buffer(self._mapped))))
            sizes = [batch.num_rows for batch in self._batches]
            self._starts = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)
            self._held = []
        return self._batches

    def take(self, rows: npt.NDArray[np.int64]) -> pa.Table:
        """Return the rows at the given positions, in the given order; nothing is appended after."""
        batches = self._finish()
        if len(batches) == 1:
            return pa.Table.from_batches([batches[0].take(pa.array(rows))], self.schema)
        order = np.argsort(rows, kind="stable")
        ascending = rows[order]
        cuts = np.searchsorted(ascending, self._starts)
        parts = []
        for batch, start, first, last in zip(batches, self._starts, cuts, cuts[1:], strict=False):
            if last > first:
                parts.append(batch.take(pa.array(ascending[first:last] - start)))
                self._let_go()
        gathered = pa.Table.from_batches(parts, self.schema).combine_chunks()
        back = np.empty_like(order)
        back[order] = np.arange(len(order))
        return gathered.take(pa.array(back))

    def _let_go(self) -> None:
        """Let no page of the file count as this process's memory any longer; what was taken is a copy."""
        if self._mapped is not None and hasattr(mmap, "MADV_DONTNEED"):
            self._mapped.madvise(mmap.MADV_DONTNEED)
