"""How far a run is, for whoever watches: an artifact in the Prefect UI, a bar on a terminal."""

from collections.abc import Callable
from contextvars import ContextVar

Watcher = Callable[[str, int, int], None]

watcher: ContextVar[Watcher | None] = ContextVar("watcher", default=None)
"""Called with stage, finished and total, in the flow's own thread."""


def report_progress(stage: str, finished: int, total: int) -> None:
    """Tell the watcher, if there is one."""
    watch = watcher.get()
    if watch is not None:
        watch(stage, finished, total)
