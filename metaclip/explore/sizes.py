"""The size of a finished pool's set at any t, and the t for a size or a tail share."""

import math
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from metaclip.balance.counts import tail_t
from metaclip.balance.size_ladder import SizeStatistics, merged, summed, t_ladder
from metaclip.config.settings import format_t
from metaclip.explore.by_language import language_rows
from metaclip.explore.pool import FinishedPool, row_groups
from metaclip.explore.size_curve import StoredSizeCurve
from metaclip.kernels.jit import plainly
from metaclip.schemas import PAIRS
from metaclip.stages.curate import balanced_prefix
from metaclip.store.manifest import Reference
from metaclip.tables.by_group import rows_by_group
from metaclip.tables.csr import csr

READERS = 4
"""Number of partitions whose entry ids are read in parallel."""
READ_UNASKED = 64 << 20
"""Balanced files up to this size are read for expected sizes by default: about half a million pairs."""

_FEW_PAIRS = 20_000
"""So few are counted without compiled kernels, which take longer to load."""


def plan_sizes(
    storage: str,
    name: str,
    ts: Sequence[float] = (),
    target_pairs: Sequence[int] = (),
    tail_shares: Sequence[float] = (),
    expected: bool | None = None,
    by_language: bool = False,
) -> dict[str, Any]:
    """Return the size of a pool's set at each requested t, or at a ladder of t if none is requested.

    Args:
        storage: root of the store.
        name: name of the pool.
        ts: each above 0; infinity keeps all.
        target_pairs: sizes; for each, the smallest t that keeps this many pairs is used.
        tail_shares: shares of all matches, above 0 and at most 1; for each, the smallest t whose tail
            has this share is used.
        expected: read the entry ids of all pairs if they are needed for `expected` and `tail_pairs`,
            which are known without reading only for the ladder; None reads them for a small pool only.
        by_language: add `languages` to each size, a row for each language (`by_language.language_rows`). For a t that
            is not of the ladder the labels of all pairs up to t are read.

    Returns:
        JSON values: totals of the pool, and `sizes` by t: `pairs` kept, exactly; `tail_pairs`, those
        that every seed keeps; `expected`, the sum of all keep probabilities; `head_entries`, the number
        of entries with more than t matches; `tail_share`, the share of matches of all other entries;
        `capped_matches`, the sum of min(count, t) over entries. In a pool by language every t is of the reference
        language, whose `tail_share` it is, and entries are compared with the t of their own language.

    Raises:
        ConfigError: unknown pool, `by_language` for a pool with one list for all texts, t not above 0, a target larger
            than the pool, a share out of range.
        StoreError: an output of the pool is missing.
    """
    pool = FinishedPool.open(storage, name)
    sizes = Sizes(pool)
    asked: dict[float, list[str]] = {pool.t(t): [f"t {format_t(t)}"] for t in ts}
    for target in target_pairs:
        asked.setdefault(sizes.curve.t(target), []).append(f"target_pairs {target}")
    for share in tail_shares:
        asked.setdefault(tail_t(sizes.counts_of_t, share), []).append(f"tail_share {share:g}")
    if not asked:
        asked = {
            t: []
            for t in (*t_ladder(math.ceil(sizes.largest_t)), *(float(t) for t in pool.sets if ";" not in t), math.inf)
        }
    if by_language:
        pool.group_counts  # noqa: B018 (tells where there are none)
    ladder = sorted(asked)
    known = sizes.expectations(ladder, pool.balanced_bytes <= READ_UNASKED if expected is None else expected)
    found = {t: {**sizes.at(t), **known[t], "set": sizes.address(t), "asked": asked[t]} for t in ladder}
    if by_language:
        for t, size in found.items():
            size["languages"] = sizes.languages(t)
    return {
        "pool": name,
        "storage": storage,
        "t": format_t(pool.config.balance.t),
        "seed": pool.config.balance.seed,
        "pairs": pool.pairs,
        "entries": len(pool.counts),
        "entries_with_matches": int(np.count_nonzero(pool.counts)),
        "matches": int(pool.counts.sum()),
        "largest_count": int(pool.counts.max(initial=0)),
        **({} if pool.by_language is None else {"reference": pool.group_counts.reference}),
        "sizes": list(found.values()),
        "megabytes_read": round(sizes.bytes_read / 1e6, 3),
    }


