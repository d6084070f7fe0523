"""Inspect downloaded images for a pool: each input file is a checkpoint, and is decoded once."""

from typing import Any

from prefect import flow

from flows.run import Run
from flows.runner import task_runner
from flows.summary import summarize_stage
from metaclip.config.loading import parse_config
from metaclip.images.decoder import require_pillow
from metaclip.images.downloaded import downloaded_files
from metaclip.images.inspect_job import InspectJob, statuses
from metaclip.pool.record import read_record
from metaclip.store.manifest import Reference
from metaclip.store.store import Store
from tasks.images import inspect
from tasks.progress import reporting
from tasks.workers import workers_for


@flow(name="inspect-images", flow_run_name="{pool} images", task_runner=task_runner())
def inspect_images(pool: str, storage: str, images: str) -> dict[str, Any]:
    """Inspect the images that `metaclip images download` wrote; what was inspected before is found again.

    Args:
        pool: Name of the pool that the images were exported from.
        storage: Root of the store that holds it: a folder, or an address such as s3://bucket/prefix.
        images: Folder or address of the images.

    Returns:
        `rows`, `status` with the number of rows of each, `lost_by_downloader`, and the `stages` of the run.

    Raises:
        ConfigError: no such pool, no such folder of images, or Pillow is not installed.
        InputError: a shard is damaged.
    """
    require_pillow()
    record = read_record(Store(storage), pool)
    config = parse_config({**record["config"], "storage": storage}, f"pool {pool}")
    run = Run(config)
    with reporting(config), workers_for(config):
        inspected = inspect_all(run, images)
    counts = statuses(run.store, (each.manifest for each in inspected))
    found = {name.removeprefix("status."): count for name, count in counts.items() if name.startswith("status.")}
    return {
        "pool": pool,
        "images": images,
        "files": len(inspected),
        "rows": counts["rows"],
        "status": dict(sorted(found.items(), key=lambda item: (-item[1], item[0]))),
        "lost_by_downloader": counts["lost_by_downloader"],
        "stages": [summarize_stage(run.store, name, done) for name, done in run.done.items()],
    }


def inspect_all(run: Run, images: str) -> tuple[Reference, ...]:
    """Inspect every finished file of a folder of images."""
    jobs = [InspectJob.of(file, run.config.images.inspect) for file in downloaded_files(images)]
    return run.do(inspect, *((job,) for job in jobs))
