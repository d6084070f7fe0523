"""Another t or seed for a finished pool: nothing before balancing is done again."""

from typing import Annotated, Any

from prefect import flow
from prefect.runtime import flow_run
from pydantic import Field

from flows.run import Run
from flows.runner import task_runner
from metaclip.config import Config, Threshold, format_t, parse_config
from metaclip.errors import ConfigError
from metaclip.record import read_record
from metaclip.size_curve import StoredSizeCurve, tail_t
from metaclip.stages.count import read_counts
from metaclip.store import Store
from tasks.balance import balance
from tasks.progress import reporting
from tasks.workers import workers_for


def _run_name() -> str:
    wanted = flow_run.parameters
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
    processes: Annotated[int, Field(ge=1)] | None = None,
) -> dict[str, Any]:
    """Curate a finished pool at another t. Give one of t, target_pairs and tail_share.

    Args:
        pool: Name of the pool.
        storage: Root of the store that holds it: a folder, or an address such as s3://bucket/prefix.
        t: Entries with more than t matches are sampled down; `inf` keeps every matched pair.
        target_pairs: Instead of t: the size of the set; the smallest t that reaches it is taken.
        tail_share: Instead of t: the share of all matches, such as 0.06, that entries with at most t
            matches hold; the smallest such t is taken.
        seed: Seed of the draws; empty for the pool's own, with which sets of growing t are nested.
        processes: Worker processes; empty for one for each core.

    Returns:
        The summary of the run, see `flows.run.Run.summary`.

    Raises:
        ConfigError: if the store has no finished pool of that name, or not one of the three is given.
    """
    if sum(wanted is not None for wanted in (t, target_pairs, tail_share)) != 1:
        raise ConfigError("rebalance: give exactly one of t, target_pairs and tail_share")
    store = Store(storage)
    record = read_record(store, pool)
    run = Run(_changed(record["config"], storage, t, seed, processes))
    run.recall(record["stages"], "metadata", "source", "extract", "match", "partition", "dedup", "count")
    with reporting(run.config), workers_for(run.config):
        (counts,) = run.outputs("count")
        balanced = run.do(balance, *((part, counts) for part in run.outputs("dedup")))
        if target_pairs is not None:
            t = StoredSizeCurve(store, balanced).t(target_pairs)
        elif tail_share is not None:
            t = tail_t(read_counts(store, counts), tail_share)
        run.config = _changed(record["config"], storage, t, seed, processes)
        run.curate(balanced)
        run.report()
    return run.summary()


def _changed(
    tree: dict[str, Any], storage: str, t: float | str | None, seed: int | None, processes: int | None
) -> Config:
    """Return the pool's configuration with what this run changes."""
    tree = {**tree, "storage": storage, "balance": dict(tree["balance"])}
    if t is not None:
        tree["balance"]["t"] = t
    if seed is not None:
        tree["balance"]["seed"] = seed
    tree["execution"] = {
        **{key: value for key, value in tree["execution"].items() if key != "processes"},
        **({} if processes is None else {"processes": processes}),
    }
    return parse_config(tree, "rebalance")
