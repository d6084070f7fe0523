"""How many pairs each t keeps, and which t keeps a wanted number, exactly, from stored balanced partitions.

Balanced files are sorted by min_t, and the footer of each has the smallest and largest min_t of every
row group. So a size needs at most one row group of each partition, whatever the size of the pool.
"""

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from metaclip.errors import ConfigError, StoreError
from metaclip.io.storage.files import side_by_side
from metaclip.schemas import BALANCED, PAIRS
from metaclip.store.manifest import Reference
from metaclip.store.store import Store


class StoredSizeCurve:
    """The size curve of a pool's balanced partitions.

    Args:
        store: the store that holds them.
        partitions: outputs of the balance stage.

    Raises:
        StoreError: if one of them is missing, or the part that is read is damaged.
    """

    def __init__(self, store: Store, partitions: Sequence[Reference]) -> None:
        self._parts = side_by_side(lambda reference: _Partition(store, reference), partitions)
        self.total = sum(part.total for part in self._parts)

    def pairs(self, t: float) -> int:
        """Return the number of pairs with min_t <= t."""
        return sum(side_by_side(lambda part: part.pairs(t), self._parts))

    def t(self, pairs: int) -> float:
        """Return the smallest t that keeps at least this many pairs.

        Raises:
            ConfigError: if `pairs` is not 1 to `total`.
        """
        if not 1 <= pairs <= self.total:
            raise ConfigError(f"{pairs:,} pairs asked for; the pool has {self.total:,} with a matched entry")
        # The footers bound t from both sides; the row groups between the bounds decide.
        bounds = np.unique(np.concatenate([part.largest for part in self._parts]))
        surely = np.sum([part.rows_before(np.searchsorted(part.largest, bounds, "right")) for part in self._parts], 0)
        at_most = np.sum([part.rows_before(np.searchsorted(part.smallest, bounds, "right")) for part in self._parts], 0)
        high = float(bounds[np.searchsorted(surely, pairs)])
        too_low = int(np.searchsorted(at_most, pairs)) - 1
        low = float(bounds[too_low]) if too_low >= 0 else -np.inf
        between = np.concatenate(side_by_side(lambda part: part.between(low, high), self._parts))
        wanted = pairs - self.pairs(low) - 1
        return float(np.partition(between, wanted)[wanted])


class _Partition:
    """The footer of one balanced file, and the row groups that were read."""

    def __init__(self, store: Store, reference: Reference) -> None:
        self._address = store.address(f"{reference.folder}/{PAIRS}")
        self._file: pq.ParquetFile = store.open_parquet(reference, PAIRS)
        metadata = self._file.metadata
        column = BALANCED.get_field_index("min_t")
        groups = [metadata.row_group(number) for number in range(metadata.num_row_groups)]
        statistics = [group.column(column).statistics for group in groups]
        self.smallest = np.array([each.min for each in statistics], np.float64)
        self.largest = np.array([each.max for each in statistics], np.float64)
        self.ends = np.cumsum([group.num_rows for group in groups], dtype=np.int64)
        """Rows up to and with each group."""
        self.total = int(self.ends[-1]) if groups else 0
        self._min_t = lru_cache(maxsize=4)(self._read)

    def rows_before(self, groups: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """Return for each number the rows in that many first groups."""
        return np.concatenate([[0], self.ends])[groups]

    def pairs(self, t: float) -> int:
        """Return the number of rows with min_t <= t."""
        whole = int(np.searchsorted(self.largest, t, side="right"))
        rows = int(self.ends[whole - 1]) if whole else 0
        if whole < len(self.smallest) and self.smallest[whole] <= t:
            rows += int(np.searchsorted(self._min_t(whole), t, side="right"))
        return rows

    def between(self, low: float, high: float) -> npt.NDArray[np.float64]:
        """Return all min_t with low < min_t <= high."""
        first = int(np.searchsorted(self.largest, low, side="right"))
        last = int(np.searchsorted(self.smallest, high, side="right"))
        groups = [self._min_t(number) for number in range(first, last)]
        values = np.concatenate(groups) if groups else np.zeros(0)
        return values[(values > low) & (values <= high)]

    def _read(self, group: int) -> npt.NDArray[np.float64]:
        try:
            column = self._file.read_row_group(group, columns=["min_t"]).column("min_t")
        except (OSError, pa.ArrowException) as error:
            raise StoreError(
                f"{self._address}: row group {group} cannot be read: {error}; delete the file and run the pool again,"
                " which remakes it"
            ) from error
        return np.asarray(column.to_numpy(), np.float64)
