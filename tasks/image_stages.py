"""One task for each stage of pictures: find the output, or let a worker compute it."""

from metaclip.config.settings import Config
from metaclip.images.inspect_job import InspectJob
from tasks.checkpoint import checkpointed


@checkpointed("inspect")
def inspect(config: Config, job: InspectJob) -> InspectJob:
    """Decode and describe the pictures of one file of the export."""
    return job
