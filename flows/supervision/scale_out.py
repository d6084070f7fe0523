"""Ranges of shards on other workers: start a run of `match-shards` for each, and supervise them.

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
from collections.abc import Mapping, Sequence
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
from metaclip.store.manifest import Reference
from metaclip.store.store import Store
from tasks.checkpoint import Done
from tasks.progress import Progress, current_progress
from tasks.shards import STAGES_OF, FoundRange, find_ranges

POLL_SECONDS = 2.0
RUNS_AN_ANSWER = 200
"""The maximum number of runs in one answer of Prefect's server."""

WAITING_SECONDS = 120.0
"""If no worker takes any run for this time, the log says how to start a worker."""

_ON_ITS_WAY = (StateType.SCHEDULED, StateType.PENDING, StateType.RUNNING)


@dataclass
class _Range:
    """One range that is being done: its newest run, and the time of its last sign of life."""

    found: FoundRange
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


def match_on_workers(
    config: Config,
    shards: str,
    before: Sequence[FoundRange],
    metadata: tuple[Reference, ...],
    until: Literal["extract", "match"],
) -> list[Done]:
    """Process all ranges by runs of `execution.deployment`; return the outputs, stage by stage, in their order.

    Args:
        config: the pool's configuration.
        shards: address of the frozen listing.
        before: what the store has of each range; those whose outputs exist are not run.
        metadata: the list of entries.
        until: the last stage.

    Raises:
        StageError: if a run failed; the other runs finish first.
        WorkerLostError: if a range's run was lost more than `execution.retries` times.
    """
    waiting = [_Range(found) for found in before if found.missing(until)]
    _Supervisor(config, shards, until, before, waiting).run()
    after = {found.first: found for found in before}
    if waiting:
        again = find_ranges(config, shards, [(one.found.first, one.found.last) for one in waiting], metadata, until)
        after |= {found.first: found for found in again}
    told = {one.found.first: one.told for one in waiting}
    for found in after.values():
        if found.missing(until):
            raise StageError(
                f"shards {found.first} to {found.last}: the run ended well, yet {found.missing(until)} outputs are not"
                " where this run looks for them. Workers must have the same version of this package and of the"
                " language model, the same storage, and no task may delete outputs meanwhile"
            )
    return [
        done
        for stage in STAGES_OF[until]
        for found in before
        for done in _outputs(stage, found, after[found.first], told.get(found.first))
    ]


def _outputs(stage: str, before: FoundRange, after: FoundRange, told: RunState | None) -> list[Done]:
    """Return a range's outputs of one stage; the time of their run is divided among those that it computed."""
    numbers = range(len(after.shards))
    computed = sum(before.output(stage, number) is None for number in numbers)
    seconds = told.stages[stage].seconds if told is not None and stage in told.stages else 0.0
    done = []
    for number in numbers:
        output = after.output(stage, number)
        assert output is not None
        cached = before.output(stage, number) is not None
        done.append(Done(stage, output, cached, 0.0 if cached else seconds / computed))
    return done


