"""The summary of a finished run: its stages, and the figures of its report."""

import time
from typing import Any

from prefect import get_run_logger
from prefect.client.schemas.objects import State
from prefect.states import Completed

from flows.run import Run
from metaclip.config.settings import format_t
from metaclip.explore.misses import summarize_misses
from metaclip.pool.cost import describe
from metaclip.processes.meter import Cost
from metaclip.report.job import PAGE, REPORT
from metaclip.store.store import Store
from tasks.checkpoint import Done

_SHORT_SECONDS = 0.5
"""Kernels that come from disk take less to load."""

NOTHING_NEW = "Nothing new"
"""The name of the final state of a run that has nothing to do."""


def summarize(run: Run, cost: Cost | None = None) -> dict[str, Any]:
    """Return the summary of a run, as JSON values.

    `stages` has for each stage its tasks, how many were found in the store (`cached`), and for
    the others the seconds of worker time, MB read and MB read a second. `crawls` has the names
    of the crawls if the source has any, `near` what `metaclip.explore.misses.summarize_misses` says,
    and `cost` what `metaclip.pool.cost.describe` says.
    """
    summary: dict[str, Any] = {
        "pool": run.config.pool,
        "storage": run.config.storage,
        "t": format_t(run.config.balance.t),
        "seconds": round(time.monotonic() - run.started, 3),
        "stages": [summarize_stage(run.store, name, done) for name, done in run.done.items()],
    }
    compiling = sum(one.compiling for done in run.done.values() for one in done)
    if compiling >= _SHORT_SECONDS:
        summary["compiling_seconds"] = round(compiling, 3)
    if cost is not None:
        summary["cost"] = describe(cost, run.config.prices)
    if run.config.source.crawl:
        summary["crawls"] = run.config.source.crawl
    if run.curated is not None:
        summary["curated"] = run.store.address(run.curated.folder)
    if run.report is not None:
        folder = run.outputs("report")[-1].folder
        summary["report"] = run.store.address(f"{folder}/{REPORT}")
        summary["report_page"] = run.store.address(f"{folder}/{PAGE}")
        summary["funnel"] = run.report["funnel"]
        summary["entries"] = run.report["entries"]
        if "survivors" in run.report:
            summary["survivors"] = run.report["survivors"]
        summary["top_entries"] = run.report["top_entries"][:10]
        if listed := run.outputs("metadata"):  # a run that only reports does not look at the list
            lists = listed[-1:] if run.config.groups is None else listed
            summary["near"] = summarize_misses(run.store, lists, run.near)
    return summary


def summarize_stage(store: Store, name: str, done: list[Done]) -> dict[str, Any]:
    """Return a stage's tasks and, of those that were not found in the store, worker time and MB read."""
    computed = [one for one in done if not one.cached]
    seconds = sum(one.seconds for one in computed)
    counts = (store.manifest(one.reference.manifest).statistics.get("counts", {}) for one in computed)
    read = sum(each.get("bytes_read", 0) for each in counts)
    summary: dict[str, Any] = {"stage": name, "tasks": len(done), "cached": len(done) - len(computed)}
    if computed:
        summary |= {"seconds": round(seconds, 3), "megabytes": round(read / 1e6, 3)}
        if read and seconds:
            summary["megabytes_per_second"] = round(read / 1e6 / seconds, 3)
    return summary


def nothing_new(run: Run) -> State[dict[str, Any]]:
    """Return the state of a run that has nothing to do: the newest crawl is part of the pool."""
    message = f"nothing new: pool {run.config.pool} has {', '.join(run.config.source.crawl)}, and all of it stands"
    get_run_logger().info(message)
    summary = summarize(run) | {"nothing_new": True, "message": message}
    return Completed(name=NOTHING_NEW, message=message, data=summary)
