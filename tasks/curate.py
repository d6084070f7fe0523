"""Curate: the pairs that t keeps, in a flat folder of Parquet files."""

from metaclip.config import Config
from metaclip.stages.curate import CuratedSetJob, CuratePartJob
from tasks.checkpoint import checkpointed


@checkpointed("curate")
def curate_part(config: Config, part: CuratePartJob) -> CuratePartJob:
    """Cut one balanced partition at t."""
    return part


@checkpointed("curate")
def curate_set(config: Config, whole: CuratedSetJob) -> CuratedSetJob:
    """Commit the set when all of its parts are there."""
    return whole
