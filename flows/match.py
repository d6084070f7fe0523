"""Extract and match a range of a pool's shards."""

from typing import Literal

from prefect import flow

from flows.metadata import metadata_stage
from flows.runner import task_runner
from metaclip.config import Config
from metaclip.plan import check_failed_files
from metaclip.stages.source import read_listing
from metaclip.store import Store
from tasks.checkpoint import Done, run_all
from tasks.extract import extract
from tasks.match import match
from tasks.workers import workers


@flow(name="match-shards", flow_run_name="{config.pool} shards {first} to {last}", task_runner=task_runner())
def match_shards(
    config: Config, shards: str, first: int, last: int, until: Literal["extract", "match"] = "match"
) -> list[Done]:
    """Extract and match the shards `first` to `last` - 1 of a frozen listing.

    Args:
        config: The pool's configuration.
        shards: Address of the listing's manifest, relative to the root.
        first: Number of the first shard, from 0.
        last: Number after the last shard.
        until: `extract` to stop before matching.

    Raises:
        StageError: if more files failed for good than `extract.max_failed_files` allows.
    """
    store = Store(config.storage)
    chosen = read_listing(store, shards)[first:last]
    with workers(config.execution.processes):
        extracted = run_all(extract, config, [(shard,) for shard in chosen])
        check_failed_files(store, [done.reference for done in extracted], config.extract.max_failed_files)
        if until == "extract":
            return extracted
        metadata = metadata_stage(config)[-1].reference
        matched = run_all(match, config, [(done.reference, metadata) for done in extracted])
    return [*extracted, *matched]
