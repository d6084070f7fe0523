"""The process that compiles beside a run: it says how far it is, and ends with the run."""

import os
import threading
import time
from pathlib import Path

import pytest

from metaclip.kernels import ways
from metaclip.kernels.clock import Clock
from tasks.compiling import Compiling


@pytest.fixture
def cold(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache, of a processor whose kernels nobody has compiled."""
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path))
    monkeypatch.setattr("tasks.compiling.WAYS", ways.Ways())
    ways._cache_folder.cache_clear()
    return tmp_path


@pytest.fixture(autouse=True)
def _known_again() -> object:
    yield
    ways._cache_folder.cache_clear()


@pytest.mark.long
def test_it_says_how_far_it_is_and_marks_what_is_compiled(cold: Path) -> None:
    told: list[tuple[int, int]] = []
    compiling = Compiling(["table"], lambda compiled, of: told.append((compiled, of)))
    assert compiling._child is not None
    assert compiling._child.process.wait(120) == 0
    for thread in threading.enumerate():
        if thread.name == "compiling":
            thread.join(10)
    compiling.end()
    assert told
    assert 0 < told[-1][0] <= told[-1][1]
    assert [path.name for path in cold.glob("compiled-table-*")]
    assert Compiling(["table"], lambda *_: None)._child is None


def test_it_ends_with_the_run(cold: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scratch = cold / "scratch"
    scratch.mkdir()
    monkeypatch.setenv("TMPDIR", str(scratch))
    monkeypatch.setattr("tempfile.tempdir", str(scratch))
    compiling = Compiling(["warc"], lambda *_: None)
    assert compiling._child is not None
    number = compiling._child.process.pid
    deadline = time.monotonic() + 120
    while not list(scratch.rglob("*.warc.gz")):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    compiling.end()
    assert [file for file in scratch.rglob("*") if file.name.endswith(".tmp") or file.is_file()] == []
    with pytest.raises(ProcessLookupError):
        os.kill(number, 0)
    assert not list(cold.glob("compiled-*"))


def test_blocks_within_blocks_count_once() -> None:
    clock = Clock()
    with clock, clock:
        pass
    assert 0 <= clock.seconds < 1
    assert clock._depth == 0
