"""Each (address, text) once: sort pairs by uid and keep one row of each, in bounded memory.

Of rows with one uid, the one with the smallest (page_url, text_key) stays, so that neither the
order of the input nor how it was cut into shards shows in the result.
"""

from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from metaclip.schemas import kept_fields
from metaclip.tables.order import row_order
from metaclip.tables.sorter import Sorter


class UniquePairs(Sorter):
    """Collects pairs and gives them back sorted by (uid_hi, uid_lo), each uid once."""

    def __init__(self, schema: pa.Schema) -> None:
        """Take pairs of a schema that has uids, `page_url` and `text_key`."""
        super().__init__(schema, ("uid_hi", "uid_lo"), unique_order)


def unique_order(table: pa.Table) -> npt.NDArray[np.int64]:
    """Return the rows of a table that stay, int64, in the order of their uids."""
    high, low = table.column("uid_hi").to_numpy(), table.column("uid_lo").to_numpy()
    order = row_order(high, low)
    repeats = _as_before(high[order])
    repeats &= _as_before(low[order])
    return _resolve(table, order, repeats) if repeats.any() else order


def _resolve(table: pa.Table, order: npt.NDArray[np.int64], repeats: npt.NDArray[np.bool_]) -> npt.NDArray[np.int64]:
    """Let the smallest (page_url, text_key) of each group of repeats stay."""
    starts = np.concatenate([[True], ~repeats])
    places = np.flatnonzero(np.concatenate([[False], repeats]) | np.concatenate([repeats, [False]]))
    groups = (np.cumsum(starts) - 1)[places]
    own = [field.name for field in kept_fields(table.schema)]
    rows = table.select(["page_url", "text_key", *own]).take(pa.array(order[places]))
    # Most repeats stand on one page and are alike in every column, so that any may stay.
    differ = _as_before(groups)
    differ &= ~(_alike(rows.column("page_url")) & _alike(rows.column("text_key"))) if not own else True
    if differ.any():
        _choose(starts, rows, groups, places, differ)
    kept: npt.NDArray[np.int64] = order[starts]
    return kept


def _choose(
    starts: npt.NDArray[np.bool_],
    rows: pa.Table,
    groups: npt.NDArray[np.int64],
    places: npt.NDArray[np.int64],
    differ: npt.NDArray[np.bool_],
) -> None:
    """Move the marks of `starts` to the smallest row of each group in which rows differ."""
    contested = np.isin(groups, groups[1:][differ])
    rows, groups, places = rows.filter(pa.array(contested)), groups[contested], places[contested]
    rows = rows.append_column("group", pa.array(groups)).append_column("place", pa.array(places))
    # Arrow compares text by bytes, so no locale shows. Full ties are alike in every column.
    ranked = rows.sort_by([(name, "ascending") for name in _ranking(rows)])
    firsts = np.flatnonzero(np.diff(ranked.column("group").to_numpy(), prepend=-1))
    starts[places] = False
    starts[ranked.column("place").to_numpy()[firsts]] = True


def _ranking(rows: pa.Table) -> list[str]:
    """Return by what rows of one uid are ranked: columns that files had of their own decide last, nulls at the end."""
    own = [name for name in rows.column_names if name not in ("page_url", "text_key", "group", "place")]
    return ["group", "page_url", "text_key", *own, "place"]


def _alike(column: pa.ChunkedArray) -> npt.NDArray[np.bool_]:
    """Tell of each value but the first whether it is that before it."""
    return np.asarray(pc.equal(column.slice(1), column.slice(0, len(column) - 1)))


def _as_before(values: npt.NDArray[Any]) -> npt.NDArray[np.bool_]:
    same: npt.NDArray[np.bool_] = values[1:] == values[:-1]
    return same
