"""The pool's stages as runs of a work pool: `python -m bench.pool_parts [--partitions 200] [--planned 10000]`.

A small pool in so many partitions is curated by one process alone, and then with its stages on two Prefect workers of
this machine; the sets must have the same bytes. Then the list of jobs for many partitions is written and read, and
divided into runs, which is what the leading process does for them.
"""

import argparse
import math
import os
import resource
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from prefect.client.orchestration import get_client
from prefect.client.schemas.actions import WorkPoolCreate
from prefect.client.schemas.filters import FlowFilter, FlowFilterName

from bench.timing import report
from metaclip.config.loading import parse_config
from metaclip.demo import ENTRIES, write_demo_crawl
from metaclip.stages.balance import BalanceJob
from metaclip.store.manifest import Reference
from metaclip.store.store import Store
from metaclip.store.work_list import JOBS, WorkListJob, read_work
from tasks.stages import KINDS

ROOT = Path(__file__).parents[1]
POOL, DEPLOYMENT = "metaclip", "pool-part/pool-part"
WORKERS = 2


def measure(partitions: int = 200, planned: int = 10_000) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as name, _prefect(Path(name)):
        folder = Path(name)
        crawl = write_demo_crawl(folder / "crawl")
        # The small crawl has some 5,600 pairs that match.
        rows = math.ceil(5_600 / partitions)
        result: dict[str, Any] = {"alone": _curate(folder / "alone", str(crawl.paths), rows, {})}
        parts = {"parts_deployment": DEPLOYMENT, "parts_per_run": math.ceil(partitions / 8), "runs_at_once": WORKERS}
        result["on_workers"] = _curate(folder / "workers", str(crawl.paths), rows, parts)
        sets = [result[way].pop("bytes") for way in ("alone", "on_workers")]
        result["same_bytes"] = sets[0] == sets[1]
        result["runs"] = _runs()
        result["planned"] = _plan(folder / "planned", planned)
        return result


@contextmanager
def _prefect(folder: Path) -> Iterator[None]:
    """Have a Prefect server with the deployments, and two workers."""
    from flows.cli.server.local import prefect_api

    more = {"PREFECT_HOME": str(folder / "prefect"), "PREFECT_LOGGING_LEVEL": "ERROR", "DO_NOT_TRACK": "1"}
    os.environ |= {**more, "METACLIP_STORAGE": str(folder), "PYTHONPATH": str(ROOT)}
    with prefect_api() as url:
        os.environ["PREFECT_API_URL"] = url
        with get_client(sync_client=True) as client:
            client.create_work_pool(WorkPoolCreate(name=POOL, type="process"))
        prefect = [sys.executable, "-m", "prefect"]
        subprocess.run([*prefect, "--no-prompt", "deploy", "--all"], cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
        command = [*prefect, "worker", "start", "--pool", POOL, "--work-queue", "shards", "--limit", "1"]
        workers = [subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL) for _ in range(WORKERS)]
        try:
            yield
        finally:
            for worker in workers:
                worker.send_signal(signal.SIGKILL)
                worker.wait()


def _curate(storage: Path, paths: str, rows: int, execution: dict[str, Any]) -> dict[str, Any]:
    from flows.curate import curate

    tree = {
        "pool": storage.name,
        "storage": str(storage),
        "source": {"paths": [paths]},
        "metadata": {"entries": str(ENTRIES)},
        "dedup": {"rows_per_partition": rows},
        "near": {"use": "never"},
        "balance": {"t": 20},
        "execution": {"processes": 1, "kernels": "plain", **execution},
    }
    started = time.perf_counter()
    summary = curate(parse_config(tree))
    (partitions,) = [stage["tasks"] for stage in summary["stages"] if stage["stage"] == "dedup"]
    found = {path.name: path.read_bytes() for path in Path(summary["curated"]).glob("*.parquet")}
    return {"seconds": round(time.perf_counter() - started, 1), "partitions": partitions, "bytes": found}


def _runs() -> int:
    """Return how many runs the workers did."""
    with get_client(sync_client=True) as client:
        named = FlowFilter(name=FlowFilterName(any_=["pool-part"]))
        return len(client.read_flow_runs(flow_filter=named, limit=200))


def _plan(folder: Path, jobs: int) -> dict[str, Any]:
    """Return what it takes to list the jobs of so many partitions, and to read the last of them."""
    store, counts = Store(str(folder)), Reference(f"count-v2/{'c' * 32}/manifest.json", "c" * 32, 500_000)
    partitions = [Reference(f"dedup-v2/{n:032x}/manifest.json", f"{n:032x}", 4_000_000) for n in range(jobs)]
    started = time.perf_counter()
    listed = WorkListJob(tuple(BalanceJob(each, counts, 0) for each in partitions))
    work = listed.run(store)
    written = time.perf_counter()
    some = read_work(store, work, KINDS, jobs - 50, jobs)
    assert [job.key for job in some] == [job.key for job in listed.jobs[-50:]]
    return {
        "jobs": jobs,
        "write_seconds": round(written - started, 2),
        "read_seconds": round(time.perf_counter() - written, 2),
        "megabytes": round(store.size(f"{work.folder}/{JOBS}") / 1e6, 1),
        "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10,
    }


def show(result: dict[str, Any]) -> str:
    """Return the figures as text."""
    alone, workers, planned = result["alone"], result["on_workers"], result["planned"]
    return (
        f"{alone['partitions']} partitions: {alone['seconds']} s alone, {workers['seconds']} s with {result['runs']}"
        f" runs on {WORKERS} workers; the same bytes: {result['same_bytes']}\n{planned['jobs']:,} jobs: listed in"
        f" {planned['write_seconds']} s, {planned['megabytes']} MB, read in {planned['read_seconds']} s\n"
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--partitions", type=int, default=200)
    parser.add_argument("--planned", type=int, default=10_000)
    given = parser.parse_args()
    report(lambda: measure(given.partitions, given.planned), show)
