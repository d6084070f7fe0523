"""Ranges of work on other workers: start a run of a deployment for each, and supervise them.

A run may crash, or it may disappear: if a worker is killed together with its run, the run stays Running
for ever. So this module does not rely on the state of a run. A run must give signs of life: a change of
its state, or of its file in the store (`metaclip.pool.run_log`). A run that gives none for
`execution.lost_after_seconds` is set Crashed and started again. If a lost run still continues, both runs
of the range write the same bytes.

A run that is Scheduled waits for a worker, and one that is Pending for its machine, such as a pod for a
node or an image. Both are waited for. A run that is Pending for `execution.pending_seconds` may have lost
its worker, so it is started again; that does not count as a loss.

The run that supervises may crash as well. Its next attempt, or the next run of the same work, takes over
what is still on its way: a run is found by a tag that is made of all of its parameters.
"""

import hashlib
import json
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import reduce
from typing import Any, Literal
from uuid import UUID

import httpx
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.filters import (
    FlowRunFilter,
    FlowRunFilterId,
    FlowRunFilterState,
    FlowRunFilterStateType,
    FlowRunFilterTags,
    WorkPoolFilter,
    WorkPoolFilterName,
    WorkQueueFilter,
    WorkQueueFilterName,
)
from prefect.client.schemas.objects import FlowRun, StateType
from prefect.deployments import run_deployment
from prefect.exceptions import ObjectNotFound, PrefectHTTPStatusError
from prefect.logging import get_run_logger
from prefect.logging.loggers import LoggingAdapter
from prefect.runtime import flow_run
from prefect.settings import PREFECT_CLIENT_MAX_RETRIES, temporary_settings
from prefect.states import Crashed

from metaclip.config.settings import Config
from metaclip.errors import ConfigError, StageError, WorkerLostError
from metaclip.pool.run_log import RunState, StageState, read_run
from metaclip.processes.meter import NOTHING, Cost
from metaclip.store.store import Store
from tasks.progress import Progress, current_progress

POLL_SECONDS = 2.0
RUNS_AN_ANSWER = 200
"""The maximum number of runs in one answer of Prefect's server."""

WAITING_SECONDS = 120.0
"""If no worker takes any run for this time, the log says how to start a worker."""

_ON_ITS_WAY = (StateType.SCHEDULED, StateType.PENDING, StateType.RUNNING)


@dataclass
class Range:
    """One range that is being done: its newest run, and the time of its last sign of life."""

    first: int
    last: int
    attempt: int = 0
    run: UUID | None = None
    sign: tuple[object, ...] = ()
    seen: float = 0.0
    told: RunState | None = None
    kind: StateType | None = None
    failure: str | None = None
    history: list[str] = field(default_factory=list)
    lost: Cost = NOTHING
    """What its earlier runs took, which were lost."""


@dataclass(frozen=True)
class Work:
    """What the ranges are of, and how a run does one."""

    what: str
    """Such as `shards`; it differs from all other work of the same run."""
    setting: str
    """Names the setting that has the deployment."""
    deployment: str
    parameters: Mapping[str, Any]
    """Of each run, beside `first` and `last`."""
    standing: int
    """How many ranges need no run."""
    progress: Callable[[Mapping[int, RunState]], Mapping[str, StageState]]
    """Adds up the progress of stages from what stands and from what the newest run of each range tells, by `first`."""


