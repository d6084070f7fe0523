"""Curve: sizes of one balanced partition for every step of t."""

from metaclip.config import Config
from metaclip.manifest import Reference
from metaclip.stages.curve import CurveJob
from tasks.checkpoint import checkpointed


@checkpointed("curve")
def curve(config: Config, balanced: Reference, counts: Reference) -> CurveJob:
    """Count pairs and matches of one partition by step of t."""
    return CurveJob(balanced, counts)
