"""Survey: hosts, images, languages and attributes of one partition at a t."""

from metaclip.config import Config
from metaclip.stages.survey import SurveyJob
from tasks.checkpoint import checkpointed


@checkpointed("survey")
def survey(config: Config, job: SurveyJob) -> SurveyJob:
    """Survey one partition at a t."""
    return job
