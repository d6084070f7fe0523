"""Many outputs of a stage: few task runs make them, and what fails keeps nothing else from being made."""

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from prefect import flow
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterId
from prefect.runtime import flow_run

from metaclip.config.loading import parse_config
from metaclip.config.settings import Config
from metaclip.demo import ENTRIES
from metaclip.errors import MetaclipError, WorkerLostError
from metaclip.prepare.jobs import check
from tasks import checkpoint
from tasks.checkpoint import Done, outputs_a_task, run_all
from tasks.progress import reporting
from tasks.stages import extract
from tasks.workers import workers_for

SHARDS = 70


@pytest.fixture
def config(tmp_path: Path, prefect_server: str) -> Config:
    source = tmp_path / "source"
    source.mkdir()
    for number in range(SHARDS):
        pair = {"url": f"https://example.org/{number}.jpg", "text": "a dog"}
        (source / f"{number:03d}.jsonl").write_text(json.dumps(pair) + "\n")
    return parse_config(
        {
            "pool": "several",
            "storage": str(tmp_path / "pool"),
            "source": {"paths": [str(source)]},
            "metadata": {"entries": str(ENTRIES)},
            "execution": {"processes": 2, "retries": 1},
        }
    )


def _extract(config: Config) -> tuple[list[Done], int]:
    """Extract all shards; return the results and the number of task runs."""
    arguments = [(shard,) for shard in check(config).shards]

    @flow(name="curate")
    def run() -> tuple[list[Done], str]:
        with reporting(config), workers_for(config):
            return run_all(extract, config, arguments), str(flow_run.id)

    done, name = run()
    return done, _task_runs(name)


def _task_runs(run: str) -> int:
    with get_client(sync_client=True) as client:
        wanted = FlowRunFilter(id=FlowRunFilterId(any_=[UUID(run)]))
        count, since = 0, time.monotonic()
        while time.monotonic() < since + 3:  # the server records them a moment after they end
            found = len(client.read_task_runs(flow_run_filter=wanted))
            if found != count:
                count, since = found, time.monotonic()
            time.sleep(0.2)
    return count


@pytest.mark.parametrize(
    ("outputs", "processes", "size"), [(0, 1, 1), (31, 2, 1), (64, 2, 2), (9000, 2, 8), (200, 64, 1)]
)
def test_size_of_a_task(outputs: int, processes: int, size: int) -> None:
    assert outputs_a_task(outputs, processes) == size


@pytest.mark.long
def test_few_task_runs_make_many_outputs_in_their_order(config: Config) -> None:
    done, tasks = _extract(config)
    jobs = [extract.fn.__wrapped__(config, shard) for shard in check(config).shards]
    assert [each.reference.key for each in done] == [job.key for job in jobs]
    assert not any(each.cached for each in done)
    assert tasks == 1 + SHARDS // 2
    again, tasks = _extract(config)
    assert [each.reference for each in again] == [each.reference for each in done]
    assert all(each.cached for each in again)
    assert tasks == 1


@pytest.mark.long
@pytest.mark.parametrize("error", [MetaclipError("never"), WorkerLostError("once")])
def test_an_output_that_fails_keeps_no_other_from_being_made(
    config: Config, monkeypatch: pytest.MonkeyPatch, error: MetaclipError
) -> None:
    monkeypatch.setattr(checkpoint, "RETRY_DELAYS_SECONDS", [0])
    work: Callable[..., Any] = checkpoint.run_in_worker
    bad = extract.fn.__wrapped__(config, check(config).shards[0]).key
    tried: list[str] = []

    def run_in_worker(config: Config, job: Any) -> Any:
        tried.append(job.key)
        if job.key == bad and (tried.count(bad) == 1 or not isinstance(error, WorkerLostError)):
            raise error
        return work(config, job)

    monkeypatch.setattr(checkpoint, "run_in_worker", run_in_worker)
    if isinstance(error, WorkerLostError):
        done, _ = _extract(config)
        assert [each.cached for each in done[:3]] == [False, True, False]  # the second stood at the second attempt
        assert len(tried) == SHARDS + 1
    else:
        with pytest.raises(MetaclipError, match="never"):
            _extract(config)
        assert len(tried) == SHARDS
    assert len(list(Path(config.storage).glob("extract-v*/*/manifest.json"))) == SHARDS - (len(tried) == SHARDS)
