"""Runs of one pool take turns, and runs whose machine is gone are ended; the test takes the other runs' place."""

import os
import time
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from pathlib import Path
from uuid import UUID, uuid4

import pytest
from prefect import flow
from prefect.client.orchestration import get_client
from prefect.client.schemas.objects import StateType
from prefect.states import Completed, Crashed, Running

from flows.supervision import turns
from flows.supervision.turns import give_up_after_crashes, in_turn
from metaclip.config.settings import Config
from metaclip.errors import WorkerLostError
from metaclip.pool.run_log import ALIVE_SECONDS, RunLog, RunState, read_run, run_address, run_log
from metaclip.store.store import Store
from tests.conftest import MakeConfig


@flow(name="curate")
def _turn(config: Config) -> str:
    with in_turn(config):
        return "done"


@pytest.fixture
def config(make_config: MakeConfig, prefect_server: str, monkeypatch: pytest.MonkeyPatch) -> Config:
    monkeypatch.setenv("PREFECT__RUNTIME__DEPLOYMENT__ID", str(uuid4()))  # as in a run that a deployment started
    monkeypatch.setattr(turns, "POLL_SECONDS", 0.05)
    return make_config()


def _other_run() -> str:
    """Return the id of a run that Prefect takes for running."""
    with get_client(sync_client=True) as client:
        return str(client.create_flow_run(_turn, state=Running()).id)


def _file(config: Config, run: str) -> Path:
    return Path(config.storage) / run_address(config.pool, run)


def test_a_run_waits_for_one_of_the_same_pool_and_for_no_other(config: Config) -> None:
    other = config.model_copy(update={"pool": "another"})
    with (
        run_log(Store(config.storage), config.pool, first := _other_run(), "curate"),
        run_log(Store(config.storage), config.pool, _other_run(), "match-shards", first),
        ThreadPoolExecutor(1) as thread,
    ):
        assert _turn(other) == "done"
        waiting = thread.submit(copy_context().run, _turn, config)
        mine = _await_waiting(config, first)
        assert not waiting.done()
        with get_client(sync_client=True) as client:
            client.set_flow_run_state(UUID(first), Completed(), force=True)
        assert waiting.result(60) == "done"
    ended = read_run(Store(config.storage), config.pool, mine)
    assert ended is not None
    assert (ended.state, ended.waits_for) == ("completed", "")


def _await_waiting(config: Config, first: str) -> str:
    """Return the id of the run that says that it waits for the first one."""
    store, deadline = Store(config.storage), time.monotonic() + 60
    while time.monotonic() < deadline:
        for name in store.names(f"runs/{config.pool}"):
            run = read_run(store, config.pool, name)
            if run is not None and run.waits_for == first:
                return name
        time.sleep(0.05)
    raise AssertionError("no run waits")


def test_of_two_that_wait_the_older_goes_first() -> None:
    states = [
        RunState.model_validate(
            {
                "pool": "p",
                "run": name,
                "flow": "curate",
                "host": "h",
                "waits_for": waits_for,
                "started": f"2026-01-01T00:00:0{second}Z",
                "updated": "2026-01-01T00:01:00Z",
            }
        )
        for name, waits_for, second in (("a", "x", 1), ("b", "x", 2), ("c", "", 3))
    ]
    older, younger, working = states
    assert turns._is_ahead(older, younger, None)
    assert not turns._is_ahead(younger, older, None)
    assert turns._is_ahead(working, older, Running())
    assert not turns._is_ahead(working, older, Crashed())


def test_a_run_whose_machine_is_gone_is_set_crashed_by_the_next(
    config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(turns, "ALIVE_SECONDS", -60.0)
    store, ghost, stranger = Store(config.storage), _other_run(), "of-another-server"
    now = RunLog(store, RunState.model_validate({**_STATE, "run": ghost, "pool": config.pool})).state
    for name in (ghost, stranger):
        RunLog(store, now.model_copy(update={"run": name})).write_or_fail()
        old = time.time() - ALIVE_SECONDS - 60
        os.utime(_file(config, name), (old, old))
    assert _turn(config) == "done"
    with get_client(sync_client=True) as client:
        state = client.read_flow_run(UUID(ghost)).state
    assert state is not None
    assert state.type == StateType.CRASHED
    assert "no sign of life since" in str(state.message)
    told = read_run(store, config.pool, ghost)
    assert told is not None
    assert told.state == "failed"
    assert read_run(store, config.pool, stranger) is not None


_STATE = {"flow": "curate", "host": "gone", "started": "2026-01-01T00:00:00Z", "updated": "2026-01-01T00:00:00Z"}


def test_a_run_that_crashed_too_often_is_given_up(config: Config) -> None:
    @flow(name="curate")
    def crashing(crashes: int) -> None:
        from prefect.runtime import flow_run

        with get_client(sync_client=True) as client:
            for _ in range(crashes):
                client.set_flow_run_state(UUID(str(flow_run.id)), Crashed(), force=True)
                client.set_flow_run_state(UUID(str(flow_run.id)), Running(), force=True)
        give_up_after_crashes(2)

    crashing(2)
    with pytest.raises(WorkerLostError, match="crashed 3 times within a day"):
        crashing(3)
