"""What an interrupt (Ctrl-C) does to the command: one line and exit code 130, at whatever moment it comes.

While nothing is begun, as long as modules are imported and a server comes up, the process ends at once:
an exception could be raised anywhere, and some libraries turn one into another, or lose it. What is
begun is told by an exception, so that it can be ended well. Only the standard library is imported here.
"""

import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from types import FrameType
from typing import NoReturn

EXIT_CODE = 130
MESSAGE = "interrupted; run the same command again to go on from here"

_SHOW_CURSOR = "\r\x1b[K\x1b[?25h"
"""A progress bar hides the cursor: this leaves its line and brings the cursor back."""


def end_now(message: str, code: int) -> NoReturn:
    """End this process without another word; its children end because it does."""
    start = _SHOW_CURSOR if os.isatty(2) else ""
    os.write(2, f"{start}{message}\n".encode(errors="backslashreplace"))
    os._exit(code)


def end_at_once() -> None:
    """Let an interrupt end this process from now on, from anywhere."""
    if signal.getsignal(signal.SIGINT) is not signal.SIG_IGN:  # as of a command that a script runs with `&`
        signal.signal(signal.SIGINT, _leave)


def _leave(_number: int, _frame: FrameType | None) -> None:
    end_now(MESSAGE, EXIT_CODE)


def _raise_once(_number: int, _frame: FrameType | None) -> None:
    end_at_once()  # who interrupts again will not wait
    raise KeyboardInterrupt


def interruptible() -> AbstractContextManager[None]:
    """Within the block an interrupt raises KeyboardInterrupt; a second one ends the process."""
    return _handling(_raise_once)


def uninterruptible() -> AbstractContextManager[None]:
    """Within the block an interrupt raises nothing: it ends the process at once."""
    return _handling(_leave)


@contextmanager
def _handling(handler: Callable[[int, FrameType | None], None]) -> Iterator[None]:
    # Only the main thread gets signals.
    if threading.current_thread() is not threading.main_thread() or signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        yield
        return
    before = signal.signal(signal.SIGINT, handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
