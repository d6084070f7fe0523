"""The dedup stage: the pairs of one uid range from all shards, each uid once, and their entry counts."""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import pyarrow.parquet as pq

from metaclip.balance.tally import Tally
from metaclip.config.groups import Groups
from metaclip.schemas import PAIRS
from metaclip.stages.partition import common_schema, read_members
from metaclip.store.job import Job
from metaclip.store.manifest import Reference
from metaclip.store.store import Store
from metaclip.store.writer import OutputWriter
from metaclip.tables.unique import UniquePairs

TALLY = "entry_counts.arrow"


def uid_range(partition: int, partitions: int) -> tuple[int, int]:
    """Return the first `uid_hi` of a partition, and the first of the next partition."""
    return (partition << 64) // partitions, ((partition + 1) << 64) // partitions


@dataclass(frozen=True)
class DedupJob(Job):
    """Merge one partition of the pool from all shards."""

    STAGE: ClassVar[str] = "dedup"
    VERSION: ClassVar[int] = 2

    members: Reference
    """The output of `stages.partition.PartitionJob`."""
    partition: int
    partitions: int
    groups: Groups | None = None
    """Of a pool by language; the members' keys depend on them already."""

    @property
    def label(self) -> str:
        """The partition's number."""
        return f"{self.partition + 1} of {self.partitions}"

    def config(self) -> Mapping[str, Any]:
        """Return the number of this range, and of all ranges."""
        return {"partition": self.partition, "partitions": self.partitions}

    def inputs(self) -> list[str]:
        """Return the key of the pool's list of matched shards."""
        return [self.members.key]

    def compute(self, store: Store, output: OutputWriter) -> Mapping[str, Any]:
        """Read the range from every shard; write its pairs, and their entry counts."""
        members, _ = read_members(store, self.members)
        counts: Counter[str] = Counter()
        schema = common_schema(store, members)
        pairs = UniquePairs(schema)
        first, end = uid_range(self.partition, self.partitions)
        for table, size in store.read_rows(members, PAIRS, lambda file: [*_groups_within(file, first, end)]):
            counts["bytes_read"] += size
            high = table.column("uid_hi").to_numpy()
            low_row = np.searchsorted(high, np.uint64(first))
            end_row = len(high) if end == 1 << 64 else np.searchsorted(high, np.uint64(end))
            pairs.append(table.slice(low_row, end_row - low_row).cast(schema))
        tally = Tally(self.groups)
        rows = output.parquet(PAIRS, schema, tally.counting(pairs.tables()))
        tally.write(output, TALLY)
        counts.update({"matched": pairs.rows, "unique": rows, "dropped.pair.repeat": pairs.rows - rows})
        return {"counts": dict(sorted(counts.items()))}


def _groups_within(file: pq.ParquetFile, first: int, end: int) -> Iterator[int]:
    """Yield the row groups that may have a `uid_hi` from `first` to `end` - 1."""
    for group in range(file.num_row_groups):
        bounds = file.metadata.row_group(group).column(0).statistics
        if bounds is None or not bounds.has_min_max or (bounds.max >= first and bounds.min < end):
            yield group
