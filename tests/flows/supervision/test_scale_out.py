"""Runs on other workers that crash, vanish, fail, or wait; the test takes the workers' place."""

import logging
import shutil
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextvars import copy_context
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.actions import WorkPoolCreate
from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterDeploymentId
from prefect.client.schemas.objects import FlowRun, State
from prefect.states import Completed, Crashed, Failed, Pending, Running

from flows.curate import curate
from flows.match import match_shards
from flows.supervision import supervisor
from metaclip.config.settings import Config
from metaclip.errors import ConfigError, StageError, WorkerLostError
from tests.conftest import MakeConfig

LOST_AFTER = 2.0
PENDING = 6.0


class Deployment:
    """`match-shards` on a work pool that no worker serves."""

    def __init__(self, client: SyncPrefectClient) -> None:
        self._client = client
        name = f"nobody-{uuid4().hex[:8]}"
        client.create_work_pool(WorkPoolCreate(name=name, type="process"))
        flow = client.create_flow(match_shards)
        self._id = client.create_deployment(flow, name, work_pool_name=name)
        self.name = f"match-shards/{name}"

    def runs(self) -> list[FlowRun]:
        """Return the runs, oldest first."""
        mine = FlowRunFilter(deployment_id=FlowRunFilterDeploymentId(any_=[self._id]))
        return sorted(self._client.read_flow_runs(flow_run_filter=mine), key=lambda run: run.created or run.name)

    def await_run(self, number: int) -> UUID:
        """Return the id of a run, counted from 0, when it has been started."""
        deadline = time.monotonic() + 120
        while len(runs := self.runs()) <= number:
            assert time.monotonic() < deadline, f"run {number} was not started: {runs}"
            time.sleep(0.1)
        return runs[number].id

    def become(self, run: UUID, state: State[Any]) -> None:
        """Do what a worker does with a run's state."""
        self._client.set_flow_run_state(run, state, force=True)

    def start_other(self) -> UUID:
        """Start a run of somebody else."""
        other = self._client.create_flow_run_from_deployment(self._id).id
        self.become(other, Running())
        return other

    @property
    def states(self) -> list[str]:
        return [run.state.type.value for run in self.runs() if run.state is not None]


@pytest.fixture
def deployment(prefect_server: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Deployment]:
    monkeypatch.setattr(supervisor, "POLL_SECONDS", 0.1)
    with get_client(sync_client=True) as client:
        yield Deployment(client)


@pytest.fixture
def waiting(finished: MakeConfig, deployment: Deployment, tmp_path: Path) -> tuple[Config, Callable[[], object]]:
    """A pool with one matched shard gone, and what brings that back as a worker's run would."""
    execution = {
        "processes": 2,
        "deployment": deployment.name,
        "lost_after_seconds": LOST_AFTER,
        "pending_seconds": PENDING,
        "retries": 1,
    }
    config = finished(execution=execution)
    gone = next(Path(config.storage).glob("match-v*/*"))
    shutil.move(gone, tmp_path / "gone")
    return config, lambda: shutil.move(tmp_path / "gone", gone)


def _curate(thread: ThreadPoolExecutor, config: Config) -> Future[Any]:
    # Prefect's settings, such as the server's address, belong to a context.
    return thread.submit(copy_context().run, curate, config, "match")


@pytest.mark.long
def test_a_run_that_waits_for_its_machine_is_not_lost(
    deployment: Deployment, waiting: tuple[Config, Callable[[], object]]
) -> None:
    config, compute = waiting
    with ThreadPoolExecutor(1) as thread:
        curating = _curate(thread, config)
        first = deployment.await_run(0)
        # A run that only waits for a worker is not lost, however long that takes.
        time.sleep(LOST_AFTER + 1)
        assert deployment.states == ["SCHEDULED"]
        # Nor is one whose pod waits for a node. If that takes very long, its worker may have died.
        deployment.become(first, Pending())
        time.sleep(LOST_AFTER + 1)
        assert deployment.states == ["PENDING"]
        for number in (1, 2, 3):  # more often than `retries` allows for losses
            deployment.become(deployment.await_run(number), Pending())
        assert deployment.states[:3] == ["CRASHED"] * 3
        compute()
        deployment.become(deployment.runs()[3].id, Completed())
        summary: Any = curating.result(120)
    (match,) = [stage for stage in summary["stages"] if stage["stage"] == "match"]
    assert (match["tasks"], match["cached"]) == (6, 5)
    assert deployment.states == ["CRASHED", "CRASHED", "CRASHED", "COMPLETED"]


@pytest.mark.slow
def test_a_run_that_is_on_its_way_is_taken_over(
    deployment: Deployment, waiting: tuple[Config, Callable[[], object]]
) -> None:
    config, compute = waiting
    with ThreadPoolExecutor(2) as threads:
        first = _curate(threads, config)
        started = deployment.await_run(0)
        deployment.become(started, Running())
        # The next run of the same work, which knows nothing of the first, such as after the first one's crash.
        second = _curate(threads, config)
        time.sleep(LOST_AFTER / 2)
        compute()
        deployment.become(started, Completed())
        assert first.result(120)["pool"] == second.result(120)["pool"]
    assert deployment.states == ["COMPLETED"]


