"""Measure the steps that one process does for the whole pool: `python -m bench.many_shards [SHARDS] [PARTITIONS]`.

Nothing is extracted: outputs of the right form are written to a store, one for each shard and stage.
Figures are seconds, and the memory that each step adds at its peak. One crawl of Common Crawl is 90,000
shards of one WAT file; 90 crawls make about 2,700 partitions.
"""

import multiprocessing
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from bench.stages import make_metadata
from bench.timing import peak_memory_mb, report, table
from metaclip.balance.tally import add_tally
from metaclip.config.loading import parse_config
from metaclip.config.settings import Config
from metaclip.demo import ENTRIES
from metaclip.prepare.jobs import extract_job, find_shards
from metaclip.schemas import ENTRY_COUNT
from metaclip.sources.listing import list_shards
from metaclip.stages.dedup import TALLY
from metaclip.stages.match import MatchJob
from metaclip.stages.partition import PartitionJob, read_members
from metaclip.stages.source import ListingJob, read_listing
from metaclip.store.job import Job
from metaclip.store.manifest import Manifest, Reference, StoredFile, json_bytes
from metaclip.store.store import Store
from metaclip.tables.distinct_sketch import DistinctSketch

SHARDS = 10_000
PARTITIONS = 300
ENTRIES_COUNTED = 500_000


def measure(shards: int = SHARDS, partitions: int = PARTITIONS) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as name:
        config = _config(Path(name), shards)
        metadata = make_metadata(config)
        _write_outputs(config, metadata)
        steps = {
            step.__name__.strip("_"): _alone(step, Case(config, metadata, size))
            for step, size in ((_list, shards), (_find, shards), (_partition, shards), (_count, partitions))
        }
    return {"shards": shards, "partitions": partitions, **steps}


def show(result: dict[str, Any]) -> str:
    """Return the figures as text."""
    rows = [[step, *one.values()] for step, one in result.items() if isinstance(one, dict)]
    title = f"one process, {result['shards']:,} shards, {result['partitions']:,} partitions"
    return table(title, ("step", "seconds", "peak MB", "MB of files"), rows)


def _config(folder: Path, shards: int) -> Config:
    lines = (
        f"crawl-data/CC-MAIN-2000-01/segments/946684800.00/wat/CC-MAIN-20000101000000-20000101010000-{number:05}"
        ".warc.wat.gz\n"
        for number in range(shards)
    )
    listing = folder / "wat.paths"
    listing.write_text("".join(lines))
    tree = {"pool": "many", "storage": str(folder / "pool"), "metadata": {"entries": str(ENTRIES)}}
    return parse_config({**tree, "source": {"paths": [str(listing)], "base": "https://crawl.example/"}})


def _write_outputs(config: Config, metadata: Reference) -> None:
    """Put the outputs of extract and match of every shard into the store."""
    store, rng = Store(config.storage), np.random.default_rng(0)
    for shard in list_shards(config.source):
        files = {file.path: 350_000_000 for file in shard}
        extract = extract_job(config, tuple(shard))
        counts = {f"count_{number}": number for number in range(20)}
        _put(store, extract, 40_000, {"counts": counts, "failed_files": [], "file_bytes": files, "languages": {}})
        sketch = DistinctSketch()
        sketch.add(rng.integers(0, 2**64, 1_300, np.uint64))
        match = MatchJob(Reference(extract.manifest, extract.key, 40_000), metadata, config.match)
        _put(store, match, 1_300, {"counts": counts, "sketch": sketch.to_json()})


def _put(store: Store, job: Job, rows: int, statistics: dict[str, Any]) -> None:
    folder = Path(store.path(job.folder))
    folder.mkdir(parents=True)
    (folder / "pairs.parquet").write_bytes(b"PAR1")
    manifest = Manifest(
        stage=job.STAGE,
        version=job.VERSION,
        key=job.key,
        config=dict(job.config()),
        inputs=job.inputs(),
        files=[StoredFile(name="pairs.parquet", bytes=4, sha256="0" * 64, rows=rows)],
        statistics=statistics,
        code_version="bench",
    )
    (folder / "manifest.json").write_bytes(json_bytes(manifest.model_dump()))


@dataclass(frozen=True)
class Case:
    """The input of a step."""

    config: Config
    metadata: Reference
    size: int


Step = Callable[[Case], tuple[float, int]]


def _alone(step: Step, case: Case) -> dict[str, float]:
    """Run a step in its own process, to measure its own peak of memory."""
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as process:
        seconds, written, peak, before = process.submit(_measured, step, case).result()
    return {"seconds": round(seconds, 1), "peak_mb": peak - before, "written_mb": round(written / 1e6, 1)}


def _measured(step: Step, case: Case) -> tuple[float, int, int, int]:
    before = peak_memory_mb()
    seconds, written = step(case)
    return seconds, written, peak_memory_mb(), before


def _list(case: Case) -> tuple[float, int]:
    """List the source, freeze the listing and read it again."""
    store, start = Store(case.config.storage), time.perf_counter()
    job = ListingJob(tuple(tuple(shard) for shard in list_shards(case.config.source)))
    reference = job.run(store)
    found = read_listing(store, reference.manifest)
    assert len(found) == case.size
    return time.perf_counter() - start, _bytes(store, reference)


def _find(case: Case) -> tuple[float, int]:
    """Find the outputs of all shards, which all exist."""
    shards = [tuple(shard) for shard in list_shards(case.config.source)]
    start = time.perf_counter()
    found = find_shards(case.config, Store(case.config.storage), shards, case.metadata)
    assert sum(one.matched is not None for one in found) == case.size
    return time.perf_counter() - start, 0


def _partition(case: Case) -> tuple[float, int]:
    """List the members of the pool, and read the list as each dedup task does."""
    store = Store(case.config.storage)
    shards = [tuple(shard) for shard in list_shards(case.config.source)]
    matched = tuple(one.matched for one in find_shards(case.config, store, shards, case.metadata) if one.matched)
    start = time.perf_counter()
    reference = PartitionJob(matched, case.config.dedup.rows_per_partition).run(store)
    members, _ = read_members(store, reference)
    assert len(members) == case.size
    return time.perf_counter() - start, _bytes(store, reference)


def _count(case: Case) -> tuple[float, int]:
    """Add up as many tallies as there are partitions; the same one is used for all."""
    store = Store(case.config.storage)
    tally = Reference("tally/manifest.json", "tally", ENTRIES_COUNTED)
    path = Path(store.path(f"{tally.folder}/{TALLY}"))
    path.parent.mkdir()
    columns = [pa.array(np.arange(ENTRIES_COUNTED, dtype=np.uint32)), pa.array(np.ones(ENTRIES_COUNTED, np.uint64))]
    with path.open("wb") as sink, pa.ipc.new_file(sink, ENTRY_COUNT) as file:
        file.write_table(pa.table(columns, schema=ENTRY_COUNT))
    total = np.zeros(ENTRIES_COUNTED, np.uint64)
    start = time.perf_counter()
    for _ in range(case.size):
        add_tally(total, store, tally, TALLY)
    assert int(total.sum()) == case.size * ENTRIES_COUNTED
    return time.perf_counter() - start, path.stat().st_size * case.size


def _bytes(store: Store, reference: Reference) -> int:
    folder = Path(store.path(reference.folder))
    return sum(path.stat().st_size for path in folder.iterdir())


if __name__ == "__main__":
    report(lambda: measure(*map(int, sys.argv[1:])), show)
