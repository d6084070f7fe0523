"""A task that takes too long, or too much memory, ends with a reason; the tasks beside it go on."""

import ctypes
import threading
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import pytest

from metaclip.config.settings import Execution
from metaclip.errors import TaskLimitError
from metaclip.store.job import Job
from metaclip.store.store import Store
from metaclip.store.writer import OutputWriter
from tasks.bounds import Bounds, bounded, memory_of_machine
from tasks.workers import Downloads, Workers


@dataclass(frozen=True)
class Harmful(Job):
    """A job that does what hostile input does."""

    STAGE: ClassVar[str] = "harm"
    VERSION: ClassVar[int] = 1
    what: str

    def config(self) -> Mapping[str, Any]:
        return {"what": self.what}

    def inputs(self) -> list[str]:
        return []

    def compute(self, store: Store, output: OutputWriter) -> Mapping[str, Any]:
        held: list[bytes] = []
        while self.what == "loops":
            try:
                time.sleep(0.01)
            except Exception:  # noqa: BLE001, S112 (as code does that drops bad records)
                continue
        while self.what == "grows":
            held.append(bytes(b"x" * (8 << 20)))
            time.sleep(0.005)
        output.json("done.json", self.what, 0)
        return {}


@pytest.fixture
def pool() -> Iterator[Workers]:
    workers = Workers(2, Downloads())
    yield workers
    workers.close()


BOUNDS = Bounds(2.0, 300 << 20)


@pytest.mark.long
@pytest.mark.parametrize(
    ("what", "message"),
    [
        ("loops", r"^harm .*: takes longer than execution\.max_task_seconds = 2; look at its input"),
        ("grows", r"takes 3\d\d MB of memory, more than execution\.max_task_mb = 300"),
    ],
)
def test_a_task_beyond_its_bounds_ends_and_others_go_on(what: str, message: str, pool: Workers, tmp_path: Path) -> None:
    root = str(tmp_path)
    started = time.monotonic()
    with ThreadPoolExecutor(2) as threads:
        bad = threads.submit(pool.run, root, Harmful(what), BOUNDS)
        good = [pool.run(root, Harmful(f"none {number}"), BOUNDS) for number in range(5)]
        with pytest.raises(TaskLimitError, match=message):
            bad.result()
    assert len(good) == 5
    assert time.monotonic() - started < 30
    pool.run(root, Harmful("none"), BOUNDS)  # the process is used again


@pytest.mark.long
def test_a_task_that_does_not_react_ends_with_its_process(pool: Workers, tmp_path: Path) -> None:
    with pytest.raises(TaskLimitError, match="takes longer"):
        pool.run(str(tmp_path), Hanging("hangs"), Bounds(0.5, 1 << 40))
    pool.run(str(tmp_path), Harmful("none"), BOUNDS)  # in a new one


@dataclass(frozen=True)
class Hanging(Harmful):
    """One within native code, in a process with little patience."""

    def compute(self, store: Store, output: OutputWriter) -> Mapping[str, Any]:
        from tasks import bounds

        bounds.GRACE_SECONDS = 1.0
        while True:
            try:
                ctypes.CDLL(None).pause()
            except BaseException:  # noqa: BLE001, S112
                continue


def test_memory_that_is_not_there_is_a_limit_too(tmp_path: Path) -> None:
    with pytest.raises(TaskLimitError, match="there is no memory left"), bounded(BOUNDS, "x", tmp_path / "note"):
        raise MemoryError


def test_other_threads_are_not_watched(tmp_path: Path) -> None:
    seen: list[int] = []

    def work() -> None:
        with bounded(Bounds(0.0, 0), "x", tmp_path / "note"):
            time.sleep(0.3)
            seen.append(1)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen == [1]


def test_bounds_of_a_configuration() -> None:
    assert Bounds.of(Execution(max_task_seconds=5, max_task_mb=3)) == Bounds(5, 3 << 20)
    assert 0 < Bounds.of(Execution()).memory < memory_of_machine()
