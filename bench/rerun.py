"""Measure a run that finds all outputs, with 300 shards of one file: `python -m bench.rerun`.

Runs in a folder and in S3 (SeaweedFS on this machine) alternate, under one Prefect server; the best of three
is used. Requests are counted in another run through a proxy, because the proxy takes time.
"""

import json
import logging
import os
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

from bench.timing import report, table
from metaclip.config.loading import parse_config
from metaclip.config.settings import Config
from metaclip.demo import ENTRIES
from tests.s3 import S3Server, free_ports, running
from tests.s3_proxy import counting

SHARDS = 300
REPEATS = 3


def measure() -> dict[str, Any]:
    os.environ["DO_NOT_TRACK"] = "1"
    os.environ["PREFECT_LOGGING_LEVEL"] = "ERROR"
    server = S3Server(free_ports(1)[0])
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        os.environ |= {"PREFECT_HOME": str(folder / "prefect"), **server.environment}
        source = folder / "source"
        source.mkdir()
        for number in range(SHARDS):
            pair = {"url": f"https://example.org/{number}.jpg", "text": f"a photo of dog number {number}"}
            (source / f"{number:03d}.jsonl").write_text(json.dumps(pair) + "\n")
        with running(server):
            server.client().mkdir("bench")
            return _measure(source, {"folder": str(folder / "pool"), "s3": "s3://bench/pool"}, server)


def _measure(source: Path, roots: dict[str, str], server: S3Server) -> dict[str, Any]:
    from flows.cli.server.local import prefect_api
    from flows.curate import curate
    from tasks.workers import workers

    results: dict[str, Any] = {"shards": SHARDS}
    with prefect_api(), workers(2):
        for place, root in roots.items():
            started = time.perf_counter()
            curate(_config(source, root))
            results[place] = {"first_seconds": round(time.perf_counter() - started, 2)}
        seconds: dict[str, list[float]] = {place: [] for place in roots}
        for _ in range(REPEATS):
            for place, root in roots.items():
                started = time.perf_counter()
                summary = curate(_config(source, root))
                seconds[place].append(time.perf_counter() - started)
                assert all(stage["cached"] == stage["tasks"] for stage in summary["stages"])
        for place in roots:
            results[place]["rerun_seconds"] = round(min(seconds[place]), 2)
        with counting(server.endpoint) as proxy:
            os.environ["AWS_ENDPOINT_URL_S3"] = proxy.endpoint
            curate(_config(source, roots["s3"]))
            methods = Counter(request.method for request in proxy.requests)
            results["s3"] |= {"requests": len(proxy.requests), **methods, "listings": len(proxy.listings)}
    results["s3_to_folder"] = round(results["s3"]["rerun_seconds"] / results["folder"]["rerun_seconds"], 2)
    return results


def _config(source: Path, root: str) -> Config:
    return parse_config(
        {
            "pool": "bench",
            "storage": root,
            "source": {"paths": [str(source)]},
            "metadata": {"entries": str(ENTRIES)},
            "match": {"languages": []},
            "balance": {"t": 20},
            "execution": {"processes": 2},
        }
    )


def show(result: dict[str, Any]) -> str:
    """Return the figures as text."""
    names = ("first_seconds", "rerun_seconds", "requests", "GET", "HEAD", "PUT", "listings")
    rows = [[place, *(result[place].get(name, "") for name in names)] for place in ("folder", "s3")]
    title = f"{result['shards']} shards, all of which stand: S3 takes {result['s3_to_folder']} times a folder's time"
    return table(title, ("", *(name.replace("_", " ") for name in names)), rows)


if __name__ == "__main__":
    logging.disable(logging.WARNING)
    report(measure, show)
