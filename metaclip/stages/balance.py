"""The balance stage: for each pair of a partition, the smallest t at which it is kept."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from metaclip.balance.algorithm import draws, min_t
from metaclip.balance.size_ladder import SizeStatistics, t_ladder
from metaclip.kernels.ways import Work
from metaclip.schemas import BALANCED, PAIRS
from metaclip.stages.count import read_counts
from metaclip.store.job import Job
from metaclip.store.manifest import Reference
from metaclip.store.store import Store
from metaclip.store.writer import OutputWriter
from metaclip.tables.csr import csr
from metaclip.tables.sorter import Sorter

_KEYS = ("min_t", "uid_hi", "uid_lo")


@dataclass(frozen=True)
class BalanceJob(Job):
    """Balance one partition; this does not depend on t."""

    STAGE: ClassVar[str] = "balance"
    VERSION: ClassVar[int] = 2

    partition: Reference
    counts: Reference
    seed: int

    def config(self) -> Mapping[str, Any]:
        """Return the seed of the draws."""
        return {"seed": self.seed}

    def inputs(self) -> list[str]:
        """Return the keys of the partition and of the counts."""
        return [self.partition.key, self.counts.key]

    def work(self) -> Work:
        """Return the kernels of `min_t` and of the ladder."""
        return Work(("balance",), 3e-5 * self.partition.rows)

    def compute(self, store: Store, output: OutputWriter) -> Mapping[str, Any]:
        """Write the pairs sorted by (min_t, uid), so that the set for any t is a prefix."""
        counts = read_counts(store, self.counts)
        pairs = store.open_parquet(self.partition, PAIRS)
        ordered = Sorter(BALANCED, _KEYS, _order)
        sizes = SizeStatistics(counts, t_ladder(int(counts.max(initial=0))))
        largest = 0.0
        for group in range(pairs.num_row_groups):
            table = pairs.read_row_group(group)
            high, low = table.column("uid_hi").to_numpy(), table.column("uid_lo").to_numpy()
            offsets, entry_ids = csr(table.column("entry_ids"))
            thresholds = min_t(counts, offsets, entry_ids, draws(high, low, self.seed))
            sizes.add(offsets, entry_ids, thresholds)
            largest = max(largest, float(thresholds.max(initial=0)))
            ordered.append(table.append_column("min_t", pa.array(thresholds)).cast(BALANCED))
        rows = output.parquet(PAIRS, BALANCED, ordered.tables())
        read = store.manifest(self.partition.manifest).file(PAIRS).bytes
        return {
            "counts": {"pairs": rows, "bytes_read": read},
            "largest_min_t": largest,
            "sizes": sizes.to_json(),
        }


def _order(table: pa.Table) -> npt.NDArray[np.int64]:
    return np.lexsort([table.column(key).to_numpy() for key in reversed(_KEYS)])
