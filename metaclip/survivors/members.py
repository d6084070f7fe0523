"""Sorted survivors, looked up by uid and by image."""

from typing import Any

import numpy as np
import numpy.typing as npt

from metaclip.kernels.jit import frozen


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
        first, end = (np.searchsorted(self._high, high, side) for side in ("left", "right"))
        # Texts of one image lie together; each turn compares one of them with every row that may have it.
        for turn in range(int((end - first).max(initial=0))):
            rows = np.flatnonzero(first + turn < end)
            at = first[rows] + turn
            same = self._low[at] == low[rows]
            found[rows[same]] = True
            self._met_uids[at[same]] = True
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
