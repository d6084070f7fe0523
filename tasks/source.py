"""Source: the frozen listing of the pool's files."""

from metaclip.config import Config
from metaclip.stages.source import ListingJob
from tasks.checkpoint import checkpointed


@checkpointed("source")
def freeze_listing(config: Config, listing: ListingJob) -> ListingJob:
    """Write the listing down, so that nothing that changes meanwhile shifts a shard."""
    return listing
