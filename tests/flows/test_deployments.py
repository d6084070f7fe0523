"""The deployments, run as the compose file runs them, but as plain processes."""

import os
import secrets
import shlex
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from metaclip.store import Store
from tests.conftest import config_tree

ROOT = Path(__file__).parents[2]
SERVICES: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]
ENDED = {"COMPLETED", "FAILED", "CRASHED", "CANCELLED"}

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    """A Prefect server that wants a password, and a worker that registered the deployments."""
    home = tmp_path_factory.mktemp("deployed")
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
    url, password = f"http://127.0.0.1:{port}/api", secrets.token_hex(8)
    environment = {
        **os.environ,
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "PREFECT_HOME": str(home / "prefect"),
        "PREFECT_LOGGING_LEVEL": "INFO",
        "PREFECT_SERVER_API_AUTH_STRING": f"admin:{password}",
        "PREFECT_API_AUTH_STRING": f"admin:{password}",
        "PREFECT_API_URL": url,
        "PREFECT_WORKER_QUERY_SECONDS": "1",
        "DO_NOT_TRACK": "1",
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    }
    serve = shlex.split(SERVICES["prefect"]["command"].replace("0.0.0.0", "127.0.0.1"))
    with (
        _process([*serve, "--port", str(port)], environment, home / "server.log") as server,
        httpx.Client(base_url=url, auth=("admin", password), timeout=30) as client,
    ):
        _until(lambda: _answers(client), server, home / "server.log")
        with _process(SERVICES["worker"]["command"], environment, home / "worker.log") as worker:
            _until(lambda: _workers(client) == 1, worker, home / "worker.log")
            yield client


def test_the_server_wants_its_password(api: httpx.Client) -> None:
    assert httpx.get(f"{api.base_url}version").status_code == httpx.codes.UNAUTHORIZED


def test_curate_then_rebalance_through_the_api(api: httpx.Client, crawl: Path, tmp_path: Path) -> None:
    storage = tmp_path / "pool"
    _run(api, "curate", {"config": config_tree(crawl, storage)})
    record = yaml.safe_load((storage / "pools" / "small.json").read_text())
    store = Store(str(storage))
    (first,) = record["stages"]["curate"]["20"]

    _run(api, "rebalance", {"pool": "small", "storage": str(storage), "t": 50})
    record = yaml.safe_load((storage / "pools" / "small.json").read_text())
    (second,) = record["stages"]["curate"]["50"]
    assert record["stages"]["curate"]["20"] == [first]
    assert 0 < store.manifest(first).rows < store.manifest(second).rows


def test_the_schedule_is_off_until_someone_switches_it_on(api: httpx.Client) -> None:
    deployment = api.get("/deployments/name/curate/curate").raise_for_status().json()
    assert [schedule["active"] for schedule in deployment["schedules"]] == [False]


def _run(api: httpx.Client, flow: str, parameters: dict[str, Any]) -> None:
    deployment = api.get(f"/deployments/name/{flow}/{flow}").raise_for_status().json()
    path = f"/deployments/{deployment['id']}/create_flow_run"
    run = api.post(path, json={"parameters": parameters}).raise_for_status().json()
    deadline = time.monotonic() + 200
    while run["state"]["type"] not in ENDED:
        assert time.monotonic() < deadline, run["state"]
        time.sleep(0.5)
        run = api.get(f"/flow_runs/{run['id']}").raise_for_status().json()
    assert run["state"]["type"] == "COMPLETED", run["state"]


def _answers(api: httpx.Client) -> bool:
    try:
        return api.get("/health").is_success
    except httpx.TransportError:
        return False


def _workers(api: httpx.Client) -> int:
    """Count the workers of the pool; there is no pool before the first one makes it."""
    found = api.post("/work_pools/metaclip/workers/filter", json={})
    return len(found.json()) if found.is_success else 0


def _until(reached: Any, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + 180
    while not reached():
        assert process.poll() is None, log.read_text()[-3000:]
        assert time.monotonic() < deadline, log.read_text()[-3000:]
        time.sleep(0.3)


@contextmanager
def _process(command: list[str], environment: dict[str, str], log: Path) -> Iterator[subprocess.Popen[bytes]]:
    with log.open("wb") as output:
        process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=output, stderr=subprocess.STDOUT)
    try:
        yield process
    finally:
        # An idle worker takes a second signal to stop.
        for end in (process.terminate, process.terminate, process.kill):
            end()
            try:
                process.wait(timeout=15)
                break
            except subprocess.TimeoutExpired:
                continue
        assert process.returncode is not None
