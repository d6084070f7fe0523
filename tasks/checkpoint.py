"""What every task of the pipeline does: find the output by its manifest, or compute it."""

import inspect
from collections.abc import Callable, Mapping, Sequence
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
from metaclip.processes.meter import NOTHING, Cost
from metaclip.store.job import Job
from metaclip.store.lookup import find_many
from metaclip.store.manifest import Reference
from metaclip.store.store import Store
from tasks.progress import current_progress
from tasks.workers import compiling_is_told, run_in_worker

CACHED = "Cached"
RETRY_DELAYS_SECONDS = [2, 10, 60]

TASKS_A_PROCESS = 16
"""A stage has at least so many task runs for each process, so that all are busy to its end."""

MOST_OUTPUTS_A_TASK = 8


@dataclass(frozen=True)
class Done:
    """The result of a task: the reference of its output, and its cost in this run."""

    stage: str
    reference: Reference
    cached: bool
    seconds: float
    compiling: float = 0.0
    """Seconds beside these in which its worker compiled kernels, or loaded them from disk."""
    cost: Cost = NOTHING
    """What its worker process took."""


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
            return _made(stage, config, job)

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


def single(config: Config, name: str, run_name: str) -> Callable[[Callable[[], Any]], Task[[], Any]]:
    """Make a task of a function without arguments; it is retried as those of `checkpointed` are."""
    return task(
        name=name,
        task_run_name=run_name,
        persist_result=False,
        retries=config.execution.retries,
        retry_condition_fn=worth_retrying,
        retry_delay_seconds=RETRY_DELAYS_SECONDS,
    )


def _made(stage: str, config: Config, job: Job) -> Done:
    """Have a worker compute a job."""
    made = run_in_worker(config, job)
    get_run_logger().info("%s %s: %s rows in %.1f s", stage, job.label, f"{made.reference.rows:,}", made.seconds)
    return Done(stage, made.reference, False, made.seconds, made.compiling, made.cost)


def run_all(one: Task[..., Any], config: Config, arguments: Sequence[tuple[Any, ...]]) -> list[Done]:
    """Run a task for each tuple of arguments and return the results, in that order.

    Of several, those whose outputs stand are found by one task; only the others are run. All tasks finish before
    the first failure is raised, so that the successful ones are checkpointed.
    """
    current_progress().begin(one.name, len(arguments))
    return run_missing(one, config, arguments, find_all(one, config, arguments))


def find_all(one: Task[..., Any], config: Config, arguments: Sequence[tuple[Any, ...]]) -> Sequence[Reference | None]:
    """Find the outputs of many tasks of a stage by a single task; None stands for each that is missing.

    The progress of the stage, which must have begun, counts those that were found.
    """
    if len(arguments) < 2:
        return [None] * len(arguments)  # the task itself looks
    make_job: Callable[..., Job] = inspect.unwrap(one.fn)

    # Arguments and results are not those of the task, because Prefect would go through all of them.
    found: list[Reference | None] = []

    @single(config, one.name, f"{one.name}: look for {len(arguments):,} outputs")
    def look() -> State[None]:
        jobs = [make_job(config, *values) for values in arguments]
        standing = find_many(Store(config.storage), jobs, config.execution.verify, lambda _: None)
        found[:] = [each[0] if each is not None else None for each in standing]
        count = sum(each is not None for each in found)
        message = f"{one.name}: {count:,} found, {len(found) - count:,} to make"
        return Completed(name=CACHED if count == len(found) else None, message=message)

    look()
    current_progress().found(one.name, sum(each is not None for each in found))
    return found


