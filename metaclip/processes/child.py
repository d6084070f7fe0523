"""What a child process does first: watch its parent, then run a module as its parent would find it.

`starting.start` runs this file by its path, and imports nothing of the project before the parent is
watched: a child lives no longer than its parent, even if that is killed while the child imports.
Only the standard library may be imported here.
"""

import json
import os
import runpy
import signal
import sys
import threading
from collections.abc import Callable
from importlib.abc import MetaPathFinder

PATH = "METACLIP_CHILD_PATH"
"""The variable that holds the parent's `sys.path` as JSON."""


def watch(wait: Callable[[], object], end: Callable[[], object]) -> None:
    """Call `end` in a thread when `wait` returns, which it does when the parent is gone."""

    def attend() -> None:
        wait()
        end()

    threading.Thread(target=attend, name="parent-watch", daemon=True).start()


def without_pandas() -> None:
    """Let this process do without pandas, as if it were not installed; for processes that are given nothing of it.

    Arrow imports pandas with the first array that it makes, to ask whether it is given one of pandas' columns. That
    takes 0.2 s and 47 MB.
    """
    sys.meta_path.insert(0, _NoPandas())


class _NoPandas(MetaPathFinder):
    """Finds no pandas, and lets nothing after it find one."""

    def find_spec(self, name: str, _path: object = None, _target: object = None) -> None:
        """Raise what Python raises where pandas is not installed."""
        if name == "pandas":
            raise ModuleNotFoundError("No module named 'pandas'", name=name)


def _main() -> None:
    descriptor, module = int(sys.argv[1]), sys.argv[2]
    # The parent never writes: a read returns when its end of the pipe is closed.
    watch(lambda: os.read(descriptor, 1), lambda: os.killpg(0, signal.SIGKILL))
    sys.path[:] = json.loads(os.environ.pop(PATH))
    sys.argv = sys.argv[2:]
    runpy.run_module(module, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    _main()
