"""Measure what a run costs besides its work: `python -m bench.orchestration [SHARDS ...]`.

Shards of one pair each, by default 200 and 800, in a folder and in S3 (SeaweedFS on this machine), under one Prefect
server: a first run, and a run that finds all outputs. Figures are seconds, requests to S3 (counted in a further run,
because the proxy takes time), task runs, the growth of Prefect's database, and the memory of the leading process.
With `--stands N` the outputs of N shards are made without Prefect, so that only the run that finds them is measured;
`--place folder` leaves S3 out.
"""

import argparse
import json
import logging
import os
import resource
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from prefect.client.orchestration import get_client

from bench.rerun import _config
from bench.timing import report, table
from metaclip.config.settings import Config
from metaclip.metadata.jobs import metadata_plan
from metaclip.prepare.jobs import check, extract_job
from metaclip.sources.listing import SourceFile
from metaclip.stages.match import MatchJob
from metaclip.store.manifest import Reference
from metaclip.store.store import Store
from tests.s3 import S3Server, free_ports, running
from tests.s3_proxy import counting

SIZES = (200, 800)
PLACES = ("folder", "s3")


def measure(sizes: tuple[int, ...] = SIZES, *, stand: bool = False, places: tuple[str, ...] = PLACES) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as name, _servers(Path(name)) as server:
        found: dict[str, Any] = {}
        for size in sizes:
            source = _source(Path(name), size)
            for place in places:
                root = str(Path(name) / f"pool-{size}") if place == "folder" else f"s3://bench/pool-{size}"
                found[f"{size} {place}"] = _measure(Path(name), source, root, server, stand=stand)
        return found


@contextmanager
def _servers(folder: Path) -> Iterator[S3Server]:
    from flows.cli.server.local import prefect_api
    from tasks.workers import workers

    os.environ |= {"DO_NOT_TRACK": "1", "PREFECT_LOGGING_LEVEL": "ERROR", "PREFECT_HOME": str(folder / "prefect")}
    server = S3Server(free_ports(1)[0])
    os.environ |= server.environment
    with running(server), prefect_api(), workers(2):
        server.client().mkdir("bench")
        yield server


def _source(folder: Path, size: int) -> Path:
    source = folder / f"source-{size}"
    source.mkdir()
    for number in range(size):
        pair = {"url": f"https://example.org/{number}.jpg", "text": f"a photo of dog number {number}"}
        (source / f"{number:06d}.jsonl").write_text(json.dumps(pair) + "\n")
    return source


def _measure(folder: Path, source: Path, root: str, server: S3Server, *, stand: bool) -> dict[str, Any]:
    from flows.curate import curate

    config = _config(source, root)
    if stand:
        _make(config)
    result: dict[str, Any] = {}
    for kind in ("first", "rerun"):
        before, tasks, started = _database(folder), _task_runs(), time.perf_counter()
        summary = curate(config)
        result[f"{kind}_seconds"] = round(time.perf_counter() - started, 2)
        time.sleep(3)  # the server records task runs a moment after they end
        result[f"{kind}_tasks"] = _task_runs() - tasks
        result[f"{kind}_database_kb"] = (_database(folder) - before) >> 10
    assert all(stage["cached"] == stage["tasks"] for stage in summary["stages"])
    if root.startswith("s3://"):
        with counting(server.endpoint) as proxy:
            os.environ["AWS_ENDPOINT_URL_S3"] = proxy.endpoint
            curate(config)
            os.environ["AWS_ENDPOINT_URL_S3"] = server.endpoint
            result["rerun_requests"], result["rerun_listings"] = len(proxy.requests), len(proxy.listings)
    result["peak_mb"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10
    return result


def _make(config: Config) -> None:
    """Extract and match all shards without Prefect."""
    store = Store(config.storage)
    shards = check(config).shards
    entries = metadata_plan(config).job.run(store)
    parts = [shards[start : start + 50] for start in range(0, len(shards), 50)]
    with ProcessPoolExecutor(2) as processes:
        futures = [processes.submit(_make_some, config, entries, part) for part in parts]
        for future in futures:
            future.result()


def _make_some(config: Config, entries: Reference, shards: tuple[tuple[SourceFile, ...], ...]) -> None:
    store = Store(config.storage)
    for shard in shards:
        MatchJob(extract_job(config, shard).run(store), entries, config.match).run(store)


def _database(folder: Path) -> int:
    return sum(path.stat().st_size for path in (folder / "prefect").glob("prefect.db*"))


def _task_runs() -> int:
    with get_client(sync_client=True) as client:
        return int(client.request("POST", "/task_runs/count", json={}).json())


def show(result: dict[str, Any]) -> str:
    """Return the figures as text."""
    names = [f"{kind}_{name}" for kind in ("first", "rerun") for name in ("seconds", "tasks", "database_kb")] + [
        "rerun_requests",
        "rerun_listings",
        "peak_mb",
    ]
    rows = [[case, *(result[case].get(name, "") for name in names)] for case in result]
    return table("what a run costs besides its work", ("shards", *(name.replace("_", " ") for name in names)), rows)


if __name__ == "__main__":
    logging.disable(logging.WARNING)
    parser = argparse.ArgumentParser()
    parser.add_argument("--stands", type=int)
    parser.add_argument("--place", choices=PLACES, action="append")
    parser.add_argument("sizes", type=int, nargs="*")
    given = parser.parse_args()
    chosen = (given.stands,) if given.stands else tuple(given.sizes) or SIZES
    report(lambda: measure(chosen, stand=given.stands is not None, places=tuple(given.place or PLACES)), show)
