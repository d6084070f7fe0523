"""`metaclip metrics`: what runs are doing, for Prometheus."""

import socket
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from flows.cli.common import Storage, errors
from metaclip.errors import ConfigError, StoreError
from metaclip.processes.plain_text import visible

if TYPE_CHECKING:
    from metaclip.pool.metrics import RunMetrics


def metrics(
    storage: Storage,
    pool: Annotated[
        list[str] | None, typer.Option(help="Only this pool; default: all of the store. Repeatable.")
    ] = None,
    to: Annotated[
        Path | None, typer.Option(metavar="FILE.prom", help="Write them there, for node_exporter's textfile collector.")
    ] = None,
    every: Annotated[
        float | None, typer.Option(min=1, help="With --to: write again every so many seconds, until it is ended.")
    ] = None,
    serve: Annotated[
        str | None, typer.Option(metavar="HOST:PORT", help="Answer Prometheus there instead, until it is ended.")
    ] = None,
) -> None:
    """Tell what the newest runs of the pools are doing, as metrics for Prometheus."""
    with errors(as_json=False):
        if to is not None and serve is not None:
            raise ConfigError("give --to or --serve, not both")
        if every is not None and to is None:
            raise ConfigError("--every writes a file again and again: give --to too")
        if to is not None and to.suffix != ".prom":
            raise ConfigError(f"--to {to}: node_exporter reads files whose names end in .prom alone; name it so")
        from prometheus_client import generate_latest

        from metaclip.pool.metrics import RunMetrics
        from metaclip.store.store import Store

        found = RunMetrics(storage, pool or ())
        if serve is not None:
            _serve(found, serve)
        elif to is not None:
            _write(found, to)
            while every is not None:
                time.sleep(every)
                _write(found, to)
        else:
            Store(storage).reach()
            typer.echo(generate_latest(found.registry).decode(), nl=False)


def _write(found: "RunMetrics", to: Path) -> None:
    from prometheus_client import write_to_textfile

    try:
        write_to_textfile(str(to), found.registry)  # under another name first, then moved
    except OSError as error:
        raise StoreError(f"--to {to}: cannot be written: {error}") from error


def _serve(found: "RunMetrics", where: str) -> None:
    from prometheus_client import start_http_server

    host, _, port = where.rpartition(":")
    if not host or not port.isdigit() or int(port) > 65535:
        raise ConfigError(f"--serve {where}: write host and port, such as 127.0.0.1:9464")
    try:
        server, _ = start_http_server(int(port), host, found.registry)
    except (OSError, socket.gaierror) as error:
        raise ConfigError(f"--serve {where}: {error}; choose another port or address of this machine") from error
    typer.echo(visible(f"metrics: http://{host}:{server.server_port}/metrics"), err=True)
    threading.Event().wait()
