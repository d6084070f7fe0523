"""The progress of a run: its file in the store, artifacts in the Prefect UI, a terminal."""

import getpass
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime
from functools import partial
from typing import Any
from uuid import UUID

import httpx
from prefect.artifacts import create_progress_artifact, update_progress_artifact
from prefect.client.orchestration import get_client
from prefect.client.schemas.objects import State as PrefectState
from prefect.client.schemas.objects import StateType
from prefect.exceptions import PrefectHTTPStatusError, TerminationSignal
from prefect.runtime import flow_run

from metaclip.config.settings import Config
from metaclip.pool.run_log import SIGN_SECONDS, RunLog, RunState, StageState, State, failed, run_log
from metaclip.processes.meter import NOTHING, Cost
from metaclip.store.store import Store
from tasks.artifacts import artifact_key, show

Watcher = Callable[[str, int, int], None]

watcher: ContextVar[Watcher | None] = ContextVar("watcher", default=None)
"""Called with stage, finished and total, in the flow's own thread."""

LONG_STAGES = ("ngrams", "titles", "extract", "match")
"""Stages with a progress artifact, if they have more than one task."""

COMPILING = "compiling once for this machine"
"""What the process beside the workers does, as people see it."""

UPDATE_SECONDS = 5.0
"""Each update of an artifact is a request and an event in Prefect's database."""

_current: ContextVar["Progress | None"] = ContextVar("progress", default=None)


class Progress:
    """Reports the progress of one run. Everything happens in the flow's own thread."""

    def __init__(self, pool: str, log: RunLog) -> None:
        self._pool = pool
        self.logger = log
        self._whole: set[str] = set()
        self._artifacts: dict[str, tuple[UUID | None, float]] = {}

    def expect(self, stage: str, total: int) -> None:
        """Set the number of outputs of a stage over all flows of this run."""
        if stage not in self._whole:
            self._whole.add(stage)
            self.logger.begin(stage, total)
            self._show(stage)

    def begin(self, stage: str, total: int) -> None:
        """Expect this many more outputs of a stage, unless their number was set before."""
        if stage not in self._whole:
            self.logger.begin(stage, total)
            self._show(stage)

    def finished(self, stage: str, *, cached: bool, rows: int, seconds: float, cost: Cost = NOTHING) -> None:
        """Count an output that exists, and what its worker process took for it."""
        computed = 0 if cached else rows
        self.logger.spend(stage, cost)
        self.logger.count(stage, done=1, cached=int(cached), rows=computed, seconds=seconds)
        self._show(stage)

    def found(self, stage: str, count: int) -> None:
        """Count outputs that were found by one look at the store."""
        if count:
            self.logger.count(stage, done=count, cached=count)
            self._show(stage)

    def failed(self, stage: str, message: str, reason: str) -> None:
        """Count an output that could not be made, by the type of its error."""
        self.logger.count(stage, failed=1)
        self.logger.fail(f"{stage}: {message}", reason)
        self._show(stage)

    def compiling(self) -> Callable[[int, int], None]:
        """Return what takes note, in any thread, of how many kernels are compiled, and of how many."""
        watch = watcher.get()

        def note(compiled: int, of: int) -> None:
            self.logger.note(f"{COMPILING}: {compiled:,} of {of:,} kernels" if compiled < of else "")
            if watch is not None:
                watch(COMPILING, compiled, of)

        return note

    def replace(self, stages: dict[str, StageState]) -> None:
        """Replace the numbers by those that runs on other workers report."""
        self.logger.replace(stages)
        for stage in stages:
            self._show(stage)

    @property
    def state(self) -> RunState:
        """What the run's file states now."""
        return self.logger.state

    def stages(self) -> dict[str, StageState]:
        """Return the progress of all stages."""
        return self.logger.stages()

    def _show(self, stage: str) -> None:
        known = self.logger.stages()[stage]
        finished = known.done + known.failed
        watch = watcher.get()
        if watch is not None:
            watch(stage, finished, known.total)
        if stage in LONG_STAGES and known.total > 1:
            self._show_artifact(stage, finished, known)

    def _show_artifact(self, stage: str, finished: int, known: StageState) -> None:
        shown = self._artifacts.get(stage)
        now = time.monotonic()
        if shown is not None and finished < known.total and now - shown[1] < UPDATE_SECONDS:
            return
        share, text = 100 * finished / known.total, told(stage, known)
        text += f"; {self.logger.noted()}" if self.logger.noted() else ""

        def create() -> UUID:
            key = artifact_key(self._pool, f"{stage}-progress")
            made = create_progress_artifact(progress=share, key=key, description=text)
            assert isinstance(made, UUID)
            return made

        def update(identity: UUID) -> UUID:
            try:
                update_progress_artifact(identity, progress=share, description=text)
            except PrefectHTTPStatusError as error:
                if error.response.status_code != httpx.codes.NOT_FOUND:
                    raise
                return create()  # Prefect's database was lost, or somebody deleted the artifact
            return identity

        known_before = shown[0] if shown is not None else None
        call = create if known_before is None else partial(update, known_before)
        self._artifacts[stage] = (show(f"the progress of {stage}", call) or known_before, now)


def told(stage: str, known: StageState) -> str:
    """Return the progress of a stage in words: outputs, rate, time left, and when the last one is expected."""
    text = f"{stage}: {known.done:,} of {known.total:,} done ({known.cached:,} found in the store)"
    text += f", {known.failed:,} failed" if known.failed else ""
    outlook = known.outlook()
    return f"{text}; {outlook}" if outlook else text


@contextmanager
def reporting(config: Config) -> Iterator[Progress]:
    """Report the progress of the running flow; a child flow reports through its parent."""
    outer = _current.get()
    if outer is not None:
        yield outer
        return
    # Often enough that a run is never considered lost between two signs of life.
    seconds = min(SIGN_SECONDS, config.execution.lost_after_seconds / 4)
    run, name, parent = flow_run.id, flow_run.flow_name, flow_run.parent_flow_run_id
    with run_log(Store(config.storage), config.pool, run, name, parent, seconds, _ended) as log:
        progress = Progress(config.pool, log)
        token = _current.set(progress)
        try:
            yield progress
        finally:
            _current.reset(token)


def _ended(error: BaseException) -> tuple[State, str]:
    """Return how the running flow ended; one that is interrupted, or whose process is told to end, was cancelled."""
    if isinstance(error, KeyboardInterrupt):
        return "cancelled", f"interrupted by {_user()} at {datetime.now(UTC):%Y-%m-%d %H:%M:%S} UTC"
    if isinstance(error, TerminationSignal):
        state = show("the end of the run", _state_of_run)
        if state is not None and state.type in (StateType.CANCELLING, StateType.CANCELLED):
            return (
                "cancelled",
                f"cancelled at {state.timestamp:%Y-%m-%d %H:%M:%S} UTC: {state.message or 'no reason given'}",
            )
    return failed(error)


def _user() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError):  # a container may have no name for its user
        return f"user {os.getuid()}"


def _state_of_run() -> PrefectState[Any] | None:
    with get_client(sync_client=True) as client:
        return client.read_flow_run(UUID(str(flow_run.id))).state


def current_progress() -> Progress:
    """Return the progress of the running flow.

    Raises:
        RuntimeError: if it is called outside of `reporting`.
    """
    progress = _current.get()
    if progress is None:
        raise RuntimeError("run tasks inside `with reporting(config)`")
    return progress
