"""Timing for the scripts of this folder."""

import os
import re
import resource
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

SHARED = Path(os.environ.get("METACLIP_SHARED_DATA") or Path(__file__).parents[2] / "shared" / "data")


@dataclass(frozen=True)
class Clock:
    """Seconds that passed, and seconds of computing by this process with all its threads."""

    wall: float
    cpu: float

    @classmethod
    def now(cls) -> "Clock":
        """Read both clocks."""
        return cls(time.perf_counter(), time.process_time())

    def since(self) -> "Clock":
        """Return what both show since this reading."""
        return Clock(time.perf_counter() - self.wall, time.process_time() - self.cpu)


def timed(work: Callable[[], Any]) -> Clock:
    """Return what a call takes."""
    start = Clock.now()
    work()
    return start.since()


def spread(values: Sequence[float], digits: int = 5) -> dict[str, float]:
    """Return median, lowest and highest."""
    return {
        name: round(figure(values), digits)
        for name, figure in (("median", statistics.median), ("low", min), ("high", max))
    }


def peak_memory_mb() -> int:
    """Return the most resident memory that this process had."""
    status = Path("/proc/self/status")
    if status.exists():  # what getrusage says may be the parent's, from before the process became this one
        return int(re.findall(r"VmHWM:\s+(\d+)", status.read_text())[0]) >> 10
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10


def table(title: str, columns: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """Return rows as text, the first column to the left and the others to the right."""
    lines = [[str(cell) for cell in row] for row in (columns, *rows)]
    widths = [max(len(line[i]) for line in lines) for i in range(len(columns))]
    text = ["  ".join([line[0].ljust(widths[0]), *map(str.rjust, line[1:], widths[1:])]) for line in lines]
    return "\n".join([title, *(line.rstrip() for line in text)]) + "\n"


def ranges(figures: Mapping[str, Mapping[str, float]]) -> list[list[object]]:
    """Return a row for each of several spreads: name, median, low and high."""
    return [[name, *(one[key] for key in ("median", "low", "high"))] for name, one in figures.items()]


def best_seconds(*work: Callable[[], Any], repeats: int = 5) -> list[float]:
    """Return the best time of each callable; they take turns, so that all meet the same machine."""
    best = [float("inf")] * len(work)
    for _ in range(repeats):
        for i, call in enumerate(work):
            start = time.perf_counter()
            call()
            best[i] = min(best[i], time.perf_counter() - start)
    return best
