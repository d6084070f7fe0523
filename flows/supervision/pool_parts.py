"""Parts of a stage of the pool on other workers: a run of `pool-part` for some of its jobs.

The jobs are written into the store once, as a list. A run does a range of it, and finds what stands by itself.
"""

import math
from collections.abc import Mapping, Sequence
from itertools import pairwise

from prefect.states import Completed, State

from flows.supervision.supervisor import Range, Supervisor, Work, add
from metaclip.config.settings import Config
from metaclip.errors import StageError
from metaclip.pool.run_log import RunState, StageState
from metaclip.store.job import Job
from metaclip.store.lookup import find_many
from metaclip.store.store import Store
from metaclip.store.work_list import WorkListJob
from tasks.checkpoint import Done, single
from tasks.progress import current_progress

MOST_RUNS = 500
"""Prefect works well with a few hundred runs under one; where there would be more, each does more jobs."""


def parts_on_workers(stage: str, config: Config, jobs: Sequence[Job]) -> list[Done]:
    """Have runs of `execution.parts_deployment` do jobs of one stage, none of which stands; return their outputs.

    Raises:
        StageError: if a run failed, or an output is not where this run looks for it; the other runs finish first.
        WorkerLostError: if a run was lost more than `execution.retries` times.
    """
    execution = config.execution
    assert execution.parts_deployment is not None
    store = Store(config.storage)
    listed = _write(config, stage, store, WorkListJob(tuple(jobs)))
    step = max(execution.parts_per_run, math.ceil(len(jobs) / MOST_RUNS))
    waiting = [Range(first, last) for first, last in pairwise([*range(0, len(jobs), step), len(jobs)])]
    begun = current_progress().stages()[stage]
    newest: dict[int, RunState] = {}

    def progress(told: Mapping[int, RunState]) -> dict[str, StageState]:
        newest.update(told)
        total = begun.model_copy()
        for run in told.values():
            if stage in run.stages:
                add(total, run.stages[stage])
        return {stage: total}

    parameters = {"work": listed}
    work = Work(f"{stage} jobs", "execution.parts_deployment", execution.parts_deployment, parameters, 0, progress)
    Supervisor(config, work, waiting).run()
    seconds = sum(run.stages[stage].seconds for run in newest.values() if stage in run.stages)
    found = find_many(store, jobs, "size", lambda _: None)
    missing = [job.label for job, each in zip(jobs, found, strict=True) if each is None]
    if missing:
        raise StageError(
            f"{stage}: the runs ended well, yet {len(missing)} outputs are not where this run looks for them, such as"
            f" that of {missing[0]}. Workers must have the same storage, and no task may delete outputs meanwhile"
        )
    return [Done(stage, each[0], False, seconds / len(jobs)) for each in found if each is not None]


def _write(config: Config, stage: str, store: Store, listed: WorkListJob) -> str:
    """Write the list by a task; return the address of its manifest."""

    @single(config, "work", f"{stage}: list {len(listed.jobs):,} jobs")
    def write() -> State[None]:
        if listed.find(store) is None:
            listed.run(store)
        return Completed(message=listed.folder)

    write()
    return listed.manifest
