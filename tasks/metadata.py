"""Metadata: the entries to match and balance by."""

from metaclip.config import Config
from metaclip.plan import metadata_job
from metaclip.stages.metadata import MetadataJob
from tasks.checkpoint import checkpointed


@checkpointed("metadata")
def build_metadata(config: Config) -> MetadataJob:
    """Take over the configured list of entries, with the matcher's table beside it."""
    return metadata_job(config)