class Supervisor:
    """Keeps up to `execution.runs_at_once` runs active until every range is done or given up."""

    def __init__(self, config: Config, work: Work, waiting: Sequence[Range]) -> None:
        self._config = config
        self._work = work
        self._waiting = list(waiting)
        self._all = tuple(waiting)
        self._running: list[Range] = []
        self._store = Store(config.storage)
        self.logger = get_run_logger()
        self._progress: Progress = current_progress()
        self._outage = _Outage(self.logger)
        self._waited: float | None = None
        """Since when no run has been worked on; 0 after that was said."""
        self._behind_others = False

    def run(self) -> None:
        """Have all ranges done.

        Raises:
            StageError: if a run failed; the other runs finish first.
            WorkerLostError: if a range's run was lost more than `execution.retries` times.
            ConfigError: if the deployment is not registered.
        """
        every, what = self._work.standing + len(self._all), self._work.what
        self.logger.info("%d of %d ranges of %s stand; %d to run", self._work.standing, every, what, len(self._all))
        self._tell()
        # This loop is patient by itself, so requests need not be, and it sees at once that the server is back.
        with temporary_settings({PREFECT_CLIENT_MAX_RETRIES: 0}), get_client(sync_client=True) as client:
            while self._waiting or self._running:
                self._start_some(client)
                time.sleep(POLL_SECONDS)
                self._look(client)
                self._say_what_it_waits_for(client)
                self._tell()
        failures = [one for one in self._all if one.failure is not None]
        if failures:
            lost = all(len(one.history) > self._config.execution.retries for one in failures)
            message = "\n".join(one.failure or "" for one in failures[:10])
            raise (WorkerLostError if lost else StageError)(
                f"{len(failures)} of {every} ranges of {what} could not be done; what was done is kept, so run"
                f" again when the reason is gone.\n{message}"
            )

    def _start_some(self, client: SyncPrefectClient) -> None:
        """Start waiting ranges up to the number of runs at once."""
        while self._waiting and len(self._running) < self._config.execution.runs_at_once:
            one = self._waiting[0]
            try:
                if not (one.attempt == 0 and self._take_over(one, client)):
                    self._start(one)
            except ObjectNotFound as error:
                raise ConfigError(
                    f"{self._work.setting}: no deployment {self._work.deployment!r} is registered; register"
                    " those of prefect.yaml: prefect --no-prompt deploy --all"
                ) from error
            except (httpx.HTTPError, PrefectHTTPStatusError) as error:
                # If the request is repeated with the same key, the server starts no second run.
                self._outage.begin(error)
                return
            self._running.append(self._waiting.pop(0))

    def _parameters(self, one: Range) -> dict[str, Any]:
        return {"config": part_of(self._config), **self._work.parameters, "first": one.first, "last": one.last}

    def _tag(self, one: Range) -> str:
        return tag_of(self._work.what, self._parameters(one))

    def _take_over(self, one: Range, client: SyncPrefectClient) -> bool:
        """Take over a run of the same range and parameters that an earlier supervisor started, if there is one."""
        tagged = FlowRunFilterTags(all_=[self._tag(one)])
        ways = FlowRunFilterState(type=FlowRunFilterStateType(any_=list(_ON_ITS_WAY)))
        found = client.read_flow_runs(flow_run_filter=FlowRunFilter(tags=tagged, state=ways), limit=1)
        if not found:
            return False
        self._begin(one, found[0])
        self.logger.info("%s: run %s is on its way already (%s)", self._where(one), found[0].name, found[0].id)
        return True

    def _start(self, one: Range) -> None:
        tag = self._tag(one)
        started = run_deployment(
            self._work.deployment,
            parameters=self._parameters(one),
            timeout=0,
            tags=[tag],
            # A key that was used before returns that run, so each attempt has its own, and each start of this run.
            idempotency_key=f"{flow_run.id}-{flow_run.run_count}-{tag}-{one.attempt}",
            as_subflow=True,
        )
        assert isinstance(started, FlowRun)
        self._begin(one, started)
        self.logger.info("%s: started run %s (%s)", self._where(one), started.name, started.id)

    def _where(self, one: Range) -> str:
        return f"{self._work.what} {one.first} to {one.last}"

    @staticmethod
    def _begin(one: Range, run: FlowRun) -> None:
        one.run, one.seen, one.sign, one.kind = run.id, time.monotonic(), (), StateType.SCHEDULED

    def _look(self, client: SyncPrefectClient) -> None:
        """Check all runs, and remove those that are done or given up."""
        wanted = [one.run for one in self._running if one.run is not None]
        answers: list[FlowRun] = []
        try:
            for start in range(0, len(wanted), RUNS_AN_ANSWER):
                some = FlowRunFilterId(any_=wanted[start : start + RUNS_AN_ANSWER])
                answers += client.read_flow_runs(flow_run_filter=FlowRunFilter(id=some), limit=RUNS_AN_ANSWER)
            known = {answer.id: answer for answer in answers}
            for one in list(self._running):
                assert one.run is not None
                if self._ended(one, known.get(one.run), client):
                    self._running.remove(one)
        except (httpx.HTTPError, PrefectHTTPStatusError) as error:
            # The runs continue without the server, and this one waits until the server is back.
            self._outage.begin(error)
        else:
            self._outage.end()

    def _ended(self, one: Range, answer: FlowRun | None, client: SyncPrefectClient) -> bool:
        told = read_run(self._store, self._config.pool, str(one.run))
        one.told = told or one.told
        state = answer.state if answer is not None else None
        kind = state.type if state is not None else None
        sign = (kind, state.id if state is not None else None, told.updated if told is not None else None)
        one.kind = kind
        now = time.monotonic()
        if sign != one.sign:
            one.sign, one.seen = sign, now
        if kind == StateType.COMPLETED or (kind is None and told is not None and told.state == "completed"):
            return True
        where = f"{self._where(one)}, run {one.run}"
        message = state.message if state is not None else None
        if kind in (StateType.FAILED, StateType.CANCELLED, StateType.CANCELLING):
            one.failure = f"{where}: {kind.value.lower()}: {message}"
            self.logger.error(one.failure)
            return True
        if kind == StateType.CRASHED:
            return self._lost(one, f"{where}: crashed: {message}")
        silent = now - one.seen
        if kind == StateType.SCHEDULED:
            return False
        is_pending = kind == StateType.PENDING
        execution = self._config.execution
        if silent < (
            max(execution.pending_seconds, execution.lost_after_seconds) if is_pending else execution.lost_after_seconds
        ):
            return False
        reason = f"{where}: no sign of life for {silent:.0f} s"
        if answer is not None:
            client.set_flow_run_state(answer.id, Crashed(message=reason), force=True)
        return self._again(one, f"{where}: Pending for {silent:.0f} s") if is_pending else self._lost(one, reason)

    def _say_what_it_waits_for(self, client: SyncPrefectClient) -> None:
        """Say once that nobody takes the runs, where none of them is being worked on."""
        if any(one.kind not in (StateType.SCHEDULED, StateType.PENDING) for one in self._running) or not self._running:
            self._waited, self._behind_others = None, False
            return
        now = time.monotonic()
        if self._waited is None:
            self._waited = now
        elif self._waited > 0 and now - self._waited > WAITING_SECONDS:
            deployment, count = self._work.deployment, len(self._running)
            if all(one.kind == StateType.PENDING for one in self._running):
                self.logger.warning("waits for the machines of %d runs of %s (all are Pending)", count, deployment)
            else:
                try:
                    queue, others = _at_work(deployment, client)
                except (httpx.HTTPError, PrefectHTTPStatusError, ObjectNotFound) as error:
                    self._outage.begin(error)
                    return
                if others:
                    if not self._behind_others:
                        self.logger.info("waits for %s, whose workers are busy with %d other runs", queue, others)
                    self._waited, self._behind_others = now, True
                    return
                self.logger.warning("no worker takes any of %d runs; start one for %s", count, queue)
            self._waited = 0.0

    def _lost(self, one: Range, reason: str) -> Literal[True]:
        """Handle a run that is lost: start its range again, or give it up."""
        one.history.append(reason)
        if len(one.history) > self._config.execution.retries:
            one.failure = f"{reason} (given up after {len(one.history)} runs)"
            self.logger.error(one.failure)
            return True
        return self._again(one, reason)

    def _again(self, one: Range, reason: str) -> Literal[True]:
        self.logger.warning("%s; starting it again", reason)
        one.attempt += 1
        if one.told is not None:
            one.lost, one.told = one.lost.plus(one.told.cost), None
        self._waiting.insert(0, one)
        return True

    def _tell(self) -> None:
        """Tell what existed before, and what the runs tell: progress, cost, and what failed."""
        told = {one.first: one.told for one in self._all if one.told is not None}
        self._progress.replace(dict(self._work.progress(told)))
        costs = [*(one.lost for one in self._all), *(run.cost for run in told.values())]
        failed = Counter[str]()
        for run in told.values():
            failed.update(run.failed_tasks)
        failed["WorkerLostError"] += sum(len(one.history) for one in self._all)
        self._progress.logger.told_by_runs(self._work.what, reduce(Cost.plus, costs, NOTHING), +failed)


