"""Start child processes that end with this one, and that look for no module in the current folder.

A file `queue.py` or `flows.py` in the current folder is none of a child's business: Python would
take it for the module of that name.
"""

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from metaclip.processes import child

_SAFE = "PYTHONSAFEPATH"
_ARROW_POOL = "ARROW_DEFAULT_MEMORY_POOL"
_guard = threading.Lock()


class Child:
    """A process that runs a module; it and all that it starts end when `end` is called or this process dies."""

    def __init__(self, process: subprocess.Popen[bytes], lifeline: int) -> None:
        self.process = process
        self._lifeline: int | None = lifeline

    def wait(self) -> int:
        """Wait until it ends by itself; what it leaves running ends too. Return its code."""
        os.waitid(os.P_PID, self.process.pid, os.WEXITED | os.WNOWAIT)
        self.end()
        return self.process.wait()

    def end(self) -> None:
        """Kill it and all that it started, and wait until it is gone."""
        if self.process.returncode is None:  # until then its number, which is that of its group, is no one else's
            with suppress(ProcessLookupError):  # another thread may have waited for it just now
                os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
        if self._lifeline is not None:
            os.close(self._lifeline)
            self._lifeline = None


def start(
    module: str,
    *arguments: str,
    environment: Mapping[str, str] | None = None,
    pass_fds: tuple[int, ...] = (),
    **streams: Any,
) -> Child:
    """Run `python -m MODULE ARGUMENTS` in a process and a session of its own, with modules found as here.

    Args:
        module: dotted name of the module, run as `__main__`.
        arguments: its arguments.
        environment: variables beside those of this process.
        pass_fds: open files that it gets.
        streams: `stdin`, `stdout` and `stderr`, as `subprocess.Popen` takes them.
    """
    read, write = os.pipe()
    try:
        process = subprocess.Popen(
            [sys.executable, "-P", child.__file__, str(read), module, *arguments],
            env={**os.environ, **(environment or {}), _SAFE: "1", child.PATH: json.dumps(_path())},
            pass_fds=(read, *pass_fds),
            start_new_session=True,  # an interrupt is for the command, which then ends its children
            **streams,
        )
    except BaseException:
        os.close(write)
        raise
    finally:
        os.close(read)
    return Child(process, write)


def _path() -> list[str]:
    """Return where this process finds modules; relative to no folder, for a child may stand in another."""
    return [str(Path(entry).absolute()) for entry in sys.path]


@contextmanager
def spawning() -> Iterator[None]:
    """Within, processes that `multiprocessing` starts look for no module in the current folder.

    Those that this thread starts get no interrupt either: that is for the command. Arrow takes memory from the system
    in them, which is as fast, and gives it back: its own pool keeps some 50 MB of what extraction had once.
    """
    pool = os.environ.get(_ARROW_POOL, "system")
    with _guard, _environment({_SAFE: "1", "PYTHONWARNINGS": _warnings(), _ARROW_POOL: pool}):
        masked = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        try:
            yield
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, masked)


def _warnings() -> str:
    # What a killed command leaves is tidied up; that need not be told after its last word.
    return ",".join(filter(None, [os.environ.get("PYTHONWARNINGS"), "ignore:resource_tracker:UserWarning"]))


@contextmanager
def _environment(changes: Mapping[str, str]) -> Iterator[None]:
    before = {name: os.environ.get(name) for name in changes}
    os.environ.update(changes)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
