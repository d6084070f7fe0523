"""The process beside a run's workers that compiles kernels while these work plainly."""

import logging
import subprocess
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress

from metaclip.errors import StoreError
from metaclip.io.temporary import own_folder, remove_leftovers
from metaclip.kernels.ways import SCRATCH, WAYS
from metaclip.processes.starting import start

logger = logging.getLogger(__name__)

_SAY_SECONDS = 10.0


class Compiling:
    """Compiles groups of kernels at low priority, and says how far it is.

    Args:
        groups: names of `kernels.ways.COMPILE_SECONDS`; those that are compiled are left out.
        say: called in a thread with the number of kernels that are compiled, and of all.
    """

    def __init__(self, groups: Sequence[str], say: Callable[[int, int], object]) -> None:
        self._say = say
        self._ended = threading.Event()
        missing = WAYS.missing(groups)
        self._child = None
        if missing:
            self._child = start(
                "metaclip.prepare.warm",
                *missing,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
            )
            threading.Thread(target=self._follow, name="compiling", daemon=True).start()

    def _follow(self) -> None:
        assert self._child is not None
        assert self._child.process.stdout is not None
        begun = said = time.monotonic()
        logger.info("compiling kernels, once for this machine; until then work is done the plain way")
        for line in self._child.process.stdout:
            compiled, of = map(int, line.split())
            if self._ended.is_set():
                return
            self._say(compiled, of)
            if time.monotonic() - said > _SAY_SECONDS:
                said = time.monotonic()
                logger.info("compiling %d of %d kernels, once for this machine", compiled, of)
        code = self._child.process.wait()
        if self._ended.is_set():
            return
        if code:
            logger.warning("kernels could not be compiled beside the run (code %d): workers compile them", code)
        else:
            logger.info("kernels are compiled, in %.0f s", time.monotonic() - begun)

    def end(self) -> None:
        """End the process; what it has compiled stays, and its small inputs go."""
        self._ended.set()
        if self._child is not None:
            self._child.end()
            with suppress(OSError, StoreError):  # where it could not write either, nothing is left
                remove_leftovers(own_folder(SCRATCH))
