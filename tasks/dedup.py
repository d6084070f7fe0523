"""Dedup: one uid range of the whole pool, each pair once."""

from metaclip.config import Config
from metaclip.manifest import Reference
from metaclip.stages.dedup import DedupJob
from tasks.checkpoint import checkpointed


@checkpointed("dedup")
def dedup(config: Config, members: Reference, number: int, partitions: int) -> DedupJob:
    """Bring one partition together from all shards and count its entries."""
    return DedupJob(members, number, partitions)
