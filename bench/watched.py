"""Calls in a process of their own whose memory is watched from outside."""

import multiprocessing
import re
import subprocess
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import astuple, dataclass
from pathlib import Path
from typing import Any, TypeVar

from metaclip.processes.child import without_pandas
from metaclip.processes.starting import spawning

_SECONDS = 0.005
_KINDS = re.compile(r"(VmHWM|Rss\w+):\s+(\d+)")

_T = TypeVar("_T")


@dataclass
class Peak:
    """The most memory that a process had, in MB (of 2**20 bytes), as far as somebody looked."""

    resident: float = 0
    """As the system states it, nothing missed."""
    anonymous: float = 0
    """The most at one time that is the process's own."""
    mapped: float = 0
    """The most at one time of mapped files; processes that map the same files share it."""

    def look(self, process: int) -> None:
        """Take account of what a process has now.

        Raises:
            OSError: there is no such process.
        """
        found = {name: int(kb) / 1024 for name, kb in _KINDS.findall(Path(f"/proc/{process}/status").read_text())}
        if found:  # nothing of a process that has just ended
            self.resident = max(self.resident, found["VmHWM"])
            self.anonymous = max(self.anonymous, found["RssAnon"])
            self.mapped = max(self.mapped, found["RssFile"] + found["RssShmem"])

    def highest(self, other: "Peak") -> "Peak":
        """Return the higher one of each figure."""
        return Peak(*(max(pair) for pair in zip(astuple(self), astuple(other), strict=True)))

    def rounded(self) -> dict[str, float]:
        """Return the figures as JSON values."""
        return {"resident_mb": round(self.resident), "own_mb": round(self.anonymous), "mapped_mb": round(self.mapped)}


@contextmanager
def watching(process: int) -> Iterator[Peak]:
    """Look at a process's memory every few milliseconds."""
    peak, ended = Peak(), threading.Event()

    def watch() -> None:
        try:
            while not ended.wait(_SECONDS):
                peak.look(process)
        except OSError:
            return

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield peak
        with suppress(OSError):  # it has ended
            peak.look(process)
    finally:
        ended.set()
        thread.join()


class Worker:
    """A process of its own that calls functions one after the other."""

    def __init__(self) -> None:
        self._pool = ProcessPoolExecutor(1, multiprocessing.get_context("spawn"), without_pandas)
        with spawning():  # as the workers of a run begin
            self._pool.submit(int).result()

    def __enter__(self) -> "Worker":
        return self

    def __exit__(self, *_: object) -> None:
        self._pool.shutdown()

    def call(self, function: Callable[..., _T], *arguments: Any) -> tuple[_T, Peak]:
        """Call a function in the process; return what it returns, and the memory meanwhile.

        The resident peak is that of the process since it began.
        """
        (process,) = self._pool._processes
        with watching(process) as peak:
            return self._pool.submit(function, *arguments).result(), peak


def run_watched(command: list[str]) -> tuple[str, Peak]:
    """Run a program; return what it prints, and its memory.

    Raises:
        subprocess.CalledProcessError: it fails; its standard error is in the exception.
    """
    with (
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as program,
        watching(program.pid) as peak,
    ):
        out, err = program.communicate()
    if program.returncode:
        raise subprocess.CalledProcessError(program.returncode, command, out, err)
    return out, peak
