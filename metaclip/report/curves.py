"""The curve stage: how many pairs and matches of one balanced partition each step of t keeps."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from metaclip.schemas import CURVE, CURVE_BY_LANGUAGE, PAIRS
from metaclip.stages.count import read_counts
from metaclip.stages.group_counts import ByLanguage, GroupCounts
from metaclip.store.job import Job
from metaclip.store.manifest import Reference
from metaclip.store.store import Store
from metaclip.store.writer import OutputWriter
from metaclip.tables.csr import csr
from metaclip.tables.parquet import group_bytes

CURVES = "curve.parquet"


_MANTISSAS = (10, 12, 15, 20, 25, 30, 40, 50, 60, 80)
SINGLE = 100
"""Number of largest entries that are a group each."""
EVEN = 100
"""Approximate number of groups of equal size for the other entries; towards the head groups are finer."""


def steps(largest: int) -> npt.NDArray[np.float64]:
    """Return ascending t from 1 to the first at or above `largest`, which keeps every pair: ten for each factor of ten.

    They are integers, because powers and logarithms may differ between machines in the last bit.
    """
    found = [1.0]
    scale = 1
    while found[-1] < largest:
        found += [mantissa * scale / 10 for mantissa in _MANTISSAS if mantissa * scale % 10 == 0]
        scale *= 10
    unique = np.unique(found)
    return unique[: int(np.searchsorted(unique, max(largest, 1))) + 1]


@dataclass(frozen=True)
class EntryGroups:
    """The entries with matches, from tail to head, in groups of neighbours.

    `order` has their ids, sorted by ascending count, and for equal counts by descending id. Group g is
    order[bounds[g] : bounds[g + 1]].
    """

    order: npt.NDArray[np.int64]
    bounds: npt.NDArray[np.int64]

    @classmethod
    def of(cls, counts: npt.NDArray[np.uint64]) -> "EntryGroups":
        """Make the groups for uint64[n_entries] counts."""
        falling = np.argsort(np.iinfo(np.uint64).max - counts, kind="stable")
        order = falling[: int(np.count_nonzero(counts))][::-1]
        entries = len(order)
        from_head = np.concatenate([np.arange(SINGLE + 1), steps(entries).astype(np.int64)])
        even = np.arange(EVEN + 1) * entries // EVEN
        bounds = np.unique(np.concatenate([entries - from_head[from_head <= entries], even]))
        return cls(order, bounds)

    def __len__(self) -> int:
        return len(self.bounds) - 1

    def of_entries(self, n_entries: int) -> npt.NDArray[np.int64]:
        """Return the group of each entry, int64[n_entries]; -1 for an entry without a match."""
        groups = np.full(n_entries, -1, np.int64)
        groups[self.order] = np.repeat(np.arange(len(self)), np.diff(self.bounds))
        return groups

    def sums(self, counts: npt.NDArray[np.uint64]) -> npt.NDArray[np.int64]:
        """Add up uint64[n_entries] by group, int64[groups]."""
        held = np.concatenate([[0], np.cumsum(counts[self.order].astype(np.int64))])
        return np.asarray(np.diff(held[self.bounds]), np.int64)


@dataclass(frozen=True)
class CurveJob(Job):
    """Count one partition's sizes for every step of t; this does not depend on the t of a set."""

    STAGE: ClassVar[str] = "curve"
    VERSION: ClassVar[int] = 2

    balanced: Reference
    counts: Reference
    by_language: ByLanguage | None = None

    def config(self) -> Mapping[str, Any]:
        """Return nothing: the steps and the groups of entries follow from the counts and the balanced partition."""
        return {}

    def inputs(self) -> list[str]:
        """Return the keys of the balanced partition and of the counts."""
        return [self.balanced.key, self.counts.key]

    def compute(self, store: Store, output: OutputWriter) -> Mapping[str, Any]:
        """Count pairs, and matches by group of entries, by the step at which a pair enters the set."""
        if self.by_language is not None:
            return self._compute_by_language(store, output, GroupCounts(store, self.counts, self.by_language))
        entry_counts = read_counts(store, self.counts)
        grid = steps(int(entry_counts.max(initial=0)))
        groups = EntryGroups.of(entry_counts)
        group_of = groups.of_entries(len(entry_counts))
        pairs = np.zeros(len(grid), np.int64)
        matches = np.zeros(len(groups) * len(grid), np.int64)
        file = store.open_parquet(self.balanced, PAIRS)
        bytes_read = 0
        for number in range(file.num_row_groups):
            table = file.read_row_group(number, columns=["entry_ids", "min_t"])
            bytes_read += group_bytes(file, number, table.column_names)
            step = np.searchsorted(grid, table.column("min_t").to_numpy())
            offsets, entry_ids = csr(table.column("entry_ids"))
            pairs += np.bincount(step, minlength=len(grid))
            cells = group_of[entry_ids] * len(grid) + np.repeat(step, np.diff(offsets))
            matches += np.bincount(cells, minlength=len(matches))
        output.parquet(CURVES, CURVE, iter([_sparse(pairs, matches.reshape(len(groups), len(grid)))]))
        return {"counts": {"pairs": int(pairs.sum()), "matches": int(matches.sum()), "bytes_read": bytes_read}}

    def _compute_by_language(self, store: Store, output: OutputWriter, counts: GroupCounts) -> Mapping[str, Any]:
        """Count the same for the pairs of each language; t is that of the reference language."""
        entry_counts = counts.concatenated()
        grid = steps(math.ceil(counts.largest_t))
        groups = EntryGroups.of(entry_counts)
        group_of = groups.of_entries(len(entry_counts))
        pairs: dict[str, npt.NDArray[np.int64]] = {}
        matches: dict[str, npt.NDArray[np.int64]] = {}
        file = store.open_parquet(self.balanced, PAIRS)
        bytes_read = 0
        for number in range(file.num_row_groups):
            table = file.read_row_group(number, columns=["lang", "lang_score", "entry_ids", "min_t"])
            bytes_read += group_bytes(file, number, table.column_names)
            step = np.searchsorted(grid, table.column("min_t").to_numpy())
            for language, rows, offsets, entry_ids in counts.pairs(table):
                if language not in pairs:
                    pairs[language] = np.zeros(len(grid), np.int64)
                    matches[language] = np.zeros(len(groups) * len(grid), np.int64)
                pairs[language] += np.bincount(step[rows], minlength=len(grid))
                own = group_of[counts.offsets[language] + entry_ids.astype(np.int64)]
                cells = own * len(grid) + np.repeat(step[rows], np.diff(offsets))
                matches[language] += np.bincount(cells, minlength=len(groups) * len(grid))
        parts = [
            _sparse(pairs[language], matches[language].reshape(len(groups), len(grid)), language)
            for language in sorted(pairs)
        ]
        output.parquet(CURVES, CURVE_BY_LANGUAGE, iter(parts))
        return {
            "counts": {
                "pairs": sum(int(each.sum()) for each in pairs.values()),
                "matches": sum(int(each.sum()) for each in matches.values()),
                "bytes_read": bytes_read,
            }
        }


