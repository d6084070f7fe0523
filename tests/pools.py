"""A finished pool of several partitions, made by the stages themselves without a flow."""

from pathlib import Path
from typing import Any

from metaclip.config.loading import parse_config
from metaclip.config.settings import Config, format_t
from metaclip.metadata.jobs import metadata_plan
from metaclip.pool.record import write_record
from metaclip.prepare.jobs import check, extract_job
from metaclip.report.planned import PlannedReport
from metaclip.report.pool_outputs import PoolOutputs
from metaclip.stages.balance import BalanceJob
from metaclip.stages.count import CountJob
from metaclip.stages.curate import CuratedSetJob
from metaclip.stages.dedup import DedupJob
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
    whole = CuratedSetJob(balanced, config.balance.threshold, config.curate.rows_per_file)
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
