"""Extract and match a pool's shards: one range here, or many on the workers of a work pool."""

from itertools import pairwise
from typing import Literal

from prefect import flow

from flows.metadata import lists_of, metadata_stage
from flows.runner import task_runner
from flows.supervision.scale_out import match_on_workers
from metaclip.config.settings import Config
from metaclip.errors import ConfigError
from metaclip.prepare.jobs import check_failed_files, failed_by_reason, read_failed_files
from metaclip.stages.source import read_listing
from metaclip.store.manifest import Reference
from metaclip.store.store import Store
from tasks.checkpoint import Done, run_all
from tasks.progress import current_progress, reporting
from tasks.shards import STAGES_OF, FoundRange, find_ranges
from tasks.stages import extract, match
from tasks.workers import workers_for

MAX_RANGES = 500
"""Prefect works well with a few hundred task runs and child runs in one flow run."""


@flow(name="match-shards", flow_run_name="{config.pool} shards {first} to {last}", task_runner=task_runner())
def match_shards(
    config: Config, shards: str, first: int, last: int, until: Literal["extract", "match"] = "match"
) -> list[Done]:
    """Extract and match the shards `first` to `last` - 1 of a frozen listing.

    Args:
        config: The pool's configuration.
        shards: Address of the listing's manifest, relative to the root of the store.
        first: Number of the first shard, from 0.
        last: Number after the last shard.
        until: `extract` to stop before matching.

    Raises:
        StageError: if more files failed for good than `extract.max_failed_files` of all files.
    """
    store = Store(config.storage)
    listing = read_listing(store, shards)
    limit, files = config.extract.max_failed_files, sum(map(len, listing))
    with reporting(config), workers_for(config):
        extracted = run_all(extract, config, [(shard,) for shard in listing[first:last]])
        found = read_failed_files(store, [done.reference for done in extracted])
        current_progress().logger.tell_failed_files(failed_by_reason(found))
        check_failed_files(found, limit, files)
        if until == "extract":
            return extracted
        metadata = lists_of(metadata_stage(config))
        matched = run_all(match, config, [(done.reference, metadata) for done in extracted])
    return [*extracted, *matched]


def match_all_shards(
    config: Config, shards: str, count: int, metadata: tuple[Reference, ...], until: Literal["extract", "match"]
) -> list[Done]:
    """Extract and match all shards of a frozen listing, `execution.shards_per_run` in each run.

    The runs are started through `execution.deployment` if it is set, else one after the other within
    this run.

    Raises:
        ConfigError: if there would be too many runs.
        StageError: if more files failed for good than `extract.max_failed_files` allows.
    """
    step = config.execution.shards_per_run
    ranges = list(pairwise([*range(0, count, step), count]))
    if len(ranges) > MAX_RANGES:
        raise ConfigError(
            f"{count:,} shards in runs of {step} are {len(ranges):,} runs, more than {MAX_RANGES} under one;"
            " raise source.files_per_shard, or execution.shards_per_run"
        )
    store = Store(config.storage)
    with reporting(config) as progress:
        progress.expect("extract", count)
        if until == "match":
            progress.expect("match", count)
        before = find_ranges(config, shards, ranges, metadata, until)
        if config.execution.deployment is not None:
            done = match_on_workers(config, shards, before, metadata, until)
        else:
            done = [one for found in before for one in _range(config, shards, found, until)]
        # Each run checked the limit for itself only, and ranges that exist in the store were not run.
        known = {
            shard.extracted.key: shard.files for each in before for shard in each.shards if shard.extracted is not None
        }
        extracted = [one.reference for one in done if one.stage == "extract"]
        made = iter(read_failed_files(store, [one for one in extracted if known.get(one.key) is None]))
        found = [known.get(one.key) or next(made) for one in extracted]
        progress.logger.tell_failed_files(failed_by_reason(found))
    check_failed_files(found, config.extract.max_failed_files)
    return done


def _range(config: Config, shards: str, found: FoundRange, until: Literal["extract", "match"]) -> list[Done]:
    """Extract and match one range within this run, unless all of it stands."""
    if found.missing(until):
        return match_shards(config, shards, found.first, found.last, until=until)
    done = found.done(until)
    for stage in STAGES_OF[until]:
        current_progress().found(stage, len(found.shards))
    return done
