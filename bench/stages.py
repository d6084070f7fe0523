"""The stages of a pool, one after the other in this process, each timed: for `bench.pipeline` and `bench.scaling`."""

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.timing import SHARED, Clock
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
from metaclip.stages.match import MatchJob
from metaclip.stages.partition import PartitionJob
from metaclip.store.manifest import Reference
from metaclip.store.store import Store

STAGES = ("extract", "match", "partition", "dedup", "count", "balance", "curate")


def entry_list() -> Path:
    """Return half a million entries if the shared data exists, else the ten thousand that are shipped."""
    return SHARED / "metadata" / "standin_500k.json.gz" if SHARED.exists() else ENTRIES


def configure(files: Sequence[Path], storage: Path) -> Config:
    return parse_config(
        {
            "pool": "bench",
            "storage": str(storage),
            "source": {"paths": [str(path) for path in files]},
            "metadata": {"entries": str(entry_list())},
            "extract": {"max_failed_files": 1},
            "balance": {"t": 20},
        }
    )


@dataclass(frozen=True)
class Pool:
    """Costs and results of one run of all stages."""

    clocks: dict[str, Clock]
    pairs: int
    matched: int
    unique: int
    curated: int
    stored_bytes: dict[str, int]
    """Bytes of rows, for each stage that writes rows."""


def run_stages(config: Config, metadata: Reference) -> Pool:
    """Compute every stage after the metadata, whether or not its output exists."""
    store, clocks = Store(config.storage), dict[str, Clock]()

    def timed(stage: str, work: Callable[[], Any]) -> Any:
        start = Clock.now()
        result = work()
        clocks[stage] = start.since()
        return result

    shards = [extract_job(config, tuple(shard)) for shard in list_shards(config.source)]
    extracted = timed("extract", lambda: [job.run(store) for job in shards])
    matched = timed("match", lambda: [MatchJob(one, metadata, config.match).run(store) for one in extracted])
    members = timed("partition", lambda: PartitionJob(tuple(matched), config.dedup.rows_per_partition).run(store))
    unique = timed("dedup", lambda: DedupJob(members, 0, 1).run(store))
    counts = timed("count", lambda: CountJob((unique,), metadata).run(store))
    balanced = timed("balance", lambda: BalanceJob(unique, counts, 0).run(store))
    whole = CuratedSetJob((balanced,), config.balance.threshold, config.curate.rows_per_file, config.balance.seed)
    curated = timed("curate", lambda: whole.parts()[0].run(store))
    written = {"extract": extracted, "match": matched, "dedup": [unique], "balance": [balanced], "curate": [curated]}
    stored = {
        stage: sum(
            file.bytes
            for one in outputs
            for file in store.manifest(one.manifest).files
            if file.name.endswith(".parquet")
        )
        for stage, outputs in written.items()
    }
    rows = (sum(one.rows for one in outputs) for outputs in (extracted, matched))
    return Pool(clocks, *rows, unique.rows, curated.rows, stored)


def run_shard(storage: str, files: Sequence[Path], shard: int | None, metadata: Reference) -> int:
    """Extract and match one shard, as a worker process does, or all files as one; return the pairs that matched."""
    config, store = configure(files, Path(storage)), Store(storage)
    shards = list_shards(config.source)
    chosen = itertools.chain(*shards) if shard is None else shards[shard]
    extracted = extract_job(config, tuple(chosen)).run(store)
    return MatchJob(extracted, metadata, config.match).run(store).rows


def make_metadata(config: Config) -> Reference:
    """Make the list of entries and the matcher's table."""
    return metadata_plan(config).job.run(Store(config.storage))
