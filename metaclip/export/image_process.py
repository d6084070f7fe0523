"""The process that img2dataset runs in: `python -m metaclip.export.image_process`, arguments as a line of JSON.

It ends, with the processes that it starts, when its standard input ends. That happens when the parent
dies for any reason, so no process continues to download images.
"""

import json
import os
import signal
import sys
import threading
from typing import Any


def main() -> None:
    """Read the arguments from standard input and download the images."""
    arguments: dict[str, Any] = json.loads(sys.stdin.buffer.readline())

    def watch() -> None:
        sys.stdin.buffer.read()
        os.killpg(0, signal.SIGKILL)

    os.environ["NO_ALBUMENTATIONS_UPDATE"] = "1"  # otherwise its import asks a server for new versions
    from img2dataset import download  # type: ignore[import-untyped]

    threading.Thread(target=watch, name="parent-watch", daemon=True).start()
    download(**arguments)
    # Not by returning: the thread still reads standard input, and nothing is left to do.
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)


if __name__ == "__main__":
    main()
