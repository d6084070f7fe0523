"""A finished pool of pairs from the web at its worst, with its index."""

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from metaclip.browse.pool_index import PoolIndex, index_jobs
from metaclip.explore.pool import FinishedPool
from metaclip.metadata.jobs import metadata_plans
from metaclip.prepare.jobs import check, extract_job, match_job
from metaclip.stages.balance import BalanceJob
from metaclip.stages.count import CountByLanguageJob
from metaclip.stages.dedup import DedupJob
from metaclip.stages.group_counts import ByLanguage
from metaclip.stages.partition import PartitionJob, read_members
from metaclip.store.store import Store
from tests.flows.test_by_language import MORE, WORDS
from tests.flows.test_by_language import _config as language_config
from tests.flows.test_by_language import _texts as language_texts
from tests.pools import make_pool

HOSTILE = (
    "<script>document.title='owned'</script> dog",
    "<img src=x onerror=\"document.title='owned'\"> cat",
    "a dog \u202egnp.exe\u202c and a cat",
    "dog \x1b]0;owned\x07 bell",
    "كلب dog قطة",
    "猫耳の少女 cat",
    "'; DROP TABLE pairs; -- dog",
    "{{7*7}} dog",
    "javascript:alert(1) dog",
    "\U0001f415 dog \u0000 nul",
)
"""Texts that a page must show and never obey."""

ENTRIES = ("dog", "cat", "a", "photo", "black dog", "<script>", "Dog", "of", "bird", "</title><script>x")


def make(folder: Path, rows: int = 2_500, rows_per_partition: int = 900) -> tuple[FinishedPool, PoolIndex]:
    """Make the pool and its index at t = 20."""
    colours = ("black", "white", "old", "big")
    texts = [f"a {colours[row % 4]} dog {row}" if row % 3 else f"photo of a cat in {row}" for row in range(rows)]
    texts[: len(HOSTILE)] = HOSTILE
    texts[-20:] = [f"nothing to match, number {row}" for row in range(20)]
    urls = [f"https://{'busy' if row % 2 else f'host-{row % 50}'}.example/{row}.jpg" for row in range(rows)]
    pq.write_table(pa.table({"url": urls, "caption": texts}), folder / "pairs.parquet")
    (folder / "entries.txt").write_text("\n".join(ENTRIES) + "\n", encoding="utf-8")
    config = make_pool(
        folder,
        folder / "pool",
        rows_per_partition,
        source={"paths": [str(folder / "pairs.parquet")]},
        metadata={"entries": str(folder / "entries.txt")},
        match={"languages": []},
    )
    pool = FinishedPool.open(config.storage, "small")
    outputs = [job.run(pool.store) for job in index_jobs(pool)]
    return pool, PoolIndex(pool, outputs)


def make_by_language(folder: Path) -> tuple[FinishedPool, PoolIndex]:
    """Make a pool with lists for en, de and fr, and its index."""
    rows = [json.dumps({"url": url, "text": text}) for url, text in language_texts()]
    (folder / "pairs.jsonl").write_text("\n".join(rows) + "\n")
    for language, more in MORE.items():
        (folder / f"{language}.json").write_text(json.dumps(WORDS[language] + more + ["unmatched"], ensure_ascii=False))
    config = language_config(folder)
    store, groups = Store(config.storage), config.groups
    assert groups is not None
    listing = check(config)
    metadata = tuple(plan.job.run(store) for plan in metadata_plans(config).values())
    extracted = [extract_job(config, shard).run(store) for shard in listing.shards]
    matched = [match_job(config, store, shard, metadata).run(store) for shard in extracted]
    members = PartitionJob(tuple(matched), 150).run(store)
    _, partitions = read_members(store, members)
    unique = tuple(DedupJob(members, number, partitions, groups).run(store) for number in range(partitions))
    counts = CountByLanguageJob(unique, tuple(zip(groups.names, metadata, strict=True)), groups.reference).run(store)
    rule = ByLanguage.of(groups, config.balance)
    balanced = [BalanceJob(part, counts, config.balance.seed, rule).run(store) for part in unique]
    stages = {
        "metadata": {name: listed.manifest for name, listed in zip(groups.names, metadata, strict=True)},
        "extract": [part.manifest for part in extracted],
        "count": counts.manifest,
        "balance": [part.manifest for part in balanced],
        "curate": {},
    }
    pool = FinishedPool(store, config, stages)
    return pool, PoolIndex(pool, [job.run(store) for job in index_jobs(pool)])
