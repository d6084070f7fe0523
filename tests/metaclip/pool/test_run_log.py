from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from metaclip.errors import StoreError, StoreOutOfReachError
from metaclip.pool import run_log as runs
from metaclip.pool.run_log import StageState, active, read_run, run_log, runs_of
from metaclip.processes.meter import Cost
from metaclip.store.store import Store


def test_a_run_tells_how_far_it_is_and_how_it_ended(tmp_path: Path) -> None:
    store = Store(str(tmp_path))
    with run_log(store, "pool", "a1", "curate") as log:
        log.begin("extract", 3)
        log.count("extract", done=1, cached=1)
        log.count("extract", done=1, rows=100)
        log.count("extract", failed=1)
        log.fail("extract x: broken", "InputError")
        log.write()
        (run,) = active(store)
        assert (run.pool, run.run, run.flow, run.state) == ("pool", "a1", "curate", "running")
        stage = run.stages["extract"]
        assert (stage.total, stage.done, stage.cached, stage.failed, stage.rows) == (3, 2, 1, 1, 100)
        assert run.failures == ["extract x: broken"]
    assert not active(store)
    assert [run.state for run in runs_of(store, "pool")] == ["completed"]


def test_a_run_tells_what_it_took(tmp_path: Path) -> None:
    store = Store(str(tmp_path))
    with run_log(store, "pool", "a1", "curate") as log:
        log.begin("extract", 2)
        for _ in range(2):
            log.spend("extract", Cost(core_seconds=60.0, bytes_read=1000))  # by worker processes
        for requests in (5, 7):  # by runs that it started, so far
            log.told_by_runs("shards", Cost(requests=requests), {"WorkerLostError": 1})
        log.fail("extract b: gone", "TransportError")
        store.write_whole("something", bytes(5000))  # by itself
    run = read_run(store, "pool", "a1")
    assert run is not None
    assert 120 < run.cost.core_seconds < 130
    assert (run.cost.bytes_read, run.cost.requests, run.stages["extract"].bytes_read) == (2000, 7, 2000)
    assert run.failed_tasks == {"TransportError": 1, "WorkerLostError": 1}
    assert 5000 < run.cost.bytes_written < 10_000  # its own file too


def test_a_run_that_raises_is_told_as_failed(tmp_path: Path) -> None:
    store = Store(str(tmp_path))
    with pytest.raises(RuntimeError, match="no more"), run_log(store, "pool", "a1", "curate"):
        raise RuntimeError("no more")
    run = read_run(store, "pool", "a1")
    assert run is not None
    assert (run.state, run.message) == ("failed", "RuntimeError: no more")


def test_signs_come_by_themselves(tmp_path: Path) -> None:
    store = Store(str(tmp_path))
    with run_log(store, "pool", "a1", "curate", sign_seconds=0.02):
        first = read_run(store, "pool", "a1")
        assert first is not None
        deadline = datetime.now(UTC) + timedelta(seconds=10)
        while (later := read_run(store, "pool", "a1")) is not None and later.updated == first.updated:
            assert datetime.now(UTC) < deadline


def test_a_run_without_signs_is_not_going_on(tmp_path: Path) -> None:
    store = Store(str(tmp_path))
    with run_log(store, "pool", "a1", "curate"):
        run = read_run(store, "pool", "a1")
        assert run is not None
        assert run.is_active
        old = run.updated - timedelta(seconds=runs.ALIVE_SECONDS + 1)
        assert not run.model_copy(update={"updated": old}).is_active


def test_rate_and_end_are_projected_from_what_was_computed() -> None:
    start = datetime(2026, 1, 1, tzinfo=UTC)
    stage = StageState(total=100, done=40, cached=20, started=start, updated=start + timedelta(minutes=10))
    assert stage.per_minute == 2
    assert stage.projected_end() == start + timedelta(minutes=40)
    fresh = StageState(total=100, done=20, cached=20, started=start, updated=start + timedelta(minutes=10))
    assert fresh.per_minute is None
    assert fresh.projected_end() is None


def test_a_file_that_is_none_is_passed_over(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "runs" / "pool").mkdir(parents=True)
    (tmp_path / "runs" / "pool" / "bad.json").write_text("{")
    (tmp_path / "runs" / "pool" / "odd.json").write_text("{}")
    assert runs_of(Store(str(tmp_path)), "pool") == []
    assert caplog.text.count("not a run's file") == 2


@pytest.mark.parametrize("error", [StoreOutOfReachError, StoreError])
def test_a_store_that_does_not_give_a_file_is_not_taken_for_a_wrong_file(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch, error: type[StoreError]
) -> None:
    def away(_store: Store, _address: str) -> None:
        raise error("no")

    monkeypatch.setattr(Store, "read", away)
    assert read_run(Store(str(tmp_path)), "pool", "a1") is None
    assert "the sign of life of run a1 cannot be read now: no" in caplog.text
    assert "not a run's file" not in caplog.text


def test_no_runs(tmp_path: Path) -> None:
    assert active(Store(str(tmp_path / "none"))) == []
