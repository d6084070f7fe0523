"""The command `metaclip`: its options, and the modules of its subcommands."""

import os
from collections.abc import Callable
from enum import StrEnum
from typing import Annotated

import typer

from flows.cli import export, inspect, metadata, metrics, report, run, shipped, upkeep
from flows.cli.look import browse, diff, estimate, near, sample
from flows.cli.pictures import images, remove
from metaclip import __version__
from metaclip.processes.json_lines import VARIABLE

app = typer.Typer(
    help="CLIP data curation with the MetaCLIP algorithm: from web pages to a balanced set of image-text pairs.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    epilog="Exit codes: 0 done; 1 unexpected error; 2 configuration or usage; 3 input; 4 store; 5 a stage's"
    " result must not be used; 6 a worker process or the local server died; 130 interrupted.",
)
MAIN, LOOK, LISTS, CARE = "Make a set", "See what is in it", "Lists of entries", "Keep it running"
"""The groups of `metaclip --help`, the main one first."""

COMMANDS: tuple[tuple[str, Callable[..., None], str], ...] = (
    (MAIN, shipped.demo, "demo"),
    (MAIN, shipped.init, "init demo my.yaml"),
    (MAIN, estimate.estimate, "estimate my.yaml --set prices.core_hour=0.04"),
    (MAIN, run.run, "run my.yaml --set balance.t=50"),
    (MAIN, run.rebalance, "rebalance demo --storage demo-data/pool --t 50"),
    (MAIN, export.export, "export demo --storage demo-data/pool --to export --format img2dataset"),
    (MAIN, remove.remove, "remove demo --storage demo-data/pool --list removals.txt"),
    (LOOK, report.report, "report demo --storage demo-data/pool --open"),
    (LOOK, browse.browse, "browse demo --storage demo-data/pool --open"),
    (LOOK, inspect.plan, "plan demo --storage demo-data/pool --target-pairs 1000"),
    (LOOK, sample.sample, "sample demo --storage demo-data/pool --why no_match --n 10"),
    (LOOK, near.near, "near demo --storage demo-data/pool --n 10"),
    (LOOK, inspect.entry, "entry demo photo --storage demo-data/pool"),
    (LOOK, inspect.explain, 'explain demo "a photo of a dog" --storage demo-data/pool'),
    (LOOK, inspect.trace, "trace demo 003a4649e0e947ba0f0c82a6df5c298f --storage demo-data/pool"),
    (LOOK, diff.diff, "diff demo --storage demo-data/pool --t 20 --other-t 50 --to diff.html"),
    (LOOK, inspect.files, "files demo --storage demo-data/pool --stage balance"),
    (CARE, upkeep.status, "status demo --storage demo-data/pool"),
    (CARE, metrics.metrics, "metrics --storage demo-data/pool"),
    (CARE, upkeep.doctor, "doctor my.yaml"),
    (CARE, upkeep.warm, "warm"),
    (CARE, upkeep.gc, "gc --storage demo-data/pool --dry-run"),
)
"""The group of each subcommand and an example of it, in the order of `metaclip --help`."""

for group, command, example in COMMANDS:
    app.command(rich_help_panel=group, epilog=f"Example: metaclip {example}")(command)
app.add_typer(metadata.app, name="metadata", rich_help_panel=LISTS)
app.add_typer(images.app, name="images", rich_help_panel=MAIN)


class LogFormat(StrEnum):
    """How logs are written."""

    TEXT = "text"
    JSON = "json"


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(__version__)
        raise typer.Exit


@app.callback()
def main(
    _ended: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True, help="Print it.")] = False,
    log_format: Annotated[
        LogFormat,
        typer.Option(envvar=VARIABLE, help="How logs and progress are written to standard error.", show_envvar=False),
    ] = LogFormat.TEXT,
) -> None:
    """Hold the options of the command itself."""
    os.environ[VARIABLE] = log_format.value  # for its processes too
