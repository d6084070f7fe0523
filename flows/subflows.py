"""Stages of many tasks, in flow runs of their own: none has more than a few hundred task runs.

Prefect's server and its pages are comfortable with that many. A pool of hundreds of partitions has
several times as many tasks.
"""

from collections.abc import Sequence
from contextvars import ContextVar
from itertools import pairwise
from typing import Any

from prefect import Task, flow
from prefect.runtime import flow_run

from flows.runner import task_runner
from metaclip.config.settings import Config
from tasks.checkpoint import Done, run_all
from tasks.progress import current_progress

DIRECT = 50
"""Tasks of one stage that stay in the flow run itself, beside those of the other stages."""

TASKS_A_RUN = 200

_Work = tuple[Task[..., Any], Config, Sequence[tuple[Any, ...]]]

# Not parameters: what tasks are given is not for people to read in a form.
_work: ContextVar[_Work] = ContextVar("work")


def run_in_parts(one: Task[..., Any], config: Config, arguments: Sequence[tuple[Any, ...]]) -> list[Done]:
    """Do as `run_all`, a few hundred tasks to a flow run where there are many."""
    if not arguments:
        return []
    if len(arguments) <= DIRECT:
        return run_all(one, config, arguments)
    current_progress().expect(one.name, len(arguments))
    token = _work.set((one, config, arguments))
    try:
        steps = pairwise([*range(0, len(arguments), TASKS_A_RUN), len(arguments)])
        return [done for first, last in steps for done in part(first, last)]
    finally:
        _work.reset(token)


def _run_name() -> str:
    one, config, _ = _work.get()
    return "{} {} {first} to {last}".format(config.pool, one.name, **flow_run.parameters)


@flow(name="part", flow_run_name=_run_name, task_runner=task_runner())
def part(first: int, last: int) -> list[Done]:
    """Do the tasks `first` to `last` - 1 of a stage, within the run that has them.

    Args:
        first: Number of the first task, from 0.
        last: Number after the last task.
    """
    one, config, arguments = _work.get()
    return run_all(one, config, arguments[first:last])
