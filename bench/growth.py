"""Cost against the number of partitions and of entries: `python -m bench.growth [--large]`.

Partitions: pools of made-up pairs, so many partitions of the same size; CPU seconds of dedup, count and balance for a
pair. Entries: lists of 50,000 and 500,000 entries, the real ones and more that are made up of their words; CPU seconds
of extract and match for a gzipped MB of the real WAT files in one shard, and those of dedup, count and balance for a
pair of a made-up pool whose entries follow Zipf's law. With `--large` also 100 partitions and 5 million entries; the
numbers of files are in `bench.scaling`. Each case is a process of its own, whose memory is watched. If cost is linear,
the figures of a column are the same.
"""

import argparse
import json
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from bench.crawl_files import crawl_files
from bench.large_pool import Made, make, run
from bench.stages import configure, entry_list, run_shard
from bench.timing import report, spread, table, timed
from bench.watched import Worker
from metaclip.metadata.given_list import load_entries
from metaclip.metadata.jobs import metadata_plan
from metaclip.store.store import Store

PARTITIONS, LARGE_PARTITIONS = (1, 10), (1, 10, 100)
ENTRIES, LARGE_ENTRIES = (50_000, 500_000), (50_000, 500_000, 5_000_000)
PARTITION_ROWS, LIST_ROWS = 100_000, 500_000
TURNS = 3


def measure(
    partitions: Sequence[int] = PARTITIONS,
    entries: Sequence[int] = ENTRIES,
    rows: int = PARTITION_ROWS,
    list_rows: int = LIST_ROWS,
    turns: int = TURNS,
) -> dict[str, Any]:
    with tempfile.TemporaryDirectory(prefix="metaclip-") as name:
        folder = Path(name)
        pools = {
            str(number): _alone(_pool, str(folder / "pools"), number * rows, 500_000, number, turns)
            for number in partitions
        }
        lists = {str(number): _alone(_matched, folder / str(number), number, turns) for number in entries}
        counted = {
            str(number): _alone(_pool, str(folder / "counted"), list_rows, number, 1, turns) for number in entries
        }
    for cases in (pools, lists, counted):
        first = next(iter(cases.values()))["microseconds"]["median"]
        for one in cases.values():
            one["to_first"] = round(one["microseconds"]["median"] / first, 3)
    return {"rows_of_a_partition": rows, "rows": list_rows, "partitions": pools, "match": lists, "balance": counted}


def show(result: dict[str, Any]) -> str:
    """Return the figures as text."""
    titles = {
        "partitions": f"partitions of {result['rows_of_a_partition']:,} pairs: dedup, count, balance, µs a pair",
        "match": "entries: extract and match of WAT in one shard, µs a gzipped KB",
        "balance": f"entries: dedup, count, balance of {result['rows']:,} pairs, µs a pair",
    }
    text = ""
    for name, title in titles.items():
        rows = [
            [f"{int(number):,}", *one["microseconds"].values(), one["to_first"], one["resident_mb"], one["own_mb"]]
            for number, one in result[name].items()
        ]
        text += table(title, ("", "median", "lowest", "highest", "to the first", "peak MB", "its own"), rows)
    return text


def entries_of(number: int) -> list[str]:
    """Return so many distinct entries: of the list at hand, evenly taken, and beyond it word pairs of its words."""
    found = load_entries(str(entry_list())).entries
    if number <= len(found):
        return [found[at] for at in np.linspace(0, len(found) - 1, number).astype(int)]
    rng = np.random.default_rng(number)
    words = [entry for entry in found if entry and " " not in entry]
    chosen = dict.fromkeys(found)
    while len(chosen) < number:
        left, right = np.minimum(rng.pareto(0.3, (2, number)) * 10, len(words) - 1).astype(int).tolist()
        chosen.update(dict.fromkeys(f"{words[a]} {words[b]}" for a, b in zip(left, right, strict=True)))
    return list(chosen)[:number]


def _alone(work: Callable[..., list[float]], *arguments: Any) -> dict[str, Any]:
    with Worker() as worker:
        figures, peak = worker.call(work, *arguments)
    return {"microseconds": spread(figures, 3), **peak.rounded()}


def _pool(root: str, rows: int, entries: int, partitions: int, turns: int) -> list[float]:
    """Return microseconds a pair of the pool's jobs."""
    with Worker() as writer:  # its memory is not that of the jobs
        made, _ = writer.call(make, root, rows, entries)
    pairs = sum(one.rows for one in made.matched)
    run(root, Made(made.metadata, made.matched[:1]), 1)
    return [1e6 * sum(run(root, made, partitions).seconds.values()) / pairs for _ in range(turns)]


def _matched(folder: Path, entries: int, turns: int) -> list[float]:
    """Return microseconds a gzipped KB of extract and match."""
    folder.mkdir()
    files = crawl_files(folder)["wat"]
    with Worker() as writer:
        metadata, _ = writer.call(_make_list, folder, entries)
    root = str(folder / "pool")
    run_shard(root, files, None, metadata)
    kilobytes = sum(path.stat().st_size for path in files) / 1e3
    return [1e6 * timed(lambda: run_shard(root, files, None, metadata)).cpu / kilobytes for _ in range(turns)]


def _make_list(folder: Path, entries: int) -> Any:
    path = folder / "entries.json"
    path.write_text(json.dumps(entries_of(entries)))
    config = configure([path], folder / "pool")
    config = config.model_copy(update={"metadata": config.metadata.model_copy(update={"entries": str(path)})})
    return metadata_plan(config).job.run(Store(config.storage))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=str(__doc__).partition("\n")[0])
    parser.add_argument("--large", action="store_true")
    given = parser.parse_args()
    sizes = (LARGE_PARTITIONS, LARGE_ENTRIES) if given.large else (PARTITIONS, ENTRIES)
    report(lambda: measure(*sizes), show)
