"""Prefect's local server, begun before this command imports Prefect, which takes as long as the server does.

Whether a server is configured, Prefect itself tells; but it has to be imported for that. So a server is begun ahead
only where nothing can configure one: no variable, no file of Prefect's in the current folder or the user's.
"""

import os
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import NamedTuple

from metaclip.processes.starting import Child, start

QUIET = {
    "DO_NOT_TRACK": "1",
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "PREFECT_SERVER_LOGGING_LEVEL": "ERROR",
    "PREFECT_LOGGING_LEVEL": "ERROR",
    "PREFECT_UI_ENABLED": "0",
    "PREFECT_SERVER_UI_ENABLED": "false",
}
"""Settings of the server. Analytics wrote to SQLite at the same time as runs, which logged `database is locked`."""

_OF_CLIENTS = {
    "DO_NOT_TRACK": "1",
    "PREFECT_LOGGING_LEVEL": "WARNING",
    # As prefect.yaml sets it for runs on workers: a server that is away for some minutes ends no run.
    "PREFECT_CLIENT_MAX_RETRIES": "8",
    "PREFECT_CLIENT_RETRY_EXTRA_CODES": "500",
}


class Begun(NamedTuple):
    """A server that was started and may not answer yet."""

    server: Child
    url: str


_ahead: ContextVar[Begun | None] = ContextVar("ahead", default=None)


def set_up_client() -> None:
    """Set what this process asks of Prefect, unless the user has; before Prefect is imported."""
    for name, value in _OF_CLIENTS.items():
        os.environ.setdefault(name, value)


@contextmanager
def server_ahead() -> Iterator[None]:
    """Begin the local server, unless another may be configured; it ends with this block if nobody takes it.

    A block within such a block begins no other.
    """
    if _ahead.get() is not None:
        yield
        return
    begun = None if _may_be_configured() else begin()
    token = _ahead.set(begun)
    try:
        yield
    finally:
        left = _ahead.get()
        _ahead.reset(token)
        if left is not None:
            left.server.end()


def take() -> Begun | None:
    """Return the server that was begun ahead, which is the caller's to end; None if there is none."""
    begun = _ahead.get()
    if begun is not None:
        _ahead.set(None)
    return begun


def begin() -> Begun:
    """Start a server on a free port of this machine."""
    # The socket is bound here and handed on, so that nobody takes the port in between.
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as listener:
        listener.bind(("127.0.0.1", 0))
        port = listener.getsockname()[1]
        server = start(
            "flows.cli.server.process",
            str(listener.fileno()),
            environment=QUIET,
            pass_fds=(listener.fileno(),),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
        )
    return Begun(server, f"http://127.0.0.1:{port}/api")


def _may_be_configured() -> bool:
    home = Path(os.environ.get("PREFECT_HOME") or "~/.prefect").expanduser()
    files = [home / "profiles.toml", *(Path(name) for name in ("prefect.toml", "pyproject.toml", ".env"))]
    named = (os.environ.get(f"PREFECT_{name}") for name in ("API_URL", "PROFILES_PATH", "PROFILE"))
    return any(named) or any(_mentions_prefect(file) for file in files)


def _mentions_prefect(file: Path) -> bool:
    try:
        text = file.read_text(encoding="utf-8", errors="replace").lower()
    except OSError:
        return False
    return "prefect_api_url" in text or "[tool.prefect" in text or (file.name == "prefect.toml" and "url" in text)
