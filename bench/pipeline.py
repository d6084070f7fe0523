"""Measure the stages on real crawl files, on one core and on two: `python -m bench.pipeline`.

Without the shared data it takes the demo's crawl and list of entries. Figures are seconds for each MB
of gzipped input, medians of several turns with the lowest and the highest; `cpu` leaves out what other
programs on the machine take. The yardsticks take their turns in the same run: decompression of the
same files by zlib and by isal, and cc2dataset's extraction (no language id, no matching, nothing
written) where `BENCH_CC2DATASET_PYTHON` names a Python that has it.
"""

import json
import multiprocessing
import sys
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

from bench.stages import STAGES, Pool, configure, entry_list, make_metadata, run_shard, run_stages
from bench.timing import SHARED, Clock, peak_memory_mb, ranges, spread, table, timed
from bench.yardsticks import cc2dataset_seconds, decompress_isal, decompress_zlib
from metaclip.demo import write_demo_crawl
from metaclip.manifest import Reference

KINDS = ("wat", "warc")
REPEATS = 5


def measure(repeats: int = REPEATS, kinds: Sequence[str] = KINDS) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        crawl, pattern = SHARED / "crawl", "*.gz"
        if not SHARED.exists():
            crawl, pattern = Path(folder) / "crawl", "*[!1245].warc*.gz"
            write_demo_crawl(crawl)
        results = {
            kind: _measure_kind(sorted((crawl / kind).glob(pattern)), Path(folder) / kind, repeats) for kind in kinds
        }
    return {"entries": entry_list().name, **results, "peak_memory_mb": peak_memory_mb()}


def show(result: dict[str, Any]) -> str:
    """Return the figures as text."""
    text = ""
    for kind in (kind for kind in KINDS if kind in result):
        found = result[kind]
        rows = ranges({**found["seconds_per_mb"], **found["yardsticks_seconds_per_mb"]})
        text += table(f"{kind}: seconds for a gzipped MB, one core", ("", "median", "lowest", "highest"), rows)
        text += table("", ("all stages to", "ratio"), list(found["ratios"].items()))
        text += table("", ("processes", "MB/s", "lowest", "highest"), ranges(found["processes_mb_per_second"]))
    return f"{text}peak memory {result['peak_memory_mb']} MB\n"


def _measure_kind(files: list[Path], folder: Path, repeats: int) -> dict[str, Any]:
    megabytes = sum(path.stat().st_size for path in files) / 1e6
    config = configure(files, folder)
    metadata = make_metadata(config)
    pools, zlib, isal, others = list[Pool](), list[Clock](), list[Clock](), list[float]()
    run_stages(config, metadata)
    for _ in range(repeats):
        pools.append(run_stages(config, metadata))
        zlib.append(timed(lambda: decompress_zlib(files)))
        isal.append(timed(lambda: decompress_isal(files)))
        if "wat" in files[0].name and (found := cc2dataset_seconds(files)):
            others.append(found[0])
    whole = [sum(clock.wall for clock in pool.clocks.values()) for pool in pools]
    whole_cpu = [sum(clock.cpu for clock in pool.clocks.values()) for pool in pools]
    yardsticks = {
        "zlib": [clock.wall for clock in zlib],
        "isal": [clock.wall for clock in isal],
        "zlib, cpu": [clock.cpu for clock in zlib],
        "isal, cpu": [clock.cpu for clock in isal],
    }
    if others:
        yardsticks["cc2dataset, cpu"] = others
    figures = {stage: [pool.clocks[stage].wall for pool in pools] for stage in STAGES}
    figures |= {"all stages": whole, "extract, cpu": [pool.clocks["extract"].cpu for pool in pools]}
    figures |= {"all stages, cpu": whole_cpu}
    per_mb = {name: spread([value / megabytes for value in values]) for name, values in (figures | yardsticks).items()}
    cpu = per_mb["all stages, cpu"]["median"]
    return {
        "gzipped_mb": round(megabytes, 3),
        "pairs": pools[0].pairs,
        "unique": pools[0].unique,
        "curated": pools[0].curated,
        "seconds_per_mb": {name: per_mb[name] for name in figures},
        "yardsticks_seconds_per_mb": {name: per_mb[name] for name in yardsticks},
        "ratios": {
            name.removesuffix(", cpu"): round(cpu / per_mb[name]["median"], 2)
            for name in yardsticks
            if name.endswith("cpu")
        },
        "processes_mb_per_second": {
            str(count): _throughput(files, folder, metadata, count, repeats) for count in (1, 2)
        },
    }


def _throughput(files: list[Path], folder: Path, metadata: Reference, processes: int, repeats: int) -> dict[str, float]:
    """Measure extract and match of all files, one shard each, by worker processes that are warm."""
    megabytes = sum(path.stat().st_size for path in files) / 1e6
    rates = []
    with ProcessPoolExecutor(processes, multiprocessing.get_context("spawn")) as pool:
        for turn in range(repeats + 1):
            start = time.perf_counter()
            work = [pool.submit(run_shard, str(folder), files, shard, metadata) for shard in range(len(files))]
            for one in work:
                one.result()
            if turn:  # in the first, processes start and load
                rates.append(megabytes / (time.perf_counter() - start))
    return spread(rates, 2)


if __name__ == "__main__":
    measured = measure()
    sys.stderr.write(show(measured))
    json.dump(measured, sys.stdout, indent=1)
    sys.stdout.write("\n")
