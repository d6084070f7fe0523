"""Measure cost against size, with 1, 4 and 16 files of a generated crawl: `python -m bench.scaling [FILES …]`.

Each size runs in its own process, to measure its own peak of memory, after a warm-up on one file. Figures
are CPU seconds for each MB of gzipped input: they are constant if cost is linear.
"""

import multiprocessing
import sys
import tempfile
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

from bench.make_crawl import make_crawl
from bench.stages import STAGES, configure, entry_list, make_metadata, run_stages
from bench.timing import peak_memory_mb, report, spread, table
from metaclip.store.manifest import Reference

KINDS = ("wat", "warc")
SIZES = (1, 4, 16)
PAGES_PER_FILE = 500
REPEATS = 3


def measure(
    repeats: int = REPEATS,
    pages_per_file: int = PAGES_PER_FILE,
    kinds: Sequence[str] = KINDS,
    sizes: Sequence[int] = SIZES,
) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        made = make_crawl(folder / "crawl", sizes[-1] * pages_per_file, pages_per_file=pages_per_file)
        metadata = make_metadata(configure(made.wat_files[:1], folder / "pool"))
        files = {"wat": made.wat_files, "warc": made.warc_files}
        results = {
            kind: {str(size): _size(files[kind][:size], folder / "pool", metadata, repeats) for size in sizes}
            for kind in kinds
        }
    for by_size in results.values():
        first = next(iter(by_size.values()))["all_stages_cpu_seconds_per_mb"]["median"]
        for figures in by_size.values():
            figures["to_first"] = round(figures["all_stages_cpu_seconds_per_mb"]["median"] / first, 3)
    return {"entries": entry_list().name, "pages_per_file": pages_per_file, **results}


def show(result: dict[str, Any]) -> str:
    """Return the figures as text."""
    text = ""
    for kind in (kind for kind in KINDS if kind in result):
        rows = [
            [size]
            + [one[name] for name in ("gzipped_mb", "pairs")]
            + [*one["all_stages_cpu_seconds_per_mb"].values()]
            + [one[name] for name in ("to_first", "peak_memory_mb")]
            for size, one in result[kind].items()
        ]
        columns = ("files", "gzipped MB", "pairs", "CPU s/MB", "lowest", "highest", "to the first", "peak MB")
        text += table(f"{kind}: cost against size, all stages in one process", columns, rows)
    return text


def _size(files: list[Path], pool: Path, metadata: Reference, repeats: int) -> dict[str, Any]:
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as process:
        return process.submit(_run, files, pool, metadata, repeats).result()


def _run(files: list[Path], pool: Path, metadata: Reference, repeats: int) -> dict[str, Any]:
    run_stages(configure(files[:1], pool), metadata)
    megabytes = sum(path.stat().st_size for path in files) / 1e6
    runs = [run_stages(configure(files, pool), metadata) for _ in range(repeats)]
    seconds = [sum(clock.cpu for clock in run.clocks.values()) / megabytes for run in runs]
    stages = {stage: spread([run.clocks[stage].cpu / megabytes for run in runs]) for stage in STAGES}
    return {
        "gzipped_mb": round(megabytes, 2),
        "pairs": runs[0].pairs,
        "all_stages_cpu_seconds_per_mb": spread(seconds),
        "stages_cpu_seconds_per_mb": {stage: figures["median"] for stage, figures in stages.items()},
        "peak_memory_mb": peak_memory_mb(),
    }


if __name__ == "__main__":
    report(lambda: measure(sizes=[int(size) for size in sys.argv[1:]] or SIZES), show)
