"""Metadata: the entries to match and balance by."""

from metaclip.config import Config
from metaclip.stages.build import BuildJob
from metaclip.stages.metadata import MetadataJob
from metaclip.stages.ngrams import NgramsJob
from metaclip.stages.titles import TitlesJob
from tasks.checkpoint import checkpointed


@checkpointed("ngrams")
def count_ngrams(config: Config, job: NgramsJob) -> NgramsJob:
    """Count the words and pairs of one input file, or of a part of it."""
    return job


@checkpointed("titles")
def count_titles(config: Config, job: TitlesJob) -> TitlesJob:
    """Sum the views of titles in one file."""
    return job


@checkpointed("metadata")
def write_metadata(config: Config, job: MetadataJob | BuildJob) -> MetadataJob | BuildJob:
    """Write the list of entries, given or built, with the matcher's table beside it."""
    return job
