"""The pairs of a balanced partition that are exported: those with min_t <= t, all or one for each image."""

from collections import Counter
from collections.abc import Iterator
from typing import Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from metaclip.pairs.uids import UIDS
from metaclip.stages.curate import balanced_prefix, shuffled

Texts = Literal["all", "one"]


def first_of_each(images: npt.NDArray[np.uint64]) -> npt.NDArray[np.bool_]:
    """Return bool[n], true for the first row of each image (`uid_hi`)."""
    first = np.zeros(len(images), np.bool_)
    first[np.unique(images, return_index=True)[1]] = True
    return first


class Selection:
    """The pairs of one balanced partition at one t, shuffled as the curated set is.

    With `texts="one"` the first pair of each image is kept: the one with the smallest t, and of equal ones
    the one with the smaller `uid_lo`. So the images are exactly those of the whole set, and the text of an
    image stays the same for every larger t. A text with a rare entry comes before texts of head entries,
    except if these have an unusually low draw.

    Args:
        pairs: a balanced partition.
        t: positive, infinity included.
        seed: the pool's, for the order of rows.
        texts: which texts of an image.
    """

    def __init__(self, pairs: pq.ParquetFile, t: float, seed: int, texts: Texts) -> None:
        self._pairs = pairs
        self._t = t
        self._seed = seed
        self._texts = texts

    def tables(self) -> Iterator[pa.Table]:
        """Yield the pairs as tables of `schemas.BALANCED`, in bounded memory."""
        yield from shuffled(self._by_min_t(), self._seed)

    def _by_min_t(self) -> Iterator[pa.Table]:
        chosen = first_of_each(self.halves()[0]) if self._texts == "one" else None
        start = 0
        for table in balanced_prefix(self._pairs, self._t, Counter()):
            end = start + table.num_rows
            yield table if chosen is None else table.take(pa.array(np.flatnonzero(chosen[start:end])))
            start = end

    def halves(self) -> tuple[npt.NDArray[np.uint64], npt.NDArray[np.uint64]]:
        """Return `uid_hi` and `uid_lo` of all pairs with min_t <= t, whatever `texts` says; uint64[n] each."""
        columns = ["uid_hi", "uid_lo", "min_t"]
        tables = list(balanced_prefix(self._pairs, self._t, Counter(), columns))
        if not tables:
            return np.zeros(0, np.uint64), np.zeros(0, np.uint64)
        table = pa.concat_tables(tables)
        return table.column("uid_hi").to_numpy(), table.column("uid_lo").to_numpy()

    def uids(self) -> npt.NDArray[np.void]:
        """Return the uids of the pairs as a sorted array of dtype `u8,u8`, DataComp's form."""
        high, low = self.halves()
        if self._texts == "one":
            chosen = first_of_each(high)
            high, low = high[chosen], low[chosen]
        order = np.lexsort((low, high))
        uids = np.empty(len(order), UIDS)
        uids["f0"], uids["f1"] = high[order], low[order]
        return uids
