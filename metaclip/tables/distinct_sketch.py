"""How many distinct pairs shards hold together, estimated without bringing them together."""

import base64
from collections.abc import Iterable

import numpy as np
import numpy.typing as npt

SIZE = 256


class DistinctSketch:
    """The 256 smallest distinct hashes of a set of pairs.

    Sketches of shards merge into the sketch of their union, so the estimate depends on the pairs
    alone: repeats, order and sharding leave it as it is. Exact below 256 pairs, then within about
    6 % (one standard deviation). Source: k minimum values, Bar-Yossef et al. 2002.
    """

    def __init__(self) -> None:
        self._smallest = np.zeros(0, np.uint64)

    def add(self, hashes: npt.NDArray[np.uint64]) -> None:
        """Add pairs by a uniform 64-bit hash of each, uint64[n]."""
        self._smallest = np.unique(np.concatenate([self._smallest, hashes]))[:SIZE]

    @property
    def estimate(self) -> float:
        """The estimated number of distinct pairs."""
        if len(self._smallest) < SIZE:
            return float(len(self._smallest))
        return (SIZE - 1) / ((float(self._smallest[-1]) + 1) / 2.0**64)

    def to_json(self) -> str:
        """Return the sketch as text, 2.7 kB at most."""
        return base64.b64encode(self._smallest.astype("<u8").tobytes()).decode()

    @classmethod
    def merged(cls, sketches: Iterable[str]) -> "DistinctSketch":
        """Return the sketch of the union of what the given ones stand for."""
        union = cls()
        for text in sketches:
            union.add(np.frombuffer(base64.b64decode(text), "<u8").astype(np.uint64))
        return union
