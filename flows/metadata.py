"""From WordNet, Wikipedia and page views, or from a given list, to the entries."""

import time
from typing import Any

from prefect import flow

from flows.runner import task_runner
from metaclip.config import Config
from metaclip.plan import metadata_plan
from metaclip.store import Store
from tasks.checkpoint import Done, run_all, run_one
from tasks.metadata import count_ngrams, count_titles, write_metadata
from tasks.workers import workers


@flow(name="build-metadata", flow_run_name="{config.pool} metadata", task_runner=task_runner())
def build_metadata(config: Config) -> dict[str, Any]:
    """Build the list of entries alone, or take over a given one.

    Returns:
        `entries`, the address of the list; `sources`, how many each gave; `stages` with tasks, cached
        and seconds.
    """
    started = time.monotonic()
    store = Store(config.storage)
    store.check()
    with workers(config.execution.processes):
        done = metadata_stage(config)
    (*_, listed) = done
    manifest = store.manifest(listed.reference.manifest)
    stages = [
        {
            "stage": stage,
            "tasks": sum(one.stage == stage for one in done),
            "cached": sum(one.stage == stage and one.cached for one in done),
            "seconds": round(sum(one.seconds for one in done if one.stage == stage), 3),
        }
        for stage in dict.fromkeys(one.stage for one in done)
    ]
    return {
        "pool": config.pool,
        "storage": config.storage,
        "seconds": round(time.monotonic() - started, 3),
        "stages": stages,
        "folder": store.address(listed.reference.folder),
        **manifest.statistics,
    }


def metadata_stage(config: Config) -> list[Done]:
    """Do what leads to the list of entries; the last one done is the list.

    Where the list stands, its sources are not looked at again.
    """
    plan = metadata_plan(config)
    done: list[Done] = []
    if plan.job.find(Store(config.storage), config.execution.verify) is None:
        done += run_all(count_ngrams, config, [(job,) for job in plan.ngrams])
        done += run_all(count_titles, config, [(job,) for job in plan.titles])
    return [*done, run_one(write_metadata, config, plan.job)]
