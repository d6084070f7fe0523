"""A worker process that dies while the pool of processes starts costs a retry, as at any other moment."""

import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil
import pytest

from metaclip.config.settings import Config
from metaclip.errors import WorkerLostError
from metaclip.prepare.jobs import check
from tasks.bounds import Bounds
from tasks.workers import Downloads, Workers
from tests.conftest import MakeConfig


@pytest.fixture
def pool() -> Iterator[Workers]:
    made = Workers(2, Downloads())
    yield made
    made.close()


def _kill_first_process(before: set[int], ended: threading.Event) -> None:
    """Kill the first worker process that appears, before it has done anything."""
    while not ended.is_set():
        for child in psutil.Process().children(recursive=True):
            with suppress(psutil.NoSuchProcess):
                if child.pid not in before and "spawn_main" in " ".join(child.cmdline()):
                    child.kill()
                    return
        time.sleep(0.001)


@pytest.mark.slow
def test_a_worker_that_dies_while_the_pool_starts_is_replaced(make_config: MakeConfig, pool: Workers) -> None:
    config: Config = make_config()
    job = check(config)
    bounds = Bounds.of(config.execution)
    ended = threading.Event()
    before = {child.pid for child in psutil.Process().children(recursive=True)}
    killer = threading.Thread(target=_kill_first_process, args=(before, ended))
    killer.start()
    try:
        with pytest.raises(WorkerLostError, match="a worker process died"):
            pool.run(config.storage, job, bounds)
    finally:
        ended.set()
        killer.join()
    reference = pool.run(config.storage, job, bounds).reference
    assert (Path(config.storage) / reference.manifest).exists()


@pytest.mark.slow
def test_a_process_that_cannot_start_beside_a_dead_one_is_a_lost_worker(
    make_config: MakeConfig, pool: Workers, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Python closes the pipes of a pool whose process died, and the next one was to inherit them."""

    class Broken(ProcessPoolExecutor):
        asked = 0

        def submit(self, *_arguments: object, **_named: object) -> Any:
            Broken.asked += 1
            raise ValueError("bad value(s) in fds_to_keep") if Broken.asked == 1 else BrokenProcessPool

    config: Config = make_config()
    job, bounds = check(config), Bounds.of(config.execution)
    with monkeypatch.context() as patched:
        patched.setattr("tasks.workers.ProcessPoolExecutor", Broken)
        with pytest.raises(WorkerLostError, match="a worker process died"):
            pool.run(config.storage, job, bounds)
    assert pool.run(config.storage, job, bounds).reference.rows > 0


@pytest.mark.slow
@pytest.mark.parametrize("closed", [False, True])
def test_a_process_that_begins_as_another_dies_is_not_waited_for(
    make_config: MakeConfig, pool: Workers, monkeypatch: pytest.MonkeyPatch, closed: bool
) -> None:
    class Late(dict[int, Any]):
        pool: Any

        def __setitem__(self, number: int, process: Any) -> None:
            for other in self.values():
                other.kill()
                # Since Python 3.12 a pool is not told broken before its new process is known.
                deadline = time.monotonic() + 2
                while not self.pool._broken and time.monotonic() < deadline:
                    time.sleep(0.01)
                time.sleep(0.3)  # the processes that are known are ended meanwhile
            super().__setitem__(number, process)

    class Pool(ProcessPoolExecutor):
        def __init__(self, *arguments: Any, **named: Any) -> None:
            super().__init__(*arguments, **named)
            self._processes = Late()
            self._processes.pool = self

    config: Config = make_config()
    job, bounds = check(config), Bounds.of(config.execution)
    with monkeypatch.context() as patched:
        patched.setattr("tasks.workers.ProcessPoolExecutor", Pool)
        if closed:
            pool.start()
        else:
            with pytest.raises(WorkerLostError, match="a worker process died"):
                pool.run(config.storage, job, bounds)
    pool.close()
    assert pool.run(config.storage, job, bounds).reference.rows > 0


@pytest.mark.long
def test_workers_that_end_as_they_start_say_nothing() -> None:
    """Their semaphores are gone with the process that began them."""
    code = """
from tasks.workers import Downloads, Workers
started = Workers(2, Downloads())
started._started()
started.close()
del started
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_no_thread_of_a_pool_outlives_it() -> None:
    """One that ended beside the process would write to pipes that are closed, and say so after the last line."""
    before = set(threading.enumerate())
    started = Workers(2, Downloads())
    started.start()
    started.close()
    assert set(threading.enumerate()) == before


def test_workers_do_without_pandas_where_it_is_installed(tmp_path: Path) -> None:
    """Arrow asks of what it is given whether it is one of pandas' columns, and imports pandas for that."""
    (tmp_path / "pandas.py").write_text("raise SystemExit('pandas is imported')")
    code = """
import sys
from tasks.workers import Downloads, Workers
sys.path.insert(0, sys.argv[1])

def main():
    started = Workers(1, Downloads())
    for told in ("__import__('pyarrow').array([1, 2]).to_pylist()", "'pandas' in __import__('sys').modules"):
        print(started._started().submit(eval, told).result())
    started.close()

main()
"""
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout, done.stderr) == (0, "[1, 2]\nFalse\n", "")
