"""What a worker process does first: it watches its parent, before it imports anything that takes time.

Python imports this module while it unpickles the process, so that nothing but the standard library
may be imported at its top.
"""

import multiprocessing
import os
import sys
from multiprocessing.connection import wait
from multiprocessing.util import Finalize
from typing import Any

from metaclip.processes.child import watch, without_pandas
from metaclip.processes.json_lines import log_as_lines
from metaclip.processes.plain_text import log_visibly

_LAST = -1000
"""Of all that `multiprocessing` does as a process ends."""


def begin(slots: Any, contact: str | None, allow_private: bool) -> None:
    """End when the parent dies, even of SIGKILL: nobody would take results. Download with the run's slots."""
    parent = multiprocessing.parent_process()
    assert parent is not None
    watch(lambda: wait([parent.sentinel]), lambda: os._exit(1))
    Finalize(None, _leave, exitpriority=_LAST)
    without_pandas()
    log_visibly()
    log_as_lines()
    from metaclip.io.client import Client, set_client

    set_client(Client(slots, contact, allow_private=allow_private))


def _leave() -> None:
    """End without taking down what was imported, which takes most of a second."""
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    os._exit(0)


def import_jobs() -> None:
    """Import what nearly every job needs, beside what the process that began this one still has to do."""
    import metaclip.prepare.jobs  # noqa: F401
