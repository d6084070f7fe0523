"""The process of the local Prefect server: `-m flows.cli.server.process DESCRIPTOR`, of a listening socket."""

import socket
import sys

import uvicorn
from prefect.server.api.server import create_app


def main(descriptor: int) -> None:
    """Serve on a listening socket."""
    application = create_app(final=True, ephemeral=True)
    server = uvicorn.Server(uvicorn.Config(application, log_level="error"))
    server.run(sockets=[socket.socket(fileno=descriptor)])


if __name__ == "__main__":
    main(int(sys.argv[1]))