class _Supervisor:
    """Keeps up to `execution.runs_at_once` runs active until every range is done or given up."""

    def __init__(
        self, config: Config, shards: str, until: str, found: Sequence[FoundRange], waiting: Sequence[_Range]
    ) -> None:
        self._config = config
        self._shards = shards
        self._until = until
        self._found = found
        self._waiting = list(waiting)
        self._all = tuple(waiting)
        self._running: list[_Range] = []
        self._store = Store(config.storage)
        self.logger = get_run_logger()
        self._progress: Progress = current_progress()
        self._outage = _Outage(self.logger)
        self._waited: float | None = None
        """Since when no run has been worked on; 0 after that was said."""
        self._behind_others = False
        self._begun = self._progress.stages()

    def run(self) -> None:
        standing = len(self._found) - len(self._all)
        self.logger.info("%d of %d ranges of shards stand; %d to run", standing, len(self._found), len(self._all))
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
                f"{len(failures)} of {len(self._found)} ranges of shards could not be done; what was done is kept, so"
                f" run again when the reason is gone.\n{message}"
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
                    f"execution.deployment: no deployment {self._config.execution.deployment!r} is registered;"
                    " register those of prefect.yaml: prefect --no-prompt deploy --all"
                ) from error
            except (httpx.HTTPError, PrefectHTTPStatusError) as error:
                # If the request is repeated with the same key, the server starts no second run.
                self._outage.begin(error)
                return
            self._running.append(self._waiting.pop(0))

    def _parameters(self, one: _Range) -> dict[str, Any]:
        return {
            "config": part_of(self._config),
            "shards": self._shards,
            "first": one.found.first,
            "last": one.found.last,
            "until": self._until,
        }

    def _take_over(self, one: _Range, client: SyncPrefectClient) -> bool:
        """Take over a run of the same range and parameters that an earlier supervisor started, if there is one."""
        tagged = FlowRunFilterTags(all_=[tag_of(self._parameters(one))])
        ways = FlowRunFilterState(type=FlowRunFilterStateType(any_=list(_ON_ITS_WAY)))
        found = client.read_flow_runs(flow_run_filter=FlowRunFilter(tags=tagged, state=ways), limit=1)
        if not found:
            return False
        self._begin(one, found[0])
        self.logger.info(
            "shards %d to %d: run %s is on its way already (%s)",
            one.found.first,
            one.found.last,
            found[0].name,
            found[0].id,
        )
        return True

    def _start(self, one: _Range) -> None:
        assert self._config.execution.deployment is not None
        parameters = self._parameters(one)
        first, last = one.found.first, one.found.last
        started = run_deployment(
            self._config.execution.deployment,
            parameters=parameters,
            timeout=0,
            tags=[tag_of(parameters)],
            # A key that was used before returns that run, so each attempt has its own, and each start of this run.
            idempotency_key=f"{flow_run.id}-{flow_run.run_count}-{first}-{last}-{one.attempt}",
            as_subflow=True,
        )
        assert isinstance(started, FlowRun)
        self._begin(one, started)
        self.logger.info("shards %d to %d: started run %s (%s)", first, last, started.name, started.id)

    @staticmethod
    def _begin(one: _Range, run: FlowRun) -> None:
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

    def _ended(self, one: _Range, answer: FlowRun | None, client: SyncPrefectClient) -> bool:
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
        where = f"shards {one.found.first} to {one.found.last}, run {one.run}"
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
            deployment, count = self._config.execution.deployment, len(self._running)
            if all(one.kind == StateType.PENDING for one in self._running):
                self.logger.warning("waits for the machines of %d runs of %s (all are Pending)", count, deployment)
            else:
                try:
                    queue, others = _at_work(str(deployment), client)
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

    def _lost(self, one: _Range, reason: str) -> Literal[True]:
        """Handle a run that is lost: start its range again, or give it up."""
        one.history.append(reason)
        if len(one.history) > self._config.execution.retries:
            one.failure = f"{reason} (given up after {len(one.history)} runs)"
            self.logger.error(one.failure)
            return True
        return self._again(one, reason)

    def _again(self, one: _Range, reason: str) -> Literal[True]:
        self.logger.warning("%s; starting it again", reason)
        one.attempt += 1
        if one.told is not None:
            one.lost, one.told = one.lost.plus(one.told.cost), None
        self._waiting.insert(0, one)
        return True

    def _tell(self) -> None:
        """Add up the outputs that existed before and the progress of the runs."""
        stages = {}
        for stage, begun in self._begun.items():
            if stage not in ("extract", "match"):
                continue
            total = begun.model_copy(
                update={"done": 0, "cached": 0, "failed": 0, "rows": 0, "seconds": 0.0, "bytes_read": 0}
            )
            told = {one.found.first: one.told for one in self._all}
            for found in self._found:
                run = told.get(found.first)
                if run is not None and stage in run.stages:
                    _add(total, run.stages[stage])
                else:
                    outputs = [one.extracted if stage == "extract" else one.matched for one in found.shards]
                    standing = sum(output is not None for output in outputs)
                    total.done += standing
                    total.cached += standing
            stages[stage] = total
        self._progress.replace(stages)
        costs = [each for one in self._all for each in (one.lost, one.told.cost if one.told is not None else NOTHING)]
        failed = Counter[str]()
        for one in self._all:
            failed.update(one.told.failed_tasks if one.told is not None else {})
        failed["WorkerLostError"] += sum(len(one.history) for one in self._all)
        self._progress.logger.told_by_runs(reduce(Cost.plus, costs, NOTHING), failed)


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


def tag_of(parameters: Mapping[str, Any]) -> str:
    """Return the tag of a run with these parameters, by which another supervisor finds it."""
    digest = hashlib.sha256(json.dumps(parameters, sort_keys=True).encode()).hexdigest()
    return f"shards {parameters['first']}-{parameters['last']} {digest[:16]}"


def part_of(config: Config) -> dict[str, Any]:
    """Return the configuration of one run on a worker, with its part of the parallel downloads."""
    # The worker chooses what has no explicit value, such as the number of processes.
    part = config.model_dump(mode="json", exclude_unset=True)
    part["source"]["max_downloads"] = config.source.max_downloads // config.execution.runs_at_once
    part["execution"].pop("deployment", None)  # it starts no runs of its own
    return part


def _add(total: StageState, part: StageState) -> None:
    total.done += part.done
    total.cached += part.cached
    total.failed += part.failed
    total.rows += part.rows
    total.seconds += part.seconds
    total.bytes_read += part.bytes_read
    total.updated = max(total.updated, part.updated)
