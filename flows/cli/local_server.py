"""A Prefect server for one command, if none is configured.

Prefect would start a server by itself, but that one continues after a command that is killed, and gives up
if it starts slowly. This one ends when the command ends, for whatever reason.
"""

import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import httpx
from prefect.events.worker import EventsWorker
from prefect.logging.handlers import APILogWorker
from prefect.settings import PREFECT_API_URL, PREFECT_SERVER_ALLOW_EPHEMERAL_MODE, temporary_settings

START_SECONDS = 180

QUIET = {
    "DO_NOT_TRACK": "1",
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "PREFECT_SERVER_LOGGING_LEVEL": "ERROR",
    "PREFECT_LOGGING_LEVEL": "ERROR",
    "PREFECT_UI_ENABLED": "0",
    "PREFECT_SERVER_UI_ENABLED": "false",
}
"""Settings of the server. Analytics wrote to SQLite at the same time as runs, which logged `database is locked`."""


@contextmanager
def prefect_api() -> Iterator[str]:
    """Yield the address of the configured Prefect server, or of one that runs as long as this block.

    Runs are stored in Prefect's usual local database, so `prefect server start` shows them later.

    Raises:
        RuntimeError: if the server does not start.
    """
    configured = PREFECT_API_URL.value()
    if configured:
        yield configured
        return
    process, url = _start()
    try:
        _wait(process, url)
        with temporary_settings({PREFECT_API_URL: url, PREFECT_SERVER_ALLOW_EPHEMERAL_MODE: False}):
            try:
                yield url
            finally:
                # Requests that are still on their way must arrive before the server ends.
                EventsWorker.drain_all(timeout=10)
                APILogWorker.drain_all(timeout=10)
    finally:
        assert process.stdin is not None
        process.stdin.close()  # it waits for this
        try:
            process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _start() -> tuple[subprocess.Popen[bytes], str]:
    # The socket is bound here and passed on, so that no other process takes the port in between.
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as listener:
        listener.bind(("127.0.0.1", 0))
        port = listener.getsockname()[1]
        process = subprocess.Popen(
            [sys.executable, "-m", "flows.cli.local_server", str(listener.fileno())],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            pass_fds=[listener.fileno()],
            env={**os.environ, **QUIET},
            start_new_session=True,  # an interrupt is for the command, which then ends its server
        )
    return process, f"http://127.0.0.1:{port}/api"


def _wait(process: subprocess.Popen[bytes], url: str) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        if process.poll() is not None:
            assert process.stderr is not None
            raise RuntimeError(
                f"Prefect's local server ended: {process.stderr.read().decode(errors='replace')[-2000:]}"
            )
        try:
            if httpx.get(f"{url}/health", timeout=5).status_code == httpx.codes.OK:
                # Keep reading, because a full pipe would stop the server.
                threading.Thread(target=_drain, args=(process,), daemon=True).start()
                return
        except httpx.TransportError:
            time.sleep(0.1)
    raise RuntimeError(f"Prefect's local server did not answer within {START_SECONDS} s")


def _drain(process: subprocess.Popen[bytes]) -> None:
    assert process.stderr is not None
    for _ in process.stderr:
        pass


def _serve(descriptor: int) -> None:
    """Serve on a listening socket until standard input ends, as it does when the parent dies."""
    import uvicorn
    from prefect.server.api.server import create_app

    def watch() -> None:
        sys.stdin.buffer.read()
        os._exit(0)

    threading.Thread(target=watch, daemon=True).start()
    application = create_app(final=True, ephemeral=True)
    server = uvicorn.Server(uvicorn.Config(application, log_level="error"))
    server.run(sockets=[socket.socket(fileno=descriptor)])


if __name__ == "__main__":
    _serve(int(sys.argv[1]))
