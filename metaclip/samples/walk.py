"""Rows in the order of their uids from any uid on, once round, read a row group at a time.

Files of extract, match and dedup are sorted by uid. A uid is a hash, so what follows an arbitrary uid is a random
sample of the rows, and to read it takes one row group or a few.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from metaclip.balance.algorithm import shuffle_keys
from metaclip.explore.pool import RowGroup, row_groups
from metaclip.io.storage.files import side_by_side
from metaclip.store.manifest import Reference
from metaclip.store.store import Store

Choose = Callable[[pa.Table], npt.NDArray[np.int64]]
"""Returns the rows of a table that are wanted, ascending."""

MOST_SHARDS = 16
"""Shards of a large pool that a sample is taken from; which ones the seed decides."""


def start_of(seed: int) -> int:
    """Return the `uid_hi` that a sample begins at."""
    zero = np.zeros(1, np.uint64)
    return int(shuffle_keys(zero, zero, seed)[0])


def _once_round(
    store: Store, outputs: Sequence[Reference], start: int, columns: Sequence[str]
) -> Iterator[tuple[RowGroup, str]]:
    """Yield the row groups in the order of uids, from the one that has `start` on.

    The one that has it in its middle comes twice: first for the rows `from` it on, last for those `before`.
    """
    begin = start * len(outputs) >> 64
    groups = list(row_groups(store, outputs[begin], *columns))
    at = next((n for n, group in enumerate(groups) if (group.bounds("uid_hi") or (0, start))[1] >= start), len(groups))
    yield from ((group, "from") for group in groups[at:])
    for turn in range(1, len(outputs)):
        yield from ((group, "all") for group in row_groups(store, outputs[(begin + turn) % len(outputs)], *columns))
    yield from ((group, "before") for group in groups[: at + 1])


def take_from(
    store: Store, outputs: Sequence[Reference], start: int, columns: Sequence[str], choose: Choose, wanted: int
) -> pa.Table | None:
    """Return the first rows that are chosen, in the order of uids from `start` on, once round; None if there are none.

    Args:
        store: the store.
        outputs: partitions in the order of their uids, or one shard.
        start: the `uid_hi` to begin at.
        columns: what `choose` needs; `uid_hi` is among them.
        choose: which rows are wanted.
        wanted: number of rows.
    """
    found: list[pa.Table] = []
    count = 0
    for group, part in _once_round(store, outputs, start, columns):
        table = group.read()
        rows = choose(table)
        high = table.column("uid_hi").to_numpy()[rows]
        if part != "all":
            rows = rows[(high >= np.uint64(start)) == (part == "from")]
        rows = rows[: wanted - count]
        if len(rows):
            found.append(group.read(_all(group)).take(pa.array(rows)))
            count += len(rows)
        if count == wanted:
            break
    return pa.concat_tables(found) if found else None


def take_from_shards(
    store: Store, shards: Sequence[Reference], start: int, columns: Sequence[str], choose: Choose, wanted: int
) -> tuple[pa.Table | None, int]:
    """Do the same over shards, each of which has uids of the whole range, and return how many were read.

    Of many shards `MOST_SHARDS` are read, an arbitrary choice that `start` makes. A uid that several have comes once.
    """
    places = np.arange(len(shards), dtype=np.uint64)
    order = np.argsort(shuffle_keys(places, places, start), kind="stable")[:MOST_SHARDS]
    chosen = [shards[number] for number in sorted(order.tolist())]
    parts = side_by_side(lambda shard: take_from(store, [shard], start, columns, choose, wanted), chosen)
    tables = [part for part in parts if part is not None]
    if not tables:
        return None, len(chosen)
    whole = pa.concat_tables(tables, promote_options="permissive")  # kept columns may have several types
    high, low = whole.column("uid_hi").to_numpy(), whole.column("uid_lo").to_numpy()
    order = np.lexsort((low, high - np.uint64(start)))  # the distance wraps round, as the walk does
    high, low = high[order], low[order]
    fresh = np.ones(len(order), bool)
    fresh[1:] = (high[1:] != high[:-1]) | (low[1:] != low[:-1])
    return whole.take(pa.array(order[fresh][:wanted])), len(chosen)


def _all(group: RowGroup) -> list[str]:
    return list(group.file.schema_arrow.names)


def rows_of(table: pa.Table | None) -> list[dict[str, Any]]:
    """Return the rows of a table as JSON values."""
    rows: list[dict[str, Any]] = [] if table is None else table.to_pylist()
    return rows
