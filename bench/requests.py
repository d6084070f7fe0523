"""Count the S3 requests of each stage with a proxy in front of a real server: `python -m bench.requests`.

It uses shards of one row group and of three, and a pool of both in one partition and in four. Each job looks
for its output first, as its task does, and then computes it. The number of rows of a shard matters only
through its row groups, of 65,536 rows each, or as many small ones as have so many rows and are read together.
"""

import json
import os
import tempfile
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from unittest.mock import patch

from bench.timing import report, table
from metaclip.config.loading import parse_config
from metaclip.config.settings import Config
from metaclip.demo import ENTRIES
from metaclip.metadata.jobs import metadata_plan
from metaclip.prepare.jobs import extract_job
from metaclip.sources.listing import list_shards
from metaclip.stages.balance import BalanceJob
from metaclip.stages.count import CountJob
from metaclip.stages.curate import CuratedSetJob
from metaclip.stages.dedup import DedupJob
from metaclip.stages.gather import GatherJob
from metaclip.stages.match import MatchJob
from metaclip.stages.partition import PartitionJob
from metaclip.store.job import Job
from metaclip.store.manifest import Reference
from metaclip.store.store import Store
from metaclip.tables.parquet import ROW_GROUP_ROWS
from tests.s3 import S3Server, free_ports, running
from tests.s3_proxy import Proxy, counting

SMALL, LARGE = 2_000, 2 * ROW_GROUP_ROWS + 1
SHARDS = 4
PARTITIONS = 4
METHODS = ("GET", "HEAD", "PUT", "POST")


def measure() -> dict[str, Any]:
    server = S3Server(free_ports(1)[0])
    with tempfile.TemporaryDirectory() as name, patch.dict(os.environ, server.environment), running(server):
        server.client().mkdir("bench")
        with counting(server.endpoint) as proxy:
            os.environ["AWS_ENDPOINT_URL_S3"] = proxy.endpoint
            return _measure(Path(name), proxy)


def show(result: dict[str, Any]) -> str:
    """Return the figures as text."""
    rows = [[stage, *(one.get(method, 0) for method in METHODS)] for stage, one in result.items()]
    return table("requests to S3", ("", *METHODS), rows)


def _measure(folder: Path, proxy: Proxy) -> dict[str, Any]:
    config = _config(folder)
    store = Store(config.storage)
    metadata = metadata_plan(config).job.run(store)
    small, large = [], []
    for shard in list_shards(config.source):
        (large if "large" in shard[0].path else small).append(extract_job(config, tuple(shard)))
    result: dict[str, Any] = {}
    references: dict[str, list[Reference]] = {"small": [], "large": []}
    # The first match downloads the matcher's table to the local disk, once on each machine.
    MatchJob(small[0].run(store), metadata, config.match).run(store)
    for size, jobs in (("small", small), ("large", large)):
        groups = "1 row group" if size == "small" else "3 row groups"
        extracted = _count(result, f"extract, a shard of {groups}", proxy, store, jobs[1:] if size == "small" else jobs)
        wanted = [MatchJob(one, metadata, config.match) for one in extracted]
        references[size] = _count(result, f"match, a shard of {groups}", proxy, store, wanted)
    members = (*references["small"], *references["large"])
    _count(result, f"gather, {len(members)} shards", proxy, store, [GatherJob(members)])
    (pool,) = _count(result, f"partition, {len(members)} shards", proxy, store, [PartitionJob(members, 1 << 20)])
    one = [DedupJob(pool, 0, 1)]
    _count(result, f"dedup, a partition of 1, {len(members)} shards", proxy, store, one)
    parts = [DedupJob(pool, number, PARTITIONS) for number in range(PARTITIONS)]
    unique = _count(result, f"dedup, each of {PARTITIONS} partitions, {len(members)} shards", proxy, store, parts)
    counts = _count(result, f"count, {PARTITIONS} partitions", proxy, store, [CountJob(tuple(unique), metadata)])
    balanced = _count(result, "balance, a partition", proxy, store, [BalanceJob(part, counts[0], 0) for part in unique])
    whole = CuratedSetJob(tuple(balanced), float("inf"), 1 << 20, 0)
    _count(result, "curate, a partition", proxy, store, whole.parts())
    _count(result, f"curate, the set of {PARTITIONS}", proxy, store, [whole])
    return result


def _count(result: dict[str, Any], name: str, proxy: Proxy, store: Store, jobs: Sequence[Job]) -> list[Reference]:
    """Run jobs as their tasks do, and return the average requests of one job."""
    before = len(proxy.requests)
    references = []
    for job in jobs:
        assert job.find(store) is None
        references.append(job.run(store))
    methods = Counter(request.method for request in proxy.requests[before:])
    result[name] = {method: round(methods[method] / len(jobs), 1) for method in METHODS}
    return references


def _config(folder: Path) -> Config:
    for number in range(SHARDS):
        _write(folder / "source" / f"small-{number}.jsonl", number * SMALL, SMALL)
    _write(folder / "source" / "large.jsonl", SHARDS * SMALL, LARGE)
    return parse_config(
        {
            "pool": "bench",
            "storage": "s3://bench/pool",
            "source": {"paths": [str(folder / "source")]},
            "metadata": {"entries": str(ENTRIES)},
            "match": {"languages": []},
        }
    )


def _write(path: Path, first: int, rows: int) -> None:
    path.parent.mkdir(exist_ok=True)
    pairs = (
        {"url": f"https://example.org/{number}.jpg", "text": f"a photo of dog number {number}"}
        for number in range(first, first + rows)
    )
    path.write_text("".join(json.dumps(pair) + "\n" for pair in pairs))


if __name__ == "__main__":
    report(measure, show)
