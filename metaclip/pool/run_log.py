"""What runs are doing, from files in the store alone.

Each run of a pool updates one small file, `runs/<pool>/<run>.json`, while it is active: how many
outputs of each stage are done, found, or failed. The file only shows that the run is alive. Nothing
is computed from it, and it may be deleted at any time.
"""

import logging
import socket
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import reduce
from pathlib import PurePosixPath
from typing import Literal, NamedTuple

from pydantic import AwareDatetime, BaseModel, ValidationError

from metaclip.errors import MetaclipError, StoreOutOfReachError
from metaclip.processes.meter import METER, Cost
from metaclip.store.manifest import json_bytes, one_line
from metaclip.store.store import Store

SIGN_SECONDS = 10.0
"""A run writes its file at least once in so many seconds."""

ALIVE_SECONDS = 180.0
"""A run whose file is older is counted as lost. This is generous, because the clocks of machines differ."""

FAILURES = 10

logger = logging.getLogger(__name__)

State = Literal["running", "completed", "failed", "cancelled"]


class StageState(BaseModel):
    """How far a run is with a stage."""

    total: int
    done: int = 0
    """Outputs that exist, found or computed."""
    cached: int = 0
    """How many of these were found in the store."""
    failed: int = 0
    rows: int = 0
    """Rows of the computed outputs."""
    seconds: float = 0.0
    """Worker time spent on the computed outputs."""
    bytes_read: int = 0
    """Bytes that were read for the computed outputs, from the source and from the store."""
    started: AwareDatetime
    updated: AwareDatetime

    @property
    def per_minute(self) -> float | None:
        """Computed outputs a minute, or None before the first."""
        minutes = (self.updated - self.started).total_seconds() / 60
        computed = self.done - self.cached
        return computed / minutes if computed and minutes > 0 else None

    def projected_end(self) -> datetime | None:
        """Return when the last output is expected at the rate so far."""
        rate, left = self.per_minute, self.total - self.done - self.failed
        return self.updated + timedelta(minutes=left / rate) if rate and left > 0 else None

    def outlook(self) -> str:
        """Return rate, time left and projected end in words; nothing before the first computed output."""
        end, rate = self.projected_end(), self.per_minute
        if end is None or rate is None:
            return ""
        minutes = -(-(end - self.updated).total_seconds() // 60)
        left = f"{minutes // 60:.0f} h {minutes % 60:.0f} min" if minutes >= 60 else f"{minutes:.0f} min"
        return f"{rate:,.1f} a minute, {left} left, until about {end.astimezone(UTC):%Y-%m-%d %H:%M} UTC"


class RunState(BaseModel):
    """What a run's file states."""

    pool: str
    run: str
    """Prefect's id of the flow run."""
    flow: str
    parent: str | None = None
    """The run that started this one on another worker."""
    host: str
    state: State = "running"
    message: str = ""
    note: str = ""
    """What goes on beside the stages."""
    waits_for: str = ""
    """The run of the same pool that this one waits for."""
    started: AwareDatetime
    updated: AwareDatetime
    cost: Cost = Cost()
    """What the run took since its first sign: its own process, its worker processes, and the runs that it started."""
    stages: dict[str, StageState] = {}
    failures: list[str] = []
    """The first tasks that failed, and why."""
    failed_tasks: dict[str, int] = {}
    """How many outputs could not be made, by the type of the error; such as a worker that was lost."""
    failed_files: dict[str, int] = {}
    """How many files of the crawl failed for good, by reason, as far as shards are done."""

    @property
    def wrote_a_record(self) -> bool:
        """Whether the run ended with a report, after which, or before which, the pool's record is written."""
        reported = self.stages.get("report")
        return self.state == "completed" and reported is not None and reported.done > 0

    @property
    def is_active(self) -> bool:
        """Whether the run is active, by the time of its last update."""
        return self.state == "running" and (_now() - self.updated).total_seconds() < ALIVE_SECONDS


class RunLog:
    """Updates a run's file every `SIGN_SECONDS`, and whenever a stage begins or ends."""

    def __init__(self, store: Store, state: RunState) -> None:
        self._store = store
        self._state = state
        self._lock = threading.Lock()
        self._writing = threading.Lock()
        self._warned = False
        self._before = METER.look()
        self._workers = Cost()
        self._runs: dict[str, Cost] = {}
        self._failed_in_runs: dict[str, Counter[str]] = {}
        self._failed_tasks: Counter[str] = Counter()

    def begin(self, stage: str, total: int) -> None:
        """Add outputs that a stage will have; a stage can be begun in several parts."""
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
        """Count outputs of a stage that was begun."""
        with self._lock:
            known = self._state.stages[stage]
            known.done += done
            known.cached += cached
            known.failed += failed
            known.rows += rows
            known.seconds = round(known.seconds + seconds, 3)
            known.updated = _now()

    def spend(self, stage: str, cost: Cost) -> None:
        """Add what a worker process took for an output of a stage."""
        with self._lock:
            self._workers = self._workers.plus(cost)
            self._state.stages[stage].bytes_read += cost.bytes_read

    def told_by_runs(self, work: str, cost: Cost, failed_tasks: Mapping[str, int]) -> None:
        """Tell what all runs that this one started for some work have taken so far, and what failed in them."""
        with self._lock:
            self._runs[work] = cost
            self._failed_in_runs[work] = Counter(failed_tasks)
            self._state.failed_tasks = dict(sum(self._failed_in_runs.values(), self._failed_tasks))

    def tell_failed_files(self, reasons: Mapping[str, int]) -> None:
        """Tell how many files of the crawl failed for good, by reason."""
        with self._lock:
            self._state.failed_files = dict(reasons)

    @property
    def cost(self) -> Cost:
        """What the run has taken so far."""
        with self._lock:
            return METER.look().minus(self._before).plus(reduce(Cost.plus, self._runs.values(), self._workers))

    def replace(self, stages: Mapping[str, StageState]) -> None:
        """Replace the state of stages by what other runs report."""
        with self._lock:
            self._state.stages.update(stages)

    def fail(self, what: str, reason: str) -> None:
        """Add a failure to the file; `reason` is the type of the error."""
        with self._lock:
            self._failed_tasks[reason] += 1
            self._state.failed_tasks[reason] = self._state.failed_tasks.get(reason, 0) + 1
            if len(self._state.failures) < FAILURES:
                self._state.failures.append(what[:500])

    def note(self, what: str) -> None:
        """Tell what goes on beside the stages, in the file's next version; nothing if it is empty."""
        with self._lock:
            self._state.note = what

    def noted(self) -> str:
        """Return what `note` was told last."""
        with self._lock:
            return self._state.note

    @property
    def state(self) -> RunState:
        """A copy of what the file states."""
        with self._lock:
            return self._state.model_copy(deep=True)

    def wait_for(self, run: str) -> None:
        """Say that this run waits for another one; an empty name says that it waits no more."""
        with self._lock:
            self._state.waits_for = run
        self.write()

    def stages(self) -> dict[str, StageState]:
        """Return a copy of the state of all stages."""
        with self._lock:
            return {name: stage.model_copy() for name, stage in self._state.stages.items()}

    def end(self, state: State, message: str = "") -> None:
        """Write the final state."""
        with self._lock:
            self._state.state = state
            self._state.note = ""
            self._state.message = message[:500]
        self.write()

    def write(self) -> None:
        """Write the file now. A store that cannot be written is logged once: the run's own work fails by it too."""
        try:
            self.write_or_fail()
        except (OSError, MetaclipError) as error:
            if not self._warned:
                logger.warning("no sign of life could be written to %s: %s", self._store.root, error)
            self._warned = True

    def write_or_fail(self) -> None:
        """Write the file now.

        Raises:
            StoreError: if it cannot be written.
        """
        with self._writing:
            cost = self.cost
            with self._lock:
                self._state.updated = _now()
                self._state.cost = cost
                content = self._state.model_dump(mode="json")
            self._store.write_whole(run_address(self._state.pool, self._state.run), json_bytes(content))


def failed(error: BaseException) -> tuple[State, str]:
    """Return how a run ended that raised an error."""
    return "failed", f"{type(error).__name__}: {error}"


@contextmanager
def run_log(
    store: Store,
    pool: str,
    run: str,
    flow: str,
    parent: str | None = None,
    sign_seconds: float = SIGN_SECONDS,
    ended: Callable[[BaseException], tuple[State, str]] = failed,
) -> Iterator[RunLog]:
    """Update a run's file inside a `with` block; an exception ends the run as `ended` says.

    Raises:
        StoreError: if the store can be reached and not be written, so that no work is worth its while.
    """
    now = _now()
    host = socket.gethostname()
    log = RunLog(store, RunState(pool=pool, run=run, flow=flow, parent=parent, host=host, started=now, updated=now))
    stopped = threading.Event()

    def beat() -> None:
        while not stopped.wait(sign_seconds):
            log.write()

    try:
        log.write_or_fail()
    except StoreOutOfReachError as error:
        logger.warning("no sign of life could be written to %s: %s", store.root, error)
    thread = threading.Thread(target=beat, name="signs-of-life", daemon=True)
    thread.start()
    try:
        yield log
    except BaseException as error:
        log.end(*ended(error))
        raise
    else:
        log.end("completed")
    finally:
        stopped.set()
        thread.join()


def run_address(pool: str, run: str) -> str:
    """Return the address of a run's file, relative to the root."""
    return f"{pool_runs(pool)}/{run}.json"


def pool_runs(pool: str) -> str:
    """Return the folder of a pool's runs, relative to the root."""
    return f"runs/{pool}"


def read_run(store: Store, pool: str, run: str) -> RunState | None:
    """Return the state of a run, or None before its file exists.

    A file that holds no run's state is logged and ignored, and so is a store that does not answer or refuses.
    """
    try:
        return _read(store, pool, run)
    except ValueError as error:
        logger.warning("%s: not a run's file: %s", store.address(run_address(pool, run)), error)
    except MetaclipError as error:
        logger.warning("the sign of life of run %s cannot be read now: %s", run, error)
    return None


def _read(store: Store, pool: str, run: str) -> RunState | None:
    """Return the state of a run, or None before its file exists.

    Raises:
        StoreError: if the store does not give the file.
        ValueError: if the file holds something else.
    """
    content = store.read(run_address(pool, run))
    try:
        return None if content is None else RunState.model_validate_json(content)
    except ValidationError as error:
        raise ValueError(one_line(error)) from error


def runs_of(store: Store, pool: str) -> list[RunState]:
    """Return the runs of a pool, sorted by their start."""
    found = (read_run(store, pool, name) for name in store.names(pool_runs(pool)))
    return sorted((run for run in found if run is not None), key=lambda run: (run.started, run.run))


class Neighbours(NamedTuple):
    """Runs of a pool that have not said that they ended."""

    alive: list[RunState]
    """Those that gave a sign of life lately, by the store's own clock."""
    silent: list[RunState]
    """The others: their machine or their process is gone, or does not reach the store."""


def neighbours(store: Store, pool: str, mine: str) -> Neighbours:
    """Return the other runs of a pool that have not ended, for a run that has just written its own sign of life.

    Ages are told by the times at which the store itself says that the files were written, so that the clocks of
    machines do not matter.
    """
    written = {PurePosixPath(file.path).stem: file.modified for file in store.files(pool_runs(pool))}
    now = max(written.values(), default=_now())
    alive: list[RunState] = []
    silent: list[RunState] = []
    for name, modified in sorted(written.items()):
        run = None if name == mine else read_run(store, pool, name)
        if run is not None and run.state == "running":
            (alive if (now - modified).total_seconds() < ALIVE_SECONDS else silent).append(run)
    return Neighbours(alive, silent)


def end_silent(store: Store, run: RunState, state: State, message: str) -> None:
    """Write into the file of a run that gives no sign of life how it ended."""
    ended = run.model_copy(update={"state": state, "message": message[:500]})
    store.write_whole(run_address(run.pool, run.run), json_bytes(ended.model_dump(mode="json")))


def active(store: Store) -> list[RunState]:
    """Return the active runs of all pools."""
    return [run for pool in store.folders("runs") for run in runs_of(store, pool) if run.is_active]


@dataclass(frozen=True)
class Signs:
    """What all signs of life in a store say, for somebody who must be sure."""

    runs: list[RunState]
    doubts: list[str]
    """Files from which it cannot be told whether a run goes on, and why."""


def all_signs(store: Store) -> Signs:
    """Read the files of all runs; nothing that cannot be read is passed over.

    Raises:
        StoreError: if the store cannot be listed.
    """
    runs: list[RunState] = []
    doubts: list[str] = []
    modified = {file.path: file.modified for file in store.files("runs")}
    for pool in store.folders("runs"):
        for name in store.names(pool_runs(pool)):
            address = run_address(pool, name)
            try:
                run = _read(store, pool, name)
            except (OSError, MetaclipError, ValueError) as error:
                doubts.append(f"{store.address(address)} cannot be read ({' '.join(str(error).split())[:200]})")
                continue
            if run is not None:
                runs.append(run)
                doubt = _doubt(run, modified.get(address))
                doubts += [f"{store.address(address)} {doubt}"] if doubt else []
    return Signs(runs, doubts)


def _doubt(run: RunState, modified: datetime | None) -> str | None:
    """Return why the times of a run's file do not tell whether it goes on; None if they do."""
    now, tolerance = _now(), timedelta(seconds=ALIVE_SECONDS)
    if run.state != "running":
        return None
    if run.updated > now + tolerance:
        return f"has its last sign in the future, at {run.updated:%Y-%m-%d %H:%M:%S}: some clock is wrong"
    if not run.is_active and modified is not None and modified > now - tolerance:
        return f"was written just now and says {run.updated:%Y-%m-%d %H:%M:%S}: the clock of {run.host} is wrong"
    return None


def _now() -> datetime:
    return datetime.now(UTC)