@pytest.mark.long
def test_who_waits_behind_others_says_so_in_one_line(
    deployment: Deployment,
    waiting: tuple[Config, Callable[[], object]],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(supervisor, "WAITING_SECONDS", 0.2)
    monkeypatch.setattr(supervisor, "get_run_logger", lambda: logging.getLogger("supervision"))
    caplog.set_level(logging.INFO, "supervision")
    config, compute = waiting
    other = deployment.start_other()
    with ThreadPoolExecutor(1) as thread:
        curating = _curate(thread, config)
        started = deployment.await_run(1)
        _until(lambda: "other runs" in caplog.text, curating)
        time.sleep(1)
        early = caplog.text
        deployment.become(other, Completed())
        _until(lambda: "no worker takes" in caplog.text, curating)
        compute()
        deployment.become(started, Completed())
        curating.result(120)
    assert "no worker takes" not in early
    pool = f"work pool {deployment.name.rpartition('/')[2]}, queue default"
    said = [line for line in caplog.messages if pool in line]
    assert said == [
        f"waits for {pool}, whose workers are busy with 1 other runs",
        f"no worker takes any of 1 runs; start one for {pool}",
    ]


def _until(reached: Callable[[], bool], curating: Future[Any]) -> None:
    deadline = time.monotonic() + 20
    while not reached() and not curating.done() and time.monotonic() < deadline:
        time.sleep(0.1)


def test_another_setting_is_no_run_to_take_over() -> None:
    parameters = {"config": {"match": {"languages": ["en"]}}, "first": 0, "last": 6}
    other = {"config": {"match": {"languages": []}}, "first": 0, "last": 6}
    assert supervisor.tag_of("shards", parameters) == supervisor.tag_of("shards", dict(reversed(parameters.items())))
    assert supervisor.tag_of("shards", parameters) != supervisor.tag_of("shards", other)


@pytest.mark.slow
def test_more_runs_than_the_server_tells_of_at_once(
    deployment: Deployment, finished: MakeConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(supervisor, "RUNS_AN_ANSWER", 1)
    config = finished(execution={"processes": 2, "deployment": deployment.name, "shards_per_run": 3})
    (matched,) = Path(config.storage).glob("match-v*")
    shutil.move(matched, tmp_path / "gone")
    with ThreadPoolExecutor(1) as thread:
        curating = _curate(thread, config)
        runs = [deployment.await_run(number) for number in range(2)]
        shutil.move(tmp_path / "gone", matched)
        for run in runs:
            deployment.become(run, Completed())
        summary = curating.result(120)
    (match,) = [stage for stage in summary["stages"] if stage["stage"] == "match"]
    assert (match["tasks"], match["cached"]) == (6, 0)


@pytest.mark.long
@pytest.mark.parametrize("state", [Running, Crashed])
def test_a_range_whose_runs_are_lost_again_and_again_is_given_up(
    deployment: Deployment, waiting: tuple[Config, Callable[[], object]], state: Callable[[], State[Any]]
) -> None:
    with ThreadPoolExecutor(1) as thread:
        curating = _curate(thread, waiting[0])
        for number in range(2):
            deployment.become(deployment.await_run(number), state())
        with pytest.raises(WorkerLostError, match="given up after 2 runs"):
            curating.result(120)
    assert deployment.states == ["CRASHED", "CRASHED"]


@pytest.mark.slow
def test_a_run_that_fails_is_not_started_again(
    deployment: Deployment, waiting: tuple[Config, Callable[[], object]]
) -> None:
    with ThreadPoolExecutor(1) as thread:
        curating = _curate(thread, waiting[0])
        deployment.become(deployment.await_run(0), Failed(message="StageError: 3 of 6 files failed"))
        with pytest.raises(StageError, match=r"shards 0 to 6.*3 of 6 files failed"):
            curating.result(120)
    assert deployment.states == ["FAILED"]


def test_a_run_that_ends_well_without_its_outputs_is_told(
    deployment: Deployment, waiting: tuple[Config, Callable[[], object]]
) -> None:
    with ThreadPoolExecutor(1) as thread:
        curating = _curate(thread, waiting[0])
        deployment.become(deployment.await_run(0), Completed())
        with pytest.raises(StageError, match="1 outputs are not where this run looks for them"):
            curating.result(120)


def test_a_deployment_that_is_not_registered_is_told(
    waiting: tuple[Config, Callable[[], object]],
) -> None:
    config, _ = waiting
    execution = config.execution.model_copy(update={"deployment": "match-shards/nowhere"})
    with pytest.raises(ConfigError, match="deploy --all"):
        curate(config.model_copy(update={"execution": execution}), "match")
