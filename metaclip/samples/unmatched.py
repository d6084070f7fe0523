"""Which rows of an extracted shard have no entry, or were not looked at for one, and why."""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from metaclip.explore.pool import FinishedPool
from metaclip.metadata.list_job import open_matcher
from metaclip.samples.walk import Choose
from metaclip.stages.match import in_language
from metaclip.stages.match_groups import REASONS, place

FATES = {"no_match": "no_match", "language": "not_wanted", "score": "score", "no_metadata": "no_metadata"}
"""The reasons, and what the statistics of `stages.match_groups` call them."""

COLUMNS = ("uid_hi", "uid_lo", "text", "lang", "lang_score")
"""What of a shard is needed."""

Asked = Callable[[pa.Table, npt.NDArray[np.int64]], npt.NDArray[np.int64]]
"""Returns those of the rows of a table that a sample is asked for."""


def unmatched(pool: FinishedPool, reason: str, asked: Asked) -> Choose:
    """Return a function that chooses the rows of a reason of FATES; the last two are of pools by language."""
    if pool.by_language is not None:
        return lambda table: _by_fate(pool, FATES[reason], table, asked)
    if reason == "no_match":
        return lambda table: _without_entry(pool, "", table, asked(table, in_language(table, pool.config.match)))
    return lambda table: asked(table, _in_another_language(pool, table))


def _in_another_language(pool: FinishedPool, table: pa.Table) -> npt.NDArray[np.int64]:
    left: npt.NDArray[np.int64] = np.setdiff1d(np.arange(table.num_rows), in_language(table, pool.config.match))
    return left


def _by_fate(pool: FinishedPool, fate: str, table: pa.Table, asked: Asked) -> npt.NDArray[np.int64]:
    assert pool.by_language is not None
    groups = pool.by_language.groups
    labels = table.column("lang").combine_chunks().dictionary_encode()
    of_rows, fates = place(groups, pool.config.match, table, labels)
    if fate != "no_match":
        return asked(table, np.flatnonzero(fates == 1 + REASONS.index(fate)))
    rows = asked(table, np.flatnonzero(fates == 0))
    without = [
        _without_entry(pool, groups.names[position], table, rows[of_rows[rows] == position])
        for position in np.unique(of_rows[rows]).tolist()
    ]
    return np.sort(np.concatenate([rows[:0], *without]))


def _without_entry(
    pool: FinishedPool, group: str, table: pa.Table, rows: npt.NDArray[np.int64]
) -> npt.NDArray[np.int64]:
    """Return those of the rows whose text has no entry of a list."""
    offsets, _ = open_matcher(pool.store, pool.lists[group]).match(table.column("text").take(pa.array(rows)))
    without: npt.NDArray[np.int64] = rows[np.diff(offsets) == 0]
    return without
