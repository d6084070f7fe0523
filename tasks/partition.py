"""Partition: which shards make the pool, and into how many uid ranges it is cut."""

from metaclip.config import Config
from metaclip.manifest import Reference
from metaclip.stages.partition import PartitionJob
from tasks.checkpoint import checkpointed


@checkpointed("partition")
def partition(config: Config, matched: tuple[Reference, ...]) -> PartitionJob:
    """Name the pool's matched shards and settle its partitions."""
    return PartitionJob(matched, config.dedup.rows_per_partition)
