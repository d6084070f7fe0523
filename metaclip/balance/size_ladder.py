"""The sizes of a partition at a ladder of t, counted while it is balanced.

They are in the manifest of the balance stage, so that `metaclip plan` only reads manifests.
"""

import math
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from metaclip.kernels.jit import frozen, kernel
from metaclip.kernels.types import EntryIds, Floats, Ints, Offsets, Words

PUBLISHED = (20_000.0, 170_000.0)
"""MetaCLIP's t for 400M and for 2.5B pairs."""


def t_ladder(largest: int) -> list[float]:
    """Return 1, 2, 5, 10, 20, … up to the first t that keeps every pair, with those of MetaCLIP's t that are below it.

    Args:
        largest: the largest count of an entry.
    """
    ladder: list[float] = []
    while not ladder or ladder[-1] < largest:
        ladder.append(float((1, 2, 5)[len(ladder) % 3] * 10 ** (len(ladder) // 3)))
    return sorted({*ladder, *(t for t in PUBLISHED if t < ladder[-1])})


@kernel
def _add_pairs(
    counts: Words,
    offsets: Offsets,
    entry_ids: EntryIds,
    ladder: Floats,
    row_shares: Floats,
    certain: Ints,
    chance: Floats,
) -> None:
    """Add each pair's keep probability to `chance` for t below its smallest count; then 1 to `certain`, once.

    The sum is in the order of the rows, so it is the same on every machine.
    """
    for row in range(offsets.size - 1):
        begin, k = offsets[row], offsets[row + 1] - offsets[row]
        least = math.inf
        for i in range(k):
            count = float(counts[entry_ids[begin + i]])
            least = min(least, count)
            row_shares[i] = 1.0 / count
        rung = 0
        while rung < ladder.size and ladder[rung] < least:
            lost = 1.0
            for i in range(k):
                lost *= 1.0 - ladder[rung] * row_shares[i]
            chance[rung] += 1.0 - lost
            rung += 1
        if rung < ladder.size:
            certain[rung] += 1


class SizeStatistics:
    """Counts the pairs of a stream, for each t of a ladder.

    Args:
        counts: uint64[n_entries], over the whole pool.
        ladder: ascending t, each above 0.
        own_ladder: in a pool by language, what each t of the ladder, which is of the reference language, is in the
            language of the counts; never falling.
    """

    def __init__(
        self,
        counts: npt.NDArray[np.uint64],
        ladder: Sequence[float],
        own_ladder: Sequence[float] | None = None,
    ) -> None:
        self._counts = frozen(counts, np.uint64)
        self._ladder = frozen(np.array(ladder, np.float64), np.float64)
        self._own = self._ladder if own_ladder is None else frozen(np.array(own_ladder, np.float64), np.float64)
        self._pairs = np.zeros(len(ladder), np.int64)
        self._certain = np.zeros(len(ladder), np.int64)
        self._chance = np.zeros(len(ladder), np.float64)

    def add(
        self,
        offsets: npt.NDArray[np.int64],
        entry_ids: npt.NDArray[np.uint32],
        min_t: npt.NDArray[np.float64] | None = None,
    ) -> None:
        """Add pairs in CSR form; their entries must have counts above 0, which `algorithm.min_t` has checked.

        Args:
            offsets: int64[n + 1].
            entry_ids: uint32[m].
            min_t: float64[n], on the axis of `ladder`; if it is missing, `pairs` stays 0.
        """
        bounds, ids = frozen(offsets, np.int64), frozen(entry_ids, np.uint32)
        row_shares = np.empty(int(np.diff(bounds).max(initial=0)))
        _add_pairs(self._counts, bounds, ids, self._own, row_shares, self._certain, self._chance)
        if min_t is not None:
            self._pairs += np.searchsorted(np.sort(min_t), self._ladder, side="right")

    def to_json(self) -> dict[str, Any]:
        """Return lists by t: pairs kept, pairs with an entry of at most t matches, expected number of pairs."""
        certain = np.cumsum(self._certain)
        return {
            "t": self._ladder.tolist(),
            "pairs": self._pairs.tolist(),
            "tail_pairs": certain.tolist(),
            "expected": [round(value, 3) for value in (certain + self._chance).tolist()],
        }


def summed(statistics: Iterable[dict[str, Any]], ladder: Sequence[float]) -> dict[str, Any]:
    """Add up the results of `to_json` of groups of languages with this ladder; return the same for all of them."""
    found = merged(statistics)
    none = {"pairs": 0, "tail_pairs": 0, "expected": 0.0}
    columns = ("pairs", "tail_pairs", "expected")
    return {"t": list(ladder)} | {name: [found.get(t, none)[name] for t in ladder] for name in columns}


def merged(statistics: Iterable[dict[str, Any]]) -> dict[float, dict[str, Any]]:
    """Add up the results of `to_json` of a pool's partitions; return `pairs`, `tail_pairs` and `expected` by t."""
    parts = list(statistics)
    return {
        t: {
            "pairs": sum(part["pairs"][rung] for part in parts),
            "tail_pairs": sum(part["tail_pairs"][rung] for part in parts),
            "expected": round(math.fsum(part["expected"][rung] for part in parts), 3),
        }
        for rung, t in enumerate(parts[0]["t"] if parts else [])
    }
