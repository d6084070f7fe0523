"""From a source and a list of entries to a balanced set: all stages."""

from collections.abc import Iterator
from typing import Any, Literal

from prefect import flow
from prefect.client.schemas.objects import State

from flows.finish import count_entries, count_near_misses, cut_set, report_and_record
from flows.match import match_all_shards
from flows.metadata import metadata_stage
from flows.run import Run
from flows.runner import task_runner
from flows.summary import nothing_new, summarize
from flows.supervision.turns import in_turn
from metaclip.config.settings import LATEST, Config
from metaclip.pool.record import begin_crawls
from metaclip.prepare.jobs import check, resolve
from metaclip.prepare.nothing_new import has_nothing_new
from metaclip.stages.gather import groups_of
from metaclip.stages.partition import read_members
from metaclip.stages.source import ListingJob
from tasks.progress import reporting
from tasks.stages import balance, dedup, freeze_listing, gather, partition
from tasks.workers import workers_for

Stage = Literal["metadata", "extract", "match", "dedup", "count", "balance", "curate", "report"]


@flow(name="curate", flow_run_name="{config.pool}", task_runner=task_runner())
def curate(config: Config, until: Stage = "report") -> dict[str, Any] | State[dict[str, Any]]:
    """Curate a pool: every output is found in the store or computed.

    Args:
        config: The pool's configuration.
        until: The last stage to run.

    Returns:
        The summary of the run, see `flows.summary.summarize`. A run of `source.crawl: latest` that
        finds no newer crawl than the pool has, and nothing else to do, ends in a state `Nothing new`.
    """
    with in_turn(config):
        asked, config = config, resolve(config)
        listing = check(config)
        run = Run(config)
        if has_nothing_new(asked, config, listing):
            return nothing_new(run)
        begin_crawls(run.store, config.pool, config.source.crawl, joining=LATEST in asked.source.crawl)
        with reporting(config) as progress, workers_for(config):
            for stage in _stages(run, config, listing, until):
                if stage == until:
                    break
            return summarize(run, progress.logger.cost)


def _stages(run: Run, config: Config, listing: ListingJob, until: Stage) -> Iterator[Stage]:
    """Run the stages in their order, and yield the name of each when it is done."""
    run.add(metadata_stage(config))
    metadata = run.outputs("metadata")
    yield "metadata"

    (shards,) = run.do(freeze_listing, (listing,))
    goal: Literal["extract", "match"] = "extract" if until == "extract" else "match"
    run.add(match_all_shards(config, shards.manifest, len(listing.shards), metadata, goal))
    yield "extract"
    yield "match"

    matched = run.outputs("match")
    if len(matched) > config.dedup.shards_per_group:
        matched = run.do(gather, *((group,) for group in groups_of(matched, config.dedup.shards_per_group)))
    (members,) = run.do(partition, (matched,))
    _, partitions = read_members(run.store, members)
    deduped = run.do(dedup, *((members, number, partitions) for number in range(partitions)))
    yield "dedup"

    counts = count_entries(run, deduped)
    yield "count"

    balanced = run.do(balance, *((part, counts) for part in deduped))
    yield "balance"

    cut_set(run, balanced)
    yield "curate"

    count_near_misses(run)

    report_and_record(run)
    yield "report"
