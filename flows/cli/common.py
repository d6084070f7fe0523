"""Common parts of the subcommands of `metaclip`: options, exit codes of errors, a Prefect API."""

import logging
import os
import re
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer
from pydantic import TypeAdapter, ValidationError

import metaclip.errors
from flows.cli.show.summary import progress
from flows.cli.show.terminal import to_json, visible
from metaclip.config.settings import Threshold, parse_t
from metaclip.errors import ConfigError, MetaclipError
from metaclip.io.failures import explaining_disks

ConfigPath = Annotated[Path, typer.Argument(help="A YAML configuration, such as configs/demo.yaml.")]
Override = Annotated[
    list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Change a field, such as balance.t=50.")
]


Storage = Annotated[str, typer.Option(help="Root of the store: a folder, or an address such as s3://bucket/prefix.")]
Json = Annotated[bool, typer.Option("--json", help="Print the summary as JSON on standard output, for scripts.")]


def threshold(t: str | None) -> Any:
    """Convert t to the type that flows accept; the flow checks the range."""
    if t is None:
        return None
    try:
        return TypeAdapter(Threshold).validate_python(parse_t(t))
    except ValueError as error:
        reason = error.errors()[0]["msg"] if isinstance(error, ValidationError) else error
        raise ConfigError(f"--t {t}: {reason}") from error


def emit(value: Any, as_json: bool, show: Callable[[Any], None]) -> None:
    """Print the result of a command: as JSON on standard output for scripts, else with `show` for people.

    The JSON is safe to print on a terminal: control characters in its strings are escaped.
    """
    if as_json:
        typer.echo(to_json(value))
    else:
        show(value)


@contextmanager
def prefect(as_json: bool) -> Iterator[None]:
    """Provide a Prefect API, quiet logs, and progress on the terminal."""
    os.environ.setdefault("DO_NOT_TRACK", "1")
    os.environ.setdefault("PREFECT_LOGGING_LEVEL", "WARNING")
    from flows.cli.local_server import prefect_api
    from tasks.progress import watcher

    with progress(quiet=as_json) as watch, prefect_api():
        token = watcher.set(watch)
        try:
            yield
        finally:
            watcher.reset(token)


_ON_PURPOSE = re.compile(r"Finished in state Failed\(.*encountered an exception:? (?P<error>\w+):")


def _is_unforeseen(record: logging.LogRecord) -> bool:
    """Filter out what Prefect says of errors raised on purpose.

    The first is printed at the end as `error:`, and the others are in the run's file, which `metaclip status` shows.
    """
    if record.exc_info and isinstance(record.exc_info[1], MetaclipError):
        return False
    told = _ON_PURPOSE.match(record.getMessage())
    return told is None or not isinstance(getattr(metaclip.errors, told["error"], None), type)


@contextmanager
def errors(as_json: bool) -> Iterator[None]:
    """Exit with the code of an error; an error that was raised on purpose needs no traceback."""
    logging.basicConfig(format="%(levelname)s %(message)s", level=logging.WARNING, stream=sys.stderr)
    for handler in logging.getLogger().handlers:
        handler.addFilter(_is_unforeseen)
    try:
        with explaining_disks():
            yield
    except MetaclipError as error:
        _fail(error, error.exit_code, as_json)
    except KeyboardInterrupt:
        typer.echo("interrupted; run the same command again to go on from here", err=True)
        raise typer.Exit(130) from None


def _fail(error: MetaclipError, code: int, as_json: bool) -> NoReturn:
    if as_json:
        typer.echo(to_json({"error": type(error).__name__, "message": str(error)}, indent=None))
    # It may contain text from the web or from a file name.
    typer.echo("error: " + "\n".join(map(visible, str(error).splitlines())), err=True)
    raise typer.Exit(code) from error
