"""Measure a rerun with a new t against writing its rows alone: `python -m bench.rebalance`.

A pool of generated pairs goes through all stages once. Then the curate stage runs at several t, and
the yardstick reads the same prefix with pyarrow and writes the same rows, with no hash, no count of
entries and no manifest. One core; times are medians of a few turns, taken in turn.
"""

import json
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from metaclip.config import Config, parse_config
from metaclip.demo import ENTRIES
from metaclip.entries import load_entries
from metaclip.manifest import Reference
from metaclip.plan import extract_job, list_shards, metadata_plan
from metaclip.schemas import CURATED
from metaclip.stages.balance import BalanceJob
from metaclip.stages.count import CountJob
from metaclip.stages.curate import CuratedSetJob, to_curated
from metaclip.stages.dedup import DedupJob
from metaclip.stages.match import MatchJob
from metaclip.stages.partition import PartitionJob
from metaclip.store import Store

PAIRS, WORDS, REPEATS = 400_000, 9, 5
LADDER = (20.0, 200.0, 2000.0, float("inf"))


def measure() -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        _write_pairs(folder / "pairs.parquet")
        store, balanced = _balanced(_config(folder))
        return {"pairs": balanced.rows, "sets": [_measure_t(store, balanced, t, folder) for t in LADDER]}


def _balanced(config: Config) -> tuple[Store, Reference]:
    """Do all that comes before a t, in one partition."""
    store = Store(config.storage)
    metadata = metadata_plan(config).job.run(store)
    (shard,) = list_shards(config.source)
    matched = MatchJob(extract_job(config, tuple(shard)).run(store), metadata, config.match).run(store)
    unique = DedupJob(PartitionJob((matched,), PAIRS).run(store), 0, 1).run(store)
    return store, BalanceJob(unique, CountJob((unique,), metadata).run(store), 0).run(store)


def _measure_t(store: Store, balanced: Reference, t: float, folder: Path) -> dict[str, Any]:
    ours, plain = [], []
    rows = 0
    for turn in range(REPEATS):
        # Another file size is another set, so nothing is found in the store.
        job = CuratedSetJob((balanced,), t, 1_000_000 + turn)
        started = time.perf_counter()
        part = job.parts()[0].run(store)
        job.run(store)
        ours.append(time.perf_counter() - started)
        started = time.perf_counter()
        rows = _plain(store.open_parquet(balanced, "pairs.parquet"), t, folder / "plain.parquet")
        plain.append(time.perf_counter() - started)
        assert rows == part.rows
    ratio = statistics.median(a / b for a, b in zip(ours, plain, strict=True))
    return {
        "t": str(t),
        "kept": rows,
        "curate_seconds": round(statistics.median(ours), 3),
        "read_and_write_seconds": round(statistics.median(plain), 3),
        "ratio": round(ratio, 2),
    }


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


def _write_pairs(path: Path) -> None:
    """Write captions whose words follow Zipf's law, as words of captions do."""
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
    json.dump(measure(), sys.stdout, indent=1)
    sys.stdout.write("\n")
