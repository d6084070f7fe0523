"""The gather stage: in a pool of many shards, groups of shards are merged in the order of uids.

Every partition reads its range of uids from every file. With many shards and many partitions, the range
in one shard is only a few rows. In a merged group it is a row group or more, which is why row groups are small there.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from metaclip.schemas import PAIRS
from metaclip.stages.partition import common_schema
from metaclip.store.job import Job
from metaclip.store.manifest import Reference
from metaclip.store.store import Store
from metaclip.store.writer import OutputWriter
from metaclip.tables.distinct_sketch import DistinctSketch
from metaclip.tables.parquet import RANGE_GROUP_ROWS
from metaclip.tables.unique import UniquePairs


@dataclass(frozen=True)
class GatherJob(Job):
    """Merge a group of matched shards, each pair once."""

    STAGE: ClassVar[str] = "gather"
    VERSION: ClassVar[int] = 2

    matched: tuple[Reference, ...]

    def config(self) -> Mapping[str, Any]:
        """Return nothing: the output depends on the shards only."""
        return {}

    def inputs(self) -> list[str]:
        """Return the keys of the shards."""
        return [shard.key for shard in self.matched]

    @property
    def label(self) -> str:
        """The number of shards."""
        return f"{self.key[:8]}, {len(self.matched)} shards"

    def compute(self, store: Store, output: OutputWriter) -> Mapping[str, Any]:
        """Sort the pairs of the shards as if they were one shard; the sketch is the sketch of all of them."""
        counts: Counter[str] = Counter()
        schema = common_schema(store, self.matched)
        pairs = UniquePairs(schema)
        for table, size in store.read_rows(self.matched, PAIRS, lambda file: range(file.num_row_groups)):
            pairs.append(table.cast(schema))
            counts["bytes_read"] += size
        rows = output.parquet(PAIRS, schema, pairs.tables(), RANGE_GROUP_ROWS)
        counts.update({"matched": pairs.rows, "unique": rows, "dropped.pair.repeat": pairs.rows - rows})
        sketches = store.map(lambda shard: str(store.manifest(shard.manifest).statistics["sketch"]), self.matched)
        sketch = DistinctSketch.merged(sketches)
        return {"counts": dict(sorted(counts.items())), "sketch": sketch.to_json()}


def groups_of(matched: Sequence[Reference], shards: int) -> list[tuple[Reference, ...]]:
    """Divide a pool's shards into groups, in their order, so that added shards leave all full groups unchanged."""
    return [tuple(matched[start : start + shards]) for start in range(0, len(matched), shards)]
