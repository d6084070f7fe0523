"""The webhook is called by Prefect's own server, for a run that failed."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import httpx
import pytest

from tests.examples import ROOT
from tests.s3 import free_ports
from tests.servers import listening

pytestmark = [pytest.mark.slow, pytest.mark.long]

SECONDS = 120


@pytest.fixture
def server(tmp_path: Path) -> Iterator[dict[str, str]]:
    """A Prefect server with all of its services; the environment that leads to it."""
    (port,) = free_ports(1)
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PREFECT_")}
    environment |= {
        "PREFECT_HOME": str(tmp_path),
        "PREFECT_API_URL": f"http://127.0.0.1:{port}/api",
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "DO_NOT_TRACK": "1",
    }
    command = [
        sys.executable,
        "-m",
        "prefect",
        "server",
        "start",
        "--host",
        "127.0.0.1",
        "--port",
        str(port),
        "--no-ui",
    ]
    with (tmp_path / "log").open("wb") as log:
        process = subprocess.Popen(command, env=environment, stdout=log, stderr=log, start_new_session=True)
        try:
            deadline = time.monotonic() + SECONDS
            while True:
                try:
                    if httpx.get(f"{environment['PREFECT_API_URL']}/health").is_success:
                        break
                except httpx.HTTPError:
                    assert time.monotonic() < deadline, (tmp_path / "log").read_text()[-3000:]
                time.sleep(0.5)
            yield environment
        finally:
            process.terminate()
            process.wait(60)


@pytest.fixture
def calls() -> Iterator[tuple[str, list[bytes]]]:
    """A server that takes note of what it is sent; its address, and the notes."""
    bodies: list[bytes] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            bodies.append(self.rfile.read(int(self.headers["Content-Length"])))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Keep test output clean."""

    with listening(HTTPServer(("127.0.0.1", 0), Handler)) as address:
        yield f"{address}/hook?key=secret", bodies


def _register(environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "deploy/automations.py"]
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)


def test_a_run_that_fails_is_told_to_a_webhook(server: dict[str, str], calls: tuple[str, list[bytes]]) -> None:
    address, bodies = calls
    wrong = _register(server | {"METACLIP_WEBHOOK": "hooks.example.org"})
    assert wrong.returncode == 1
    assert "METACLIP_WEBHOOK: write the address" in wrong.stderr
    done = _register(server | {"METACLIP_WEBHOOK": address})
    assert done.stdout.count("registered: metaclip: ") == 5, done.stderr
    assert "key=secret" not in done.stdout + done.stderr
    assert _register(server | {"METACLIP_WEBHOOK": address}).stdout == ""  # nothing has changed
    with httpx.Client(base_url=server["PREFECT_API_URL"]) as api:
        flow = api.post("/flows/", json={"name": "curate"}).raise_for_status().json()["id"]
        state = {"type": "FAILED", "name": "Failed", "message": 'StageError: "3" of\n6 files'}

        def told() -> bool:
            # The server takes note of a new automation some time after it was registered.
            run = api.post("/flow_runs/", json={"flow_id": flow, "name": "demo"}).raise_for_status().json()["id"]
            wanted = {"state": state, "force": True}
            api.post(f"/flow_runs/{run}/set_state", json=wanted).raise_for_status()
            until = time.monotonic() + 15
            while not bodies and time.monotonic() < until:
                time.sleep(0.5)
            return bool(bodies)

        assert any(told() for _ in range(SECONDS // 15)), "the webhook was not called"
    said = json.loads(bodies[0])
    assert said["text"] == 'metaclip: curate of demo is Failed: StageError: "3" of\n6 files'
    assert (said["flow"], said["flow_run"], said["state"]) == ("curate", "demo", "Failed")
