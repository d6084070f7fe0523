"""Run stages of many tasks in child flow runs, so that no flow run has more than a few hundred task runs.

Prefect's server and its pages work well with that many. A pool of hundreds of partitions has several
times as many tasks.
"""

import inspect
from collections.abc import Callable, Iterable, Sequence
from contextvars import ContextVar
from itertools import pairwise
from typing import Any

from prefect import Task, flow
from prefect.runtime import flow_run

from flows.runner import task_runner
from flows.supervision.pool_parts import parts_on_workers
from metaclip.config.settings import Config
from metaclip.store.job import Job
from metaclip.store.manifest import Reference
from tasks.checkpoint import Done, find_all, run_all, run_missing
from tasks.progress import current_progress
from tasks.stages import KINDS

DIRECT = 50
"""Maximum number of tasks of one stage in the flow run itself, which also has those of other stages."""

TASKS_A_RUN = 200

_Work = tuple[Task[..., Any], Config, Sequence[tuple[Any, ...]]]

# Not parameters, because the arguments of tasks should not appear in a form.
_work: ContextVar[_Work] = ContextVar("work")


def run_in_parts(one: Task[..., Any], config: Config, arguments: Sequence[tuple[Any, ...]]) -> list[Done]:
    """Do the same as `run_all`, with a few hundred tasks in each child flow run if there are many."""
    if not arguments:
        return []
    if len(arguments) <= DIRECT:
        return run_all(one, config, arguments)
    current_progress().expect(one.name, len(arguments))
    found = find_all(one, config, arguments)
    missing = [number for number, standing in enumerate(found) if standing is None]
    if config.execution.parts_deployment is not None and len(missing) > DIRECT:
        make_job: Callable[..., Job] = inspect.unwrap(one.fn)
        jobs = [make_job(config, *arguments[number]) for number in missing]
        if type(jobs[0]).__name__ in KINDS:
            return _all(one.name, found, parts_on_workers(one.name, config, jobs))
    token = _work.set((one, config, [arguments[number] for number in missing]))
    try:
        steps = pairwise([*range(0, len(missing), TASKS_A_RUN), len(missing)])
        made = [done for first, last in steps for done in part(first, last)]
    finally:
        _work.reset(token)
    return _all(one.name, found, made)


def _all(stage: str, found: Sequence[Reference | None], made: Iterable[Done]) -> list[Done]:
    """Return what was found and what was made, in the order of the tasks."""
    following = iter(made)
    return [next(following) if standing is None else Done(stage, standing, True, 0.0) for standing in found]


def _run_name() -> str:
    one, config, _ = _work.get()
    return "{} {} {first} to {last}".format(config.pool, one.name, **flow_run.parameters)


@flow(name="part", flow_run_name=_run_name, task_runner=task_runner())
def part(first: int, last: int) -> list[Done]:
    """Run the tasks `first` to `last` - 1 of a stage, as part of the flow run that has them.

    Args:
        first: Number of the first task, from 0.
        last: Number after the last task.
    """
    one, config, arguments = _work.get()
    return run_missing(one, config, arguments[first:last], [None] * (last - first))
