"""What a run of a configuration would find in the store, and what it would compute, told without any work.

The key of an output follows from its settings and the keys of its inputs, so keys of outputs that do not exist are
known as well. Two things are not known before they are computed: the labels of a shard that is not extracted, from
which the lists follow that it is matched with, and the number of partitions.
"""

from collections.abc import Sequence
from typing import Any

from metaclip.config.settings import Config
from metaclip.language.model_file import find_model
from metaclip.metadata.jobs import metadata_plans
from metaclip.prepare.jobs import count_job, extract_job, match_job, resolve
from metaclip.sources.listing import list_shards
from metaclip.stages.balance import BalanceJob
from metaclip.stages.dedup import DedupJob
from metaclip.stages.gather import GatherJob, groups_of
from metaclip.stages.group_counts import ByLanguage
from metaclip.stages.partition import PartitionJob, read_members
from metaclip.store.job import Job
from metaclip.store.lookup import find_many
from metaclip.store.manifest import Reference
from metaclip.store.store import Store

AFTER = ("dedup", "count", "balance")
"""Stages of the whole pool: if one of their inputs is new, all of them are made anew."""


def look_ahead(config: Config) -> dict[str, Any]:
    """Return what a run would find and what it would compute; nothing is written.

    Returns:
        JSON values: `pool`, `storage`, and `stages`, in their order, each with `stage`, `outputs` (None if their number
        is not known yet), `found`, and `lists`, the groups of languages whose list would be made, where there are
        several. Sets and reports, which follow, are not told.

    Raises:
        ConfigError, InputError: as before a run, if something is missing.
    """
    config = resolve(config)
    store = Store(config.storage)
    ahead = _Ahead(config, store)
    plans = metadata_plans(config)
    find_model(config.extract.language_model)
    lists = [plan.job for plan in plans.values()]
    there = ahead.stage("metadata", lists)
    ahead.rows[-1]["lists"] = [name for name, found in zip(plans, there, strict=True) if name and found is None]
    metadata = tuple(Reference(job.manifest, job.key, 0) for job in lists)
    shards = [extract_job(config, tuple(shard)) for shard in list_shards(config.source)]
    extracted = ahead.stage("extract", shards)
    matching = [match_job(config, store, one, metadata) for one in extracted if one is not None]
    ahead.stage("match", matching, len(shards))
    if len(matching) == len(shards):
        ahead.pool(tuple(_reference(job) for job in matching), metadata)
    else:
        ahead.unknown(*AFTER)
    return {"pool": config.pool, "storage": config.storage, "stages": ahead.rows}


class _Ahead:
    """Looks for the outputs of one stage after the other."""

    def __init__(self, config: Config, store: Store) -> None:
        self.config, self.store = config, store
        self.rows: list[dict[str, Any]] = []

    def stage(self, name: str, jobs: Sequence[Job], outputs: int | None = None) -> list[Reference | None]:
        """Look for the outputs of jobs; `outputs` is how many the stage has, if it is not their number."""
        found = find_many(self.store, jobs, self.config.execution.verify, lambda _: None)
        there = [None if one is None else one[0] for one in found]
        self.rows.append(
            {
                "stage": name,
                "outputs": len(jobs) if outputs is None else outputs,
                "found": len(there) - there.count(None),
            }
        )
        return there

    def unknown(self, *names: str) -> None:
        self.rows += [{"stage": name, "outputs": None, "found": 0} for name in names]

    def pool(self, matched: tuple[Reference, ...], metadata: tuple[Reference, ...]) -> None:
        """Look for the outputs of the stages of the whole pool."""
        config = self.config
        if len(matched) > config.dedup.shards_per_group:
            gathering = [GatherJob(group) for group in groups_of(matched, config.dedup.shards_per_group)]
            self.stage("gather", gathering)
            matched = tuple(_reference(job) for job in gathering)
        members = PartitionJob(matched, config.dedup.rows_per_partition).find(self.store, config.execution.verify)
        if members is None:
            return self.unknown(*AFTER)
        _, partitions = read_members(self.store, members)
        groups = config.groups
        merging = [DedupJob(members, number, partitions, groups) for number in range(partitions)]
        self.stage("dedup", merging)
        merged = tuple(_reference(job) for job in merging)
        counting = count_job(groups, merged, metadata)
        self.stage("count", [counting])
        by_language = ByLanguage.of(groups, config.balance)
        counts = _reference(counting)
        self.stage("balance", [BalanceJob(part, counts, config.balance.seed, by_language) for part in merged])
        return None


def _reference(job: Job) -> Reference:
    return Reference(job.manifest, job.key, 0)
