"""Images: download those of one file of an export, and the stages of pictures."""

from typing import Any

from prefect import task
from prefect.states import Completed, State

from metaclip.config.settings import Config
from metaclip.export.images import Effort, ExportedFile, ImageSettings, download_file, find_images
from metaclip.images.dedup.cover_job import ImageCoverJob
from metaclip.images.dedup.filter_job import ImageFilterJob
from metaclip.images.dedup.keys_job import ImageKeysJob
from metaclip.images.dedup.pairs_job import ImagePairsJob
from metaclip.images.dedup.sheets_job import ImageSheetsJob
from metaclip.images.dedup.shown_job import ShownSheetsJob
from metaclip.images.inspect_job import InspectJob
from tasks.checkpoint import CACHED, RETRY_DELAYS_SECONDS, checkpointed, worth_retrying


@task(
    name="images",
    task_run_name="images {file.key}",
    persist_result=False,
    retries=2,
    retry_delay_seconds=RETRY_DELAYS_SECONDS[:2],
    retry_condition_fn=worth_retrying,
)
def images(
    to: str, file: ExportedFile, settings: ImageSettings, effort: Effort
) -> State[dict[str, Any]] | dict[str, Any]:
    """Download the images of one file."""
    found = find_images(to, file)
    if found is not None:
        return Completed(name=CACHED, message=file.key, data={**found, "cached": True})
    return {**download_file(to, file, settings, effort), "cached": False}


@checkpointed("inspect")
def inspect(config: Config, job: InspectJob) -> InspectJob:
    """Decode and describe the pictures of one file of the export."""
    return job


@checkpointed("image-filter")
def image_filter(config: Config, job: ImageFilterJob) -> ImageFilterJob:
    """Tell of each row of an inspected file whether it stays, and why not."""
    return job


@checkpointed("image-keys")
def image_keys(config: Config, job: ImageKeysJob) -> ImageKeysJob:
    """Rank the images of one file, and sort them by the keys that copies share."""
    return job


@checkpointed("image-pairs")
def image_pairs(config: Config, job: ImagePairsJob) -> ImagePairsJob:
    """Compare the images of a range of keys."""
    return job


@checkpointed("image-cover")
def image_cover(config: Config, job: ImageCoverJob) -> ImageCoverJob:
    """Choose the images that stay."""
    return job


@checkpointed("image-sheets")
def image_sheets(config: Config, job: ImageSheetsJob) -> ImageSheetsJob:
    """Shrink pictures of each reason for people to look at."""
    return job


@checkpointed("image-sheets")
def shown_sheets(config: Config, job: ShownSheetsJob) -> ShownSheetsJob:
    """Leave out of the sheets what was taken out of the pool."""
    return job
