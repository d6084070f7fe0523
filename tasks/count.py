"""Count: how many texts of the pool contain each entry."""

from metaclip.config import Config
from metaclip.manifest import Reference
from metaclip.stages.count import CountJob
from tasks.checkpoint import checkpointed


@checkpointed("count")
def count(config: Config, partitions: tuple[Reference, ...], metadata: Reference) -> CountJob:
    """Add up the counts of all partitions."""
    return CountJob(partitions, metadata)