class _Outage:
    """Says once that the Prefect server does not answer, and once that it does again."""

    def __init__(self, logger: LoggingAdapter) -> None:
        self._logger = logger
        self._begun: float | None = None

    def begin(self, error: Exception) -> None:
        if self._begun is None:
            self._begun = time.monotonic()
            reason = " ".join(str(error).split())[:120] or type(error).__name__
            self._logger.warning("the Prefect server does not answer (%s); this run waits for it", reason)

    def end(self) -> None:
        if self._begun is not None:
            self._logger.info("the Prefect server answers again, after %.0f s", time.monotonic() - self._begun)
            self._begun = None


def _at_work(deployment: str, client: SyncPrefectClient) -> tuple[str, int]:
    """Return the name of the queue that a deployment's runs wait in, and how many runs its workers are busy with."""
    found = client.read_deployment_by_name(deployment)
    pool, queue = str(found.work_pool_name), str(found.work_queue_name)
    busy = client.read_flow_runs(
        flow_run_filter=FlowRunFilter(state=FlowRunFilterState(type=FlowRunFilterStateType(any_=[StateType.RUNNING]))),
        work_pool_filter=WorkPoolFilter(name=WorkPoolFilterName(any_=[pool])),
        work_queue_filter=WorkQueueFilter(name=WorkQueueFilterName(any_=[queue])),
        limit=RUNS_AN_ANSWER,
    )
    return f"work pool {pool}, queue {queue}", len(busy)


