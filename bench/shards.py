"""Measure Prefect's part: one `match-shards` run of many small shards: `python -m bench.shards [SHARDS]`.

The demo's crawl is copied until there are as many files as shards, so that the tasks themselves cost
little. Figures are tasks a second and memory, on a local folder and on a real S3 server (SeaweedFS), first
when no output exists and then when all exist.
"""

import os
import shutil
import sys
import tempfile
import threading
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from unittest.mock import patch

import psutil
from prefect import flow

from bench.timing import report, table
from flows.cli.server.local import prefect_api
from flows.match import match_shards
from flows.metadata import metadata_stage
from metaclip.config.loading import parse_config
from metaclip.config.settings import Config
from metaclip.demo import ENTRIES, write_demo_crawl
from metaclip.prepare.jobs import check
from tasks.checkpoint import run_one
from tasks.progress import reporting
from tasks.stages import freeze_listing
from tasks.workers import workers
from tests.s3 import S3Server, free_ports, running

SHARDS = 300
PROCESSES = 2


def measure(shards: int = SHARDS) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as name, ExitStack() as stack:
        folder = Path(name)
        files = _copies(folder, shards)
        server = stack.enter_context(running(S3Server(free_ports(1)[0])))
        stack.enter_context(patch.dict(os.environ, server.environment))
        server.client().mkdir("bench")
        stack.enter_context(prefect_api())
        stack.enter_context(workers(PROCESSES))  # started once, for every run
        _run(_config(files[:4], str(folder / "warm")), "warm")
        roots = {"local": str(folder / "pool"), "s3": "s3://bench/pool"}
        results = {
            kind: {run: _run(_config(files, root), run) for run in ("first", "rerun")} for kind, root in roots.items()
        }
    ratio = results["s3"]["rerun"]["seconds"] / results["local"]["rerun"]["seconds"]
    return {"shards": shards, "processes": PROCESSES, **results, "rerun_s3_to_local": round(ratio, 2)}


def _run(config: Config, name: str) -> dict[str, Any]:
    listing = check(config)

    @flow(name="bench", flow_run_name=name)
    def whole() -> dict[str, Any]:
        with reporting(config), workers(PROCESSES):
            metadata_stage(config)
            frozen = run_one(freeze_listing, config, listing).reference
            with _Peak() as peak:
                started = time.perf_counter()
                done = match_shards(config, frozen.manifest, 0, len(listing.shards))
                seconds = time.perf_counter() - started
        return {
            "seconds": round(seconds, 2),
            "tasks": len(done),
            "tasks_per_second": round(len(done) / seconds, 1),
            "cached": sum(one.cached for one in done),
            "flow_process_mb": peak.own,
            "worker_process_mb": peak.worker,
        }

    result: dict[str, Any] = whole()
    return result


class _Peak:
    """Highest resident memory of this process and of its largest worker, MB, while the block runs."""

    def __enter__(self) -> "_Peak":
        self.own = self.worker = 0
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()

    def _watch(self) -> None:
        process = psutil.Process()
        while not self._ended.wait(0.5):
            self.own = max(self.own, process.memory_info().rss >> 20)
            for child in process.children():
                try:
                    if "spawn_main" in " ".join(child.cmdline()):
                        self.worker = max(self.worker, child.memory_info().rss >> 20)
                except psutil.NoSuchProcess:
                    continue


def _copies(folder: Path, shards: int) -> list[str]:
    write_demo_crawl(folder / "demo")
    (folder / "crawl").mkdir()
    listed = (folder / "demo" / "demo.paths").read_text().split()
    usable = [path for path in listed if "warc" in path or "wat" in path]
    files = []
    for number in range(shards):
        source = folder / "demo" / usable[number % len(usable)]
        target = folder / "crawl" / f"{number:05}-{source.name}"
        shutil.copy(source, target)
        files.append(str(target))
    return files


def _config(files: list[str], root: str) -> Config:
    return parse_config(
        {
            "pool": "shards",
            "storage": root,
            "source": {"paths": files},
            "metadata": {"entries": str(ENTRIES)},
            "extract": {"max_failed_files": 1},
            "execution": {"processes": PROCESSES},
        }
    )


def show(result: dict[str, Any]) -> str:
    """Return the figures as text."""
    runs = {f"{place}, {run}": result[place][run] for place in ("local", "s3") for run in ("first", "rerun")}
    columns = ("", *(name.replace("_", " ") for name in next(iter(runs.values()))))
    title = f"{result['shards']} shards, {result['processes']} processes: a rerun on S3 takes"
    rows = [[name, *one.values()] for name, one in runs.items()]
    return table(f"{title} {result['rerun_s3_to_local']} times a folder's time", columns, rows)


if __name__ == "__main__":
    report(lambda: measure(*map(int, sys.argv[1:])), show)
