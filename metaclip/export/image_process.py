"""The process that img2dataset runs in: `-m metaclip.export.image_process`, arguments as JSON on its input."""

import json
import os
import sys
from typing import Any


def main() -> None:
    """Download as the input says."""
    arguments: dict[str, Any] = json.load(sys.stdin)
    os.environ["NO_ALBUMENTATIONS_UPDATE"] = "1"  # else its import asks a server for news
    from img2dataset import download  # type: ignore[import-untyped]

    download(**arguments)


if __name__ == "__main__":
    main()
