"""One segment of the index, mapped into memory: lists of rows, and the rows themselves by number."""

from bisect import bisect_left
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from metaclip.browse.index_job import BATCH_ROWS, Rows
from metaclip.store.manifest import Reference
from metaclip.store.store import Store

_HELD = 2048
"""Batches of rows of a segment that stay decompressed: some 50 MB at most."""

NO_ROWS: Rows = np.zeros(0, np.uint32)


class Segment:
    """The files of one segment.

    Raises:
        StoreError: a file is missing, or was altered.
    """

    def __init__(self, store: Store, output: Reference, number: int) -> None:
        def mapped(name: str) -> npt.NDArray[Any]:
            path = store.local_file(output, f"{number:05}.{name}.npy")
            return np.load(path, mmap_mode="r") if path.stat().st_size else NO_ROWS

        self.min_t: npt.NDArray[np.float64] = mapped("min_t")
        self._row_ends, self._row_entries = mapped("row_ends"), mapped("row_entries")
        self._entries, self._entry_ends, self._entry_rows = (
            mapped(name) for name in ("entries", "entry_ends", "entry_rows")
        )
        self._term_rows: Rows = mapped("term_rows")
        source = pa.memory_map(str(store.local_file(output, f"{number:05}.terms.arrow")))
        listed = pa.ipc.open_file(source).read_all().combine_chunks()
        self.terms: pa.StringArray = listed.column("term").combine_chunks()
        self.term_ends: npt.NDArray[np.uint64] = listed.column("end").to_numpy()
        self._rows = store.open_arrow(output, f"{number:05}.rows.arrow")
        self._batch = lru_cache(maxsize=_HELD)(self._rows.get_batch)

    @property
    def rows(self) -> int:
        """Number of rows."""
        return len(self.min_t)

    def kept(self, t: float) -> int:
        """Return how many rows t keeps: those before this number."""
        return int(np.searchsorted(self.min_t, t, side="right"))

    def term(self, term: str) -> int | None:
        """Return the place of a term, None if no row has it."""
        place = bisect_left(_Strings(self.terms), term)
        return place if place < len(self.terms) and self.terms[place].as_py() == term else None

    def of_term(self, place: int | None) -> Rows:
        """Return the rows that have the term at this place, ascending."""
        if place is None:
            return NO_ROWS
        return self._term_rows[int(self.term_ends[place - 1]) if place else 0 : int(self.term_ends[place])]

    def kind(self, letter: str) -> range:
        """Return the places of the terms of a kind."""
        strings = _Strings(self.terms)
        return range(bisect_left(strings, letter), bisect_left(strings, chr(ord(letter) + 1)))

    def of_entry(self, entry_id: int) -> Rows:
        """Return the rows that have an entry, ascending."""
        place = int(np.searchsorted(self._entries, np.uint32(entry_id)))
        if place == len(self._entries) or self._entries[place] != entry_id:
            return NO_ROWS
        return self._entry_rows[int(self._entry_ends[place - 1]) if place else 0 : int(self._entry_ends[place])]

    def kept_of_entries(self, entry_ids: npt.NDArray[np.int64], kept: int) -> npt.NDArray[np.int64]:
        """Return how many of the first `kept` rows have each entry, int64[n]; all lists are searched at once."""
        if not len(self._entries):
            return np.zeros(len(entry_ids), np.int64)
        place = np.minimum(np.searchsorted(self._entries, entry_ids.astype(np.uint32)), len(self._entries) - 1)
        there = self._entries[place] == entry_ids
        end = self._entry_ends[place].astype(np.int64)
        start = np.where(place > 0, self._entry_ends[np.maximum(place, 1) - 1], 0).astype(np.int64)
        low, high = start.copy(), np.where(there, end, start)
        start = low.copy()
        while True:
            open_ = np.flatnonzero(low < high)
            if not len(open_):
                return low - start
            middle = (low[open_] + high[open_]) >> 1
            inside = self._entry_rows[middle] < kept
            low[open_[inside]] = middle[inside] + 1
            high[open_[~inside]] = middle[~inside]

    def entries_of(self, rows: Rows) -> tuple[npt.NDArray[np.int64], Rows]:
        """Return the entry ids of rows in CSR form: offsets int64[n + 1] and ids uint32[m]."""
        ends = self._row_ends[rows].astype(np.int64)
        starts = np.where(rows > 0, self._row_ends[np.maximum(rows, 1) - 1], 0).astype(np.int64)
        offsets = np.concatenate([[0], np.cumsum(ends - starts)])
        at = np.arange(offsets[-1]) - np.repeat(offsets[:-1] - starts, np.diff(offsets))
        return offsets, self._row_entries[at]

    def matches_of(self, first: int, end: int) -> Rows:
        """Return the entry ids of the rows from `first` on, before `end`, one after the other."""
        bounds = [int(self._row_ends[row - 1]) if row else 0 for row in (first, end)]
        return self._row_entries[bounds[0] : bounds[1]]

    def read(self, rows: Sequence[int]) -> pa.Table:
        """Read rows, in the order asked for."""
        parts = [self._batch(row // BATCH_ROWS).slice(row % BATCH_ROWS, 1) for row in rows]
        return pa.Table.from_batches(parts, self._rows.schema)


class _Strings(Sequence[str]):
    """An Arrow array as `bisect` reads it; Arrow sorts by UTF-8, which is the order of Python's strings."""

    def __init__(self, values: pa.StringArray) -> None:
        self._values = values

    def __len__(self) -> int:
        return len(self._values)

    def __getitem__(self, place: Any) -> Any:
        return self._values[place].as_py()
