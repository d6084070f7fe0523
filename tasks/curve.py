"""Curve: sizes of one balanced partition for every step of t."""

from metaclip.config import Config
from metaclip.stages.curve import CurveJob
from tasks.checkpoint import checkpointed


@checkpointed("curve")
def curve(config: Config, job: CurveJob) -> CurveJob:
    """Count pairs and matches of one partition by step of t."""
    return job
