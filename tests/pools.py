"""Finished pools, made by the stages themselves without a flow."""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from metaclip.config.loading import parse_config
from metaclip.config.settings import Config, format_t
from metaclip.explore.pool import FinishedPool
from metaclip.metadata.jobs import metadata_plan, metadata_plans
from metaclip.pool.record import write_record
from metaclip.prepare.jobs import check, extract_job, match_job
from metaclip.report.planned import PlannedReport
from metaclip.report.pool_outputs import PoolOutputs
from metaclip.schemas import PAIR, PAIRS
from metaclip.stages.balance import BalanceJob
from metaclip.stages.count import CountByLanguageJob, CountJob
from metaclip.stages.curate import CuratedSetJob
from metaclip.stages.dedup import DedupJob
from metaclip.stages.group_counts import ByLanguage
from metaclip.stages.match import MatchJob
from metaclip.stages.partition import PartitionJob, read_members
from metaclip.store.manifest import Reference
from metaclip.store.store import Store
from tests.conftest import config_tree


def make_pool(crawl: Path, root: Path, rows_per_partition: int = 1200, **changes: Any) -> Config:
    """Curate the small crawl, or what `changes` name instead, at t = 20 under `root`."""
    config = parse_config(config_tree(crawl, root, dedup__rows_per_partition=rows_per_partition, **changes))
    store = Store(config.storage)
    listing = check(config)
    source = listing.run(store)
    metadata = metadata_plan(config).job.run(store)
    extracted = [extract_job(config, shard).run(store) for shard in listing.shards]
    matched = [MatchJob(shard, metadata, config.match).run(store) for shard in extracted]
    members = PartitionJob(tuple(matched), rows_per_partition).run(store)
    _, partitions = read_members(store, members)
    unique = tuple(DedupJob(members, number, partitions).run(store) for number in range(partitions))
    counts = CountJob(unique, metadata).run(store)
    balanced = tuple(BalanceJob(part, counts, config.balance.seed).run(store) for part in unique)
    whole = CuratedSetJob(balanced, config.balance.threshold, config.curate.rows_per_file, config.balance.seed)
    for part in whole.parts():
        part.run(store)
    curated = whole.run(store)
    outputs = PoolOutputs(metadata, tuple(extracted), tuple(matched), unique, counts, balanced)
    planned = PlannedReport.of(outputs, curated, whole.t, config.card)
    curves = [job.run(store) for job in planned.curves]
    surveys = [job.run(store) for job in planned.surveys]
    report = planned.report.run(store)

    def addresses(references: list[Reference] | tuple[Reference, ...]) -> list[str]:
        return [reference.manifest for reference in references]

    stages: dict[str, str | list[str]] = {
        "metadata": metadata.manifest,
        "source": source.manifest,
        "extract": addresses(extracted),
        "match": addresses(matched),
        "partition": members.manifest,
        "dedup": addresses(unique),
        "count": counts.manifest,
        "balance": addresses(balanced),
        "curve": addresses(curves),
        "survey": addresses(surveys),
        "report": report.manifest,
    }
    write_record(store, config, stages, format_t(whole.t), [curated.manifest])
    return config


def make_language_pool(
    folder: Path, lists: Mapping[str, list[str]], texts: Sequence[tuple[str, str]], **changes: Any
) -> FinishedPool:
    """Make a pool of texts, each with its label, by the lists of their languages; the reference is `en`."""
    folder.mkdir(exist_ok=True)
    for name, entries in lists.items():
        (folder / f"{name}.json").write_text(json.dumps(entries))
    tree: dict[str, Any] = {
        "pool": "languages",
        "storage": str(folder / "pool"),
        "source": {"paths": ["x"]},
        "languages": {"reference": "en"},
        "metadata": {"languages": {name: {"entries": str(folder / f"{name}.json")} for name in lists}},
        **changes,
    }
    config = parse_config(tree)
    store, groups = Store(config.storage), config.groups
    assert groups is not None
    metadata = tuple(plan.job.run(store) for plan in metadata_plans(config).values())
    n = len(texts)
    uid = pa.array(np.random.default_rng(0).permutation(n).astype(np.uint64) * np.uint64(2**64 // n))
    strings = [pa.repeat("x", n), pa.array([text for text, _ in texts]), pa.repeat("alt", n), pa.repeat("p", n)]
    labels = [label for _, label in texts]
    columns = [uid, uid, *strings, pa.array(labels), pa.array(np.ones(n, np.float32))]
    table = pa.table(columns, schema=PAIR).sort_by("uid_hi")
    with store.create("extract", 3, {"kinds": ["pairs"]}, [], "extract-v3/texts/manifest.json") as output:
        output.parquet(PAIRS, PAIR, iter([table]))
        extracted = output.commit({"languages": dict(Counter(labels)), "counts": {}, "failed_files": []})
    matched = match_job(config, store, extracted, metadata).run(store)
    members = PartitionJob((matched,), n).run(store)
    unique = (DedupJob(members, 0, 1, groups).run(store),)
    counts = CountByLanguageJob(unique, tuple(zip(groups.names, metadata, strict=True)), groups.reference).run(store)
    by_language = ByLanguage.of(groups, config.balance)
    balanced = tuple(BalanceJob(part, counts, config.balance.seed, by_language).run(store) for part in unique)
    whole = CuratedSetJob(balanced, config.balance.threshold, 10_000, config.balance.seed, groups)
    for part in whole.parts():
        part.run(store)
    curated = whole.run(store)
    stages = {
        "metadata": dict(zip(groups.names, [one.manifest for one in metadata], strict=True)),
        "source": "source-v1/none/manifest.json",
        "extract": [extracted.manifest],
        "match": [matched.manifest],
        "partition": members.manifest,
        "dedup": [part.manifest for part in unique],
        "count": counts.manifest,
        "balance": [part.manifest for part in balanced],
    }
    write_record(store, config, stages, format_t(config.balance.threshold), [curated.manifest])
    return FinishedPool.open(config.storage, config.pool)
