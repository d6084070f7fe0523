"""The gather stage: in a pool of many shards, some of them brought together in the order of uids.

Every partition asks every file that it is made of for its range of uids, and the range of one shard is a
handful of rows where there are many shards and many partitions. Of what is gathered here it is a row
group or more.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from metaclip.schemas import MATCHED, PAIRS
from metaclip.store.job import Job
from metaclip.store.manifest import Reference
from metaclip.store.store import Store
from metaclip.store.writer import OutputWriter
from metaclip.tables.distinct_sketch import DistinctSketch
from metaclip.tables.parquet import group_bytes
from metaclip.tables.unique import UniquePairs


@dataclass(frozen=True)
class GatherJob(Job):
    """Bring some matched shards together, each pair once."""

    STAGE: ClassVar[str] = "gather"
    VERSION: ClassVar[int] = 1

    matched: tuple[Reference, ...]

    def config(self) -> Mapping[str, Any]:
        """Return nothing: which shards are meant says all."""
        return {}

    def inputs(self) -> list[str]:
        """Return the keys of the shards."""
        return [shard.key for shard in self.matched]

    @property
    def label(self) -> str:
        """How many shards there are."""
        return f"{self.key[:8]}, {len(self.matched)} shards"

    def compute(self, store: Store, output: OutputWriter) -> Mapping[str, Any]:
        """Sort the shards' pairs as if they were one shard's; the sketch, too, is that of all of them."""
        pairs = UniquePairs(MATCHED)
        counts: Counter[str] = Counter()
        for file in store.map(lambda shard: store.open_parquet(shard, PAIRS), self.matched):
            for group in range(file.num_row_groups):
                pairs.append(file.read_row_group(group).cast(MATCHED))
                counts["bytes_read"] += group_bytes(file, group)
        rows = output.parquet(PAIRS, MATCHED, pairs.tables())
        counts.update({"matched": pairs.rows, "unique": rows, "dropped.pair.repeat": pairs.rows - rows})
        sketches = store.map(lambda shard: str(store.manifest(shard.manifest).statistics["sketch"]), self.matched)
        sketch = DistinctSketch.merged(sketches)
        return {"counts": dict(sorted(counts.items())), "sketch": sketch.to_json()}


def groups_of(matched: Sequence[Reference], shards: int) -> list[tuple[Reference, ...]]:
    """Cut a pool's shards into groups, in their order: shards that join the pool leave all whole groups as they are."""
    return [tuple(matched[start : start + shards]) for start in range(0, len(matched), shards)]
