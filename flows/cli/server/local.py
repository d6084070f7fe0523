"""A Prefect server for one command, if none is configured.

Prefect would start a server by itself, but that one continues after a command that is killed, and gives up
if it starts slowly. This one ends when the command ends, for whatever reason.
"""

import logging
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

import httpx
from prefect.events.worker import EventsWorker
from prefect.logging.handlers import APILogWorker
from prefect.settings import (
    PREFECT_API_URL,
    PREFECT_FLOWS_HEARTBEAT_FREQUENCY,
    PREFECT_SERVER_ALLOW_EPHEMERAL_MODE,
    temporary_settings,
)

from flows.cli.server.ahead import begin, take
from metaclip.errors import ServerLostError

START_SECONDS = 180
SETTLE_SECONDS = 0.5
"""So long after its connections broke, a server that was killed is known to have ended."""

Lost = Callable[[ServerLostError], object]


@contextmanager
def prefect_api(lost: Lost | None = None) -> Iterator[str]:
    """Give the address of the configured Prefect server, or of one that lives as long as this block.

    Runs are stored in Prefect's usual local database, so `prefect server start` shows them later.

    Args:
        lost: called in a thread if the local server ends within the block. Prefect itself would ask it
            again and again, and end in errors of its own.

    Raises:
        ServerLostError: if the local server does not come up.
    """
    begun = take()
    configured = PREFECT_API_URL.value()
    if configured:
        if begun is not None:
            begun.server.end()
        yield configured
        return
    server, url = begun or begin()
    ending = threading.Event()
    try:
        _wait(server.process, url)
        threading.Thread(target=_attend, args=(server.process, ending, lost), daemon=True).start()
        # Heartbeats are for who watches runs on other machines, and a flow waits for their thread at its end.
        settings = {
            PREFECT_API_URL: url,
            PREFECT_SERVER_ALLOW_EPHEMERAL_MODE: False,
            PREFECT_FLOWS_HEARTBEAT_FREQUENCY: None,
        }
        with temporary_settings(settings), _silent_once_ended(server.process):
            try:
                yield url
            finally:
                # Requests that are still on their way must arrive before the server ends.
                EventsWorker.drain_all(timeout=10)
                APILogWorker.drain_all(timeout=10)
    finally:
        ending.set()
        server.end()


def _wait(process: subprocess.Popen[bytes], url: str) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        if process.poll() is not None:
            assert process.stderr is not None
            said = process.stderr.read().decode(errors="replace")[-2000:].strip()
            raise ServerLostError(
                f"Prefect's local server ended while it started (code {process.returncode}); run the same command"
                f" again{f'. It said:{chr(10)}{said}' if said else ''}"
            )
        try:
            if httpx.get(f"{url}/health", timeout=5).status_code == httpx.codes.OK:
                return
        except httpx.TransportError:
            time.sleep(0.1)
    raise ServerLostError(
        f"Prefect's local server did not answer within {START_SECONDS} s; run the same command again, or start"
        " `prefect server start` and set PREFECT_API_URL to its address"
    )


@contextmanager
def _silent_once_ended(process: subprocess.Popen[bytes]) -> Iterator[None]:
    """Leave out what Prefect logs of a server that has ended: each request that fails, where one line tells of it."""

    def is_of_a_server(record: logging.LogRecord) -> bool:
        if record.levelno < logging.WARNING or not record.name.startswith("prefect"):
            return True
        with suppress(subprocess.TimeoutExpired):
            process.wait(SETTLE_SECONDS if record.name.startswith("prefect._internal") else 0)
        return process.returncode is None

    handlers = [handler for name in (None, "prefect._internal") for handler in logging.getLogger(name).handlers]
    for handler in handlers:
        handler.addFilter(is_of_a_server)
    try:
        yield
    finally:
        for handler in handlers:
            handler.removeFilter(is_of_a_server)


def _attend(process: subprocess.Popen[bytes], ending: threading.Event, lost: Lost | None) -> None:
    """Read what the server says, or a full pipe would stop it, and tell if it ends too early."""
    assert process.stderr is not None
    for _ in process.stderr:
        pass
    code = process.wait()
    if lost is not None and not ending.is_set():
        how = f"was killed (signal {-code})" if code < 0 else f"ended (code {code})"
        lost(ServerLostError(f"Prefect's local server {how}; run the same command again to go on from here"))
