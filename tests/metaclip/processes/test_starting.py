"""Children: what they find, what they do not find, and when they end."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from metaclip.processes.starting import spawning, start


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a module `told`, on this process's path alone."""
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    monkeypatch.syspath_prepend(str(folder))
    return folder / "told.py"


def _output(*arguments: str) -> str:
    child = start("told", *arguments, stdout=subprocess.PIPE)
    output, _ = child.process.communicate(timeout=30)
    child.end()
    assert child.process.returncode == 0
    return output.decode()


def test_a_module_is_found_as_here_and_nothing_in_the_current_folder(
    module: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    module.write_text("import json, queue, sys; print(json.dumps([__name__, sys.argv[1:], sys.path]))")
    for name in ("json", "queue", "runpy", "threading", "signal"):
        (tmp_path / f"{name}.py").write_text("raise SystemExit('shadowed')")
    monkeypatch.chdir(tmp_path)
    name, arguments, path = json.loads(_output("a b", "'"))
    assert (name, arguments) == ("__main__", ["a b", "'"])
    assert path[0] == str(module.parent)
    assert str(tmp_path) not in path


def test_no_variable_leaks_into_what_the_child_starts(module: Path) -> None:
    module.write_text("import os; print(*sorted(name for name in os.environ if name.startswith('METACLIP_CHILD')))")
    assert _output().strip() == ""


@pytest.mark.slow
def test_it_ends_with_all_that_it_started(module: Path) -> None:
    module.write_text(
        "import subprocess, time; subprocess.Popen(['sleep', '100']); print('up', flush=True); time.sleep(100)"
    )
    child = start("told", stdout=subprocess.PIPE)
    assert child.process.stdout is not None
    child.process.stdout.readline()
    processes = [psutil.Process(child.process.pid), *psutil.Process(child.process.pid).children()]
    assert len(processes) == 2
    child.end()
    child.end()  # which may be asked for again
    assert psutil.wait_procs(processes, timeout=2)[1] == []


@pytest.mark.slow
def test_what_it_leaves_running_ends_too(module: Path) -> None:
    module.write_text("import subprocess, sys; print(subprocess.Popen(['sleep', '100']).pid); sys.exit(3)")
    child = start("told", stdout=subprocess.PIPE)
    assert child.process.stdout is not None
    left = psutil.Process(int(child.process.stdout.readline()))
    assert child.wait() == 3
    assert psutil.wait_procs([left], timeout=2)[1] == []


def test_it_ends_when_its_parent_is_killed_while_it_imports(module: Path) -> None:
    module.write_text("while True: pass")  # busy, as an import is
    program = (
        "from metaclip.processes.starting import start\n"
        "child = start('told')\n"
        "print(child.process.pid, flush=True)\n"
        "child.process.wait()"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    parent = subprocess.Popen([sys.executable, "-c", program], env=environment, stdout=subprocess.PIPE)
    assert parent.stdout is not None
    child = psutil.Process(int(parent.stdout.readline()))
    parent.kill()
    killed = time.monotonic()
    parent.communicate()
    while child.is_running() and child.status() != psutil.STATUS_ZOMBIE:
        assert time.monotonic() - killed < 2
        time.sleep(0.01)


def test_spawning_leaves_the_environment_as_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONWARNINGS", "ignore::DeprecationWarning")
    monkeypatch.delenv("PYTHONSAFEPATH", raising=False)
    before = dict(os.environ)
    with spawning():
        assert os.environ["PYTHONSAFEPATH"] == "1"
        assert os.environ["PYTHONWARNINGS"].startswith("ignore::DeprecationWarning,")
    assert dict(os.environ) == before
