"""Survivors: which pairs came through something outside, partition by partition."""

from metaclip.config import Config
from metaclip.stages.survive import SurviveJob, SurvivorsJob
from tasks.checkpoint import checkpointed


@checkpointed("survivors")
def read_survivors(config: Config, job: SurvivorsJob) -> SurvivorsJob:
    """Read lists of survivors, and cut them by uid."""
    return job


@checkpointed("survive")
def survive(config: Config, job: SurviveJob) -> SurviveJob:
    """Keep of one partition the pairs that survive, and count their entries."""
    return job
