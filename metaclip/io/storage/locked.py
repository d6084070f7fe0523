"""A small file that several processes change: one after the other, by a lock file beside it.

The lock is a file that only one process can create. That works on every file system, those of networks
included, where `flock` may do nothing. A lock that a killed process left is taken over.
"""

import json
import os
import random
import socket
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import Protocol

import psutil

from metaclip.errors import StoreError

STALE_SECONDS = 60.0
"""A lock of another machine that does not change for so long was left by a killed process; a change takes a moment."""

WAIT_SECONDS = 600.0

Change = Callable[[bytes | None], bytes]
"""Makes the new content of a file from its content, None where there is no file; it may be called several times."""


class Exclusive(Protocol):
    """A file system that can create a file only if there is none."""

    def create_new(self, path: str, content: bytes) -> bool:
        """Create a small file, and return whether there was none."""

    def read(self, path: str) -> bytes:
        """Return a small file's content."""

    def remove(self, paths: list[str]) -> None:
        """Remove files; missing ones are ignored."""


class LockLostError(Exception):
    """Another process has taken the lock over, because this one was silent for too long."""


@contextmanager
def locked(system: Exclusive, path: str) -> Iterator[Callable[[], None]]:
    """Hold the lock of a file; yield a function that raises `LockLostError` if it is held no longer.

    Raises:
        StoreError: if others hold it for too long.
    """
    lock = str(PurePosixPath(path).parent / f".{PurePosixPath(path).name}.lock")
    mine = json.dumps({**_who(), "token": uuid.uuid4().hex}).encode()
    _acquire(system, lock, mine)

    def confirm() -> None:
        if _content(system, lock) != mine:
            raise LockLostError

    try:
        yield confirm
    finally:
        if _content(system, lock) == mine:
            system.remove([lock])


def _acquire(system: Exclusive, lock: str, mine: bytes) -> None:
    begun = since = time.monotonic()
    seen: bytes | None = None
    while not system.create_new(lock, mine):
        now, held = time.monotonic(), _content(system, lock)
        if held != seen:
            seen, since = held, now
        elif held is not None and (now - since > STALE_SECONDS or _is_dead(held)):
            if _content(system, lock) == held:
                system.remove([lock])
            seen = None
        if now - begun > WAIT_SECONDS:
            raise StoreError(
                f"{lock}: others have held this lock for {WAIT_SECONDS:.0f} s; if no run goes on, delete it"
            )
        time.sleep(random.uniform(0.002, 0.03))


def _content(system: Exclusive, lock: str) -> bytes | None:
    try:
        return system.read(lock)
    except FileNotFoundError:
        return None


def _who() -> dict[str, str | int]:
    """Return what tells this process from all others: the machine, its space of process numbers, and the process."""
    space = Path("/proc/self/ns/pid")
    return {
        "host": socket.gethostname(),
        "space": str(space.readlink()) if space.is_symlink() else "",
        "pid": os.getpid(),
        "started": round(psutil.Process().create_time()),
    }


def _is_dead(held: bytes) -> bool:
    """Return whether the holder of a lock was a process of this machine that has ended."""
    try:
        other, own = json.loads(held), _who()
        if (other["host"], other["space"]) != (own["host"], own["space"]):
            return False
        return abs(psutil.Process(int(other["pid"])).create_time() - int(other["started"])) > 2
    except psutil.NoSuchProcess:
        return True
    except (ValueError, KeyError, TypeError, psutil.Error):
        return False  # it is being written, or no lock of this project's
