"""The platform fails under runs: PostgreSQL stops, Prefect's server is killed, a worker dies with its run."""

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from metaclip.errors import ConfigError
from metaclip.pool.status import pool_status
from tests.conftest import config_tree, data_files
from tests.flows.test_stack import _await, _listing, _runs, _start, _until, serving, whole_stack
from tests.servers import Site
from tests.services import Service, Stack

pytestmark = [pytest.mark.long, pytest.mark.timeout(1500)]

OUTAGE_SECONDS = 15


@pytest.fixture(scope="module")
def services(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    with whole_stack(tmp_path_factory.mktemp("outages"), shards=1) as services:
        services.s3.client().mkdir("stack")
        yield services


@pytest.fixture(scope="module")
def site(crawl: Path) -> Iterator[Site]:
    with serving(crawl) as site:
        yield site


def _tree(crawl: Path, site: Site, pool: str, **execution: Any) -> dict[str, Any]:
    return config_tree(crawl, Path("unused")) | {
        "pool": pool,
        "storage": f"s3://stack/{pool}",
        "source": {"paths": [f"{site.address}/demo.paths"]},
        "execution": {"processes": 1, **execution},
    }


def _held(crawl: Path, site: Site) -> tuple[str, Callable[[], None]]:
    """Keep whoever reads the fourth file waiting."""
    held = f"/{_listing(crawl)[3]}"
    site.requests.clear()
    return held, site.hold(held)


def _is_asked(site: Site, path: str) -> Callable[[], bool]:
    return lambda: path in [asked for asked, _ in site.requests]


def _state(services: Stack, run: str) -> dict[str, Any]:
    with services.api as api:
        return dict(api.get(f"/flow_runs/{run}").raise_for_status().json())


def _told(services: Stack, pool: str) -> list[dict[str, Any]]:
    """Return what the store tells of a pool's runs; nothing before the first has given a sign."""
    with services.store_opened():
        try:
            return list(pool_status(f"s3://stack/{pool}", pool)["runs"])
        except ConfigError:
            return []


def _gave_heartbeat(services: Stack, run: str) -> bool:
    """Return whether the server has received a heartbeat of a run."""
    wanted = {"event": {"name": ["prefect.flow-run.heartbeat"]}, "resource": {"id": [f"prefect.flow-run.{run}"]}}
    with services.api as api:
        return bool(api.post("/events/filter", json={"filter": wanted}).raise_for_status().json()["events"])


def _log(services: Stack, name: str) -> str:
    return "\n".join(one.log.read_text() for one in services.services if one.name == name)


def _files_of_set(services: Stack, pool: str) -> dict[str, bytes]:
    (folder,) = services.s3.client().glob(f"stack/{pool}/curate-v*/*")
    client = services.s3.client()
    return {
        name.rpartition("/")[2]: client.cat_file(name)
        for name in client.ls(folder, detail=False)
        if name.endswith(".parquet")
    }


def _service(services: Stack, name: str) -> Service:
    return next(one for one in reversed(services.services) if one.name == name)


def test_a_run_goes_on_when_postgresql_and_the_server_were_away(
    services: Stack, site: Site, crawl: Path, finished_pool: Path
) -> None:
    held, release = _held(crawl, site)
    execution = {"deployment": "match-shards/match-shards", "shards_per_run": 3, "runs_at_once": 2}
    run = _start(services, "curate", {"config": _tree(crawl, site, "outage", **execution)})
    _until(_is_asked(site, held), "no worker reads the file that is held")
    services.postgres["stop"]()
    time.sleep(OUTAGE_SECONDS)
    services.postgres["start"]()
    time.sleep(5)
    _service(services, "prefect").kill()
    time.sleep(OUTAGE_SECONDS)
    services.start("prefect").await_health()
    release()
    _await(services, run)
    assert [one["state"]["type"] for one in _runs(services, "match-shards")] == ["COMPLETED"] * 2
    (whole,) = finished_pool.glob("curate-v*/*")
    assert _files_of_set(services, "outage") == data_files(whole)
    log = _log(services, "worker")
    assert "the Prefect server does not answer" in log
    assert "the Prefect server answers again" in log


def test_two_pools_go_on_side_by_side_and_two_runs_of_one_take_turns(
    services: Stack, site: Site, crawl: Path, finished_pool: Path
) -> None:
    """Then the worker dies with all three: they are started again and end well."""
    _, release = _held(crawl, site)
    first = _start(services, "curate", {"config": _tree(crawl, site, "one")})
    other = _start(services, "curate", {"config": _tree(crawl, site, "two")})

    def side_by_side() -> bool:
        (one,), (two,) = (_told(services, pool) for pool in ("one", "two"))
        return all("extract" in {stage["stage"] for stage in run["stages"]} for run in (one, two))

    _until(lambda: all(_told(services, pool) for pool in ("one", "two")), "the two pools do not go on side by side")
    _until(side_by_side, "the two pools do not go on side by side")  # neither ends: both come to the file that is held
    second = _start(services, "curate", {"config": _tree(crawl, site, "one")})
    waits = f"the second run of the pool does not wait for {first}"
    _until(lambda: any(run["waits_for"] == first for run in _told(services, "one")), waits)
    runs = (first, other, second)
    # The automation does not see a run that dies before the server has received a heartbeat of it.
    _until(lambda: all(_gave_heartbeat(services, run) for run in runs), "a run gives no heartbeat")
    _service(services, "worker").kill()  # with its runs, as a machine that loses its power
    assert [_state(services, run)["state"]["type"] for run in runs] == ["RUNNING"] * 3
    release()
    services.start("worker").await_health()
    # 90 s until they are set Crashed and a minute until they are started again; then all three start at once.
    _until(lambda: all(_state(services, run)["run_count"] == 2 for run in runs), "a run is not started again")
    _until(
        lambda: all(_state(services, run)["state"]["type"] == "COMPLETED" for run in runs), "a run stays behind", 600
    )
    assert all(_state(services, run)["run_count"] == 2 for run in runs)
    (whole,) = finished_pool.glob("curate-v*/*")
    assert _files_of_set(services, "one") == _files_of_set(services, "two") == data_files(whole)


def test_a_process_of_a_run_that_dies_alone_is_started_again(services: Stack, site: Site, crawl: Path) -> None:
    held, release = _held(crawl, site)
    run = _start(services, "curate", {"config": _tree(crawl, site, "three")})
    _until(_is_asked(site, held), "no worker reads the file that is held")
    process = psutil.Process(int(_state(services, run)["infrastructure_pid"].rpartition(":")[2]))
    process.kill()
    _until(lambda: _state(services, run)["run_count"] == 2, "the run is not started again")
    release()
    _await(services, run)


def test_a_run_that_crashes_again_and_again_is_given_up(services: Stack, site: Site, crawl: Path) -> None:
    held, release = _held(crawl, site)
    run = _start(services, "curate", {"config": _tree(crawl, site, "four", retries=1)})
    for count in (1, 2):
        _until(lambda: _is_asked(site, held)(), "the run does not begin")
        site.requests.clear()
        psutil.Process(int(_state(services, run)["infrastructure_pid"].rpartition(":")[2])).kill()
        _until(lambda count=count: _state(services, run)["run_count"] == count + 1, "the run is not started again")
    _until(lambda: _state(services, run)["state"]["type"] == "FAILED", "the run is not given up")
    release()
    assert "crashed 2 times within a day" in _state(services, run)["state"]["message"]


def test_a_cancelled_run_is_called_cancelled(services: Stack, site: Site, crawl: Path) -> None:
    held, release = _held(crawl, site)
    run = _start(services, "curate", {"config": _tree(crawl, site, "five")})
    _until(_is_asked(site, held), "no worker reads the file that is held")
    cancelling = {"state": {"type": "CANCELLING", "name": "Cancelling", "message": "no longer wanted"}}
    with services.api as api:
        api.post(f"/flow_runs/{run}/set_state", json=cancelling).raise_for_status()
    _until(lambda: _state(services, run)["state"]["type"] == "CANCELLED", "the run is not cancelled")
    release()
    (told,) = _told(services, "five")
    assert told["state"] == "cancelled"
    assert "UTC: no longer wanted" in told["message"]
