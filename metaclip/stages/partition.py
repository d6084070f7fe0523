"""The partition stage: the matched shards of the pool, and the number of uid ranges (partitions)."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any, ClassVar

import pyarrow as pa

from metaclip.errors import StageError
from metaclip.schemas import MATCHED, PAIRS, kept_fields
from metaclip.store.job import Job
from metaclip.store.manifest import Reference
from metaclip.store.store import Store
from metaclip.store.writer import OutputWriter
from metaclip.tables.distinct_sketch import DistinctSketch

MEMBERS = "members.json"


@dataclass(frozen=True)
class PartitionJob(Job):
    """List the matched shards of a pool and divide their uids into partitions of the wanted size."""

    STAGE: ClassVar[str] = "partition"
    VERSION: ClassVar[int] = 1

    matched: tuple[Reference, ...]
    rows_per_partition: int

    def config(self) -> Mapping[str, Any]:
        """Return the wanted size."""
        return {"rows_per_partition": self.rows_per_partition}

    def inputs(self) -> list[str]:
        """Return the keys of the matched shards, sorted."""
        return sorted({reference.key for reference in self.matched})

    def compute(self, store: Store, output: OutputWriter) -> Mapping[str, Any]:
        """Write the list of members, and the number of partitions.

        The number comes from an estimate of the distinct pairs, so it is the same for any division of
        the pool into shards.
        """
        members = sorted({reference.manifest for reference in self.matched if reference.rows})
        sketch = DistinctSketch.merged(
            store.map(lambda member: str(store.manifest(member).statistics["sketch"]), members)
        )
        partitions = max(1, math.ceil(sketch.estimate / self.rows_per_partition))
        output.json(MEMBERS, {"members": members, "partitions": partitions}, len(members))
        return {"members": len(members), "partitions": partitions, "estimated_pairs": round(sketch.estimate)}


def read_members(store: Store, partition: Reference) -> tuple[list[Reference], int]:
    """Return the matched shards that have rows (without the number of rows), and the number of partitions.

    The shards themselves are not read: every partition calls this, and there may be many thousands.
    """
    found = store.output_json(partition.manifest, MEMBERS)
    members = [Reference(address, PurePosixPath(address).parent.name, 0) for address in found["members"]]
    return members, found["partitions"]


def common_schema(store: Store, matched: Sequence[Reference]) -> pa.Schema:
    """Return the schema of matched pairs that holds those of all shards; the first tells whether there is more to it.

    Raises:
        StageError: a column is text in one shard and a number in another.
    """
    if not matched or not kept_fields(store.open_parquet(matched[0], PAIRS).schema_arrow):
        return MATCHED
    schemas = [
        pa.schema(fields)
        for fields in store.map(lambda shard: kept_fields(store.open_parquet(shard, PAIRS).schema_arrow), matched)
    ]
    try:
        kept = pa.unify_schemas(schemas, promote_options="permissive")
    except pa.ArrowException as error:
        raise StageError(
            f"source.keep_columns: a column has values in one shard that do not go with those of another: {error};"
            " write the files with one type, or leave the column out"
        ) from error
    return pa.schema([*MATCHED, *kept])
