"""Some jobs of a stage of the pool: what `curate` and `rebalance` start on workers of a work pool."""

from prefect import flow

from flows.runner import task_runner
from metaclip.config.settings import Config
from metaclip.store.manifest import Reference
from metaclip.store.store import Store
from metaclip.store.work_list import read_work
from tasks.checkpoint import Done, run_all
from tasks.progress import reporting
from tasks.stages import KINDS, given
from tasks.workers import workers_for


@flow(name="pool-part", flow_run_name="{config.pool} jobs {first} to {last}", task_runner=task_runner())
def pool_part(config: Config, work: str, first: int, last: int) -> list[Done]:
    """Do the jobs `first` to `last` - 1 of a list; those that stand are found.

    Args:
        config: The pool's configuration.
        work: Address of the list's manifest, relative to the root of the store.
        first: Number of the first job, from 0.
        last: Number after the last job.
    """
    store = Store(config.storage)
    jobs = read_work(store, Reference(work, store.manifest(work).key, 0), KINDS, first, last)
    with reporting(config), workers_for(config):
        return run_all(given(jobs[0].STAGE), config, [(job,) for job in jobs])
