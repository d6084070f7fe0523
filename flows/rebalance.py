"""Another t or seed for a finished pool, or its survivors: stages before balancing are not run again."""

from typing import Annotated, Any

from prefect import flow
from prefect.runtime import flow_run
from pydantic import Field

from flows.finish import cut_set, report_and_record
from flows.run import Run
from flows.runner import task_runner
from flows.summary import summarize
from flows.supervision.turns import give_up_after_crashes
from metaclip.balance.counts import tail_t
from metaclip.config.loading import parse_config
from metaclip.config.settings import Config, Threshold, format_t
from metaclip.errors import ConfigError
from metaclip.explore.size_curve import StoredSizeCurve
from metaclip.io.inputs import InputFile
from metaclip.pool.record import read_record
from metaclip.pool.record import survivors_name as name_of_survivors
from metaclip.stages.count import read_counts
from metaclip.store.manifest import Reference
from metaclip.store.store import Store
from metaclip.survivors.filter_job import check_survived, survive_jobs
from metaclip.survivors.list_job import SurvivorsJob
from metaclip.survivors.lists import survivor_files
from tasks.progress import reporting
from tasks.stages import balance, count, read_survivors, survive
from tasks.workers import workers_for


def _run_name() -> str:
    wanted = flow_run.parameters
    if wanted.get("survivors"):
        return f"{wanted['pool']} survivors"
    if wanted.get("t") is not None:
        return f"{wanted['pool']} t={format_t(wanted['t'])}"
    for name in ("target_pairs", "tail_share"):
        if wanted.get(name) is not None:
            return f"{wanted['pool']} {name}={wanted[name]}"
    return str(wanted["pool"])


@flow(name="rebalance", flow_run_name=_run_name, task_runner=task_runner())
def rebalance(
    pool: str,
    storage: str,
    t: Threshold | None = None,
    target_pairs: Annotated[int, Field(ge=1)] | None = None,
    tail_share: Annotated[float, Field(gt=0, le=1)] | None = None,
    seed: Annotated[int, Field(ge=0, lt=2**63)] | None = None,
    survivors: list[str] | None = None,
    survivors_name: str | None = None,
) -> dict[str, Any]:
    """Curate a finished pool, or its survivors, at another t. Give one of t, target_pairs and tail_share.

    Args:
        pool: Name of the pool.
        storage: Root of the store that holds it: a folder, or an address such as s3://bucket/prefix.
        t: Entries with more than t matches are sampled down; `inf` keeps every matched pair.
        target_pairs: Instead of t: the size of the set; the smallest t that reaches it is used.
        tail_share: Instead of t: the tail share, such as 0.06, which is the share of all matches that
            belongs to entries with at most t matches; the smallest such t is used.
        seed: Seed of the draws. Empty: the pool's own seed, with which sets of growing t are nested; with
            survivors, the pool's seed plus one, so that the draws do not depend on those that chose them.
        survivors: Files, folders or globs that name the pairs that remain after a download or a filter:
            img2dataset's output (Parquet with `status`, or tar shards), or lists of uids or image
            addresses (Parquet, JSON Lines, text, npy of dtype u8,u8). Only these pairs are counted, and
            the result becomes a pool of its own. Empty for the whole pool.
        survivors_name: Name of that pool; empty for `<pool>-survivors`.

    Returns:
        The summary of the run, see `flows.summary.summarize`.

    Raises:
        ConfigError: if the store has no finished pool of that name, or not exactly one of the three is given.
        InputError: if the survivors cannot be read, or none of them is in this pool.
    """
    if sum(wanted is not None for wanted in (t, target_pairs, tail_share)) != 1:
        raise ConfigError("rebalance: give exactly one of t, target_pairs and tail_share")
    if survivors_name and not survivors:
        raise ConfigError("rebalance: survivors_name names the survivors' pool, but no survivors are given")
    store = Store(storage)
    record = read_record(store, pool)
    stages, origin = record["stages"], record.get("survivors_of")
    if survivors:
        origin, files = pool, survivor_files(survivors)
        record["config"]["pool"] = name_of_survivors(store, pool, survivors_name)
        if seed is None:
            # The download was often chosen by the pool's draws already, so the remaining draws are low.
            # Balancing with the same draws again would keep too much.
            seed = (record["config"]["balance"]["seed"] + 1) % 2**63
    own_t = None if survivors else record["config"]["balance"]["t"]
    run = Run(_changed(record["config"], storage, t, seed), origin, own_t)
    gathered = ("gather",) if "gather" in stages else ()
    run.recall(stages, "metadata", "source", "extract", "match", *gathered, "partition", "dedup")
    give_up_after_crashes(run.config.execution.retries)
    with reporting(run.config), workers_for(run.config):
        partitions = run.recorded(stages, "survive" if "survive" in stages else "dedup")
        if survivors:
            partitions = _survivors(run, tuple(files), partitions)
            (counts,) = run.do(count, (partitions, run.outputs("metadata")[0]))
        else:
            run.recall(stages, *(name for name in ("survivors", "survive") if name in stages), "count")
            (counts,) = run.outputs("count")
        balanced = run.do(balance, *((part, counts) for part in partitions))
        if target_pairs is not None:
            t = StoredSizeCurve(store, balanced).t(target_pairs)
        elif tail_share is not None:
            t = tail_t(read_counts(store, counts), tail_share)
        run.config = _changed(record["config"], storage, t, seed)
        cut_set(run, balanced)
        report_and_record(run)
    return summarize(run)


def _survivors(run: Run, files: tuple[InputFile, ...], partitions: tuple[Reference, ...]) -> tuple[Reference, ...]:
    """Keep the pairs of each partition that the lists name."""
    (listed,) = run.do(read_survivors, (SurvivorsJob(files, len(partitions)),))
    survived = run.do(survive, *((job,) for job in survive_jobs(run.store, listed, partitions)))
    check_survived(run.store, survived)
    return survived


def _changed(tree: dict[str, Any], storage: str, t: float | str | None, seed: int | None) -> Config:
    """Return the pool's configuration with what this run changes."""
    tree = {**tree, "storage": storage, "balance": dict(tree["balance"])}
    if t is not None:
        tree["balance"]["t"] = t
    if seed is not None:
        tree["balance"]["seed"] = seed
    # The number of processes was chosen for the machine of the earlier run.
    tree["execution"] = {key: value for key, value in tree["execution"].items() if key != "processes"}
    return parse_config(tree, "rebalance")
