"""The process of the local Prefect server: `-m flows.cli.server.process DESCRIPTOR`, of a listening socket."""

import socket
import sys
from contextlib import AbstractAsyncContextManager
from typing import Any

import uvicorn
from prefect.server.api.server import create_app
from prefect.server.database.configurations import AioSqliteConfiguration


def main(descriptor: int) -> None:
    """Serve on a listening socket."""
    _take_turns()
    application = create_app(final=True, ephemeral=True)
    server = uvicorn.Server(uvicorn.Config(application, log_level="error"))
    server.run(sockets=[socket.socket(fileno=descriptor)])


def _take_turns() -> None:
    """Have every transaction wait for its turn to write when it begins.

    One of Prefect's that reads before it writes fails if another has written meanwhile. Its client then asks again
    two seconds later, which one run in four met.
    """
    begin = AioSqliteConfiguration.begin_transaction

    def begin_to_write(self: AioSqliteConfiguration, session: Any, **_given: bool) -> AbstractAsyncContextManager[Any]:
        return begin(self, session, with_for_update=True)

    AioSqliteConfiguration.begin_transaction = begin_to_write


if __name__ == "__main__":
    main(int(sys.argv[1]))
