"""Gather: some matched shards of a large pool, in the order of uids."""

from metaclip.config import Config
from metaclip.manifest import Reference
from metaclip.stages.gather import GatherJob
from tasks.checkpoint import checkpointed


@checkpointed("gather")
def gather(config: Config, matched: tuple[Reference, ...]) -> GatherJob:
    """Bring shards together, each pair once, so that a partition reads few files."""
    return GatherJob(matched)
