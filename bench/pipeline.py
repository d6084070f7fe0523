"""Measure the stages on real crawl files, on one core and on two: `python -m bench.pipeline`.

Without the shared data it uses the demo's crawl and list of entries. Figures are seconds for each MB of
gzipped input, medians of several turns with the lowest and the highest. `cpu` does not include other
programs on the machine, and ratios are of these figures. `shards` is extract and match: the work for each
file, which is the cost of a large pool. In a pool as small as this one, most of the time of the later
stages is for the list of entries. `one shard` is the same with all files in one shard. This is closer to a
crawl, whose files are a hundred times as large, so that opening, writing and checkpointing an output costs
almost nothing there. The yardsticks take turns in the same run: decompression of the same files by zlib, by
isal and by libdeflate (member by member, as extraction does it), MetaCLIP's approach in plain Python
(`bench.plain_pipeline`), and cc2dataset's extraction (no language identification, no matching, no
output) if `BENCH_CC2DATASET_PYTHON` names a Python that has it.
"""

import multiprocessing
import os
import tempfile
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from bench.crawl_files import KINDS, crawl_files
from bench.plain_pipeline import PlainPipeline
from bench.stages import STAGES, configure, entry_list, make_metadata, run_shard, run_stages
from bench.timing import Clock, peak_memory_mb, ranges, ratios, report, spread, table, timed
from bench.yardsticks import cc2dataset_seconds, decompress_isal, decompress_libdeflate, decompress_zlib
from metaclip.language.model_file import find_model
from metaclip.metadata.given_list import load_entries

REPEATS = 5
SHARDS = ("extract", "match")
TOTALS = ("one shard", "shards", "all stages")
ROUNDS = 3
"""How often processes go through the files in one turn, so that it does not matter which one gets the last file."""
AGAIN = 10
"""How often a job that only decompresses does its file: one time would take too little to be measured."""
PLAIN = "MetaCLIP's way in plain Python"
DECOMPRESSION = {"zlib": decompress_zlib, "isal": decompress_isal, "libdeflate": decompress_libdeflate}
ONE_SHARD = "one shard, extract and match, to libdeflate's decompression"
ALL_STAGES = "all stages to extract and match"
OWN_SHARD = "a shard for each file to one shard"
TWO_PROCESSES = "two processes to one, beside the same of processes that only decompress"


def measure(repeats: int = REPEATS, kinds: Sequence[str] = KINDS) -> dict[str, Any]:
    os.environ["FTLANG_CACHE"] = str(find_model().parent)  # where the plain pipeline finds the model
    with tempfile.TemporaryDirectory() as folder:
        files = crawl_files(Path(folder), tuple(kinds))
        results = {kind: _measure_kind(files[kind], Path(folder) / kind, repeats) for kind in kinds}
        peak = peak_memory_mb()
        plain = PlainPipeline(load_entries(str(entry_list())).entries)
        for kind in kinds:
            _add_yardsticks(results[kind], files[kind], kind, plain, Path(folder), repeats)
    return {"entries": entry_list().name, **results, "peak_memory_mb": peak}


def show(result: dict[str, Any]) -> str:
    """Return the figures as text."""
    text = ""
    for kind in (kind for kind in KINDS if kind in result):
        found = result[kind]
        figures = {**found["seconds_per_mb"], **found["yardsticks_seconds_per_mb"]}
        rows = ranges({name: one for name, one in figures.items() if name.endswith("cpu") or name in TOTALS})
        text += table(f"{kind}: seconds for a gzipped MB, one core", ("", "median", "lowest", "highest"), rows)
        ratios = [[name, *one.values()] for name, one in found["times_as_fast"].items()]
        text += table("", ("so many times as fast as", *TOTALS), ratios)
        processes = [[count, *one.values()] for count, one in found["processes_mb_per_second"].items()]
        text += table("", ("processes", "MB/s", "lowest", "highest", "peak MB of a worker"), processes)
        text += f"two processes give {found['speed_up']['median']} times what one gives"
        text += f" ({found['speed_up_of_libdeflate']['median']} times where they only decompress, by libdeflate)\n"
        text += table("ratios", ("", "median", "lowest", "highest"), ranges(found["ratios"])) + "\n"
    return f"{text}peak memory of the process that did all stages of all pools: {result['peak_memory_mb']} MB\n"


