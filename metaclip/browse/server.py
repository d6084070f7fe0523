"""The server of the page, on this machine alone."""

import gc
import secrets
import socket
import threading
import time
from collections.abc import Sequence

import uvicorn

from metaclip.browse.answers import Answers
from metaclip.browse.app import make_app
from metaclip.browse.pictures import Pictures
from metaclip.browse.pool_index import PoolIndex
from metaclip.errors import ConfigError
from metaclip.explore.pool import FinishedPool

ADDRESS = "127.0.0.1"


def new_token() -> str:
    """Return a token that nobody can guess."""
    return secrets.token_urlsafe(24)


def check_port(port: int) -> None:
    """Make sure that a port is free, before any work.

    Raises:
        ConfigError: it is not.
    """
    _bound(port).close()


class BrowseServer:
    """Serves the page of a pool on 127.0.0.1 until it is stopped.

    Args:
        pool: the pool.
        index: of the pool.
        token: who knows it may ask.
        port: 0 for any free one.
        pictures: of its pairs; None for those of its contact sheets.

    Raises:
        ConfigError: the port is taken.
    """

    def __init__(
        self, pool: FinishedPool, index: PoolIndex, token: str, port: int = 0, pictures: Pictures | None = None
    ) -> None:
        self._socket = _bound(port)
        port = self._socket.getsockname()[1]
        self.url = f"http://{ADDRESS}:{port}/?token={token}"
        """The address to open."""
        answers = Answers(pool, index)
        answers.warm()
        gc.freeze()  # what is there now stays: a collection that looks at all of it takes a tenth of a second
        hosts: Sequence[str] = [f"{ADDRESS}:{port}", f"localhost:{port}"]
        app = make_app(answers, pictures or Pictures(pool), token, hosts)
        config = uvicorn.Config(app, log_level="warning", access_log=False, server_header=False, lifespan="off")
        self._server = uvicorn.Server(config)

    def run(self) -> None:
        """Serve until `stop`; in another thread than the main one, so that signals stay with the command."""
        self._server.run(sockets=[self._socket])

    def start(self) -> threading.Thread:
        """Serve in a thread, and return it when the page can be asked."""
        thread = threading.Thread(target=self.run, name="browse", daemon=True)
        thread.start()
        self.wait()
        return thread

    def wait(self) -> None:
        """Wait until the page can be asked."""
        while not self._server.started:
            time.sleep(0.01)

    def stop(self) -> None:
        """End `run` soon."""
        self._server.should_exit = True


def _bound(port: int) -> socket.socket:
    found = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        found.bind((ADDRESS, port))
    except OSError as error:
        found.close()
        raise ConfigError(f"--port {port}: {ADDRESS}:{port} cannot be used: {error.strerror}; leave it out") from error
    return found
