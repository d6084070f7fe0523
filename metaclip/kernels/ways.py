"""Which way work is done: by compiled kernels, or plainly while they are not compiled on this machine yet.

Both give the same bytes; only the time differs. A group of kernels counts as compiled where a mark of it lies
beside numba's cache. The mark's name has everything that the machine code depends on: this code, Python, numba, and
the processor.
"""

import hashlib
import logging
import os
import platform
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Literal

from metaclip.kernels.jit import plainly

Kernels = Literal["auto", "compiled", "plain"]

SCRATCH = "warm"
"""The purpose of the folder (`io.temporary`) that small inputs lie in while kernels are compiled with them."""

COMPILE_SECONDS = {
    "warc": 13.0,
    "wat": 13.0,
    "pairs": 3.5,
    "table": 1.5,
    "match": 3.0,
    "tokens": 3.0,
    "balance": 1.0,
    "words": 3.5,
    "titles": 1.0,
}
"""CPU seconds that each group of kernels takes to compile, about, by a core of 2024."""

POOL_GROUPS = ("table", "match", "warc", "wat", "balance", "pairs", "tokens")
"""What pools may need, in the order in which it is worth compiling."""

NEVER = float("inf")
"""The seconds of work that is not done plainly."""

_PACKAGE = Path(__file__).parents[1]

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Work:
    """What a job asks of kernels."""

    groups: tuple[str, ...] = ()
    """Names of COMPILE_SECONDS."""
    seconds: float = 0.0
    """What the plain way takes, about, in CPU seconds."""


class Ways:
    """Chooses the way of this process's work, and remembers what the plain way has cost it so far."""

    def __init__(self) -> None:
        self._spent = 0.0
        self._compiled: set[str] = set()

    @contextmanager
    def chosen(self, work: Work, kernels: Kernels = "auto") -> Iterator[bool]:
        """Do what runs inside the way that `kernels` names; give whether that is the plain one.

        `auto` is the plain way as long as compiling what is not compiled yet would take longer than all plain work
        of this process, this work included. So no process loses more than it would take to compile at once.
        """
        missing = self.missing(work.groups)
        cost = sum(COMPILE_SECONDS[group] for group in missing)
        way = kernels == "plain" or (kernels == "auto" and bool(missing) and self._spent + work.seconds <= cost)
        if missing and not way:
            logger.info("%s: their kernels are compiled, once for this machine: some %.0f s", ", ".join(missing), cost)
        with plainly(way):
            yield way
        if way:
            self._spent += work.seconds
        else:
            self.mark(missing)

    def missing(self, groups: Iterable[str]) -> list[str]:
        """Return which groups are not compiled for this machine."""
        return [group for group in groups if not self._is_compiled(group)]

    def mark(self, groups: Iterable[str]) -> None:
        """Note that groups are compiled, for all processes of this machine."""
        for group in groups:
            self._compiled.add(group)
            try:
                mark = _mark(group)
                mark.parent.mkdir(parents=True, exist_ok=True)
                mark.touch()
            except OSError as error:
                logger.debug("%s: cannot be marked as compiled: %s", group, error)

    def _is_compiled(self, group: str) -> bool:
        if group not in self._compiled and _mark(group).exists():
            self._compiled.add(group)
        return group in self._compiled


WAYS = Ways()
"""This process's."""


def _mark(group: str) -> Path:
    return _cache_folder() / f"compiled-{group}-{_machine_code()}"


@cache
def _cache_folder() -> Path:
    """Return where marks lie: numba's folder, the one beside this module, or that of the user where it is read-only."""
    chosen = os.environ.get("NUMBA_CACHE_DIR")
    if chosen:
        return Path(chosen)
    beside = Path(__file__).with_name("__pycache__")
    if os.access(beside if beside.exists() else beside.parent, os.W_OK):
        return beside
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "metaclip"


@cache
def _machine_code() -> str:
    """Return a digest of what machine code depends on."""
    files = sorted(_PACKAGE.rglob("*.py"))
    stamps = [(str(file.relative_to(_PACKAGE)), file.stat().st_mtime_ns, file.stat().st_size) for file in files]
    parts = (sys.version, version("numba"), version("llvmlite"), *_processor(), os.environ.get("NUMBA_BOUNDSCHECK"))
    return hashlib.sha256(repr((parts, stamps)).encode()).hexdigest()[:16]


def _processor() -> tuple[str, ...]:
    """Return what the processor is to numba: as it was told, or what the machine has."""
    name, features = os.environ.get("NUMBA_CPU_NAME"), os.environ.get("NUMBA_CPU_FEATURES")
    if name and (features is not None or name == "generic"):
        return platform.machine(), name, features or ""
    try:
        lines = Path("/proc/cpuinfo").read_text().split("\n\n", 1)[0].splitlines()
    except OSError:
        return platform.machine(), platform.processor(), name or ""
    described = ("model", "model name", "flags", "Features", "CPU part")
    return (platform.machine(), name or "", *(line for line in lines if line.split("\t")[0].strip() in described))