def tag_of(what: str, parameters: Mapping[str, Any]) -> str:
    """Return the tag of a run with these parameters, by which another supervisor finds it."""
    digest = hashlib.sha256(json.dumps(parameters, sort_keys=True).encode()).hexdigest()
    return f"{what} {parameters['first']}-{parameters['last']} {digest[:16]}"


def part_of(config: Config) -> dict[str, Any]:
    """Return the configuration of one run on a worker, with its part of the parallel downloads."""
    # The worker chooses what has no explicit value, such as the number of processes.
    part = config.model_dump(mode="json", exclude_unset=True)
    part["source"]["max_downloads"] = config.source.max_downloads // config.execution.runs_at_once
    for name in ("deployment", "parts_deployment"):  # it starts no runs of its own
        part["execution"].pop(name, None)
    return part


def add(total: StageState, part: StageState) -> None:
    """Add to the progress of a stage what one run did of it."""
    total.done += part.done
    total.cached += part.cached
    total.failed += part.failed
    total.rows += part.rows
    total.seconds += part.seconds
    total.bytes_read += part.bytes_read
    total.updated = max(total.updated, part.updated)


def from_nothing(begun: StageState) -> StageState:
    """Return the progress of a stage that has begun, as if nothing of it were done."""
    nothing = {"done": 0, "cached": 0, "failed": 0, "rows": 0, "seconds": 0.0, "bytes_read": 0}
    return begun.model_copy(update=nothing)
