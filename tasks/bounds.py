"""How long a task may take, and how much memory: beyond that it ends with a reason, and the others go on.

A task is watched by a thread of its worker process, which interrupts it between two steps of Python. One that does not
react (it is within native code) ends with its process, and leaves its reason in a file.
"""

import ctypes
import gc
import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

import psutil
import pyarrow as pa

from metaclip.config.settings import Execution
from metaclip.errors import TaskLimitError

WATCH_SECONDS = 0.1
GRACE_SECONDS = 30.0
"""A task that is to end and has not done so after this time ends with its process."""
_GRACE_MEMORY = 1.5
"""So does one that takes so many times the memory that it may."""
_CGROUP_FILES = ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes")


@dataclass(frozen=True)
class Bounds:
    """What one task may take."""

    seconds: float
    memory: int
    """Bytes beyond what its process has when the task begins; shared pages do not count."""

    @classmethod
    def of(cls, execution: Execution) -> "Bounds":
        """Return the bounds of a configuration."""
        megabytes = execution.max_task_mb
        return cls(
            execution.max_task_seconds, megabytes << 20 if megabytes is not None else memory_of_machine() * 3 // 4
        )


def memory_of_machine() -> int:
    """Return the bytes of memory that this machine, or this container, has."""
    total = int(psutil.virtual_memory().total)
    for name in _CGROUP_FILES:
        with suppress(OSError, ValueError):
            total = min(total, int(Path(name).read_text()))
    return total


class _Exceeded(BaseException):
    """Raised in a task that has exceeded a bound; no `except Exception` on its way takes it for a bad record."""


@contextmanager
def bounded(bounds: Bounds, label: str, note: Path) -> Iterator[None]:
    """End what runs inside when it exceeds the bounds. Only in the main thread of a process; elsewhere nothing is done.

    Raises:
        TaskLimitError: it exceeded a bound, or there is no memory.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    watch = _Watch(bounds, label, note)
    before = signal.signal(signal.SIGUSR1, watch.interrupt)
    watch.start()
    try:
        yield
    except _Exceeded:
        raise TaskLimitError(watch.reason) from None
    except MemoryError as error:
        raise TaskLimitError(f"{label}: there is no memory left for it ({error}); {_WAY_OUT}") from error
    finally:
        watch.end()
        signal.signal(signal.SIGUSR1, before)
        if watch.reason:
            _give_back()


_WAY_OUT = "look at its input, and leave it out if it is made to harm; else raise the bound or set smaller parts"


class _Watch(threading.Thread):
    """Looks at time and memory of this process while a task runs."""

    def __init__(self, bounds: Bounds, label: str, note: Path) -> None:
        super().__init__(name="task-bounds", daemon=True)
        self.reason = ""
        self._bounds = bounds
        self._label = label
        self._note = note
        self._process = psutil.Process()
        self._begun = time.monotonic()
        self._before = self._memory()
        self._over = threading.Event()
        self._main = threading.main_thread().ident

    def end(self) -> None:
        """Stop watching."""
        self._over.set()

    def interrupt(self, _signal: int, _frame: FrameType | None) -> None:
        """Raise in the main thread, unless the task has ended meanwhile."""
        if not self._over.is_set():
            raise _Exceeded

    def run(self) -> None:
        """Watch until the task ends."""
        since = 0.0
        while not self._over.wait(WATCH_SECONDS if not self.reason else 1.0):
            taken, memory = time.monotonic() - self._begun, self._memory() - self._before
            if not self.reason:
                self.reason = self._exceeded(taken, memory)
                since = taken
            if self.reason:
                if taken - since > GRACE_SECONDS or memory > _GRACE_MEMORY * self._bounds.memory:
                    self._note.write_text(self.reason)
                    os._exit(1)
                signal.pthread_kill(self._main or 0, signal.SIGUSR1)

    def _exceeded(self, taken: float, memory: int) -> str:
        if taken > self._bounds.seconds:
            return f"{self._label}: takes longer than execution.max_task_seconds = {self._bounds.seconds:g}; {_WAY_OUT}"
        if memory > self._bounds.memory:
            return (
                f"{self._label}: takes {memory >> 20:,} MB of memory, more than execution.max_task_mb ="
                f" {self._bounds.memory >> 20:,}; {_WAY_OUT}"
            )
        return ""

    def _memory(self) -> int:
        found = self._process.memory_info()
        return int(found.rss - getattr(found, "shared", 0))


def _give_back() -> None:
    """Give free memory back to the system, so that the next task is not charged with it."""
    gc.collect()
    pa.default_memory_pool().release_unused()
    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).malloc_trim(0)
