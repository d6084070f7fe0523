"""Extract: one shard of crawl or pair files becomes image-text pairs."""

from metaclip.config import Config
from metaclip.crawl import SourceFile
from metaclip.plan import extract_job
from metaclip.stages.extract import ExtractJob
from tasks.checkpoint import checkpointed


@checkpointed("extract")
def extract(config: Config, shard: tuple[SourceFile, ...]) -> ExtractJob:
    """Read one shard's files, take each image's address and texts, tell the languages."""
    return extract_job(config, shard)
