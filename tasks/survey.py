"""Survey: hosts, images, languages and attributes of one partition at a t."""

from metaclip.config import Config
from metaclip.manifest import Reference
from metaclip.stages.survey import SurveyJob
from tasks.checkpoint import checkpointed


@checkpointed("survey")
def survey(config: Config, balanced: Reference, t: float) -> SurveyJob:
    """Survey one partition at t."""
    return SurveyJob(balanced, t)
