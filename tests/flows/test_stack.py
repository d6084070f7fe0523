"""A team's set-up, end to end: the services of docker-compose.yml as processes, one of them killed."""

import json
import shutil
import socket
import ssl
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest
import yaml

from metaclip.pool.status import pool_status
from tests.conftest import config_tree, data_files
from tests.servers import Site, serve
from tests.services import OTHERS, ROOT, SERVICES, Service, Stack, lose_database, stack

# What a test waits for has deadlines of its own; on a busy machine that compiles its kernels first, the sum is long.
pytestmark = [pytest.mark.slow, pytest.mark.timeout(900), pytest.mark.long]

CHROMIUM_OPTIONS = [
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
DEPLOYMENTS = yaml.safe_load((ROOT / "prefect.yaml").read_text())["deployments"]
ENDED = {"COMPLETED", "FAILED", "CRASHED", "CANCELLED"}


@contextmanager
def whole_stack(home: Path, shards: int) -> Iterator[Stack]:
    """Have all services of the file: a worker that registers the deployments, and so many workers for shards."""
    with stack(home) as services:
        services.finish("prepare")
        started = [services.start("s3"), services.start("prefect")]
        for service in started:
            service.await_health()
        worker = services.start("worker")
        # Workers for shards take as long to come up; once this one has registered the deployments, they may.
        _until(lambda: _registered(services), f"deployments are not registered, see {worker.log}")
        for service in [worker, *(services.start("shards") for _ in range(shards))]:
            service.await_health()
        yield services


@contextmanager
def serving(crawl: Path) -> Iterator[Site]:
    """Have an http server that holds the small crawl, and answers late where it is told to."""
    with serve() as site:
        for path in crawl.rglob("*"):
            if path.is_file():
                site.files[f"/{path.relative_to(crawl)}"] = path.read_bytes()
        yield site


@pytest.fixture(scope="module")
def services(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    with whole_stack(tmp_path_factory.mktemp("stack"), shards=2) as services:
        yield services


@pytest.fixture(scope="module")
def site(crawl: Path) -> Iterator[Site]:
    with serving(crawl) as site:
        yield site


def test_the_server_wants_its_password(services: Stack) -> None:
    assert httpx.get(f"{services.prefect_url}/version").status_code == httpx.codes.UNAUTHORIZED


def test_a_wrong_password_is_refused(services: Stack) -> None:
    user, password = services.secrets["PREFECT_AUTH"].split(":", 1)
    for wrong in (password[:-1], password + "x", ""):
        answer = httpx.get(f"{services.prefect_url}/version", auth=(user, wrong))
        assert answer.status_code == httpx.codes.UNAUTHORIZED


def test_others_reach_the_s3_server_with_its_credentials_and_nothing_else_of_it(services: Stack) -> None:
    (server,) = [service for service in services.services if service.name == "s3"]
    listening = [
        (one.laddr.ip, one.laddr.port)
        for one in psutil.Process(server.process.pid).net_connections("inet")
        if one.status == psutil.CONN_LISTEN
    ]
    assert {ip for ip, _ in listening} == {"127.0.0.1", OTHERS}
    reachable = {port for ip, port in listening if ip == OTHERS}
    (grpc,) = reachable - {services.s3.port}
    assert httpx.get(f"http://{OTHERS}:{services.s3.port}/").status_code == httpx.codes.FORBIDDEN
    # gRPC is HTTP/2: a server that takes a connection answers with its settings.
    hello = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes(3) + b"\x04" + bytes(5)
    with socket.create_connection((OTHERS, grpc), timeout=10) as plain:
        plain.sendall(hello)
        assert plain.recv(100) == b""
    anyone = ssl.create_default_context()
    anyone.check_hostname, anyone.verify_mode = False, ssl.CERT_NONE
    anyone.set_alpn_protocols(["h2"])
    with (
        socket.create_connection((OTHERS, grpc), timeout=10) as connection,
        anyone.wrap_socket(connection) as encrypted,
    ):
        encrypted.sendall(hello)
        with pytest.raises(ssl.SSLError, match="CERTIFICATE_REQUIRED"):
            encrypted.recv(100)


@pytest.mark.parametrize("name", [deployment["name"] for deployment in DEPLOYMENTS])
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
def pool(services: Stack, site: Site, crawl: Path) -> dict[str, Any]:
    """A pool in the object store, curated on workers one of which is lost; its configuration."""
    services.s3.client().mkdir("stack")
    tree = config_tree(crawl, Path("unused"))
    tree |= {
        "storage": "s3://stack/pool",
        "source": {"paths": [f"{site.address}/demo.paths"]},
        "execution": {
            "processes": 1,
            "deployment": "match-shards/match-shards",
            "shards_per_run": 3,
            "runs_at_once": 2,
            "lost_after_seconds": 20,
        },
    }
    held = f"/{_listing(crawl)[3]}"
    release = site.hold(held)
    started = _start(services, "curate", {"config": tree})
    _until(lambda: held in [path for path, _ in site.requests], "no worker reads the file that is held")
    _worker_of_second_range(services).kill()
    release()
    _await(services, started)
    return tree


def test_a_lost_worker_costs_one_more_run_and_no_byte(
    services: Stack, pool: dict[str, Any], finished_pool: Path, crawl: Path
) -> None:
    states = [run["state"]["type"] for run in _runs(services, "match-shards")]
    assert sorted(states) == ["COMPLETED", "COMPLETED", "CRASHED"]
    (manifest,) = _sets(services)["20"]
    (whole,) = finished_pool.glob("curate-v*/*")
    written = {
        name: content for name, content in _objects(services, str(Path(manifest).parent)) if name.endswith(".parquet")
    }
    assert written == data_files(whole)
    with services.store_opened():
        (run,) = pool_status(pool["storage"], "small")["runs"]
    assert run["state"] == "completed"
    assert {stage["stage"]: stage["done"] for stage in run["stages"]}["match"] == len(_listing(crawl))


# A schedule fires at a full minute, so others use the time: its run, one of `rebalance` that the API
# starts and one from the form go on side by side.


@pytest.fixture(scope="module")
def scheduled(services: Stack, pool: dict[str, Any]) -> str:
    """A schedule of `curate` for the next minute; its id."""
    curate = _deployment(services, "curate")
    assert [schedule["active"] for schedule in curate["schedules"]] == [False]
    soon = datetime.now(UTC) + timedelta(seconds=75)  # the scheduler must have seen it before
    cron = {"cron": f"{soon:%M} * * * *", "timezone": "UTC"}
    wanted = {"schedule": cron, "active": True, "parameters": {"config": pool}}
    with services.api as api:
        (made,) = api.post(f"/deployments/{curate['id']}/schedules", json=[wanted]).raise_for_status().json()
    return str(made["id"])


@pytest.fixture(scope="module")
def rebalancing(services: Stack, pool: dict[str, Any]) -> str:
    """A run of `rebalance` for a size, on its way."""
    return _start(services, "rebalance", {"pool": "small", "storage": pool["storage"], "target_pairs": 3000})


def test_rebalance_from_the_form_in_a_browser(
    services: Stack, pool: dict[str, Any], scheduled: str, rebalancing: str
) -> None:
    playwright_api = pytest.importorskip(
        "playwright.sync_api", reason="playwright is not installed (make dev)", exc_type=ImportError
    )
    chromium = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if chromium is None:
        pytest.skip("no Chromium on this machine (Debian: apt-get install chromium)")
    before = {run["id"] for run in _runs(services, "rebalance")}
    with playwright_api.sync_playwright() as playwright:
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
        page.get_by_text("Cached", exact=True).first.wait_for()
        page.get_by_text("Artifacts", exact=True).last.click()
        for name in ("small-funnel", "small-top-entries", "small-report"):
            page.get_by_text(name).first.wait_for()
        browser.close()
    assert "50" in _sets(services)


def test_rebalance_takes_a_size_through_the_api(services: Stack, rebalancing: str) -> None:
    _await(services, rebalancing)
    (manifest,) = [found[0] for t, found in _sets(services).items() if t not in ("20", "50")]
    files = json.loads(_object(services, manifest))["files"]
    assert sum(file["rows"] or 0 for file in files if file["name"].endswith(".parquet")) == 3000


def test_a_schedule_fires(services: Stack, scheduled: str) -> None:
    def fired() -> list[dict[str, Any]]:
        return [run for run in _runs(services, "curate") if run["auto_scheduled"] and run["state"]["type"] in ENDED]

    _until(lambda: fired() != [], "the schedule did not fire")
    with services.api as api:
        curate = _deployment(services, "curate")["id"]
        api.delete(f"/deployments/{curate}/schedules/{scheduled}").raise_for_status()
    (run,) = fired()
    assert run["state"]["type"] == "COMPLETED"
    assert _ends_of_tasks(services, run["id"]) == {"Cached"}


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


def test_all_services_of_the_file_were_started(services: Stack) -> None:
    started = {service.name for service in services.services}
    assert started | {"postgres"} == set(SERVICES)


def _listing(crawl: Path) -> list[str]:
    return (crawl / "demo.paths").read_text().split()


def _deployment(services: Stack, name: str) -> dict[str, Any]:
    with services.api as api:
        return dict(api.get(f"/deployments/name/{name}/{name}").raise_for_status().json())


def _registered(services: Stack) -> bool:
    wanted = {deployment["name"] for deployment in DEPLOYMENTS}
    with services.api as api:
        found = api.post("/deployments/filter", json={}).raise_for_status().json()
    return {deployment["name"] for deployment in found} == wanted


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


def _worker_of_second_range(services: Stack) -> Service:
    """Return the worker whose run waits for the file that is held."""
    running = [run for run in _runs(services, "match-shards") if run["state"]["type"] == "RUNNING"]
    (run,) = [run for run in running if run["parameters"]["first"] == 3]
    assert run["parent_task_run_id"] is not None
    process = psutil.Process(int(run["infrastructure_pid"].rpartition(":")[2]))
    parents = [one.pid for one in process.parents()]
    (worker,) = [one for one in services.services if one.name == "shards" and one.process.pid in parents]
    return worker


def _sets(services: Stack) -> dict[str, list[str]]:
    """Return the manifests of the pool's sets by t."""
    return dict(json.loads(_object(services, "pools/small.json"))["stages"]["curate"])


def _object(services: Stack, name: str) -> bytes:
    return bytes(services.s3.client().cat_file(f"stack/pool/{name}"))


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


def _until(reached: Callable[[], bool], otherwise: str, seconds: float = 300) -> None:
    deadline = time.monotonic() + seconds
    while not reached():
        assert time.monotonic() < deadline, otherwise
        time.sleep(0.5)