def _sparse(pairs: npt.NDArray[np.int64], matches: npt.NDArray[np.int64], language: str | None = None) -> pa.Table:
    (entering,) = np.nonzero(pairs)
    group, step = np.nonzero(matches)
    of_pairs = {"group": pa.nulls(len(entering)), "step": entering, "count": pairs[entering]}
    of_matches = {"group": group, "step": step, "count": matches[group, step]}
    whole = pa.concat_tables(
        pa.table({name: pa.array(column) for name, column in part.items()}).cast(CURVE)
        for part in (of_pairs, of_matches)
    )
    if language is None:
        return whole
    return pa.table([pa.repeat(language, whole.num_rows), *whole.columns], schema=CURVE_BY_LANGUAGE)


@dataclass(frozen=True)
class Curves:
    """The curves of a whole pool, by steps of t."""

    t: npt.NDArray[np.float64]
    """float64[steps], ascending."""
    pairs: npt.NDArray[np.int64]
    """int64[steps], the pairs that each t keeps."""
    matches: npt.NDArray[np.int64]
    """int64[groups, steps], the matches of each group of entries in these pairs."""
    groups: EntryGroups


def read_curves(
    store: Store, parts: Sequence[Reference], counts: npt.NDArray[np.uint64], largest_t: float | None = None
) -> Curves:
    """Add up the curves of all partitions of a pool with these counts, one partition at a time.

    In a pool by language the counts are those of all groups, one after the other, and `largest_t` is the smallest t of
    the reference language that keeps every pair.
    """
    grid = steps(int(counts.max(initial=0)) if largest_t is None else math.ceil(largest_t))
    groups = EntryGroups.of(counts)
    pairs = np.zeros(len(grid), np.int64)
    matches = np.zeros((len(groups), len(grid)), np.int64)
    for part in parts:
        table = store.open_parquet(part, CURVES).read(columns=CURVE.names)
        step, count = table.column("step").to_numpy(), table.column("count").to_numpy()
        # Rows of pairs have no group.
        group = table.column("group").fill_null(len(groups)).to_numpy()
        of_pairs = group == len(groups)
        # Each language has a row of its own for the same step and group.
        np.add.at(pairs, step[of_pairs], count[of_pairs].astype(np.int64))
        np.add.at(matches, (group[~of_pairs], step[~of_pairs]), count[~of_pairs].astype(np.int64))
    return Curves(grid, np.cumsum(pairs), np.cumsum(matches, axis=1), groups)
