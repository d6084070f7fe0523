"""Dedup, count and balance of made-up pairs beside DuckDB and polars: `python -m bench.large_pool [--pairs N]`.

Matched shards are written first. Then this project's jobs (partition, dedup of each uid range, count, balance of
each) take turns with DuckDB and with polars' streaming engine, which drop the repeats of the same files (of equal
uids the row with the smallest page_url and text_key stays) and count the entries. These do less: their rows are in
no order, they write one file without hashes, and they do not balance. So this project's figures are given twice:
for the same work, and with balance. All must find the same number of pairs and matches.

Rates are pairs for each CPU second, of one thread. Memory is what a process has at its peak, watched from outside;
each turn has a process of its own. The others are in the Python that `BENCH_PEERS_PYTHON` names, and left out
without it (`pip install duckdb polars`). They get at most `--memory` MB.
"""

import argparse
import json
import os
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench import peer_pools
from bench.made_pairs import ENTRIES, MadePairs, write_matched
from bench.timing import Clock, report, spread, table
from bench.watched import Peak, Worker, run_watched
from bench.yardsticks import PEERS
from metaclip.config.settings import Dedup
from metaclip.schemas import PAIRS
from metaclip.stages.balance import BalanceJob
from metaclip.stages.count import CountJob
from metaclip.stages.dedup import DedupJob
from metaclip.stages.partition import PartitionJob, read_members
from metaclip.store.manifest import Reference
from metaclip.store.store import Store

ROWS, TURNS, MEMORY_MB = 1_000_000, 5, 8_000
SHARD_ROWS, FEWEST_SHARDS = 1_000_000, 8  # a shard has each pair once, so that repeats take several
SAME, ALL = "dedup, count", "dedup, count, balance"
OTHERS = {"duckdb": "DuckDB, without balance", "polars": "polars, without balance"}
PARTITION_ROWS: int = Dedup.model_fields["rows_per_partition"].default


@dataclass(frozen=True)
class Made:
    """A made-up pool, as far as it is matched."""

    metadata: Reference
    matched: tuple[Reference, ...]


@dataclass(frozen=True)
class Ran:
    """What the jobs of a pool took, and made."""

    seconds: dict[str, float]
    """CPU seconds by stage."""
    partitions: int
    pairs: int
    matches: int


