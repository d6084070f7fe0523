"""The report of a set of a finished pool, if it does not exist yet; no set is made and no record is changed."""

from typing import Annotated, Any

from prefect import flow
from pydantic import Field

from flows import finish
from flows.run import Run
from flows.runner import task_runner
from flows.summary import summarize
from metaclip.config.settings import Threshold
from metaclip.explore.pool import FinishedPool
from metaclip.report.planned import PlannedReport
from tasks.progress import reporting
from tasks.workers import workers_for


@flow(name="report", flow_run_name="{pool} report", task_runner=task_runner())
def make_report(
    pool: str, storage: str, t: Threshold | None = None, processes: Annotated[int, Field(ge=1)] | None = None
) -> dict[str, Any]:
    """Report on a set of a finished pool.

    Args:
        pool: Name of the pool.
        storage: Root of the store that holds it: a folder, or an address such as s3://bucket/prefix.
        t: The t of the set; empty for the set of the pool's last run.
        processes: Number of worker processes; empty for that of the pool's configuration.

    Returns:
        The summary of the run, see `flows.summary.summarize`.

    Raises:
        ConfigError: if there is no such pool, or it has no set for that t.
    """
    finished = FinishedPool.open(storage, pool)
    planned = PlannedReport.of_pool(finished, None if t is None else float(t))
    config = finished.config
    execution = config.execution if processes is None else config.execution.model_copy(update={"processes": processes})
    balance = config.balance.model_copy(update={"t": planned.report.t})
    config = config.model_copy(update={"execution": execution, "balance": balance})
    run = Run(config)
    with reporting(config) as progress, workers_for(config):
        finish.make_report(run, planned)
        return summarize(run, progress.logger.cost)