def run_missing(
    one: Task[..., Any],
    config: Config,
    arguments: Sequence[tuple[Any, ...]],
    found: Sequence[Reference | None],
) -> list[Done]:
    """Run a task for each tuple of arguments without an output, and return the results of all, in their order.

    Where there are many for each worker process, a task run makes several outputs, one after the other: a task run
    costs Prefect's server as much as a small shard costs a worker.
    """
    progress = current_progress()
    compiling_is_told(config, progress.compiling())
    missing = [number for number, standing in enumerate(found) if standing is None]
    size = outputs_a_task(len(missing), config.execution.processes)
    bundles = [missing[start : start + size] for start in range(0, len(missing), size)]
    retried = one.with_options(retries=config.execution.retries)
    several = _several(one, config, arguments)
    futures: dict[PrefectFuture[Any], list[int]] = {
        several.submit(tuple(bundle)) if size > 1 else retried.submit(config, *arguments[bundle[0]]): bundle
        for bundle in bundles
    }
    outcomes: dict[int, Done | BaseException] = {}
    for future in as_completed(list(futures)):
        future.wait()  # otherwise the state is that of the server, which is late
        told = _outcomes(future.state, len(futures[future]))
        outcomes |= zip(futures[future], told, strict=True)
        for outcome in told:
            if isinstance(outcome, Done):
                rows, seconds, cost = outcome.reference.rows, outcome.seconds, outcome.cost
                progress.finished(one.name, cached=outcome.cached, rows=rows, seconds=seconds, cost=cost)
            else:
                state = future.state
                message = state.message if size == 1 else f"{type(outcome).__name__}: {outcome}"
                progress.failed(one.name, message or state.name or "ended without a reason", type(outcome).__name__)
    for number in missing:
        outcome = outcomes[number]
        if isinstance(outcome, BaseException):
            raise outcome
        outcomes[number] = outcome
    done = (
        Done(one.name, standing, True, 0.0) if standing is not None else outcomes[number]
        for number, standing in enumerate(found)
    )
    return [each for each in done if isinstance(each, Done)]


def outputs_a_task(outputs: int, processes: int) -> int:
    """Return how many outputs a task run makes: several where each process has very many to make."""
    return max(1, min(MOST_OUTPUTS_A_TASK, outputs // (TASKS_A_PROCESS * processes)))


class _SomeFailedError(Exception):
    """Some outputs of a task run could not be made; others were."""

    def __init__(self, outcomes: Sequence[Done | Exception]) -> None:
        errors = [each for each in outcomes if isinstance(each, Exception)]
        super().__init__(f"{type(errors[0]).__name__}: {errors[0]}")
        self.outcomes = outcomes


def _several(one: Task[..., Any], config: Config, arguments: Sequence[tuple[Any, ...]]) -> Task[..., Any]:
    """Return a task that makes several outputs of a stage, by their numbers, each even where others fail."""
    make_job: Callable[..., Job] = inspect.unwrap(one.fn)

    def worth(_task: Task[..., Any], _run: TaskRun, state: State[Any]) -> bool:
        error = state.result(raise_on_failure=False)
        return isinstance(error, _SomeFailedError) and any(_is_temporary(each) for each in error.outcomes)

    @task(
        name=one.name,
        task_run_name=lambda: "{}: {} outputs from number {}".format(one.name, *_size_and_first(task_run.parameters)),
        persist_result=False,
        retries=config.execution.retries,
        retry_condition_fn=worth,
        retry_delay_seconds=RETRY_DELAYS_SECONDS,
    )
    def several(numbers: tuple[int, ...]) -> list[Done]:
        store, outcomes = Store(config.storage), list[Done | Exception]()
        for number in numbers:
            try:
                job = make_job(config, *arguments[number])
                # At first all are known to be missing; a further attempt finds those that the last one made.
                reference = job.find(store, config.execution.verify) if (task_run.run_count or 1) > 1 else None
                standing = None if reference is None else Done(one.name, reference, True, 0.0)
                outcomes.append(standing or _made(one.name, config, job))
            except Exception as error:  # noqa: BLE001 (raised below, when the others are done)
                outcomes.append(error)
        done = [each for each in outcomes if isinstance(each, Done)]
        if len(done) < len(outcomes):
            raise _SomeFailedError(outcomes)
        return done

    return several


def _size_and_first(parameters: Mapping[str, Any]) -> tuple[int, int]:
    return len(parameters["numbers"]), parameters["numbers"][0]


def _outcomes(state: State[Any], count: int) -> list[Done | BaseException]:
    """Return what a task run made, or why not, for each of its outputs."""
    result = state.result(raise_on_failure=False)
    if isinstance(result, Done):
        return [result]
    if isinstance(result, _SomeFailedError):
        return list(result.outcomes)
    if isinstance(result, BaseException):
        return [result] * count
    return list(result)


def run_one(one: Task[..., Any], config: Config, *arguments: Any) -> Done:
    """Run a single task and return its result."""
    return run_all(one, config, [arguments])[0]


def worth_retrying(_task: Task[..., Any], _run: TaskRun, state: State[Any]) -> bool:
    """Return whether a task failed for a reason that may be temporary."""
    return _is_temporary(state.result(raise_on_failure=False))


def _is_temporary(error: object) -> bool:
    return isinstance(error, TransportError | WorkerLostError | StoreOutOfReachError)
