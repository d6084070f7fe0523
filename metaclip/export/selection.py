"""The pairs of a balanced partition that are exported: those with min_t <= t, all or one for each image."""

from collections import Counter
from collections.abc import Iterator
from typing import Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from metaclip.config.groups import Groups
from metaclip.pairs.uids import UIDS
from metaclip.stages.curate import balanced_prefix, shuffled
from metaclip.tables.by_group import rows_by_group

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
        groups: of a pool by language.
        only: of these groups, the one whose pairs are selected; None for all.
    """

    def __init__(
        self,
        pairs: pq.ParquetFile,
        t: float,
        seed: int,
        texts: Texts,
        groups: Groups | None = None,
        only: str | None = None,
    ) -> None:
        self.groups = groups
        self.only = only
        self._pairs = pairs
        self._t = t
        self._seed = seed
        self._texts = texts

    @property
    def schema(self) -> pa.Schema:
        """The schema of the pairs: `schemas.BALANCED`, or that by language, and columns that files had of their own."""
        return self._pairs.schema_arrow

    def tables(self) -> Iterator[pa.Table]:
        """Yield the pairs as tables of `schemas.BALANCED`, in bounded memory."""
        yield from shuffled(self._by_min_t(), self._seed)

    def _by_min_t(self) -> Iterator[pa.Table]:
        chosen = first_of_each(self.halves()[0]) if self._texts == "one" else None
        start = 0
        for table in balanced_prefix(self._pairs, self._t, Counter()):
            end = start + table.num_rows
            kept = self._wanted(table) if chosen is None else self._wanted(table) & chosen[start:end]
            yield table if kept.all() else table.take(pa.array(np.flatnonzero(kept)))
            start = end

    def _wanted(self, table: pa.Table) -> npt.NDArray[np.bool_]:
        if self.groups is None or self.only is None:
            return np.ones(table.num_rows, np.bool_)
        of_row = self.groups.of_rows(table.column("lang"), table.column("lang_score"))
        return np.asarray(of_row == self.groups.names.index(self.only))

    def languages(self) -> list[str]:
        """Return the groups that have pairs with min_t <= t, ascending."""
        if self.groups is None:
            return []
        found: set[str] = set()
        for table in balanced_prefix(self._pairs, self._t, Counter(), ["lang", "lang_score", "min_t"]):
            found.update(group for group, _ in rows_by_group(self.groups, table))
        return sorted(found)

    def of(self, group: str) -> "Selection":
        """Return the pairs of one group of these; the one text of an image is chosen among all of its texts."""
        return Selection(self._pairs, self._t, self._seed, self._texts, self.groups, group)

    def _wanted_rows(self) -> npt.NDArray[np.bool_]:
        columns = ["lang", "lang_score", "min_t"]
        tables = balanced_prefix(self._pairs, self._t, Counter(), columns)
        return np.concatenate([np.zeros(0, np.bool_), *(self._wanted(table) for table in tables)])

    def halves(self) -> tuple[npt.NDArray[np.uint64], npt.NDArray[np.uint64]]:
        """Return `uid_hi` and `uid_lo` of all pairs with min_t <= t, whatever else is wanted; uint64[n] each."""
        columns = ["uid_hi", "uid_lo", "min_t"]
        tables = list(balanced_prefix(self._pairs, self._t, Counter(), columns))
        if not tables:
            return np.zeros(0, np.uint64), np.zeros(0, np.uint64)
        table = pa.concat_tables(tables)
        return table.column("uid_hi").to_numpy(), table.column("uid_lo").to_numpy()

    def uids(self) -> npt.NDArray[np.void]:
        """Return the uids of the pairs as a sorted array of dtype `u8,u8`, DataComp's form."""
        high, low = self.halves()
        chosen = first_of_each(high) if self._texts == "one" else np.ones(len(high), np.bool_)
        if self.only is not None:
            chosen &= self._wanted_rows()
        high, low = high[chosen], low[chosen]
        order = np.lexsort((low, high))
        uids = np.empty(len(order), UIDS)
        uids["f0"], uids["f1"] = high[order], low[order]
        return uids
