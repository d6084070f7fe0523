"""The command, as its users run it: in a process of its own, killed at bad moments, fed rubbish."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest
import yaml
from typer.testing import CliRunner, Result

from flows.cli.main import app
from flows.curate import curate
from metaclip.config.loading import parse_config
from tests.conftest import config_tree, data_files, stage_files

METACLIP = [sys.executable, "-m", "flows"]
STAGES = ["metadata", "extract", "match", "gather", "dedup", "count", "balance", "curate", "report"]


def _run(*arguments: str | Path, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*METACLIP, *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=240,
        env={**os.environ, **environment},
    )


def _here(*arguments: str | Path) -> Result:
    """Run the command in this process, which takes seconds less, where what it says is all that matters."""
    return CliRunner().invoke(app, [*map(str, arguments)])


def _write(path: Path, tree: dict[str, Any]) -> Path:
    path.write_text(yaml.safe_dump(tree))
    return path


@pytest.fixture
def configure(crawl: Path, tmp_path: Path) -> Callable[..., Path]:
    def make(name: str = "pool", **changes: Any) -> Path:
        return _write(tmp_path / f"{name}.yaml", config_tree(crawl, tmp_path / name, **changes))

    return make


@pytest.mark.slow
def test_without_a_server_or_any_variable_and_nothing_left_behind(
    configure: Callable[..., Path], tmp_path: Path
) -> None:
    environment = {
        key: value for key, value in os.environ.items() if not key.startswith("PREFECT") and key != "DO_NOT_TRACK"
    }
    environment["HOME"] = str(tmp_path)
    command = subprocess.Popen(
        [*METACLIP, "run", str(configure()), "--json"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment
    )
    process = psutil.Process(command.pid)
    children: set[psutil.Process] = set()
    while command.poll() is None:
        try:
            children |= set(process.children(recursive=True))
        except psutil.NoSuchProcess:
            break
        time.sleep(0.2)
    output, errors = command.communicate()
    assert command.returncode == 0, errors.decode()
    assert json.loads(output)["funnel"]["curated"] > 0
    assert len(children) >= 3  # the server and two workers at least
    assert [child for child in children if child.is_running() and child.status() != psutil.STATUS_ZOMBIE] == []


@pytest.mark.long
@pytest.mark.slow
def test_hash_seed_does_not_show(configure: Callable[..., Path], tmp_path: Path, prefect_server: str) -> None:
    sets = []
    for seed in ("1", "2"):
        done = _run("run", configure(f"seed{seed}"), "--json", PYTHONHASHSEED=seed)
        assert done.returncode == 0, done.stderr
        sets.append(data_files(json.loads(done.stdout)["curated"]))
    assert sets[0] == sets[1]
    assert sets[0]


@pytest.mark.long
@pytest.mark.slow
def test_killed_in_every_stage_and_started_again(
    configure: Callable[..., Path], tmp_path: Path, prefect_server: str, whole: dict[str, bytes]
) -> None:
    config, root = configure(dedup__rows_per_partition=700, dedup__shards_per_group=3), tmp_path / "pool"
    standing: dict[str, tuple[int, int]] = {}
    for stage in STAGES:
        # Where tasks go on side by side two processes are killed; elsewhere a second one would only cost its start.
        _kill_in(stage, config, root, processes=2 if stage in ("extract", "gather", "dedup") else 1)
        # The record comes a moment after the report, the last stage.
        assert stage == "report" or not (root / "pools").exists()
        found = _manifests(root)
        assert {name: found[name] for name in standing} == standing, f"something was done again before {stage}"
        standing = found

    done = _run("run", config, "--json")
    assert done.returncode == 0, done.stderr
    summary = json.loads(done.stdout)
    assert data_files(summary["curated"]) == whole
    after = _manifests(root)
    assert {name: after[name] for name in standing} == standing, "something that stood was done again"
    computed = sum(found["tasks"] - found["cached"] for found in summary["stages"])
    assert computed == len(after) - len(standing)
    assert [name for name in stage_files(root) if name.endswith(".tmp")] == []


def _kill_in(stage: str, config: Path, root: Path, processes: int) -> None:
    """Run the command and kill it when the first file of the stage is there, finished or not."""
    arguments = ["run", str(config), "--set", f"execution.processes={processes}"]
    command = subprocess.Popen([*METACLIP, *arguments], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    process = psutil.Process(command.pid)
    while not any(root.glob(f"{stage}-v*/*/*")):
        assert command.poll() is None, f"ended before {stage}"
        time.sleep(0.005)
    children = process.children(recursive=True)
    command.send_signal(signal.SIGKILL)
    command.wait()
    _, alive = psutil.wait_procs(children, timeout=10)
    assert alive == [], "worker processes outlived the command"


def _manifests(root: Path) -> dict[str, tuple[int, int]]:
    return {name: stamp for name, stamp in stage_files(root).items() if name.endswith("manifest.json")}


@pytest.fixture(scope="module")
def whole(crawl: Path, tmp_path_factory: pytest.TempPathFactory, prefect_server: str) -> dict[str, bytes]:
    """The set of a run that nobody killed."""
    folder = tmp_path_factory.mktemp("whole")
    summary = curate(parse_config(config_tree(crawl, folder / "pool", dedup__rows_per_partition=700)))
    files = data_files(summary["curated"])
    assert len(files) > 1
    return files


@pytest.mark.long
@pytest.mark.slow
def test_a_killed_worker_process_is_replaced(
    configure: Callable[..., Path], tmp_path: Path, prefect_server: str
) -> None:
    command = subprocess.Popen(
        [*METACLIP, "run", str(configure()), "--json"], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    root = tmp_path / "pool"
    while not any(root.glob("extract-v*/*/*")):
        assert command.poll() is None
        time.sleep(0.005)
    workers = [child for child in psutil.Process(command.pid).children() if "spawn_main" in " ".join(child.cmdline())]
    assert len(workers) == 2
    workers[0].kill()
    output, errors = command.communicate(timeout=240)
    assert command.returncode == 0, errors.decode()
    assert json.loads(output)["funnel"]["curated"] > 0


@pytest.mark.long
@pytest.mark.slow
def test_summary_status_and_rebalance_for_people(
    configure: Callable[..., Path], tmp_path: Path, prefect_server: str
) -> None:
    done = _run("run", configure())
    assert done.returncode == 0, done.stderr
    for expected in ("funnel", "images", "curated", "MB/s", "top entries", "extract", "next:"):
        assert expected in done.stdout, expected
    again = _here("run", configure(), "--set", "balance.t=50", "--json")
    assert json.loads(again.stdout)["t"] == "50"
    other = _here("rebalance", "small", "--storage", tmp_path / "pool", "--t", "inf", "--json")
    assert json.loads(other.stdout)["funnel"]["curated"] == json.loads(other.stdout)["funnel"]["unique"]
    found = _here("status", "small", "--storage", tmp_path / "pool", "--json")
    assert found.exit_code == 0
    assert sorted(json.loads(found.stdout)["sets"]) == ["20", "50", "inf"]
    next((tmp_path / "pool").glob("match-v*/*/pairs.parquet")).unlink()
    damaged = _run("status", "small", "--storage", tmp_path / "pool")
    assert damaged.returncode == 4
    assert "missing" in damaged.stdout


@pytest.mark.parametrize(
    ("change", "code", "message"),
    [
        ({"balance__t": -1}, 2, "balance.t"),
        ({"colour": "red"}, 2, "colour: no such field"),
        ({"metadata__entries": "nowhere.json"}, 2, "nowhere.json"),
        ({"source__paths": ["nowhere.warc.gz"]}, 3, "nowhere.warc.gz"),
        ({"extract__language_model": "nowhere.ftz"}, 2, "nowhere.ftz"),
        ({"storage": "/proc/nowhere"}, 4, "/proc/nowhere"),
        ({"storage": "nosuch://x"}, 4, "nosuch"),
    ],
)
def test_mistakes_end_before_any_work_with_their_code(
    configure: Callable[..., Path],
    change: dict[str, Any],
    code: int,
    message: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("flows.cli.server.local.prefect_api", _no_server)
    done = _here("run", configure(**change), "--json")
    assert done.exit_code == code, done.output
    assert message in done.stderr
    assert message in json.loads(done.stdout)["message"]
    assert isinstance(done.exception, SystemExit)  # nothing else came through


def _no_server() -> None:
    raise AssertionError("a Prefect server was asked for")


@pytest.mark.slow
def test_a_mistake_in_a_process_of_its_own(configure: Callable[..., Path]) -> None:
    started = time.monotonic()
    done = _run("run", configure(source__paths=["nowhere.warc.gz"]), "--json", PREFECT_API_URL="http://127.0.0.1:9/api")
    assert done.returncode == 3, done.stderr
    assert "nowhere.warc.gz" in json.loads(done.stdout)["message"]
    assert "Traceback" not in done.stderr
    assert time.monotonic() - started < 60


def test_unknown_pool_and_usage(tmp_path: Path) -> None:
    assert _here("status", "nobody", "--storage", tmp_path).exit_code == 2
    assert _here("rebalance", "nobody", "--storage", tmp_path, "--t", "many").exit_code == 2
    assert _here("run").exit_code == 2
    assert "rebalance" in _run("--help").stdout
