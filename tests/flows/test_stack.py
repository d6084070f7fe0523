"""A team's set-up, end to end: the services of docker-compose.yml as processes, one of them killed."""

import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest
from playwright.sync_api import sync_playwright

from metaclip.status import pool_status
from metaclip.store import Store
from tests.conftest import config_tree, data_files
from tests.metaclip.servers import Site, serve
from tests.s3 import S3Server
from tests.services import SERVICES, Service, Stack, lose_database, stack

pytestmark = pytest.mark.slow

CHROMIUM_OPTIONS = [
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
ENDED = {"COMPLETED", "FAILED", "CRASHED", "CANCELLED"}


@pytest.fixture(scope="module")
def services(tmp_path_factory: pytest.TempPathFactory, s3_server: S3Server) -> Iterator[Stack]:
    """PostgreSQL, Prefect server, a worker that registers the deployments, and two workers for shards."""
    with stack(tmp_path_factory.mktemp("stack"), s3_server) as services:
        services.start("prefect").await_health()
        worker = services.start("worker")
        worker.await_health()
        yield services


@pytest.fixture(scope="module")
def shard_workers(services: Stack) -> list[Service]:
    workers = [services.start("shards"), services.start("shards")]
    for worker in workers:
        worker.await_health()
    return workers


@pytest.fixture(scope="module")
def site(crawl: Path) -> Iterator[Site]:
    """An http server that holds the small crawl, and answers late where it is told to."""
    with serve() as site:
        for path in crawl.rglob("*"):
            if path.is_file():
                site.files[f"/{path.relative_to(crawl)}"] = path.read_bytes()
        yield site


def test_the_server_wants_its_password(services: Stack) -> None:
    assert httpx.get(f"{services.prefect_url}/version").status_code == httpx.codes.UNAUTHORIZED


@pytest.mark.parametrize("name", ["curate", "match-shards", "rebalance", "build-metadata"])
def test_every_field_of_the_forms_is_described(services: Stack, name: str) -> None:
    schema = _deployment(services, name)["parameter_openapi_schema"]
    models = [schema, *schema.get("definitions", {}).values()]
    silent = [
        f"{model.get('title')}.{field}"
        for model in models
        for field, about in model.get("properties", {}).items()
        if not about.get("description") and "$ref" not in about
    ]
    assert silent == []
    assert len(models[0]["properties"]) >= 1


@pytest.fixture(scope="module")
def pool(services: Stack, shard_workers: list[Service], site: Site, crawl: Path) -> dict[str, Any]:
    """A pool in the object store, curated on workers one of which is lost; its configuration."""
    services.s3.client().mkdir("stack")
    tree = config_tree(crawl, Path("unused"))
    tree |= {
        "storage": "s3://stack/pool",
        "source": {"paths": [f"{site.address}/demo.paths"]},
        "execution": {
            "processes": 1,
            "deployment": "match-shards/match-shards",
            "shards_per_run": 2,
            "runs_at_once": 2,
            "lost_after_seconds": 20,
        },
    }
    held = f"/{_listing(crawl)[3]}"
    release = site.hold(held)
    started = _start(services, "curate", {"config": tree})
    _until(lambda: held in [path for path, _ in site.requests], "no worker reads the file that is held")
    _worker_of(services, shard_workers).kill()
    release()
    _await(services, started)
    return tree


def test_a_lost_worker_costs_one_more_run_and_no_byte(
    services: Stack, pool: dict[str, Any], finished_pool: Path, crawl: Path
) -> None:
    states = [run["state"]["type"] for run in _runs(services, "match-shards")]
    assert sorted(states) == ["COMPLETED", "COMPLETED", "COMPLETED", "CRASHED"]
    (manifest,) = Store(pool["storage"]).read_json("pools/small.json")["stages"]["curate"]["20"]
    (whole,) = finished_pool.glob("curate-v*/*")
    written = {
        name: content for name, content in _objects(services, str(Path(manifest).parent)) if name.endswith(".parquet")
    }
    assert written == data_files(whole)
    (run,) = pool_status(pool["storage"], "small")["runs"]
    assert run["state"] == "completed"
    assert {stage["stage"]: stage["done"] for stage in run["stages"]}["match"] == len(_listing(crawl))


def test_a_schedule_fires_while_someone_rebalances(services: Stack, pool: dict[str, Any]) -> None:
    curate = _deployment(services, "curate")
    assert [schedule["active"] for schedule in curate["schedules"]] == [False]
    every_minute = {"schedule": {"cron": "* * * * *"}, "active": True, "parameters": {"config": pool}}
    with services.api as api:
        (made,) = api.post(f"/deployments/{curate['id']}/schedules", json=[every_minute]).raise_for_status().json()
    wanted = {"pool": "small", "storage": pool["storage"], "target_pairs": 3000}
    _await(services, _start(services, "rebalance", wanted))
    sets = Store(pool["storage"]).read_json("pools/small.json")["stages"]["curate"]
    rows = [Store(pool["storage"]).manifest(manifests[0]).rows for t, manifests in sets.items() if t != "20"]
    assert rows == [3000]

    def fired() -> list[dict[str, Any]]:
        return [run for run in _runs(services, "curate") if run["auto_scheduled"] and run["state"]["type"] in ENDED]

    _until(lambda: fired() != [], "the schedule did not fire")
    with services.api as api:
        api.delete(f"/deployments/{curate['id']}/schedules/{made['id']}").raise_for_status()
    assert fired()[0]["state"]["type"] == "COMPLETED"
    assert _ends_of_tasks(services, fired()[0]["id"]) == {"Cached"}


def test_rebalance_from_the_form_in_a_browser(services: Stack, pool: dict[str, Any]) -> None:
    chromium = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if chromium is None:
        pytest.skip("no Chromium on this machine (Debian: apt-get install chromium)")
    before = {run["id"] for run in _runs(services, "rebalance")}
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=CHROMIUM_OPTIONS)
        page = browser.new_page(viewport={"width": 1400, "height": 1250})
        site = services.prefect_url.removesuffix("/api")
        page.goto(f"{site}/login")
        page.fill("input[type=password]", services.secrets["PREFECT_AUTH"])
        page.keyboard.press("Enter")
        page.wait_for_url("**/dashboard")
        page.goto(f"{site}/deployments/deployment/{_deployment(services, 'rebalance')['id']}/run")
        for label, text in (("pool", "small"), ("storage", pool["storage"])):
            page.locator("textarea").nth(["pool", "storage"].index(label)).fill(text)
        page.get_by_text("float", exact=True).first.click()  # what t is: a number, text, or none
        page.locator("input[type=number]").first.fill("50")
        page.get_by_role("button", name="Submit").click()
        _until(lambda: len(_runs(services, "rebalance")) > len(before), "the form started no run")
        (run,) = [run for run in _runs(services, "rebalance") if run["id"] not in before]
        _await(services, run["id"])
        page.goto(f"{site}/runs/flow-run/{run['id']}")
        page.get_by_text("Task Runs", exact=True).last.click()
        page.get_by_text("balance ").first.wait_for()
        assert "Cached" in page.inner_text("body")
        page.get_by_text("Artifacts", exact=True).last.click()
        for name in ("small-funnel", "small-top-entries", "small-report"):
            page.get_by_text(name).first.wait_for()
        browser.close()
    assert "50" in Store(pool["storage"]).read_json("pools/small.json")["stages"]["curate"]


