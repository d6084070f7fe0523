"""Stages of the pool as runs on other workers; the test takes the workers' place."""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest
from prefect.client.orchestration import get_client
from prefect.client.schemas.actions import WorkPoolCreate
from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterDeploymentId
from prefect.states import Completed, Failed

from flows import finish, subflows
from flows.curate import curate
from flows.part import pool_part
from flows.rebalance import rebalance
from flows.supervision import supervisor
from metaclip.config.loading import parse_config
from metaclip.errors import ConfigError, StageError
from metaclip.pool.gc import collect
from metaclip.pool.run_log import runs_of
from metaclip.store.store import Store
from tests.conftest import MakeConfig, config_tree, data_files

DIRECT = 2
ROWS = 1000
"""Of a partition, so that the small pool has several."""


class Worker:
    """Does the runs of a deployment of `pool-part`, one after the other, in this process."""

    def __init__(self, name: str) -> None:
        self.name = f"pool-part/{name}"
        self.done: list[dict[str, Any]] = []
        self.fails = False
        self._stopped = threading.Event()
        with get_client(sync_client=True) as client:
            client.create_work_pool(WorkPoolCreate(name=name, type="process"))
            flow = client.create_flow(pool_part)
            self._id: UUID = client.create_deployment(flow, name, work_pool_name=name)

    def work(self) -> None:
        """Do runs until `stop` is called."""
        mine = FlowRunFilter(deployment_id=FlowRunFilterDeploymentId(any_=[self._id]))
        with get_client(sync_client=True) as client:
            while not self._stopped.wait(0.1):
                for run in client.read_flow_runs(flow_run_filter=mine):
                    if run.state is None or run.state.is_final():
                        continue
                    if self.fails:
                        client.set_flow_run_state(run.id, Failed(message="no luck"), force=True)
                        continue
                    pool_part(**run.parameters)
                    self.done.append(run.parameters)
                    client.set_flow_run_state(run.id, Completed(), force=True)

    def stop(self) -> None:
        self._stopped.set()


@pytest.fixture
def worker(prefect_server: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Worker]:
    monkeypatch.setattr(supervisor, "POLL_SECONDS", 0.1)
    monkeypatch.setattr(subflows, "DIRECT", DIRECT)
    monkeypatch.setattr(finish, "PARTITIONS_A_SUM", 2)
    worker = Worker(f"parts-{uuid4().hex[:8]}")
    with ThreadPoolExecutor(1) as thread:
        working = thread.submit(copy_context().run, worker.work)
        yield worker
        worker.stop()
        working.result(60)


@pytest.mark.long
def test_stages_of_the_pool_are_done_by_other_workers(
    worker: Worker, finished: MakeConfig, crawl: Path, tmp_path: Path
) -> None:
    more = {"dedup__rows_per_partition": ROWS, "dedup__shards_per_group": 2}
    alone = curate(finished(**more))
    storage = tmp_path / "shared"
    execution = {"processes": 2, "parts_deployment": worker.name, "parts_per_run": 3}
    together = curate(parse_config(config_tree(crawl, storage, **more, execution=execution)))
    assert data_files(together["curated"]) == data_files(alone["curated"])
    stages = {stage["stage"]: stage for stage in together["stages"]}
    partitions = stages["dedup"]["tasks"]
    assert partitions > DIRECT * 2
    assert stages["balance"]["cached"] == 0
    listed = [parameters["work"] for parameters in worker.done]
    # gather, dedup, tally, balance, curate, curve, survey
    assert len(set(listed)) == 7
    assert listed.count(listed[0]) == 1  # gather: three groups of two shards
    (run,) = [run for run in runs_of(Store(str(storage)), "small") if run.flow == "curate"]
    assert (run.stages["tally"].total, run.stages["dedup"].total) == (-(-partitions // 2), partitions)
    # Another t does only its own stages there, and an output that is gone is made alone.
    before = len(worker.done)
    rebalance("small", str(storage), t=7)
    assert {parameters["work"] for parameters in worker.done[before:]}.isdisjoint(listed)
    assert {path.parts[-3] for path in storage.glob("*/*/jobs.json")} == {"work-v1"}
    removed = collect(str(storage), grace=timedelta(), dry_run=True)["removed"]
    assert {"work-v1", "tally-v1"} <= {stage["stage"] for stage in removed}


@pytest.mark.long
def test_counts_added_up_in_groups_are_the_same(
    prefect_server: str, finished: MakeConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(finish, "PARTITIONS_A_SUM", 2)
    first = finished(dedup__rows_per_partition=ROWS)
    curate(first)
    assert len(list(Path(first.storage).glob("tally-v1/*"))) > 1
    monkeypatch.setattr(finish, "PARTITIONS_A_SUM", 1000)
    second = first.model_copy(update={"storage": str(tmp_path / "plain")})
    curate(second)
    assert not list(Path(second.storage).glob("tally-v1/*"))
    ours, theirs = (
        {path.parent.name: path.read_bytes() for path in Path(each.storage).glob("count-v*/*/*.parquet")}
        for each in (first, second)
    )
    assert theirs.items() <= ours.items()
    assert len(theirs) == 1


@pytest.mark.slow
def test_a_run_that_fails_ends_the_stage(worker: Worker, finished: MakeConfig) -> None:
    worker.fails = True
    execution = {"processes": 2, "parts_deployment": worker.name, "parts_per_run": 500}
    with pytest.raises(StageError, match=r"1 of 1 ranges of dedup jobs could not be done(.|\n)*no luck"):
        curate(finished(dedup__rows_per_partition=ROWS, execution=execution))


@pytest.mark.slow
def test_a_deployment_that_is_not_registered_is_told(worker: Worker, finished: MakeConfig) -> None:
    execution = {"processes": 2, "parts_deployment": "pool-part/nowhere"}
    with pytest.raises(ConfigError, match=r"execution\.parts_deployment: no deployment 'pool-part/nowhere'"):
        curate(finished(dedup__rows_per_partition=ROWS, execution=execution))