def _measure_kind(files: list[Path], folder: Path, repeats: int) -> dict[str, Any]:
    megabytes = sum(path.stat().st_size for path in files) / 1e6
    config = configure(files, folder)
    metadata = make_metadata(config)
    run_stages(config, metadata)
    pools, whole = [], list[Clock]()
    yardsticks: dict[str, list[Clock]] = {name: [] for name in DECOMPRESSION}
    for decompress in DECOMPRESSION.values():
        decompress(files)
    for _ in range(repeats):
        pools.append(run_stages(config, metadata))
        whole.append(timed(lambda: run_shard(str(folder), files, None, metadata)))
        for name, decompress in DECOMPRESSION.items():
            yardsticks[name].append(timed(partial(decompress, files)))
    clocks: dict[str, list[Clock]] = {stage: [pool.clocks[stage] for pool in pools] for stage in STAGES}
    clocks["one shard"] = whole
    for name, stages in zip(TOTALS[1:], (SHARDS, STAGES), strict=True):
        clocks[name] = [
            Clock(sum(pool.clocks[one].wall for one in stages), sum(pool.clocks[one].cpu for one in stages))
            for pool in pools
        ]
    shards = [(run_shard, str(folder), files, shard, metadata) for shard in range(len(files))]
    idle = [(decompress_libdeflate, AGAIN * [path]) for path in files]
    found = _throughput({"ours": (shards, megabytes), "idle": (idle, AGAIN * megabytes)}, repeats)
    ours, decompressing = found["ours"], found["idle"]
    return {
        "gzipped_mb": round(megabytes, 3),
        "pairs": pools[0].pairs,
        "matched": pools[0].matched,
        "unique": pools[0].unique,
        "curated": pools[0].curated,
        "stored_bytes": pools[0].stored_bytes,
        "seconds_per_mb": _seconds_per_mb(clocks, megabytes),
        "yardsticks_seconds_per_mb": _seconds_per_mb(yardsticks, megabytes),
        "processes_mb_per_second": {
            str(number): {**spread(ours.rates[number], 2), "worker_peak_mb": ours.worker_peak_mb[number]}
            for number in (1, 2)
        },
        "speed_up": spread(ours.speed_up, 2),
        "speed_up_of_libdeflate": spread(decompressing.speed_up, 2),
        "ratios": {
            ONE_SHARD: ratios(whole, yardsticks["libdeflate"]),
            ALL_STAGES: ratios(clocks["all stages"], clocks["shards"]),
            OWN_SHARD: ratios(clocks["shards"], whole),
            TWO_PROCESSES: spread(
                [own / other for own, other in zip(ours.speed_up, decompressing.speed_up, strict=True)], 3
            ),
        },
    }


def _seconds_per_mb(clocks: dict[str, list[Clock]], megabytes: float) -> dict[str, Any]:
    wall = {name: spread([clock.wall / megabytes for clock in turns]) for name, turns in clocks.items()}
    cpu = {f"{name}, cpu": spread([clock.cpu / megabytes for clock in turns]) for name, turns in clocks.items()}
    return wall | cpu


def _add_yardsticks(
    result: dict[str, Any], files: list[Path], kind: str, plain: PlainPipeline, folder: Path, repeats: int
) -> None:
    """Add other programs, and the ratios of this project to all yardsticks."""
    figures = result["yardsticks_seconds_per_mb"]
    megabytes = result["gzipped_mb"]
    clocks = [timed(lambda: plain.run(files, kind, folder / "plain.jsonl")) for _ in range(repeats + 1)]
    figures |= _seconds_per_mb({PLAIN: clocks[1:]}, megabytes)
    if kind == "wat":
        others = [found[0] / megabytes for _ in range(repeats) if (found := cc2dataset_seconds(files))]
        if others:
            figures["cc2dataset, extraction alone, cpu"] = spread(others)
    ours = result["seconds_per_mb"]
    result["times_as_fast"] = {
        name.removesuffix(", cpu"): {part: round(one["median"] / ours[f"{part}, cpu"]["median"], 2) for part in TOTALS}
        for name, one in figures.items()
        if name.endswith(", cpu")
    }


@dataclass(frozen=True)
class _Throughput:
    """What one worker process and two did of some jobs."""

    rates: dict[int, list[float]]
    """MB a second, turn by turn, by the number of processes."""
    worker_peak_mb: dict[int, int]
    """The most memory of one of the workers so far."""

    @property
    def speed_up(self) -> list[float]:
        """How much faster two were, turn by turn."""
        return [double / single for single, double in zip(self.rates[1], self.rates[2], strict=True)]


def _throughput(works: Mapping[str, tuple[Sequence[tuple[Any, ...]], float]], repeats: int) -> dict[str, _Throughput]:
    """Measure kinds of jobs (functions and arguments, and their MB), with one worker process and with two, all warm."""
    found = {name: _Throughput({1: [], 2: []}, {}) for name in works}
    with _processes(1) as one, _processes(2) as two:
        pools = {1: one, 2: two}
        for turn in range(repeats + 1):
            for name, (work, megabytes) in works.items():  # in turns, so that all run under the same conditions
                for number, pool in pools.items():
                    start = time.perf_counter()
                    for job in [pool.submit(*job) for job in ROUNDS * list(work)]:
                        job.result()
                    if turn:  # in the first, processes start and load
                        found[name].rates[number].append(ROUNDS * megabytes / (time.perf_counter() - start))
        for one_of in found.values():
            one_of.worker_peak_mb.update(
                {number: pool.submit(peak_memory_mb).result() for number, pool in pools.items()}
            )
    return found


def _processes(count: int) -> ProcessPoolExecutor:
    return ProcessPoolExecutor(count, multiprocessing.get_context("spawn"))


if __name__ == "__main__":
    report(measure, show)
