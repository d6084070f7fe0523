"""How long this process has compiled kernels, or loaded them from disk."""

import time


class Clock:
    """Adds up the seconds of blocks; a block within another counts once."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self._depth = 0
        self._begun = 0.0

    def __enter__(self) -> None:
        self._depth += 1
        if self._depth == 1:
            self._begun = time.monotonic()

    def __exit__(self, *_: object) -> None:
        self._depth -= 1
        if not self._depth:
            self.seconds += time.monotonic() - self._begun


COMPILING = Clock()
"""Entered under numba's own lock, so by one thread at a time."""
