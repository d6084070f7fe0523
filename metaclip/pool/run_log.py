"""What runs are doing, told by the store alone.

Each run of a pool keeps one small file, `runs/<pool>/<run>.json`, up to date while it lasts: how many
outputs of each stage are done, found, failed. It is a sign of life, nothing is computed from it, and
it may be deleted at any time.
"""

import logging
import socket
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Literal

from pydantic import BaseModel, ValidationError

from metaclip.errors import MetaclipError
from metaclip.store.manifest import json_bytes
from metaclip.store.store import Store

SIGN_SECONDS = 10.0
"""A run writes its file at least so often."""

ALIVE_SECONDS = 180.0
"""A run whose last sign is older counts as lost; generous, since clocks of machines differ."""

FAILURES = 10

logger = logging.getLogger(__name__)

State = Literal["running", "completed", "failed"]


class StageState(BaseModel):
    """How far a run is with a stage."""

    total: int
    done: int = 0
    """Outputs that stand, found or computed."""
    cached: int = 0
    """Of these, found in the store."""
    failed: int = 0
    rows: int = 0
    """Rows of the outputs that were computed."""
    seconds: float = 0.0
    """Worker time that they took."""
    started: datetime
    updated: datetime

    @property
    def per_minute(self) -> float | None:
        """Outputs computed a minute, or None where none is yet."""
        minutes = (self.updated - self.started).total_seconds() / 60
        computed = self.done - self.cached
        return computed / minutes if computed and minutes > 0 else None

    def projected_end(self) -> datetime | None:
        """Return when the last output is expected, at the rate so far."""
        rate, left = self.per_minute, self.total - self.done - self.failed
        return self.updated + timedelta(minutes=left / rate) if rate and left > 0 else None


class RunState(BaseModel):
    """One run as its file tells it."""

    pool: str
    run: str
    """Prefect's id of the flow run."""
    flow: str
    parent: str | None = None
    """The run that started this one on another worker."""
    host: str
    state: State = "running"
    message: str = ""
    started: datetime
    updated: datetime
    stages: dict[str, StageState] = {}
    failures: list[str] = []
    """The first few tasks that failed, and why."""

    @property
    def is_active(self) -> bool:
        """Whether it goes on, by its last sign of life."""
        return self.state == "running" and (_now() - self.updated).total_seconds() < ALIVE_SECONDS


class RunLog:
    """Keeps one run's file up to date, every `SIGN_SECONDS` and whenever a stage begins or ends."""

    def __init__(self, store: Store, state: RunState) -> None:
        self._store = store
        self._state = state
        self._lock = threading.Lock()
        self._writing = threading.Lock()

    def begin(self, stage: str, total: int) -> None:
        """Expect so many outputs of a stage; more, where a part of it was begun before."""
        with self._lock:
            known = self._state.stages.get(stage)
            if known is None:
                self._state.stages[stage] = StageState(total=total, started=_now(), updated=_now())
            else:
                known.total += total
        self.write()

    def count(
        self, stage: str, *, done: int = 0, cached: int = 0, failed: int = 0, rows: int = 0, seconds: float = 0.0
    ) -> None:
        """Add outputs to a stage that was begun."""
        with self._lock:
            known = self._state.stages[stage]
            known.done += done
            known.cached += cached
            known.failed += failed
            known.rows += rows
            known.seconds = round(known.seconds + seconds, 3)
            known.updated = _now()

    def replace(self, stages: Mapping[str, StageState]) -> None:
        """Take over what other runs tell of stages."""
        with self._lock:
            self._state.stages.update(stages)

    def fail(self, what: str) -> None:
        """Remember a failure for whoever asks."""
        with self._lock:
            if len(self._state.failures) < FAILURES:
                self._state.failures.append(what[:500])

    def stages(self) -> dict[str, StageState]:
        """Return a copy of all stages as they are now."""
        with self._lock:
            return {name: stage.model_copy() for name, stage in self._state.stages.items()}

    def end(self, state: State, message: str = "") -> None:
        """Write the last sign."""
        with self._lock:
            self._state.state = state
            self._state.message = message[:500]
        self.write()

    def write(self) -> None:
        """Give a sign now. A store out of reach is logged: the run's own work will meet it too."""
        with self._writing:
            with self._lock:
                self._state.updated = _now()
                content = self._state.model_dump(mode="json")
            try:
                self._store.write_whole(run_address(self._state.pool, self._state.run), json_bytes(content))
            except (OSError, MetaclipError) as error:
                logger.warning("no sign of life could be written to %s: %s", self._store.root, error)


@contextmanager
def run_log(
    store: Store, pool: str, run: str, flow: str, parent: str | None = None, sign_seconds: float = SIGN_SECONDS
) -> Iterator[RunLog]:
    """Keep a run's file while it lasts; an exception that passes ends it as failed."""
    now = _now()
    host = socket.gethostname()
    log = RunLog(store, RunState(pool=pool, run=run, flow=flow, parent=parent, host=host, started=now, updated=now))
    stopped = threading.Event()

    def beat() -> None:
        while not stopped.wait(sign_seconds):
            log.write()

    log.write()
    thread = threading.Thread(target=beat, name="signs-of-life", daemon=True)
    thread.start()
    try:
        yield log
    except BaseException as error:
        log.end("failed", f"{type(error).__name__}: {error}")
        raise
    else:
        log.end("completed")
    finally:
        stopped.set()
        thread.join()


def run_address(pool: str, run: str) -> str:
    """Return where a run's file is, relative to the root."""
    return f"{pool_runs(pool)}/{run}.json"


def pool_runs(pool: str) -> str:
    """Return the folder of a pool's runs, relative to the root."""
    return f"runs/{pool}"


def read_run(store: Store, pool: str, run: str) -> RunState | None:
    """Return what a run tells, or None before its first sign.

    A file that cannot be understood is logged and counts as none.
    """
    try:
        content = store.read_json(run_address(pool, run))
        return None if content is None else RunState.model_validate(content)
    except (MetaclipError, ValidationError) as error:
        logger.warning("%s: not a run's file: %s", store.address(run_address(pool, run)), error)
        return None


def runs_of(store: Store, pool: str) -> list[RunState]:
    """Return the runs of a pool by their start."""
    found = (read_run(store, pool, name) for name in store.names(pool_runs(pool)))
    return sorted((run for run in found if run is not None), key=lambda run: (run.started, run.run))


def active(store: Store) -> list[RunState]:
    """Return the runs of all pools that go on."""
    return [run for pool in store.folders("runs") for run in runs_of(store, pool) if run.is_active]


def _now() -> datetime:
    return datetime.now(UTC)
