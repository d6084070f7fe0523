"""The guide to one machine in docs/deploy.md, as it stands there, up to the check of the machine."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.s3 import free_ports
from tests.services import ROOT

BLOCK = re.search(r"## On one machine.*?```bash\n(.*?)```", (ROOT / "docs/deploy.md").read_text(), re.S)
assert BLOCK is not None
LINES = BLOCK[1].splitlines()

ASK = """
import os, httpx
url = os.environ["PREFECT_API_URL"]
user, _, password = os.environ["PREFECT_API_AUTH_STRING"].partition(":")
print(httpx.get(f"{url}/version").status_code, httpx.get(f"{url}/version", auth=(user, password)).status_code)
"""


def test_the_password_is_there_before_the_server_and_given_to_all() -> None:
    (server,) = [place for place, line in enumerate(LINES) if "prefect server start" in line]
    before = "\n".join(LINES[:server])
    assert re.search(r'^export PREFECT_SERVER_API_AUTH_STRING="admin:\$\(openssl rand -hex 16\)"', before, re.M)
    assert re.search(r'^export PREFECT_API_AUTH_STRING="\$PREFECT_SERVER_API_AUTH_STRING"', before, re.M)
    assert "--host" not in LINES[server]  # 127.0.0.1 is the default


@pytest.mark.slow
@pytest.mark.long
def test_the_guide_starts_a_server_that_answers_nobody_else(tmp_path: Path) -> None:
    (last,) = [place for place, line in enumerate(LINES) if "metaclip doctor" in line]
    port = free_ports(1)[0]
    script = "\n".join(line for line in LINES[: last + 1] if line != "make setup")
    script = script.replace(".venv/bin/metaclip ", '"$PYTHON" -m flows ').replace(":4200", f":{port}")
    script = script.replace("prefect server start", f"prefect server start --port {port}")
    script = script.replace(".venv/bin/", f"{Path(sys.executable).parent}/")
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PREFECT")}
    done = subprocess.run(
        ["bash", "-c", f'trap "kill %1; wait" EXIT; set -e\n{script}\n"$PYTHON" -c "$ASK"'],
        cwd=tmp_path,
        env={
            **environment,
            "PREFECT_HOME": str(tmp_path / "prefect"),
            "PYTHONPATH": str(ROOT),
            "PYTHON": sys.executable,
            "ASK": ASK,
        },
        capture_output=True,
        text=True,
        timeout=240,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "401 200"
    assert re.search(rf"^ok +prefect: http://127.0.0.1:{port}/api", done.stdout, re.M)
