"""Measure the stages on real crawl files, one core: `python -m bench.pipeline`.

Without the shared data it takes the demo's crawl and list of entries. Seconds are for each MB of
gzipped input; the yardstick is zlib's decompression of the same files in the same run. Each stage
runs in this process, once to warm up and then a few times into an empty store; the best counts.
"""

import gzip
import json
import resource
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from bench.timing import SHARED
from metaclip.config import Config, parse_config
from metaclip.demo import ENTRIES, write_demo_crawl
from metaclip.manifest import Reference
from metaclip.plan import extract_job, list_shards, metadata_plan
from metaclip.stages.balance import BalanceJob
from metaclip.stages.count import CountJob
from metaclip.stages.curate import CuratedSetJob
from metaclip.stages.dedup import DedupJob
from metaclip.stages.match import MatchJob
from metaclip.stages.partition import PartitionJob
from metaclip.store import Store

REPEATS = 3


def measure() -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        if SHARED.exists():
            crawl, entries, pattern = SHARED / "crawl", SHARED / "metadata" / "standin_500k.json.gz", "*.gz"
        else:
            crawl, entries, pattern = Path(folder) / "crawl", ENTRIES, "*[!1245].warc*.gz"
            write_demo_crawl(crawl)
        results = {
            kind: _measure_kind(sorted((crawl / kind).glob(pattern)), entries, Path(folder)) for kind in ("wat", "warc")
        }
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return {"entries": str(entries.name), **results, "peak_memory_mb": round(peak / 1024)}


def _measure_kind(files: list[Path], entries: Path, folder: Path) -> dict[str, Any]:
    megabytes = sum(path.stat().st_size for path in files) / 1e6
    runs = [_run(_config(files, entries, folder / f"run{number}")) for number in range(REPEATS + 1)]
    stages = {stage: min(run[0][stage] for run in runs[1:]) / megabytes for stage in runs[0][0]}
    decompression = min(_decompress(files) for _ in range(REPEATS)) / megabytes
    chain = sum(seconds for stage, seconds in stages.items() if stage != "metadata")
    return {
        "gzipped_mb": round(megabytes, 3),
        **runs[0][1],
        "seconds_per_mb": {stage: round(seconds, 5) for stage, seconds in stages.items() if stage != "metadata"},
        "all_stages_seconds_per_mb": round(chain, 5),
        "zlib_seconds_per_mb": round(decompression, 5),
        "ratio_to_zlib": round(chain / decompression, 2),
    }


def _config(files: list[Path], entries: Path, storage: Path) -> Config:
    shutil.rmtree(storage, ignore_errors=True)
    return parse_config(
        {
            "pool": "bench",
            "storage": str(storage),
            "source": {"paths": [str(path) for path in files]},
            "metadata": {"entries": str(entries)},
            "extract": {"max_failed_files": 1},
            "balance": {"t": 20},
        }
    )


def _run(config: Config) -> tuple[dict[str, float], dict[str, int]]:
    store, seconds = Store(config.storage), dict[str, float]()

    def timed(stage: str, work: Callable[[], Any]) -> Any:
        started = time.perf_counter()
        result = work()
        seconds[stage] = time.perf_counter() - started
        return result

    metadata: Reference = timed("metadata", lambda: metadata_plan(config).job.run(store))
    shards = [extract_job(config, tuple(shard)) for shard in list_shards(config.source)]
    extracted = timed("extract", lambda: [job.run(store) for job in shards])
    matched = timed("match", lambda: [MatchJob(one, metadata, config.match).run(store) for one in extracted])
    members = PartitionJob(tuple(matched), config.dedup.rows_per_partition).run(store)
    unique = timed("dedup", lambda: DedupJob(members, 0, 1).run(store))
    counts = timed("count", lambda: CountJob((unique,), metadata).run(store))
    balanced = timed("balance", lambda: BalanceJob(unique, counts, 0).run(store))
    whole = CuratedSetJob((balanced,), config.balance.threshold, config.curate.rows_per_file)
    curated = timed("curate", lambda: whole.parts()[0].run(store))
    rows = {"pairs": sum(one.rows for one in extracted), "unique": unique.rows, "curated": curated.rows}
    return seconds, rows


def _decompress(files: list[Path]) -> float:
    started = time.perf_counter()
    for path in files:
        with gzip.open(path) as stream:
            while stream.read(1 << 20):
                pass
    return time.perf_counter() - started


if __name__ == "__main__":
    json.dump(measure(), sys.stdout, indent=1)
    sys.stdout.write("\n")
