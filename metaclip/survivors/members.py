"""Sorted survivors, looked up by uid and by image."""

from typing import Any

import numpy as np
import numpy.typing as npt

from metaclip.kernels.jit import frozen, kernel
from metaclip.kernels.types import Flags, Words


class Members:
    """Sorted survivors, and which of them were met."""

    def __init__(self, uids: npt.NDArray[Any], images: npt.NDArray[np.uint64]) -> None:
        self._high = frozen(uids["f0"], np.uint64)
        self._low = frozen(uids["f1"], np.uint64)
        self._images = np.ascontiguousarray(images, np.uint64)
        self._met_uids = np.zeros(len(uids), np.bool_)
        self._met_images = np.zeros(len(images), np.bool_)

    def contain(self, high: npt.NDArray[np.uint64], low: npt.NDArray[np.uint64]) -> npt.NDArray[np.bool_]:
        """Return for each pair whether its uid or its image is a survivor, bool[n]."""
        found = np.zeros(len(high), np.bool_)
        _find_sorted(self._high, self._low, frozen(high, np.uint64), frozen(low, np.uint64), self._met_uids, found)
        if len(self._images):
            at = np.minimum(np.searchsorted(self._images, high), len(self._images) - 1)
            named = self._images[at] == high
            self._met_images[at[named]] = True
            found |= named
        return found

    @property
    def unknown_uids(self) -> int:
        """Survivors that no pair has the uid of."""
        return int(np.count_nonzero(~self._met_uids))

    @property
    def unknown_images(self) -> int:
        """Survivors that no pair has the image of."""
        return int(np.count_nonzero(~self._met_images))


@kernel
def _find_sorted(sorted_high: Words, sorted_low: Words, high: Words, low: Words, met: Flags, found: Flags) -> None:
    """Set `found` for each (high, low) that is among the sorted ones, and `met` for those."""
    for row in range(high.size):
        first, end = 0, sorted_high.size
        while first < end:
            middle = (first + end) // 2
            if sorted_high[middle] < high[row] or (sorted_high[middle] == high[row] and sorted_low[middle] < low[row]):
                first = middle + 1
            else:
                end = middle
        if first < sorted_high.size and sorted_high[first] == high[row] and sorted_low[first] == low[row]:
            found[row] = True
            met[first] = True
