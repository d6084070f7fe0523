"""Timing functions for the scripts of this folder."""

import json
import os
import re
import resource
import statistics
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

SHARED = Path(os.environ.get("METACLIP_SHARED_DATA") or Path(__file__).parents[2] / "shared" / "data")


@dataclass(frozen=True)
class Clock:
    """Elapsed seconds, and CPU seconds of this process with all its threads."""

    wall: float
    cpu: float

    @classmethod
    def now(cls) -> "Clock":
        """Read both clocks."""
        return cls(time.perf_counter(), time.process_time())

    def since(self) -> "Clock":
        """Return the seconds of both since this reading."""
        return Clock(time.perf_counter() - self.wall, time.process_time() - self.cpu)


def timed(work: Callable[[], Any]) -> Clock:
    """Return the time of a call."""
    start = Clock.now()
    work()
    return start.since()


def in_turn(work: Mapping[str, Callable[[], Any]], repeats: int) -> dict[str, list[Clock]]:
    """Return the times of each callable, `repeats` times; they take turns, to run under the same conditions.

    Each is called once before as a warm-up, so that compiling, loading and caching are not measured.
    """
    for call in work.values():
        call()
    clocks: dict[str, list[Clock]] = {name: [] for name in work}
    for _ in range(repeats):
        for name, call in work.items():
            clocks[name].append(timed(call))
    return clocks


def rates(clocks: Mapping[str, Sequence[Clock]], amount: float, ours: str, digits: int = 1) -> dict[str, Any]:
    """Return for each callable its median, lowest and highest rate, and how much faster `ours` is than it.

    A rate is `amount` for each CPU second, so other programs do not count.
    """
    seconds = {name: statistics.median(clock.cpu for clock in turns) for name, turns in clocks.items()}
    return {
        name: {
            **spread([amount / max(clock.cpu, 1e-9) for clock in turns], digits),
            "ratio": round(seconds[name] / seconds[ours], 2),
        }
        for name, turns in clocks.items()
    }


def rate_table(title: str, figures: Mapping[str, Mapping[str, float]], ours: str) -> str:
    """Return the result of `rates` as text."""
    rows = [[name, *(f"{one[key]:,}" for key in ("median", "low", "high", "ratio"))] for name, one in figures.items()]
    return table(title, ("", "median", "lowest", "highest", f"{ours} is faster by"), rows)


def by_size(sizes: Sequence[int], prepare: Callable[[int], Callable[[], Any]], repeats: int = 3) -> dict[str, Any]:
    """Return CPU seconds by size, in total, per unit, and relative to the smallest size: 1 is linear."""
    result: dict[str, Any] = {}
    for size in sizes:
        clocks = in_turn({"work": prepare(size)}, repeats)["work"]
        seconds = statistics.median(clock.cpu for clock in clocks)
        first = next(iter(result.values()), {"for_each": seconds / size})["for_each"]
        result[str(size)] = {"seconds": seconds, "for_each": seconds / size, "to_smallest": seconds / size / first}
    return result


def size_table(title: str, figures: Mapping[str, Mapping[str, float]]) -> str:
    """Return the result of `by_size` as text."""
    rows = [
        [f"{int(size):,}", f"{one['seconds']:.4f}", f"{1e6 * one['for_each']:.3f}", f"{one['to_smallest']:.2f}"]
        for size, one in figures.items()
    ]
    return table(title, ("size", "seconds", "µs for each", "to the smallest"), rows)


def report(measure: Callable[[], Any], show: Callable[[Any], str]) -> None:
    """Measure, then print the table to standard error and JSON to standard output."""
    measured = measure()
    sys.stderr.write(show(measured))
    json.dump(measured, sys.stdout, indent=1)
    sys.stdout.write("\n")


def spread(values: Sequence[float], digits: int = 5) -> dict[str, float]:
    """Return median, lowest and highest."""
    return {
        name: round(figure(values), digits)
        for name, figure in (("median", statistics.median), ("low", min), ("high", max))
    }


def ratios(over: Sequence[Clock], under: Sequence[Clock], digits: int = 3) -> dict[str, float]:
    """Return how many times the CPU seconds of other turns some turns took, turn by turn: median, lowest, highest."""
    return spread([one.cpu / max(other.cpu, 1e-9) for one, other in zip(over, under, strict=True)], digits)


def children_cpu() -> float:
    """Return the CPU seconds of all children of this process that have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def peak_memory_mb() -> int:
    """Return the peak of this process's resident memory."""
    status = Path("/proc/self/status")
    if status.exists():  # the value of getrusage may be that of the parent, from before this program started
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
    """Return the best time of each callable; they take turns, to run under the same conditions."""
    best = [float("inf")] * len(work)
    for _ in range(repeats):
        for i, call in enumerate(work):
            start = time.perf_counter()
            call()
            best[i] = min(best[i], time.perf_counter() - start)
    return best