@dataclass
class Sizes:
    """The sizes of one pool, from manifests if they have them, else from footers and row groups."""

    pool: FinishedPool
    bytes_read: int = field(default=0, init=False)

    @cached_property
    def curve(self) -> StoredSizeCurve:
        """The size of any t, from the balanced files."""
        return StoredSizeCurve(self.pool.store, self.pool.all("balance"))

    @cached_property
    def _stated(self) -> dict[float, dict[str, Any]]:
        """The sizes in the manifests, by t; empty if one of them was written by a version without sizes."""
        found = [manifest.statistics.get("sizes") for manifest in self.pool.balanced]
        return merged(sizes for sizes in found if sizes) if all(found) else {}

    @property
    def _lists(self) -> tuple[str | None, ...]:
        """The groups that have a list; None for the one list for all texts."""
        return (None,) if self.pool.by_language is None else self.pool.by_language.groups.names

    @property
    def counts_of_t(self) -> npt.NDArray[np.uint64]:
        """The counts that t is for: those of the one list, or of the reference language."""
        return self.pool.counts_of(None if self.pool.by_language is None else self.pool.group_counts.reference)

    @cached_property
    def largest_t(self) -> float:
        """The smallest t that surely keeps every pair."""
        if self.pool.by_language is not None:
            return self.pool.group_counts.largest_t
        return float(self.pool.counts.max(initial=0))

    @cached_property
    def _ascending(self) -> dict[str | None, tuple[npt.NDArray[np.uint64], npt.NDArray[np.uint64]]]:
        """Of each list the counts of the entries with matches, ascending, and their cumulative sums from 0."""
        found = {}
        for group in self._lists:
            counts = self.pool.counts_of(group)
            ordered = np.sort(counts[counts > 0])
            found[group] = (ordered, np.concatenate([np.zeros(1, np.uint64), np.cumsum(ordered, dtype=np.uint64)]))
        return found

    def at(self, t: float, pairs: int | None = None) -> dict[str, Any]:
        """Return the exact figures of one t; `pairs` if the number of pairs is known."""
        head, capped = 0, 0.0
        pairs = self._pairs(t) if pairs is None else pairs
        shares: dict[str | None, float | None] = {}
        for group, (ordered, held) in self._ascending.items():
            own = self.pool.t_of(group, t)
            tail = int(np.searchsorted(ordered, own, side="right"))
            of_tail, above = int(held[tail]), len(ordered) - tail
            head += above
            capped += of_tail + (above * own if above else 0)
            shares[group] = _share(of_tail, int(held[-1]))
        reference = None if self.pool.by_language is None else self.pool.group_counts.reference
        return {
            "t": format_t(t),
            "pairs": pairs,
            "share": _share(pairs, self.pool.pairs),
            "head_entries": head,
            "tail_share": shares[reference],
            "capped_matches": round(capped, 3),
        }

    def languages(self, t: float) -> list[dict[str, Any]]:
        """Return a row for each language at one t; see `by_language.language_rows`."""
        stated = [manifest.statistics["sizes_by_language"] for manifest in self.pool.balanced]
        pairs: Counter[str] = Counter()
        chosen: Counter[str] = Counter()
        for partition in stated:
            for group, sizes in partition.items():
                pairs[group] += sizes["pairs"][-1]  # the last t of the ladder keeps all
                if t in sizes["t"]:
                    chosen[group] += sizes["pairs"][sizes["t"].index(t)]
        if t >= self.largest_t:
            chosen = pairs
        elif not any(t in sizes["t"] for partition in stated for sizes in partition.values()):
            with ThreadPoolExecutor(READERS) as threads:
                for found, read in threads.map(lambda part: self._chosen(part, t), self.pool.all("balance")):
                    chosen.update(found)
                    self.bytes_read += read
        return language_rows(self.pool.group_counts, t, pairs, chosen)

    def _chosen(self, partition: Reference, t: float) -> tuple[Counter[str], int]:
        """Count one partition's pairs up to t by language; also return the bytes that were read."""
        assert self.pool.by_language is not None
        counts: Counter[str] = Counter()
        found: Counter[str] = Counter()
        file = self.pool.store.open_parquet(partition, PAIRS)
        for table in balanced_prefix(file, t, counts, ["lang", "lang_score", "min_t"]):
            found.update({group: len(rows) for group, rows in rows_by_group(self.pool.by_language.groups, table)})
        return found, counts["bytes_read"]

    def _pairs(self, t: float) -> int:
        if math.isinf(t):
            return self.pool.pairs
        return int(self._stated[t]["pairs"]) if t in self._stated else self.curve.pairs(t)

    def expectations(self, ladder: Sequence[float], read: bool) -> dict[float, dict[str, Any]]:
        """Return `expected` and `tail_pairs` by t; None if no manifest has them and nothing shall be read."""
        found: dict[float, dict[str, Any]] = {}
        for t in ladder:
            if t >= self.largest_t:
                found[t] = {"expected": float(self.pool.pairs), "tail_pairs": self.pool.pairs}
            elif t in self._stated:
                found[t] = {name: self._stated[t][name] for name in ("expected", "tail_pairs")}
            else:
                found[t] = {"expected": None, "tail_pairs": None}
        unknown = [t for t in ladder if found[t]["expected"] is None]
        if read and unknown:
            with ThreadPoolExecutor(READERS) as threads:
                parts = list(threads.map(lambda part: self._count(part, unknown), self.pool.all("balance")))
            for t, figures in merged(parts).items():
                found[t] = {name: figures[name] for name in ("expected", "tail_pairs")}
            self.bytes_read += sum(part["bytes"] for part in parts)
        return found

    def _count(self, partition: Reference, ladder: Sequence[float]) -> dict[str, Any]:
        """Count one partition's pairs for a ladder of t, from the column of their entry ids."""
        if self.pool.by_language is not None:
            return self._count_by_language(partition, ladder)
        statistics, read = SizeStatistics(self.pool.counts, ladder), 0
        with plainly(partition.rows < _FEW_PAIRS):
            for group in row_groups(self.pool.store, partition, "entry_ids"):
                statistics.add(*csr(group.read().column("entry_ids")))
                read += group.bytes
        return {**statistics.to_json(), "bytes": read}

    def _count_by_language(self, partition: Reference, ladder: Sequence[float]) -> dict[str, Any]:
        counts, read = self.pool.group_counts, 0
        found: dict[str, SizeStatistics] = {}
        for group in row_groups(self.pool.store, partition, "lang", "lang_score", "entry_ids"):
            for language, _, offsets, entry_ids in counts.pairs(group.read()):
                if language not in found:
                    own = [counts.t(language, t) for t in ladder]
                    found[language] = SizeStatistics(counts.counts(language), ladder, own)
                found[language].add(offsets, entry_ids)
            read += group.bytes
        return {**summed((one.to_json() for _, one in sorted(found.items())), ladder), "bytes": read}

    def address(self, t: float) -> str | None:
        """Return the address of the set of a t, if the pool has it."""
        found = self.pool.sets.get(format_t(t))
        return self.pool.store.address(found.folder) if found else None


def _share(part: int, whole: int) -> float | None:
    return part / whole if whole else None