def test_nothing_is_computed_again_when_prefects_database_is_lost(services: Stack, pool: dict[str, Any]) -> None:
    before = _stamps(services)
    for service in services.services:
        if service.name in ("prefect", "worker"):
            service.kill()
    lose_database(services)
    services.start("prefect").await_health()
    services.start("worker").await_health()
    assert _runs(services, "curate") == []
    _await(services, again := _start(services, "curate", {"config": pool}))
    assert _ends_of_tasks(services, again) == {"Cached"}
    after = _stamps(services)
    changed = {name for name in after if before.get(name) != after[name]}
    assert {name.split("/")[0] for name in changed} <= {"runs", "pools"}, changed


def test_all_services_of_the_file_were_started(services: Stack, shard_workers: list[Service]) -> None:
    started = {service.name for service in services.services}
    assert started | {"postgres", "s3"} == set(SERVICES)


def _listing(crawl: Path) -> list[str]:
    return (crawl / "demo.paths").read_text().split()


def _deployment(services: Stack, name: str) -> dict[str, Any]:
    with services.api as api:
        return dict(api.get(f"/deployments/name/{name}/{name}").raise_for_status().json())


def _start(services: Stack, name: str, parameters: dict[str, Any]) -> str:
    path = f"/deployments/{_deployment(services, name)['id']}/create_flow_run"
    with services.api as api:
        return str(api.post(path, json={"parameters": parameters}).raise_for_status().json()["id"])


def _await(services: Stack, run: str) -> None:
    """Wait for a run, which must end well."""

    def state() -> dict[str, Any]:
        with services.api as api:
            return dict(api.get(f"/flow_runs/{run}").raise_for_status().json()["state"])

    _until(lambda: state()["type"] in ENDED, "the run does not end")
    assert state()["type"] == "COMPLETED", state()["message"]


def _runs(services: Stack, flow: str) -> list[dict[str, Any]]:
    with services.api as api:
        wanted = {"flows": {"name": {"any_": [flow]}}}
        return list(api.post("/flow_runs/filter", json=wanted).raise_for_status().json())


def _ends_of_tasks(services: Stack, run: str) -> set[str]:
    """Return the names of the states that a run's tasks ended in."""
    with services.api as api:
        wanted = {"flow_runs": {"id": {"any_": [run]}}}
        tasks = api.post("/task_runs/filter", json=wanted).raise_for_status().json()
    return {task["state_name"] for task in tasks}


def _worker_of(services: Stack, workers: list[Service]) -> Service:
    """Return the worker whose run waits for the file that is held."""
    running = [run for run in _runs(services, "match-shards") if run["state"]["type"] == "RUNNING"]
    (run,) = [run for run in running if run["parameters"]["first"] == 2]
    assert run["parent_task_run_id"] is not None
    process = psutil.Process(int(run["infrastructure_pid"].rpartition(":")[2]))
    (worker,) = [worker for worker in workers if worker.process.pid in [one.pid for one in process.parents()]]
    return worker


def _objects(services: Stack, folder: str) -> Iterator[tuple[str, bytes]]:
    client = services.s3.client()
    for name in client.ls(f"stack/pool/{folder}", detail=False):
        yield name.rpartition("/")[2], client.cat_file(name)


def _stamps(services: Stack) -> dict[str, tuple[str, int]]:
    """Return of every object what changes when it is written anew."""
    found = services.s3.client().find("stack/pool", detail=True)
    return {
        name.removeprefix("stack/pool/"): (str(about["LastModified"]), about["size"]) for name, about in found.items()
    }


def _until(reached: Callable[[], bool], otherwise: str) -> None:
    deadline = time.monotonic() + 200
    while not reached():
        assert time.monotonic() < deadline, otherwise
        time.sleep(0.5)
