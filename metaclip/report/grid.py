"""The steps of t, and the groups of entries, at which a pool's curves are known exactly.

Both depend on the entry counts alone, so that the curves of partitions add up.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

_MANTISSAS = (10, 12, 15, 20, 25, 30, 40, 50, 60, 80)
SINGLE = 100
"""So many of the largest entries are a group each."""
EVEN = 100
"""The other entries are cut into about so many groups of equal size, and finer towards the head."""


def steps(largest: int) -> npt.NDArray[np.float64]:
    """Return rising t from 1 to the first at or above `largest`, which keeps every pair: ten a decade.

    Integers, for powers and logarithms may differ in the last bit from machine to machine.
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
    """The entries with matches, from tail to head, cut into groups of neighbours.

    `order` has their ids, ascending by count, of equal counts the larger id first; group g is
    order[bounds[g] : bounds[g + 1]].
    """

    order: npt.NDArray[np.int64]
    bounds: npt.NDArray[np.int64]

    @classmethod
    def of(cls, counts: npt.NDArray[np.uint64]) -> "EntryGroups":
        """Cut the entries of uint64[n_entries] counts."""
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
        """Return the group of each entry, int64[n_entries]; -1 where an entry has no match."""
        groups = np.full(n_entries, -1, np.int64)
        groups[self.order] = np.repeat(np.arange(len(self)), np.diff(self.bounds))
        return groups

    def sums(self, counts: npt.NDArray[np.uint64]) -> npt.NDArray[np.int64]:
        """Add up uint64[n_entries] by group, int64[groups]."""
        held = np.concatenate([[0], np.cumsum(counts[self.order].astype(np.int64))])
        return np.asarray(np.diff(held[self.bounds]), np.int64)
