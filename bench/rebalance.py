"""Measure a rerun with a new t against only writing its rows: `python -m bench.rebalance`.

A pool of generated pairs goes through all stages once. Then the curate stage runs at several t. The
yardstick reads the same prefix with pyarrow and writes the same rows, without hashes, entry counts and
manifests. `uncompared` is the stage itself without comparing what it reads with the manifest. Figures are CPU
times on one core, medians of a few turns, which alternate.
"""

import tempfile
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from bench.timing import Clock, in_turn, peak_memory_mb, report, spread, table
from metaclip.config.loading import parse_config
from metaclip.config.settings import Config
from metaclip.demo import ENTRIES
from metaclip.metadata.given_list import load_entries
from metaclip.metadata.jobs import metadata_plan
from metaclip.prepare.jobs import extract_job
from metaclip.schemas import CURATED
from metaclip.sources.listing import list_shards
from metaclip.stages.balance import BalanceJob
from metaclip.stages.count import CountJob
from metaclip.stages.curate import CuratedSetJob, to_curated
from metaclip.stages.dedup import DedupJob
from metaclip.stages.match import MatchJob
from metaclip.stages.partition import PartitionJob
from metaclip.store.manifest import Reference
from metaclip.store.store import Store

PAIRS, WORDS, REPEATS = 400_000, 9, 5
LADDER = (20.0, 200.0, 2000.0, float("inf"))


def measure() -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_pairs(folder / "pairs.parquet")
        store, balanced = _balanced(folder)
        measured = [_measure_t(store, balanced, t, folder) for t in LADDER]
        whole = {
            name: [
                sum(turn)
                for turn in zip(*([clock.cpu for clock in clocks[name]] for _, clocks in measured), strict=True)
            ]
            for name in ("curate", "plain")
        }
        return {
            "pairs": balanced.rows,
            "sets": [figures for figures, _ in measured],
            "ratio_of_all": spread([ours / plain for ours, plain in zip(*whole.values(), strict=True)], 3),
            "peak_memory_mb": peak_memory_mb(),
        }


def show(result: dict[str, Any]) -> str:
    """Return the figures as text."""
    rows = [
        [
            *(one["t"], f"{one['kept']:,}", *one["curate_seconds"].values(), one["uncompared_seconds"]["median"]),
            *one["read_and_write_seconds"].values(),
            *(one["ratio"], one["microseconds_a_kept_row"]),
        ]
        for one in result["sets"]
    ]
    columns = (
        "t",
        "kept",
        "curate, s",
        "lowest",
        "highest",
        "uncompared",
        "plain, s",
        "lowest",
        "highest",
        "ratio",
        "µs a row kept",
    )
    title = f"another t for {result['pairs']:,} pairs, against reading and writing its rows"
    ratio = "all of these sets: {median} times the plain way (lowest {low}, highest {high})\n".format(
        **result["ratio_of_all"]
    )
    return table(title, columns, rows) + f"{ratio}peak memory {result['peak_memory_mb']} MB\n"


def extracted(folder: Path) -> tuple[Store, Reference, Reference, Config]:
    """Return the store with one extracted shard of the pairs in `folder`, the shard and the metadata."""
    config = _config(folder)
    store = Store(config.storage)
    metadata = metadata_plan(config).job.run(store)
    (shard,) = list_shards(config.source)
    return store, extract_job(config, tuple(shard)).run(store), metadata, config


def _balanced(folder: Path) -> tuple[Store, Reference]:
    """Run all stages that do not depend on t, in one partition."""
    store, shard, metadata, config = extracted(folder)
    matched = MatchJob(shard, metadata, config.match).run(store)
    unique = DedupJob(PartitionJob((matched,), PAIRS).run(store), 0, 1).run(store)
    return store, BalanceJob(unique, CountJob((unique,), metadata).run(store), 0).run(store)


def _measure_t(
    store: Store, balanced: Reference, t: float, folder: Path
) -> tuple[dict[str, Any], dict[str, list[Clock]]]:
    # Another file size makes another set, so nothing is found in the store.
    turns = iter(range(1_000_000, 2_000_000))
    rows = 0

    def curate() -> None:
        nonlocal rows
        job = CuratedSetJob((balanced,), t, next(turns), 0)
        rows = job.parts()[0].run(store).rows
        job.run(store)

    def uncompared() -> None:
        with patch.object(Store, "open_parquet", _open):
            curate()

    def plainly() -> None:
        assert rows == _plain(_open(store, balanced, "pairs.parquet"), t, folder / "plain.parquet")

    turns_of = {"curate": curate, "uncompared": uncompared, "plain": plainly}
    clocks = in_turn(turns_of, REPEATS)
    ours, bare, plain = (spread([clock.cpu for clock in clocks[name]], 3) for name in turns_of)
    figures = {
        "t": str(t),
        "kept": rows,
        "curate_seconds": ours,
        "uncompared_seconds": bare,
        "read_and_write_seconds": plain,
        "ratio": round(ours["median"] / plain["median"], 2),
        "microseconds_a_kept_row": round(1e6 * ours["median"] / rows, 2),
    }
    return figures, clocks


def _open(store: Store, reference: Reference, name: str) -> pq.ParquetFile:
    return pq.ParquetFile(store.path(f"{reference.folder}/{name}"))


def _plain(file: pq.ParquetFile, t: float, target: Path) -> int:
    rows = 0
    with pq.ParquetWriter(target, CURATED, compression="zstd", compression_level=3) as writer:
        for group in range(file.num_row_groups):
            table = file.read_row_group(group)
            kept = table.filter(pc.less_equal(table.column("min_t"), t))
            if not kept.num_rows:
                break
            writer.write_table(to_curated(kept))
            rows += kept.num_rows
    return rows


def write_pairs(path: Path) -> None:
    """Write captions whose words follow Zipf's law, as in real captions."""
    rng = np.random.default_rng(0)
    words = np.array([entry for entry in load_entries(str(ENTRIES)).entries if " " not in entry])
    ranks = np.minimum(rng.zipf(1.25, (PAIRS, WORDS)), len(words)) - 1
    texts = [" ".join(row) for row in words[ranks]]
    urls = [f"https://host{number % 5000}.example/{number}.jpg" for number in range(PAIRS)]
    pq.write_table(pa.table({"url": urls, "text": texts}), path)


def _config(folder: Path) -> Config:
    return parse_config(
        {
            "pool": "bench",
            "storage": str(folder / "pool"),
            "source": {"kind": "pairs", "paths": [str(folder / "pairs.parquet")]},
            "metadata": {"entries": str(ENTRIES)},
            "match": {"languages": []},
        }
    )


if __name__ == "__main__":
    report(measure, show)
