"""The size of a finished pool's set at any t, and the t for a size or a tail share."""

import math
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from metaclip.balance.counts import tail_t
from metaclip.balance.size_ladder import SizeStatistics, merged, t_ladder
from metaclip.config.settings import format_t
from metaclip.explore.pool import FinishedPool, row_groups
from metaclip.explore.size_curve import StoredSizeCurve
from metaclip.kernels.jit import plainly
from metaclip.store.manifest import Reference
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

    Returns:
        JSON values: totals of the pool, and `sizes` by t: `pairs` kept, exactly; `tail_pairs`, those
        that every seed keeps; `expected`, the sum of all keep probabilities; `head_entries`, the number
        of entries with more than t matches; `tail_share`, the share of matches of all other entries;
        `capped_matches`, the sum of min(count, t) over entries.

    Raises:
        ConfigError: unknown pool, t not above 0, a target larger than the pool, a share out of range.
        StoreError: an output of the pool is missing.
    """
    pool = FinishedPool.open(storage, name)
    sizes = _Sizes(pool)
    asked: dict[float, list[str]] = {pool.t(t): [f"t {format_t(t)}"] for t in ts}
    for target in target_pairs:
        asked.setdefault(sizes.curve.t(target), []).append(f"target_pairs {target}")
    for share in tail_shares:
        asked.setdefault(tail_t(pool.counts, share), []).append(f"tail_share {share:g}")
    if not asked:
        asked = {t: [] for t in (*t_ladder(int(pool.counts.max(initial=0))), *map(float, pool.sets), math.inf)}
    ladder = sorted(asked)
    known = sizes.expectations(ladder, pool.balanced_bytes <= READ_UNASKED if expected is None else expected)
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
        "sizes": [{**sizes.at(t), **known[t], "set": sizes.address(t), "asked": asked[t]} for t in ladder],
        "megabytes_read": round(sizes.bytes_read / 1e6, 3),
    }


@dataclass
class _Sizes:
    """The sizes of one pool, from manifests if they have them, else from footers and row groups."""

    pool: FinishedPool
    bytes_read: int = field(default=0, init=False)

    @cached_property
    def curve(self) -> StoredSizeCurve:
        return StoredSizeCurve(self.pool.store, self.pool.all("balance"))

    @cached_property
    def _stated(self) -> dict[float, dict[str, Any]]:
        """The sizes in the manifests, by t; empty if one of them was written by a version without sizes."""
        found = [manifest.statistics.get("sizes") for manifest in self.pool.balanced]
        return merged(sizes for sizes in found if sizes) if all(found) else {}

    @cached_property
    def _ascending(self) -> tuple[npt.NDArray[np.uint64], npt.NDArray[np.uint64]]:
        """Counts of the entries with matches, ascending, and their cumulative sums from 0."""
        ordered = np.sort(self.pool.counts[self.pool.counts > 0])
        return ordered, np.concatenate([np.zeros(1, np.uint64), np.cumsum(ordered, dtype=np.uint64)])

    def at(self, t: float) -> dict[str, Any]:
        """Return the exact figures of one t."""
        ordered, held = self._ascending
        tail = int(np.searchsorted(ordered, t, side="right"))
        pairs = self._pairs(t)
        matches, of_tail, head = int(held[-1]), int(held[tail]), len(ordered) - tail
        return {
            "t": format_t(t),
            "pairs": pairs,
            "share": _share(pairs, self.pool.pairs),
            "head_entries": head,
            "tail_share": _share(of_tail, matches),
            "capped_matches": round(of_tail + (head * t if head else 0), 3),
        }

    def _pairs(self, t: float) -> int:
        if math.isinf(t):
            return self.pool.pairs
        return int(self._stated[t]["pairs"]) if t in self._stated else self.curve.pairs(t)

    def expectations(self, ladder: Sequence[float], read: bool) -> dict[float, dict[str, Any]]:
        """Return `expected` and `tail_pairs` by t; None if no manifest has them and nothing shall be read."""
        largest = int(self.pool.counts.max(initial=0))
        found: dict[float, dict[str, Any]] = {}
        for t in ladder:
            if t >= largest:
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
        statistics, read = SizeStatistics(self.pool.counts, ladder), 0
        with plainly(partition.rows < _FEW_PAIRS):
            for group in row_groups(self.pool.store, partition, "entry_ids"):
                statistics.add(*csr(group.read().column("entry_ids")))
                read += group.bytes
        return {**statistics.to_json(), "bytes": read}

    def address(self, t: float) -> str | None:
        """Return the address of the set of a t, if the pool has it."""
        found = self.pool.sets.get(format_t(t))
        return self.pool.store.address(found.folder) if found else None


def _share(part: int, whole: int) -> float | None:
    return part / whole if whole else None