def make(root: str, rows: int, entries: int = ENTRIES) -> Made:
    """Write the matched shards of a pool."""
    return Made(*write_matched(Store(root), MadePairs(rows, entries), min(SHARD_ROWS, -(-rows // FEWEST_SHARDS))))


def run(root: str, made: Made, partitions: int | None = None) -> Ran:
    """Run the jobs of the pool, one after the other, in so many partitions or as many as a pool of its size has."""
    store, seconds = Store(root), dict[str, float]()

    def step(name: str, *jobs: Any) -> list[Reference]:
        start = Clock.now()
        done = [job.run(store) for job in jobs]
        seconds[name] = start.since().cpu
        return done

    (members,) = step("partition", PartitionJob(made.matched, PARTITION_ROWS))
    partitions = partitions or read_members(store, members)[1]
    unique = step("dedup", *(DedupJob(members, number, partitions) for number in range(partitions)))
    (counts,) = step("count", CountJob(tuple(unique), made.metadata))
    step("balance", *(BalanceJob(one, counts, 0) for one in unique))
    matches = store.manifest(counts.manifest).statistics["matches"]
    return Ran(seconds, partitions, sum(one.rows for one in unique), matches)


def measure(rows: int = ROWS, turns: int = TURNS, memory_mb: int = MEMORY_MB) -> dict[str, Any]:
    python = os.environ.get(PEERS)
    programs: dict[str, _Turns] = {SAME: _Turns(), ALL: _Turns()}
    failed: dict[str, str] = {}
    with tempfile.TemporaryDirectory(prefix="metaclip-") as name:
        root = str(Path(name) / "pool")
        with Worker() as worker:
            made, _ = worker.call(make, root, rows)
        matched = sum(one.rows for one in made.matched)
        small = Made(made.metadata, made.matched[-1:])
        files = [Store(root).path(f"{shard.folder}/{PAIRS}") for shard in made.matched]
        for _ in range(turns):
            with Worker() as worker:
                worker.call(run, root, small)  # loads and compiles
                ran, peak = worker.call(run, root, made)
            programs[ALL].add(matched / sum(ran.seconds.values()), peak)
            programs[SAME].add(matched / (sum(ran.seconds.values()) - ran.seconds["balance"]), peak)
            for program, what in OTHERS.items() if python else ():
                target = Path(name) / f"{program}.parquet"
                try:
                    found, peak = _other(
                        [str(python), "-I", peer_pools.__file__, program, str(memory_mb), str(target), *files]
                    )
                except subprocess.CalledProcessError as error:
                    failed[what] = f"exit code {error.returncode}: {_reason(str(error.stderr))}"
                    continue
                finally:
                    target.unlink(missing_ok=True)
                if (found["pairs"], found["matches"]) != (ran.pairs, ran.matches):
                    raise AssertionError(f"{program} finds {found}, and this project {ran}")
                programs.setdefault(what, _Turns()).add(matched / found["cpu_seconds"], peak)
    ours = programs[SAME]
    return {
        "pairs": matched,
        "unique": ran.pairs,
        "matches": ran.matches,
        "partitions": ran.partitions,
        "seconds": {stage: round(taken, 2) for stage, taken in ran.seconds.items()},
        "programs": {what: of.figures(ours) for what, of in programs.items()},
        "failed": failed,
        "memory_mb_of_others": memory_mb,
    }


def show(result: dict[str, Any]) -> str:
    """Return the figures as text."""
    rows = [
        [what, *(f"{one['rate'][key]:,.0f}" for key in ("median", "low", "high")), *_cells(one)]
        for what, one in result["programs"].items()
    ]
    rows += [[what, f"failed: {why}", *6 * [""]] for what, why in result["failed"].items()]
    columns = ("", "pairs/CPU s", "lowest", "highest", f"{SAME} is faster by", "peak MB", "its own", "of mapped files")
    title = f"{result['pairs']:,} matched pairs, {result['unique']:,} unique, {result['partitions']} partitions"
    return table(title, columns, rows)


class _Turns:
    """The turns of one program."""

    def __init__(self) -> None:
        self.rates: list[float] = []
        self.peak = Peak()

    def add(self, rate: float, peak: Peak) -> None:
        self.rates.append(rate)
        self.peak = self.peak.highest(peak)

    def figures(self, ours: "_Turns") -> dict[str, Any]:
        ahead = [one / other for one, other in zip(ours.rates, self.rates, strict=False)]
        return {"rate": spread(self.rates, 0), "slower_by": spread(ahead, 3), **self.peak.rounded()}


def _cells(one: dict[str, Any]) -> Sequence[object]:
    return one["slower_by"]["median"], one["resident_mb"], one["own_mb"], one["mapped_mb"]


def _reason(written: str) -> str:
    """Return the line of a program's standard error that says most: the last one about an error."""
    lines = written.strip().splitlines() or [""]
    return next((line for line in reversed(lines) if "rror" in line or "failed" in line), lines[-1])


def _other(command: list[str]) -> tuple[dict[str, Any], Peak]:
    out, peak = run_watched(command)
    return json.loads(out.splitlines()[-1]), peak


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=str(__doc__).partition("\n")[0])
    parser.add_argument("--pairs", type=int, default=ROWS)
    parser.add_argument("--turns", type=int, default=TURNS)
    parser.add_argument("--memory", type=int, default=MEMORY_MB)
    given = parser.parse_args()
    report(lambda: measure(given.pairs, given.turns, given.memory), show)
