"""Each (address, text) once: sort pairs by uid and keep one row of each, in bounded memory.

Of rows with one uid, the one with the smallest (page_url, text_key) stays, so that neither the
order of the input nor how it was cut into shards shows in the result.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from metaclip.scratch import ScratchTable


class UniquePairs:
    """Collects pairs and gives them back sorted by (uid_hi, uid_lo), each uid once.

    Holds 16 bytes a row in memory; the rows themselves are a `ScratchTable`.
    """

    def __init__(self, schema: pa.Schema) -> None:
        self._scratch = ScratchTable(schema)
        self._high: list[npt.NDArray[np.uint64]] = []
        self._low: list[npt.NDArray[np.uint64]] = []

    @property
    def rows(self) -> int:
        """Rows added so far, repeats included."""
        return self._scratch.rows

    def append(self, table: pa.Table) -> None:
        """Add pairs, in any order."""
        if table.num_rows:
            self._high.append(table.column("uid_hi").to_numpy())
            self._low.append(table.column("uid_lo").to_numpy())
            self._scratch.append(table)

    def order(self) -> npt.NDArray[np.int64]:
        """Return the positions of the rows that stay, int64, in the order of their uids."""
        if not self._high:
            return np.zeros(0, np.int64)
        # One at a time, so that as little as can be is there twice.
        self._high = [np.concatenate(self._high)]
        self._low = [np.concatenate(self._low)]
        order = np.lexsort((self._low[0], self._high[0]))
        repeats = _as_before(self._high[0][order])
        repeats &= _as_before(self._low[0][order])
        if not repeats.any():
            return order
        return self._resolve(order, repeats)

    def _resolve(self, order: npt.NDArray[np.int64], repeats: npt.NDArray[np.bool_]) -> npt.NDArray[np.int64]:
        """Let the smallest (page_url, text_key) of each group of repeats stay."""
        starts = np.concatenate([[True], ~repeats])
        places = np.flatnonzero(np.concatenate([[False], repeats]) | np.concatenate([repeats, [False]]))
        groups = (np.cumsum(starts) - 1)[places]
        rows = self._scratch.take(order[places], ["page_url", "text_key"])
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

    def tables(self, order: npt.NDArray[np.int64]) -> Iterator[pa.Table]:
        """Give the rows of `order`, some ten thousand at a time."""
        return self._scratch.in_order(order)


def _alike(column: pa.ChunkedArray) -> npt.NDArray[np.bool_]:
    """Tell of each value but the first whether it is that before it."""
    return np.asarray(pc.equal(column.slice(1), column.slice(0, len(column) - 1)))


def _as_before(values: npt.NDArray[Any]) -> npt.NDArray[np.bool_]:
    same: npt.NDArray[np.bool_] = values[1:] == values[:-1]
    return same
