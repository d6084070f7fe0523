"""The command on an S3 root, as its users run it: the same bytes as in a folder, killed, run again."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner, Result

from flows.cli.main import app
from tests.conftest import config_tree
from tests.s3 import S3Server
from tests.s3_proxy import counting

METACLIP = [sys.executable, "-m", "flows"]


def _run(*arguments: str | Path, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*METACLIP, *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=240,
        env={**os.environ, **environment},
    )


def _here(*arguments: str | Path) -> Result:
    return CliRunner().invoke(app, [*map(str, arguments)])


@pytest.fixture
def configure(crawl: Path, tmp_path: Path, bucket: str) -> Callable[..., Path]:
    def make(**changes: Any) -> Path:
        path = tmp_path / "config.yaml"
        path.write_text(yaml.safe_dump(config_tree(crawl, Path("x"), **{"storage": f"{bucket}/pöol", **changes})))
        return path

    return make


def _stage_files(root: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(root)): path.read_bytes()
        for path in root.glob("*-v*/**/*")
        if path.is_file() and "manifest" not in path.name
    }


def _stored(server: S3Server, root: str) -> dict[str, bytes]:
    client = server.client()
    start = len(root.removeprefix("s3://")) + 1
    found = client.cat(client.find(root))
    return {name[start:]: content for name, content in found.items() if "-v" in name and "manifest" not in name}


@pytest.mark.long
@pytest.mark.slow
def test_the_same_files_as_in_a_folder_after_a_kill_with_a_new_t_and_no_listing(
    configure: Callable[..., Path],
    bucket: str,
    s3_server: S3Server,
    crawl: Path,
    finished_pool: Path,
    prefect_server: str,
) -> None:
    root = f"{bucket}/pöol"
    client = s3_server.client()
    client.put(str(crawl) + "/", f"{bucket}/crawl", recursive=True)
    config = configure()

    command = subprocess.Popen([*METACLIP, "run", str(config)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while len(client.glob(f"{root}/extract-v*/*/manifest.json")) < 2:
        assert command.poll() is None
        time.sleep(0.05)
    command.send_signal(signal.SIGKILL)
    command.wait()
    standing = client.glob(f"{root}/extract-v*/*/manifest.json")
    written = {name: client.info(name)["LastModified"] for name in standing}

    with counting(s3_server.endpoint) as proxy:
        done = _run("run", config, "--json", AWS_ENDPOINT_URL_S3=proxy.endpoint)
        assert done.returncode == 0, done.stderr
        assert [(request.path, request.query) for request in proxy.listings] == []
    summary = json.loads(done.stdout)
    (extract,) = [stage for stage in summary["stages"] if stage["stage"] == "extract"]
    assert extract["cached"] >= len(standing) >= 2
    assert {name: client.info(name)["LastModified"] for name in standing} == written
    assert _stored(s3_server, root) == _stage_files(finished_pool)
    assert summary["curated"].startswith(f"{root}/curate-v")

    # In this process from here on, which takes seconds less.
    other = _here("rebalance", "small", "--storage", root, "--t", "50", "--json")
    assert other.exit_code == 0, other.output
    computed = {stage["stage"] for stage in json.loads(other.stdout)["stages"] if stage["cached"] < stage["tasks"]}
    assert computed == {"curate", "survey", "report"}
    status = _here("status", "small", "--storage", root, "--full", "--json")
    assert status.exit_code == 0
    assert sorted(json.loads(status.stdout)["sets"]) == ["20", "50"]

    # The crawl from the store as well, under another name, and without a compiled kernel: the same pairs.
    changes = {"source": {"paths": [f"{bucket}/crawl/demo.paths"]}, "execution__kernels": "plain"}
    again = _here("run", configure(pool="from-s3", **changes), "--json")
    assert again.exit_code == 0, again.output
    plain = json.loads(again.stdout)
    assert plain["funnel"] == summary["funnel"]
    sets = [client.cat(client.glob(f"{one['curated']}/*.parquet")) for one in (summary, plain)]
    assert list(sets[0].values()) == list(sets[1].values()) != []


@pytest.mark.slow
@pytest.mark.parametrize(
    ("environment", "message"),
    [
        ({"AWS_SECRET_ACCESS_KEY": "wrong"}, "check AWS_SECRET_ACCESS_KEY"),
        ({"AWS_ENDPOINT_URL_S3": "http://127.0.0.1:9"}, "check AWS_ENDPOINT_URL_S3"),
    ],
)
def test_mistakes_end_with_the_code_of_the_store(
    configure: Callable[..., Path],
    bucket: str,
    environment: dict[str, str],
    message: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    for arguments in (["run", configure()], ["status", "small", "--storage", f"{bucket}/pöol"]):
        done = _here(*arguments, "--json")
        assert done.exit_code == 4, done.output
        assert message in json.loads(done.stdout)["message"]


@pytest.mark.long
@pytest.mark.slow
def test_a_store_that_is_moved_is_the_same_store(
    configure: Callable[..., Path], finished_pool: Path, crawl: Path, bucket: str
) -> None:
    """As docs/maintenance.md has it: everything is copied, found, and nothing is computed again."""
    command = "import sys; from fsspec.generic import rsync; rsync(*sys.argv[1:])"
    for source, to in ((finished_pool.as_uri(), f"{bucket}/first"), (f"{bucket}/first", f"{bucket}/second")):
        subprocess.run([sys.executable, "-c", command, source, to], check=True, timeout=120)
    moved = json.loads(_run("status", "small", "--storage", f"{bucket}/second", "--full", "--json").stdout)
    assert (moved["missing"], moved["doubtful"]) == (0, [])
    done = _run("run", configure(storage=f"{bucket}/second"), "--json")
    assert done.returncode == 0, done.stderr
    stages = json.loads(done.stdout)["stages"]
    assert [stage["stage"] for stage in stages if stage["cached"] < stage["tasks"]] == []
