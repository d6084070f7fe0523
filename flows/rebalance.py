"""Another t or seed for a finished pool: nothing before balancing is done again."""

from typing import Any

from prefect import flow

from flows.run import Run
from flows.runner import task_runner
from metaclip.config import Config, Threshold, parse_config
from metaclip.record import read_record
from metaclip.store import Store
from tasks.balance import balance
from tasks.workers import workers


@flow(name="rebalance", flow_run_name="{pool} t={t}", task_runner=task_runner())
def rebalance(
    pool: str, storage: str, t: Threshold, seed: int | None = None, processes: int | None = None
) -> dict[str, Any]:
    """Curate a finished pool at another t.

    Args:
        pool: Name of the pool.
        storage: Root of the store that holds it.
        t: Entries with more than t matches are sampled down; `inf` keeps every matched pair.
        seed: Seed of the draws; empty for the pool's own, with which sets of growing t are nested.
        processes: Worker processes; empty for one for each core.

    Returns:
        The summary of the run, see `flows.run.Run.summary`.

    Raises:
        ConfigError: if the store has no finished pool of that name.
    """
    store = Store(storage)
    record = read_record(store, pool)
    config = _changed(record["config"], storage, t, seed, processes)
    run = Run(config)
    run.recall(record["stages"], "metadata", "source", "extract", "match", "partition", "dedup", "count")
    with workers(config.execution.processes):
        (counts,) = run.outputs("count")
        balanced = run.do(balance, *((part, counts) for part in run.outputs("dedup")))
        run.curate(balanced)
        run.report()
    return run.summary()


def _changed(tree: dict[str, Any], storage: str, t: float | str, seed: int | None, processes: int | None) -> Config:
    """Return the pool's configuration with what this run changes."""
    tree = {**tree, "storage": storage, "balance": {**tree["balance"], "t": t}}
    if seed is not None:
        tree["balance"]["seed"] = seed
    tree["execution"] = {
        **{key: value for key, value in tree["execution"].items() if key != "processes"},
        **({} if processes is None else {"processes": processes}),
    }
    return parse_config(tree, "rebalance")
