"""Runs of one pool, one after the other; and the end of runs whose machine is gone.

Two runs of `curate` for one pool would compute the same outputs, so a run that a deployment starts waits for one of
the same pool that is on its way. Runs of two pools go on side by side. The store says who is there, by signs of life:
a limit that Prefect's server keeps would be lost with the server, and end the runs that hold it.

A run whose worker is killed with it stays Running in Prefect for ever. The next run of the pool sets it Crashed.
"""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import httpx
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterId
from prefect.client.schemas.objects import State, StateType
from prefect.exceptions import PrefectException
from prefect.logging import get_run_logger
from prefect.runtime import deployment, flow_run
from prefect.settings import PREFECT_CLIENT_MAX_RETRIES, temporary_settings
from prefect.states import Crashed

from metaclip.config.settings import Config
from metaclip.errors import WorkerLostError
from metaclip.pool.run_log import ALIVE_SECONDS, Neighbours, RunState, end_silent, neighbours
from metaclip.store.store import Store
from tasks.progress import Progress, reporting

POLL_SECONDS = 5.0


@contextmanager
def in_turn(config: Config) -> Iterator[None]:
    """Wait until no other run of the pool is on its way; only for runs that a deployment starts."""
    if not deployment.id:
        yield
        return
    with reporting(config) as progress:
        give_up_after_crashes(config.execution.retries)
        _wait(config, progress)
        yield


def give_up_after_crashes(retries: int) -> None:
    """End a run of a deployment that was started again after crashes too often.

    Raises:
        WorkerLostError: if it crashed more than `retries` times within a day.
    """
    if not deployment.id:
        return
    try:
        with get_client(sync_client=True) as client:
            states = client.read_flow_run_states(UUID(str(flow_run.id)))
    except (httpx.HTTPError, PrefectException) as error:
        get_run_logger().warning("the Prefect server does not tell whether this run has crashed before (%s)", error)
        return
    day = datetime.now(UTC) - timedelta(days=1)
    crashes = sum(state.type == StateType.CRASHED and state.timestamp > day for state in states)
    if crashes > retries:
        raise WorkerLostError(
            f"this run crashed {crashes} times within a day, so it is not tried again; look at the logs of its worker"
            " (perhaps it is out of memory), then start a new run, which goes on from what stands"
        )


def _wait(config: Config, progress: Progress) -> None:
    store, log, mine = Store(config.storage), get_run_logger(), str(flow_run.id)
    waits_for = ""
    while True:
        found = neighbours(store, config.pool, mine)
        states = _states([*found.alive, *found.silent])
        _end_ghosts(store, found, states)
        ahead = [run for run in found.alive if _is_ahead(run, progress.state, states.get(run.run))]
        if not ahead:
            break
        if ahead[0].run != waits_for:
            waits_for = ahead[0].run
            log.info("waits for run %s of pool %s on %s, which is on its way", waits_for, config.pool, ahead[0].host)
            progress.logger.wait_for(waits_for)
        time.sleep(POLL_SECONDS)
    if waits_for:
        progress.logger.wait_for("")
        log.info("the other run has ended")


def _is_ahead(other: RunState, mine: RunState, state: State[Any] | None) -> bool:
    """Return whether a run of the same pool goes first: it is at work, or has waited for longer."""
    if other.flow != mine.flow or (state is not None and state.is_final()):
        return False
    return not other.waits_for or (other.started, other.run) < (mine.started, mine.run)


def _states(runs: Sequence[RunState]) -> dict[str, State[Any]]:
    """Return what Prefect says of runs; nothing about those of another server, or where the server is away."""
    wanted = []
    for run in runs:
        try:
            wanted.append(UUID(run.run))
        except ValueError:
            continue  # a file that no run of this server wrote
    if not wanted:
        return {}
    try:
        with temporary_settings({PREFECT_CLIENT_MAX_RETRIES: 0}), get_client(sync_client=True) as client:
            answers = []
            for start in range(0, len(wanted), 200):
                some = FlowRunFilter(id=FlowRunFilterId(any_=wanted[start : start + 200]))
                answers += client.read_flow_runs(flow_run_filter=some, limit=200)
    except (httpx.HTTPError, PrefectException) as error:
        get_run_logger().warning("the Prefect server does not answer (%s); signs of life alone count", error)
        return {}
    return {str(answer.id): answer.state for answer in answers if answer.state is not None}


def _is_old(state: State[Any]) -> bool:
    """Return whether Prefect has taken a run for running for so long that it would have given a sign of life."""
    age = (datetime.now(UTC) - state.timestamp).total_seconds()
    return state.type in (StateType.RUNNING, StateType.CANCELLING) and age > ALIVE_SECONDS


def _end_ghosts(store: Store, found: Neighbours, states: dict[str, State[Any]]) -> None:
    """Set runs Crashed that give no sign of life and that Prefect takes for running."""
    for run in found.silent:
        state = states.get(run.run)
        if state is None:
            continue
        if not (state.is_final() or _is_old(state)):
            continue  # it has been started again and gives its first sign soon
        message = f"no sign of life since {run.updated:%Y-%m-%d %H:%M:%S} UTC; its worker on {run.host} is gone"
        if not state.is_final():
            try:
                with temporary_settings({PREFECT_CLIENT_MAX_RETRIES: 0}), get_client(sync_client=True) as client:
                    client.set_flow_run_state(UUID(run.run), Crashed(message=message), force=True)
            except (httpx.HTTPError, PrefectException) as error:
                get_run_logger().warning("run %s could not be set Crashed: %s", run.run, error)
                continue
            get_run_logger().warning("run %s of pool %s was set Crashed: %s", run.run, run.pool, message)
        else:
            message = f"{state.name}: {state.message or message}"
        end_silent(store, run, "cancelled" if state.type == StateType.CANCELLED else "failed", message)
