"""`metaclip metrics` as a process, and logs as lines of JSON."""

import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest

from metaclip.pool.run_log import run_log
from metaclip.store.store import Store


@pytest.fixture
def storage(tmp_path: Path) -> str:
    """A store with one run."""
    storage = str(tmp_path / "store")
    with run_log(Store(storage), "pool", "a1", "curate") as log:
        log.begin("extract", 1)
    return storage


def _command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "flows", *arguments]


def _run(*arguments: str, **more: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, **more}
    return subprocess.run(_command(*arguments), capture_output=True, text=True, env=environment, check=False)


@pytest.mark.slow
def test_a_textfile_is_written_again_and_again(storage: str, tmp_path: Path) -> None:
    file = tmp_path / "metaclip.prom"
    process = subprocess.Popen(_command("metrics", "--storage", storage, "--to", str(file), "--every", "1"))
    try:
        deadline = time.monotonic() + 60
        while not file.exists():
            assert time.monotonic() < deadline
            time.sleep(0.1)
        first = file.stat().st_ino
        while file.stat().st_ino == first:  # a new file took its place
            assert time.monotonic() < deadline
            time.sleep(0.1)
    finally:
        process.send_signal(signal.SIGINT)
    assert process.wait(20) == 130
    assert 'metaclip_run_state{flow="curate",pool="pool",state="completed"} 1.0' in file.read_text()
    assert [path.name for path in tmp_path.iterdir() if path.suffix != ".prom"] == ["store"]


@pytest.mark.slow
def test_prometheus_is_answered(storage: str) -> None:
    command = _command("metrics", "--storage", storage, "--pool", "pool", "--serve", "127.0.0.1:0")
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    try:
        address = process.stderr.readline().split()[-1]
        with urllib.request.urlopen(address) as answer:
            assert answer.headers["Content-Type"].startswith("text/plain")
            assert "metaclip_stage_outputs_expected" in answer.read().decode()
    finally:
        process.send_signal(signal.SIGINT)
    assert process.wait(20) == 130
    process.stderr.close()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["--to", "metaclip.txt"], "names end in .prom"),
        (["--every", "5"], "give --to too"),
        (["--serve", "9464"], "write host and port"),
        (["--serve", "127.0.0.1:1", "--to", "a.prom"], "not both"),
    ],
)
def test_wrong_options_are_told(storage: str, options: list[str], told: str) -> None:
    done = _run("metrics", "--storage", storage, *options)
    assert done.returncode == 2
    assert told in done.stderr


@pytest.mark.slow
def test_a_textfile_that_cannot_be_written_is_told(storage: str) -> None:
    done = _run("metrics", "--storage", storage, "--to", "/nowhere/a.prom")
    assert done.returncode == 4
    assert "error: --to /nowhere/a.prom: cannot be written" in done.stderr


@pytest.mark.slow
@pytest.mark.parametrize("way", [["--log-format", "json"], []])
def test_an_error_is_a_line_of_json(way: list[str]) -> None:
    done = _run(*way, "run", "none.yaml", **({} if way else {"METACLIP_LOG_FORMAT": "json"}))
    (line,) = done.stderr.splitlines()
    told = json.loads(line)
    assert told["level"] == "ERROR"
    assert "none.yaml" in told["message"]
    assert done.returncode == 2


@pytest.mark.long
@pytest.mark.slow
def test_all_that_a_run_logs_is_lines_of_json(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text('{"url": "https://a.example/1.jpg", "text": "a cat"}\n' * 3)
    (tmp_path / "entries.txt").write_text("cat\n")
    tree = {
        "pool": "lines",
        "storage": str(tmp_path / "pool"),
        "source": {"kind": "pairs", "paths": [str(tmp_path / "a.jsonl")]},
        "metadata": {"entries": str(tmp_path / "entries.txt")},
        "match": {"languages": []},
        "execution": {"processes": 1},
    }
    (tmp_path / "lines.yaml").write_text(json.dumps(tree))
    more = {"PREFECT_LOGGING_LEVEL": "INFO", "PREFECT_API_URL": "", "PREFECT_HOME": str(tmp_path / "prefect")}
    done = _run("--log-format", "json", "run", str(tmp_path / "lines.yaml"), "--until", "match", **more)
    assert done.returncode == 0, done.stderr
    lines = [json.loads(line) for line in done.stderr.splitlines()]
    assert {"stage": "match", "done": 1, "total": 1}.items() <= [line for line in lines if "done" in line][-1].items()
    assert any(line["logger"] == "prefect.flow_runs" and line["flow_run_name"] == "lines" for line in lines)
