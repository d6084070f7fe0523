"""The count stage: how many texts of the whole pool contain each entry."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from metaclip.balance.tally import add_tally
from metaclip.schemas import ENTRY_COUNT
from metaclip.stages.dedup import TALLY
from metaclip.store.job import Job
from metaclip.store.manifest import Reference
from metaclip.store.store import Store
from metaclip.store.writer import OutputWriter

COUNTS = "entry_counts.parquet"


@dataclass(frozen=True)
class CountJob(Job):
    """Add up the counts of all partitions."""

    STAGE: ClassVar[str] = "count"
    VERSION: ClassVar[int] = 2

    partitions: tuple[Reference, ...]
    metadata: Reference

    def config(self) -> Mapping[str, Any]:
        """Return nothing: counting has no settings."""
        return {}

    def inputs(self) -> list[str]:
        """Return the keys of the metadata and of all partitions."""
        return [self.metadata.key, *(partition.key for partition in self.partitions)]

    def compute(self, store: Store, output: OutputWriter) -> Mapping[str, Any]:
        """Write one row for each entry of the metadata."""
        entries = store.manifest(self.metadata.manifest).statistics["entries"]
        total = np.zeros(entries, np.uint64)
        for partition in self.partitions:
            add_tally(total, store, partition, TALLY)
        table = pa.table([pa.array(np.arange(entries, dtype=np.uint32)), pa.array(total)], schema=ENTRY_COUNT)
        output.parquet(COUNTS, ENTRY_COUNT, iter([table]))
        return {
            "entries": entries,
            "entries_with_matches": int(np.count_nonzero(total)),
            "matches": int(total.sum()),
            "largest": int(total.max(initial=0)),
        }


def read_counts(store: Store, counts: Reference) -> npt.NDArray[np.uint64]:
    """Return the entry counts, uint64[n_entries]."""
    column = store.open_parquet(counts, COUNTS).read(columns=["count"]).column("count")
    return np.asarray(column.to_numpy(), np.uint64)
