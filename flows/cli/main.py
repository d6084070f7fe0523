"""The command `metaclip`: its options, and the modules of its subcommands."""

from typing import Annotated

import typer

from flows.cli import export, inspect, metadata, report, run, shipped, upkeep
from flows.cli.look import diff, near, sample
from flows.cli.pictures import images, remove
from metaclip import __version__

app = typer.Typer(
    help="CLIP data curation with the MetaCLIP algorithm: from web pages to a balanced set of image-text pairs.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
    epilog="Exit codes: 0 done; 1 unexpected error; 2 configuration or usage; 3 input; 4 store; 5 a stage's"
    " result must not be used; 6 a worker process or the local server died; 130 interrupted.",
)
app.add_typer(metadata.app, name="metadata")
app.add_typer(images.app, name="images")
# In the order of `metaclip --help`.
for command in (
    shipped.demo,
    shipped.init,
    run.run,
    run.rebalance,
    remove.remove,
    upkeep.status,
    inspect.plan,
    inspect.explain,
    inspect.entry,
    near.near,
    sample.sample,
    diff.diff,
    inspect.trace,
    inspect.files,
    report.report,
    export.export,
    upkeep.warm,
    upkeep.gc,
    upkeep.doctor,
):
    app.command()(command)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(__version__)
        raise typer.Exit


@app.callback()
def main(
    version: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True, help="Print it.")] = False,
) -> None:
    """Hold the options of the command itself."""
