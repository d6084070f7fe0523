"""The index of a finished pool for the page of `metaclip browse`; no set is made."""

from typing import Annotated, Any

from prefect import flow
from pydantic import Field

from flows.run import Run
from flows.runner import task_runner
from metaclip.browse.pool_index import index_jobs
from metaclip.explore.pool import FinishedPool
from metaclip.pool.record import BROWSE, add_index
from tasks.progress import reporting
from tasks.stages import browse_index
from tasks.workers import workers_for


@flow(name="browse", flow_run_name="{pool} browse", task_runner=task_runner())
def make_index(pool: str, storage: str, processes: Annotated[int, Field(ge=1)] | None = None) -> dict[str, Any]:
    """Index a finished pool, and name the index in its record, so that it is kept.

    Args:
        pool: Name of the pool.
        storage: Root of the store that holds it: a folder, or an address such as s3://bucket/prefix.
        processes: Number of worker processes; empty for that of the pool's configuration.

    Returns:
        `pool`, and how many partitions were indexed, and how many of them now.

    Raises:
        ConfigError: if there is no such pool.
    """
    finished = FinishedPool.open(storage, pool)
    config = finished.config
    if processes is not None:
        config = config.model_copy(update={"execution": config.execution.model_copy(update={"processes": processes})})
    run = Run(config)
    with reporting(config), workers_for(config):
        outputs = run.do(browse_index, *((job,) for job in index_jobs(finished)))
    add_index(run.store, pool, finished.stages["balance"], [output.manifest for output in outputs])
    made = sum(not done.cached for done in run.done.get(BROWSE, []))
    return {"pool": pool, "partitions": len(outputs), "made": made}
