"""Images: download those of one file of an export, unless that is done."""

from typing import Any

from prefect import task
from prefect.states import Completed, State

from metaclip.export.images import Effort, ExportedFile, ImageSettings, download_file, find_images
from tasks.checkpoint import CACHED, RETRY_DELAYS_SECONDS, worth_retrying


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
