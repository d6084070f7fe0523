"""Showing something in the UI never ends a run."""

import logging
import time

import httpx
import pytest
from prefect.artifacts import create_markdown_artifact
from prefect.client.orchestration import get_client
from prefect.settings import PREFECT_API_URL, temporary_settings

from metaclip.pool.run_log import RunLog, RunState, StageState
from metaclip.store.store import Store
from tasks import artifacts, progress
from tasks.artifacts import show
from tasks.progress import Progress, told
from tests.s3 import free_ports
from tests.tasks.test_progress import NOW


@pytest.fixture
def log() -> RunLog:
    return RunLog(
        Store("memory://shown"), RunState(pool="p", run="r", flow="curate", host="h", started=NOW, updated=NOW)
    )


@pytest.mark.slow
def test_an_outage_is_logged_and_goes_by(
    prefect_server: str, log: RunLog, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(progress, "UPDATE_SECONDS", 0.0)
    shown = Progress("p", log)
    shown.expect("match", 3)
    ((before, _),) = shown._artifacts.values()
    assert before is not None
    with caplog.at_level(logging.WARNING), temporary_settings({PREFECT_API_URL: _nowhere()}):
        shown.finished("match", cached=False, rows=1, seconds=1.0)
    assert "the progress of match is not shown" in caplog.text
    shown.finished("match", cached=False, rows=1, seconds=1.0)
    with get_client(sync_client=True) as client:
        client.delete_artifact(before)
        # An artifact that is gone is made again.
        shown.finished("match", cached=False, rows=1, seconds=1.0)
        ((after, _),) = shown._artifacts.values()
        assert after != before
        found = client.request("GET", "/artifacts/{id}", path_params={"id": after}).json()
    assert found["data"] == 100
    assert found["description"].startswith("match: 3 of 3 done")


@pytest.mark.long
def test_what_is_shown_at_the_end_is_tried_again_for_a_while(
    prefect_server: str, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(artifacts, "_RETRY_SECONDS", 0.01)
    tried: list[float] = []

    def call() -> object:
        tried.append(time.monotonic())
        if len(tried) < 3:
            with temporary_settings({PREFECT_API_URL: _nowhere()}):
                return create_markdown_artifact("text", key="shown")
        return create_markdown_artifact("text", key="shown")

    assert show("the report", call, patience=60.0) is not None
    assert len(tried) == 3
    assert show("the report", lambda: (_ for _ in ()).throw(httpx.ConnectError("refused"))) is None
    assert "the report is not shown, because the Prefect server does not answer (refused)" in caplog.text


def test_a_mistake_of_the_code_is_not_taken_for_an_outage() -> None:
    with pytest.raises(ZeroDivisionError):
        show("the report", lambda: 1 // 0)


def _nowhere() -> str:
    return f"http://127.0.0.1:{free_ports(1)[0]}/api"


def test_stage_without_a_rate_tells_its_numbers_alone() -> None:
    assert told("match", StageState(total=3, started=NOW, updated=NOW)) == ("match: 0 of 3 done (0 found in the store)")
