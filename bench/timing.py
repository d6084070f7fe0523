"""Timing for the scripts of this folder."""

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

SHARED = Path(os.environ.get("METACLIP_SHARED_DATA") or Path(__file__).parents[2] / "shared" / "data")


def best_seconds(*work: Callable[[], Any], repeats: int = 5) -> list[float]:
    """Return the best time of each callable; they take turns, so that all meet the same machine."""
    best = [float("inf")] * len(work)
    for _ in range(repeats):
        for i, call in enumerate(work):
            start = time.perf_counter()
            call()
            best[i] = min(best[i], time.perf_counter() - start)
    return best
