"""Common parts of the subcommands of `metaclip`: options, exit codes of errors, a Prefect API."""

import logging
import os
import re
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer
from pydantic import TypeAdapter, ValidationError

import metaclip.errors
from flows.cli.server.ahead import server_ahead, set_up_client
from flows.cli.show.summary import log_progress, progress
from flows.cli.show.terminal import to_json
from metaclip.errors import ConfigError, MetaclipError
from metaclip.processes import json_lines
from metaclip.processes.interrupts import EXIT_CODE, MESSAGE, end_now, interruptible, uninterruptible
from metaclip.processes.plain_text import log_visibly, visible_lines

if TYPE_CHECKING:
    from metaclip.config.settings import Config

ConfigPath = Annotated[Path, typer.Argument(help="A YAML configuration, such as `metaclip init` writes.")]
Override = Annotated[
    list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Change a field, such as balance.t=50.")
]


Storage = Annotated[str, typer.Option(help="Root of the store: a folder, or an address such as s3://bucket/prefix.")]
Json = Annotated[bool, typer.Option("--json", help="Print the summary as JSON on standard output, for scripts.")]


def threshold(t: str | None) -> Any:
    """Convert t to the type that flows accept; the flow checks the range."""
    from metaclip.config.settings import Threshold, parse_t

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
def prefect(as_json: bool, flow: str, config: "Config | None" = None) -> Iterator[Any]:
    """Provide a Prefect API, quiet logs, progress on the terminal, and the module of a flow.

    Args:
        as_json: leave the progress out.
        flow: name of the module, which is imported while the server starts.
        config: that of a pool whose worker processes start then too, if the pool has never been finished.
    """
    set_up_client()
    if json_lines.is_chosen():
        for name, value in json_lines.OF_PREFECT.items():
            os.environ.setdefault(name, value)
    with ExitStack() as opened:
        with uninterruptible():  # nothing is begun yet
            opened.enter_context(server_ahead())
            if config is not None:
                from tasks.workers import workers_for

                opened.enter_context(workers_for(config, ahead=_has_all_before_it(config)))
            module = import_module(flow)

            from flows.cli.server.local import prefect_api
            from tasks.progress import watcher

            watch = log_progress if json_lines.is_chosen() else opened.enter_context(progress(quiet=as_json))
            opened.enter_context(prefect_api(lambda error: _end(error, as_json)))
            opened.callback(watcher.reset, watcher.set(watch))
        yield module


def _has_all_before_it(config: "Config") -> bool:
    """Return whether this process computes a pool that has never been finished."""
    from metaclip.pool.record import has_record
    from metaclip.store.store import Store

    return config.execution.deployment is None and not has_record(Store(config.storage), config.pool)


_OF_AN_END = (
    "aborted by an interrupt signal",
    "Task run cancelled by the task runner",  # one that was just about to begin
    "Still processing items",  # what a run has told its server arrives there
)
"""What Prefect says as a run ends, early or not, which is told in a line of its own or is no news."""
_ON_PURPOSE = re.compile(r"Finished in state Failed\(.*encountered an exception:? (?P<error>\w+):")


def _is_unforeseen(record: logging.LogRecord) -> bool:
    """Filter out what Prefect says of errors raised on purpose, and of an interrupt.

    The first error is printed at the end as `error:`, and the others are in the run's file, which `metaclip status`
    shows. An interrupt ends in a line of its own.
    """
    message = record.getMessage()
    if record.exc_info and isinstance(record.exc_info[1], MetaclipError):
        return False
    if any(words in message for words in _OF_AN_END):
        return False
    told = _ON_PURPOSE.match(message)
    return told is None or not isinstance(getattr(metaclip.errors, told["error"], None), type)


@contextmanager
def errors(as_json: bool) -> Iterator[None]:
    """End with the code that an error stands for; what was raised on purpose needs no traceback."""
    log_visibly()
    logging.basicConfig(format="%(levelname)s %(message)s", level=logging.WARNING, stream=sys.stderr)
    for handler in logging.getLogger().handlers:
        handler.addFilter(_is_unforeseen)
        if json_lines.is_chosen():
            handler.setFormatter(json_lines.JsonLines())
    try:
        from metaclip.io.failures import explaining_disks

        with interruptible(), explaining_disks():
            yield
    except MetaclipError as error:
        typer.echo(_told(error, as_json), err=True)
        raise typer.Exit(error.exit_code) from error
    except KeyboardInterrupt:
        typer.echo(_line(MESSAGE), err=True)
        raise typer.Exit(EXIT_CODE) from None


def _told(error: MetaclipError, as_json: bool) -> str:
    """Return what people are told of an error; machines are told at once."""
    if as_json:
        typer.echo(to_json({"error": type(error).__name__, "message": str(error)}, indent=None))
    # What it names may come from the web or from a file's name.
    return _line(visible_lines(f"error: {error}"))


def _line(text: str) -> str:
    """Return the last words of a command in the form of its log."""
    if not json_lines.is_chosen():
        return text
    record = logging.makeLogRecord({"name": "metaclip", "levelname": "ERROR", "msg": text, "process": os.getpid()})
    return json_lines.JsonLines().format(record)


def _end(error: MetaclipError, as_json: bool) -> NoReturn:
    """End the process with an error that another thread than the main one met."""
    end_now(_told(error, as_json), error.exit_code)
