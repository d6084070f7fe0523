"""What every task of the pipeline does: find the output by its manifest, or compute it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import wraps
from typing import Any

from prefect import Task, get_run_logger, task
from prefect.client.schemas.objects import State, TaskRun
from prefect.futures import PrefectFuture, as_completed
from prefect.runtime import task_run
from prefect.states import Completed

from metaclip.config.settings import Config
from metaclip.errors import StoreOutOfReachError, TransportError, WorkerLostError
from metaclip.store.job import Job
from metaclip.store.manifest import Reference
from metaclip.store.store import Store
from tasks.progress import current_progress
from tasks.workers import compiling_is_told, run_in_worker

CACHED = "Cached"
RETRY_DELAYS_SECONDS = [2, 10, 60]


@dataclass(frozen=True)
class Done:
    """The result of a task: the reference of its output, and its cost in this run."""

    stage: str
    reference: Reference
    cached: bool
    seconds: float
    compiling: float = 0.0
    """Seconds beside these in which its worker compiled kernels, or loaded them from disk."""


def checkpointed(stage: str) -> Callable[[Callable[..., Job]], Task[..., Any]]:
    """Make a task of a function that turns a configuration and references into a job.

    The task looks for the job's manifest first. If it exists, the task ends in a state named `Cached`;
    otherwise a worker process computes the output. In both cases its result is a `Done`. It is retried
    only if a worker or a connection was lost: a task that fails because of its input would fail again.
    """

    def decorate(make_job: Callable[..., Job]) -> Task[..., Any]:
        @wraps(make_job)
        def body(config: Config, *arguments: Any) -> State[Done] | Done:
            job = make_job(config, *arguments)
            reference = job.find(Store(config.storage), config.execution.verify)
            if reference is not None:
                return Completed(name=CACHED, message=job.label, data=Done(stage, reference, True, 0.0))
            reference, seconds, compiling = run_in_worker(config, job)
            get_run_logger().info("%s %s: %s rows in %.1f s", stage, job.label, f"{reference.rows:,}", seconds)
            return Done(stage, reference, False, seconds, compiling)

        return task(
            body,
            name=stage,
            task_run_name=lambda: f"{stage} {make_job(**task_run.parameters).label}",
            # No tags: Prefect asks its server for a slot of each tag's concurrency limit, which takes 2 s;
            # runs can be found by the name of the task.
            persist_result=False,  # results are references to the store, which alone says what stands
            retry_condition_fn=worth_retrying,
            retry_delay_seconds=RETRY_DELAYS_SECONDS,
        )

    return decorate


def run_all(one: Task[..., Any], config: Config, arguments: Sequence[tuple[Any, ...]]) -> list[Done]:
    """Run a task for each tuple of arguments and return the results, in that order.

    All tasks finish before the first failure is raised, so that the successful ones are checkpointed.
    """
    retried = one.with_options(retries=config.execution.retries)
    progress = current_progress()
    progress.begin(one.name, len(arguments))
    compiling_is_told(config, progress.compiling())
    futures: list[PrefectFuture[Any]] = [retried.submit(config, *values) for values in arguments]
    for future in as_completed(futures):
        future.wait()  # otherwise the state is that of the server, which is late
        if future.state.is_completed():
            done: Done = future.result()
            progress.finished(one.name, cached=done.cached, rows=done.reference.rows, seconds=done.seconds)
        else:
            progress.failed(one.name, future.state.message or future.state.name or "ended without a reason")
    return [future.result() for future in futures]


def run_one(one: Task[..., Any], config: Config, *arguments: Any) -> Done:
    """Run a single task and return its result."""
    return run_all(one, config, [arguments])[0]


def worth_retrying(_task: Task[..., Any], _run: TaskRun, state: State[Any]) -> bool:
    """Return whether a task failed for a reason that may be temporary."""
    error = state.result(raise_on_failure=False)
    return isinstance(error, TransportError | WorkerLostError | StoreOutOfReachError)
