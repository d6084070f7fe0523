"""Make the list of entries, from WordNet, Wikipedia and page views or from a given list."""

import time
from typing import Any

from prefect import flow

from flows.runner import task_runner
from flows.subflows import run_in_parts
from flows.summary import summarize_stage
from metaclip.config.settings import Config
from metaclip.metadata.jobs import metadata_plan
from metaclip.store.store import Store
from tasks.checkpoint import Done, run_one
from tasks.metadata import count_ngrams, count_titles, publish_metadata, write_metadata
from tasks.progress import reporting
from tasks.workers import workers_for


@flow(name="build-metadata", flow_run_name="{config.pool} metadata", task_runner=task_runner())
def build_metadata(config: Config) -> dict[str, Any]:
    """Build only the list of entries, or store a given one.

    Returns:
        `entries`, the address of the list; `sources`, how many each gave; `stages` with tasks, cached,
        and for the others seconds of worker time and MB read.
    """
    started = time.monotonic()
    store = Store(config.storage)
    store.check()
    with reporting(config), workers_for(config):
        done = metadata_stage(config)
    (*_, listed) = done
    manifest = store.manifest(listed.reference.manifest)
    stages = [
        summarize_stage(store, stage, [one for one in done if one.stage == stage])
        for stage in dict.fromkeys(one.stage for one in done)
    ]
    publish_metadata(config.pool, manifest.statistics)
    return {
        "pool": config.pool,
        "storage": config.storage,
        "seconds": round(time.monotonic() - started, 3),
        "stages": stages,
        "folder": store.address(listed.reference.folder),
        **manifest.statistics,
    }


def metadata_stage(config: Config) -> list[Done]:
    """Run the jobs that make the list of entries; the last one is the list.

    If the list exists, its sources are not checked again.
    """
    plan = metadata_plan(config)
    done: list[Done] = []
    if plan.job.find(Store(config.storage), config.execution.verify) is None:
        done += run_in_parts(count_ngrams, config, [(job,) for job in plan.ngrams])
        done += run_in_parts(count_titles, config, [(job,) for job in plan.titles])
    return [*done, run_one(write_metadata, config, plan.job)]
