"""The command `metaclip browse`: it makes the index once, and serves until it is interrupted."""

import json
import shutil
import signal
import socket
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest
from typer.testing import CliRunner

from flows.cli.main import app
from metaclip.pool.gc import collect, parse_grace
from metaclip.pool.record import BROWSE, read_record
from metaclip.store.store import Store
from tests.examples import ROOT


@pytest.fixture(scope="module")
def pool(finished_pool: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return Path(shutil.copytree(finished_pool, tmp_path_factory.mktemp("browse") / "pool"))


@pytest.mark.long
def test_the_index_is_made_once_named_in_the_record_and_survives_another_t(pool: Path) -> None:
    from flows.rebalance import rebalance

    command = ["browse", "small", "--storage", str(pool), "--index-only", "--json"]
    for made in (True, False):
        done = CliRunner().invoke(app, command)
        assert done.exit_code == 0, done.output
        assert json.loads(done.stdout) == {"pool": "small", "partitions": 1, "made": made}
    index = read_record(Store(str(pool)), "small")["stages"][BROWSE]
    rebalance("small", str(pool), 50)
    stages = read_record(Store(str(pool)), "small")["stages"]
    assert stages[BROWSE] == index
    assert list(stages["curate"]) == ["20", "50"]
    collect(str(pool), grace=parse_grace("0"))
    assert (pool / index[0]).exists()
    rebalance("small", str(pool), 50, seed=1)  # balanced anew
    assert BROWSE not in read_record(Store(str(pool)), "small")["stages"]


@pytest.mark.long
def test_it_serves_until_it_is_interrupted(finished_pool: Path, tmp_path: Path) -> None:
    storage = shutil.copytree(finished_pool, tmp_path / "pool")
    command = [sys.executable, "-m", "flows", "browse", "small", "--storage", str(storage), "--json"]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        lines = []
        while not lines or lines[-1] != "}\n":
            lines.append(process.stdout.readline())
            assert lines[-1], process.communicate()[1]
        base, _, token = json.loads("".join(lines))["url"].partition("/?token=")
        assert base.startswith("http://127.0.0.1:")
        request = urllib.request.Request(f"{base}/api/pool", headers={"Authorization": f"Bearer {token}"})
        with urllib.request.urlopen(request) as answer:
            assert json.load(answer)["pool"] == "small"
        process.send_signal(signal.SIGINT)
        out, error = process.communicate(timeout=30)
        assert (process.returncode, out, error) == (0, "", "")


@pytest.mark.parametrize(
    ("arguments", "code", "told"),
    [
        (["none"], 2, "no finished pool 'none'"),
        (["small", "--images", "/nowhere"], 2, "--images: no picture of pool 'small' was inspected"),
        (["small", "--port", "70000"], 2, "65535"),
    ],
)
def test_mistakes_are_told(finished_pool: Path, arguments: list[str], code: int, told: str) -> None:
    done = CliRunner().invoke(app, ["browse", *arguments, "--storage", str(finished_pool)])
    assert done.exit_code == code
    assert told in done.output


def test_a_taken_port_is_told_before_any_work(finished_pool: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        done = CliRunner().invoke(app, ["browse", "small", "--storage", str(finished_pool), "--port", port])
    assert done.exit_code == 2
    assert f"error: --port {port}" in done.output
