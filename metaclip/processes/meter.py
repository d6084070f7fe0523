"""What this process has taken so far: processor time, bytes read and written, requests to stores and web servers.

Whoever reads or writes for the algorithm counts here (`metaclip.io`, `metaclip.io.storage`). The difference between
two looks is what the work in between took, if nothing else went on in the process.
"""

import threading
import time
from dataclasses import astuple, dataclass


@dataclass(frozen=True)
class Cost:
    """What some work took."""

    core_seconds: float = 0.0
    """Processor time of all threads, without that of child processes."""
    bytes_read: int = 0
    """From the source, and from the store."""
    bytes_written: int = 0
    """To the store."""
    requests: int = 0
    """To object stores and web servers, each attempt; files of a folder take none."""
    store_requests: int = 0
    """How many of these went to object stores."""
    store_bytes_read: int = 0
    """How many of the bytes were read from a store that is no folder."""

    def plus(self, other: "Cost") -> "Cost":
        """Return the cost of both."""
        return Cost(*(mine + theirs for mine, theirs in zip(astuple(self), astuple(other), strict=True)))

    def minus(self, other: "Cost") -> "Cost":
        """Return what was taken since another look."""
        return Cost(*(mine - theirs for mine, theirs in zip(astuple(self), astuple(other), strict=True)))


NOTHING = Cost()


class Meter:
    """Counts for all threads of a process."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counts = [0, 0, 0, 0, 0]

    def count(
        self,
        *,
        bytes_read: int = 0,
        bytes_written: int = 0,
        requests: int = 0,
        store_requests: int = 0,
        store_bytes_read: int = 0,
    ) -> None:
        """Add to what was taken; see `Cost`."""
        counts = self._counts
        with self._lock:
            counts[0] += bytes_read
            counts[1] += bytes_written
            counts[2] += requests
            counts[3] += store_requests
            counts[4] += store_bytes_read

    def look(self) -> Cost:
        """Return what was taken since the process began."""
        with self._lock:
            return Cost(time.process_time(), *self._counts)


METER = Meter()
