"""Tables that are each sorted by uid, merged: read side by side, a piece of each at a time."""

from collections.abc import Iterable, Iterator
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa


class _Uid(NamedTuple):
    high: int
    low: int


class _Run:
    """One of the tables, of which the next piece is at hand."""

    def __init__(self, pieces: Iterable[pa.Table]) -> None:
        self._pieces = iter(pieces)
        self._empty = np.zeros(0, np.uint64)
        self._at = 0
        self.next_piece()

    def next_piece(self) -> None:
        """Go to the next piece that is not empty; at the end there is none."""
        self._piece: pa.Table | None = next((piece for piece in self._pieces if piece.num_rows), None)
        self._high = self._column("uid_hi")
        self._low = self._column("uid_lo")
        self._at = 0

    def _column(self, name: str) -> npt.NDArray[np.uint64]:
        return self._empty if self._piece is None else self._piece.column(name).to_numpy()

    @property
    def last(self) -> _Uid | None:
        """The last uid of the piece at hand, None at the end."""
        return _Uid(int(self._high[-1]), int(self._low[-1])) if self._piece is not None else None

    def take(self, bound: _Uid) -> pa.Table | None:
        """Return the rows of the piece that were not taken yet, as far as their uids do not exceed a bound."""
        first, above = (np.searchsorted(self._high, np.uint64(bound.high), side) for side in ("left", "right"))
        end = int(first + np.searchsorted(self._low[first:above], np.uint64(bound.low), "right"))
        if self._piece is None or end == self._at:
            return None
        taken = self._piece.slice(self._at, end - self._at)
        self._at = end
        return taken


def merge_sorted(tables: Iterable[Iterable[pa.Table]]) -> Iterator[pa.Table]:
    """Merge tables that are sorted by (uid_hi, uid_lo) and hold each uid once, in bounded memory.

    Args:
        tables: the runs, each in pieces; one piece of each is in memory at a time.

    Yields:
        Tables whose uids are all greater than those of the tables before. Within one, rows stand in the order of
        the runs; those of one uid are all there.
    """
    runs = [_Run(pieces) for pieces in tables]
    while bounds := [last for run in runs if (last := run.last) is not None]:
        bound = min(bounds)
        yield pa.concat_tables([taken for run in runs if (taken := run.take(bound)) is not None])
        for run in runs:
            if run.last == bound:
                run.next_piece()
