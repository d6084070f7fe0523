"""The process that img2dataset runs in: `python -m metaclip.export.image_process`, arguments as a line of JSON.

It and the processes that it starts end when its input ends, as it does when the parent dies of
anything, so that nobody goes on asking servers for images.
"""

import json
import os
import signal
import sys
import threading
from typing import Any


def main() -> None:
    """Download as the line says."""
    arguments: dict[str, Any] = json.loads(sys.stdin.buffer.readline())

    def watch() -> None:
        sys.stdin.buffer.read()
        os.killpg(0, signal.SIGKILL)

    os.environ["NO_ALBUMENTATIONS_UPDATE"] = "1"  # else its import asks a server for news
    from img2dataset import download  # type: ignore[import-untyped]

    threading.Thread(target=watch, name="parent-watch", daemon=True).start()
    download(**arguments)
    # Not by returning: the thread holds the input, and nothing is left to do.
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)


if __name__ == "__main__":
    main()
