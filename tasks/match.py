"""Match: the pairs of one shard that contain an entry."""

from metaclip.config import Config
from metaclip.manifest import Reference
from metaclip.stages.match import MatchJob
from tasks.checkpoint import checkpointed


@checkpointed("match")
def match(config: Config, extracted: Reference, metadata: Reference) -> MatchJob:
    """Filter one shard by language and find every entry in its texts."""
    return MatchJob(extracted, metadata, config.match)
