"""Make the list of entries, from WordNet, Wikipedia and page views or from a given list."""

import time
from collections.abc import Iterable, Sequence
from typing import Any

from prefect import flow

from flows.runner import task_runner
from flows.subflows import run_in_parts
from flows.summary import summarize_stage
from metaclip.config.settings import Config
from metaclip.metadata.jobs import distinct, metadata_plans
from metaclip.store.manifest import Reference
from metaclip.store.store import Store
from tasks.checkpoint import Done
from tasks.metadata import count_ngrams, count_titles, publish_metadata, write_metadata
from tasks.progress import reporting
from tasks.workers import workers_for


@flow(name="build-metadata", flow_run_name="{config.pool} metadata", task_runner=task_runner())
def build_metadata(config: Config, languages: list[str] | None = None) -> dict[str, Any]:
    """Build only the list of entries, or store a given one.

    Args:
        config: The pool's configuration.
        languages: Only the lists of these groups of languages; empty for all.

    Returns:
        `entries`, the address of the list; `sources`, how many each gave; `stages` with tasks, cached,
        and for the others seconds of worker time and MB read. With lists by language: `languages`, the
        same for each group.
    """
    started = time.monotonic()
    store = Store(config.storage)
    store.check()
    with reporting(config), workers_for(config):
        done = metadata_stage(config, languages)
    stages = [
        summarize_stage(store, stage, [one for one in done if one.stage == stage])
        for stage in dict.fromkeys(one.stage for one in done)
    ]
    names = list(metadata_plans(config, languages))
    found = {
        name: {"folder": store.address(one.folder), **store.manifest(one.manifest).statistics}
        for name, one in zip(names, lists_of(done), strict=True)
    }
    for name, statistics in found.items():
        publish_metadata(f"{config.pool}-{name}" if name else config.pool, statistics)
    return {
        "pool": config.pool,
        "storage": config.storage,
        "seconds": round(time.monotonic() - started, 3),
        "stages": stages,
        **({"languages": found} if config.groups is not None else found[""]),
    }


def metadata_stage(config: Config, languages: Sequence[str] | None = None) -> list[Done]:
    """Run the jobs that make the list of entries, or that of each group of languages; see `lists_of`.

    If a list exists, its sources are not checked again.
    """
    store, verify = Store(config.storage), config.execution.verify
    plans = metadata_plans(config, languages).values()
    new = [plan for plan in plans if plan.job.find(store, verify) is None]
    done = run_in_parts(count_ngrams, config, [(job,) for job in distinct(job for plan in new for job in plan.ngrams)])
    done += run_in_parts(count_titles, config, [(job,) for job in distinct(job for plan in new for job in plan.titles)])
    return [*done, *run_in_parts(write_metadata, config, [(plan.job,) for plan in plans])]


def lists_of(done: Iterable[Done]) -> tuple[Reference, ...]:
    """Return the lists that `metadata_stage` made: one, or those of the groups in the order of their names."""
    return tuple(one.reference for one in done if one.stage == "metadata")
