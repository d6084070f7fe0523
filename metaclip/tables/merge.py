"""Tables that are each sorted, merged: read side by side, a piece of each at a time."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import pyarrow as pa

_Key: TypeAlias = tuple[Any, ...]


class _Run:
    """One of the tables, of which a piece is at hand."""

    def __init__(self, pieces: Iterable[pa.Table], keys: Sequence[str]) -> None:
        self._pieces = iter(pieces)
        self._keys = keys
        self.next_piece()

    def next_piece(self) -> None:
        """Go to the next piece that is not empty; at the end there is none."""
        self._at = 0
        self._piece = next((piece for piece in self._pieces if piece.num_rows), None)
        self._columns: list[npt.NDArray[Any]] = []
        self.last: _Key | None = None
        """The key of the last row at hand; None at the end."""
        if self._piece is not None:
            self._columns = [self._piece.column(key).to_numpy() for key in self._keys]
            self.last = tuple(column[-1] for column in self._columns)

    def take(self, bound: _Key) -> pa.Table | None:
        """Return the rows of the piece that were not taken yet, as far as their keys do not exceed a bound."""
        if self._piece is None:
            return None
        first, end = self._at, self._piece.num_rows
        for column, value in zip(self._columns, bound, strict=True):
            # What lies before has a smaller key, what lies between the two is alike so far.
            alike = column[first:end]
            first, end = (first + int(np.searchsorted(alike, value, side)) for side in ("left", "right"))
        if end == self._at:
            return None
        taken = self._piece.slice(self._at, end - self._at)
        self._at = end
        return taken


def merge_sorted(tables: Iterable[Iterable[pa.Table]], keys: Sequence[str]) -> Iterator[pa.Table]:
    """Merge sorted tables in bounded memory.

    Args:
        tables: the runs, each in pieces; one piece of each is in memory at a time.
        keys: the numeric columns that each is sorted by; no key stands twice in one run.

    Yields:
        Tables whose keys are all greater than those of the tables before. Within one, rows stand in the order of
        the runs; those of one key are all there.
    """
    runs = [_Run(pieces, keys) for pieces in tables]
    while bounds := [run.last for run in runs if run.last is not None]:
        bound = min(bounds)
        yield pa.concat_tables([taken for run in runs if (taken := run.take(bound)) is not None])
        for run in runs:
            if run.last == bound:
                run.next_piece()
