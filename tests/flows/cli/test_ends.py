"""How the command ends, at whatever moment: interrupted, its server killed, killed itself; and from which folder."""

import json
import os
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
import yaml

from metaclip.processes.interrupts import MESSAGE
from tests.conftest import config_tree
from tests.examples import ROOT

BEGIN = f"import sys; sys.path.insert(0, {str(ROOT)!r}); from flows.cli import app; print(flush=True); app()"
"""What the installed command does, without an installation; a first empty line tells that it began."""

MARK = "METACLIP_TEST_MARK"
LIFE_SECONDS = 2.0
"""So long may a process outlive the command."""


class Command:
    """The command `metaclip` in a session of its own, as in a terminal of its own."""

    def __init__(self, *arguments: str | Path, cwd: Path, **environment: str) -> None:
        self.mark = uuid.uuid4().hex
        inherited = {key: value for key, value in os.environ.items() if not key.startswith("PREFECT_API")}
        self.process = subprocess.Popen(
            [sys.executable, "-P", "-c", BEGIN, *map(str, arguments)],
            cwd=cwd,
            env={**inherited, MARK: self.mark, **environment},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def await_beginning(self) -> None:
        assert self.process.stdout is not None
        assert self.process.stdout.readline() == "\n"

    def await_moment(self, reached: Callable[[], object]) -> None:
        deadline = time.monotonic() + 120
        while not reached():
            assert self.process.poll() is None, self.process.communicate()
            assert time.monotonic() < deadline
            time.sleep(0.005)

    def processes(self, what: str = "") -> list[psutil.Process]:
        """Return all that the command started and that live, also those whose parent is gone."""
        return [one for one in self._marked() if one.pid != self.process.pid and what in " ".join(_words(one))]

    def _marked(self) -> Iterator[psutil.Process]:
        for process in psutil.process_iter():
            try:
                if process.environ().get(MARK) == self.mark and process.status() != psutil.STATUS_ZOMBIE:
                    yield process
            except psutil.Error:
                continue

    def interrupt(self) -> None:
        """Press Ctrl-C: a terminal sends it to the whole group."""
        os.killpg(self.process.pid, signal.SIGINT)

    def result(self, timeout: float) -> tuple[int, str, str]:
        output, said = self.process.communicate(timeout=timeout)
        return self.process.returncode, output, said

    def kill(self) -> None:
        for process in [*self.processes(), psutil.Process(self.process.pid)]:
            try:
                process.kill()
            except psutil.NoSuchProcess:
                continue
        self.process.communicate()


def _words(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline()
    except psutil.Error:
        return []


@pytest.fixture
def begin(crawl: Path, tmp_path: Path) -> Iterator[Callable[..., Command]]:
    """Start `metaclip run` for the small crawl, in an empty folder, with no Prefect server configured."""
    tree = config_tree(crawl, tmp_path / "pool")
    (tmp_path / "small.yaml").write_text(yaml.safe_dump(tree))
    begun: list[Command] = []

    def start(*arguments: str, **environment: str) -> Command:
        command = Command("run", tmp_path / "small.yaml", *arguments, cwd=tmp_path, **environment)
        begun.append(command)
        command.await_beginning()
        return command

    yield start
    for command in begun:
        if command.process.poll() is None:
            command.kill()


SERVER, WORKER, TRACKER = "flows.cli.server.process", "spawn_main", "resource_tracker"


@pytest.mark.slow
@pytest.mark.parametrize("seconds", [0.02, 0.2, 0.5, 1, 2])
def test_an_interrupt_in_the_first_seconds_is_one_line(begin: Callable[..., Command], seconds: float) -> None:
    command = begin("--json")
    time.sleep(seconds)
    command.interrupt()
    assert command.result(5) == (130, "", f"{MESSAGE}\n")


def test_an_interrupt_while_the_server_starts_is_one_line(begin: Callable[..., Command]) -> None:
    command = begin("--json")
    command.await_moment(lambda: command.processes(SERVER))
    command.interrupt()
    interrupted = time.monotonic()
    assert command.result(5) == (130, "", f"{MESSAGE}\n")
    _all_gone(command, interrupted)


@pytest.mark.long
@pytest.mark.slow
@pytest.mark.parametrize("moment", ["metadata", "extract", "match"])
def test_an_interrupt_of_a_run_is_one_line(begin: Callable[..., Command], tmp_path: Path, moment: str) -> None:
    command = begin("--json")
    command.await_moment(lambda: any((tmp_path / "pool").glob(f"{moment}-v*/*/*")))
    command.interrupt()
    assert command.result(30) == (130, "", f"{MESSAGE}\n")
    _all_gone(command, time.monotonic())


@pytest.mark.slow
def test_a_killed_server_ends_the_run_in_one_line(begin: Callable[..., Command], tmp_path: Path) -> None:
    command = begin("--json")
    command.await_moment(lambda: any((tmp_path / "pool").glob("extract-v*/*/*")))
    (server,) = command.processes(SERVER)
    server.kill()
    killed = time.monotonic()
    code, output, said = command.result(20)  # a second where the machine has nothing else to do
    assert code == 6
    assert said.startswith("error: Prefect's local server was killed (signal 9); run the same command again")
    assert said.count("\n") == 1
    assert json.loads(output)["error"] == "ServerLostError"
    _all_gone(command, killed)


@pytest.mark.long
def test_a_server_that_cannot_start_is_one_line(begin: Callable[..., Command], tmp_path: Path) -> None:
    command = begin("--json")
    command.await_moment(lambda: command.processes(SERVER))
    for server in command.processes(SERVER):
        server.kill()
    code, _, said = command.result(60)
    assert code == 6
    assert said.startswith("error: Prefect's local server ended while it started (code -9); run the same command")
    assert said.count("\n") == 1


MOMENTS: dict[str, Callable[[Command, Path], object]] = {
    "server started": lambda command, _: command.processes(SERVER),
    "tracker started": lambda command, _: command.processes(TRACKER),
    "worker started": lambda command, _: command.processes(WORKER),
    "both workers": lambda command, _: len(command.processes(WORKER)) == 2,
    "extract": lambda _, root: any(root.glob("extract-v*/*/*")),
}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("moment", "later"),
    [
        pytest.param(moment, later, marks=[] if (moment, later) == ("extract", 0.0) else pytest.mark.long)
        for moment in MOMENTS
        for later in (0.0, 0.1, 0.6)
    ],
)
def test_nothing_outlives_a_killed_command(
    begin: Callable[..., Command], tmp_path: Path, moment: str, later: float
) -> None:
    command = begin("--json")
    command.await_moment(lambda: MOMENTS[moment](command, tmp_path / "pool"))
    time.sleep(later)
    command.process.kill()
    killed = time.monotonic()
    command.process.communicate(timeout=LIFE_SECONDS + 3)
    _all_gone(command, killed)


def _all_gone(command: Command, since: float) -> None:
    while left := command.processes():
        assert time.monotonic() - since < LIFE_SECONDS, [_words(one) for one in left]
        time.sleep(0.02)


@pytest.mark.long
def test_an_interrupt_in_a_terminal_brings_the_cursor_back(begin: Callable[..., Command]) -> None:
    ours, theirs = os.openpty()
    arguments = [sys.executable, "-P", "-c", BEGIN, "run", "small.yaml"]
    command = begin()  # writes the configuration; another one gets the terminal
    command.kill()
    cwd = Path(command.process.args[-1]).parent  # type: ignore[index]
    environment = {key: value for key, value in os.environ.items() if not key.startswith("PREFECT_API")}
    process = subprocess.Popen(
        arguments, cwd=cwd, env=environment, stdout=subprocess.PIPE, stderr=theirs, start_new_session=True
    )
    os.close(theirs)
    said = b""
    while b"\x1b[?25l" not in said:  # the progress bar hides it
        said += os.read(ours, 1000)
    os.killpg(process.pid, signal.SIGINT)
    assert process.wait(timeout=5) == 130
    try:
        while part := os.read(ours, 1000):
            said += part
    except OSError:  # how a terminal without processes ends
        pass
    assert said.rpartition(b"\x1b[?25l")[2].endswith(b"\x1b[?25h" + MESSAGE.encode() + b"\r\n")
    os.close(ours)


SHADOWS = ("asyncio", "csv", "email", "flows", "http", "json", "logging", "prefect", "queue", "socket", "tasks")


@pytest.fixture
def shadowed(tmp_path: Path) -> dict[str, Any]:
    """A folder with a small pool and many files that are named as modules are, by whoever works there."""
    for name in SHADOWS:
        (tmp_path / f"{name}.py").write_text(f"raise SystemExit('{name}.py of the current folder was imported')\n")
    for name in ("metaclip", "uvicorn"):  # packages
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text(f"raise SystemExit('{name}/ of the current folder was imported')")
    (tmp_path / "in").mkdir()
    (tmp_path / "in/a.jsonl").write_text('{"url": "https://a.example/1.jpg", "text": "a cat"}\n')
    (tmp_path / "entries.txt").write_text("cat\n")
    tree = {
        "pool": "shadow",
        "storage": "store",
        "source": {"paths": ["in/"]},
        "metadata": {"entries": "entries.txt"},
        "match": {"languages": []},
        "balance": {"t": 20},
        "execution": {"processes": 1},
    }
    (tmp_path / "shadow.yaml").write_text(yaml.safe_dump(tree))
    return tree


@pytest.mark.long
@pytest.mark.slow
def test_modules_of_the_current_folder_are_none_of_the_commands_business(
    shadowed: dict[str, Any], tmp_path: Path
) -> None:
    command = Command("run", "shadow.yaml", "--json", cwd=tmp_path)
    code, output, said = command.result(240)
    assert code == 0, said
    assert json.loads(output)["funnel"]["curated"] == 1


@pytest.mark.long
def test_the_package_runs_as_the_command_does_beside_a_file_of_the_users(
    shadowed: dict[str, Any], tmp_path: Path
) -> None:
    (tmp_path / "metaclip/__init__.py").unlink()  # Python itself takes a package of the name that is asked for
    (tmp_path / "metaclip").rmdir()
    arguments = ["doctor", "shadow.yaml", "--json"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-m", "metaclip", *arguments], cwd=tmp_path, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["ok"]


@pytest.mark.slow
@pytest.mark.parametrize("name", ["metaclip", "flows"])
def test_a_checkout_that_is_not_installed_runs_by_its_names(name: str) -> None:
    done = subprocess.run([sys.executable, "-m", name, "--version"], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    usage = subprocess.run([sys.executable, "-m", name, "run"], cwd=ROOT, capture_output=True, text=True)
    assert "metaclip run" in usage.stderr
