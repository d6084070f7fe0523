"""The command `metaclip`."""

import json
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from flows import cli_export, cli_report, display, display_metadata, display_status, inspect_pool, operate
from flows.command import Json, Storage
from flows.command import errors as _errors
from flows.command import prefect as _prefect
from flows.command import threshold as _threshold
from metaclip import __version__
from metaclip.config import load_config
from metaclip.errors import ConfigError
from metaclip.metadata.show import describe, find_entry, require
from metaclip.plan import check, metadata_plan
from metaclip.record import read_record, survivors_name
from metaclip.status import pool_status
from metaclip.store import Store
from metaclip.survivors import survivor_files

app = typer.Typer(
    help="CLIP data curation with the MetaCLIP algorithm: from web pages to a balanced set of image-text pairs.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
    epilog="Exit codes: 0 done; 1 unexpected error; 2 configuration or usage; 3 input; 4 store; 5 a stage's"
    " result must not be used; 6 a worker process died; 130 interrupted.",
)

metadata = typer.Typer(help="The list of entries: build it from its sources, look at it.", no_args_is_help=True)
app.add_typer(metadata, name="metadata")
for command in (
    inspect_pool.plan,
    inspect_pool.explain,
    inspect_pool.entry,
    inspect_pool.trace,
    cli_report.report,
    cli_export.export,
    cli_export.images,
    operate.gc,
    operate.doctor,
):
    app.command()(command)

ConfigPath = Annotated[Path, typer.Argument(help="A YAML configuration, such as configs/demo.yaml.")]
Override = Annotated[
    list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Change a field, such as balance.t=50.")
]


class Stage(StrEnum):
    """The stages, for `--until`."""

    METADATA = "metadata"
    EXTRACT = "extract"
    MATCH = "match"
    DEDUP = "dedup"
    COUNT = "count"
    BALANCE = "balance"
    CURATE = "curate"
    REPORT = "report"


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(__version__)
        raise typer.Exit


@app.callback()
def main(
    version: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True, help="Print it.")] = False,
) -> None:
    """Hold the options of the command itself."""


@app.command()
def run(
    config: ConfigPath,
    override: Override = None,
    until: Annotated[Stage, typer.Option(help="The last stage to do.")] = Stage.REPORT,
    as_json: Json = False,
) -> None:
    """Curate a pool; what an earlier run left in the store is not done again."""
    with _errors(as_json):
        checked = load_config(config, override or [])
        check(checked)  # before the seconds that Prefect takes to start
        with _prefect(as_json):
            from flows.curate import curate

            summary = curate(checked, until.value)
        _show(summary, as_json)


@app.command()
def rebalance(
    pool: Annotated[str, typer.Argument(help="Name of a finished pool.")],
    storage: Storage,
    t: Annotated[
        str | None, typer.Option(help="Entries with more than t matches are sampled down; inf keeps all.")
    ] = None,
    target_pairs: Annotated[
        int | None, typer.Option(min=1, help="Instead of t: the size of the set; takes the smallest t that reaches it.")
    ] = None,
    tail_share: Annotated[
        float | None, typer.Option(help="Instead of t: the share of matches that entries with at most t of them hold.")
    ] = None,
    seed: Annotated[int | None, typer.Option(help="Seed of the draws; default: the pool's (survivors: +1).")] = None,
    survivors: Annotated[
        list[str] | None,
        typer.Option(help="Only what these name: img2dataset's output, or lists of uids or addresses. Repeatable."),
    ] = None,
    name: Annotated[
        str | None, typer.Option("--as", help="Name of the survivors' pool; default: POOL-survivors.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Curate a finished pool at another t, at once, or count and balance its survivors."""
    with _errors(as_json):
        given = [option for option in (t, target_pairs, tail_share) if option is not None]
        if len(given) != 1:
            raise ConfigError("give exactly one of --t, --target-pairs and --tail-share")
        if tail_share is not None and not 0 < tail_share <= 1:
            raise ConfigError(f"--tail-share {tail_share}: must be above 0 and at most 1")
        threshold = _threshold(t)
        # All before the seconds that Prefect takes to start.
        read_record(Store(storage), pool)
        if survivors:
            survivor_files(survivors)
            survivors_name(Store(storage), pool, name)
        elif name:
            raise ConfigError("--as names the survivors' pool: give --survivors too")
        with _prefect(as_json):
            from flows.rebalance import rebalance as flow

            summary = flow(
                pool, storage, threshold, target_pairs, tail_share, seed, survivors=survivors, survivors_name=name
            )
        _show(summary, as_json)


@app.command()
def status(
    pool: Annotated[str, typer.Argument(help="Name of a pool.")],
    storage: Storage,
    full: Annotated[bool, typer.Option("--full", help="Compare the SHA-256 of every file as well.")] = False,
    as_json: Json = False,
) -> None:
    """Tell what a pool consists of, whether all of it stands, and what its runs are doing."""
    with _errors(as_json):
        found = pool_status(storage, pool, "full" if full else "size")
        if as_json:
            typer.echo(json.dumps(found, ensure_ascii=False, indent=1))
        else:
            display_status.show_status(found)
        if found["missing"]:
            raise typer.Exit(4)


@metadata.command("build")
def build_list(config: ConfigPath, override: Override = None, as_json: Json = False) -> None:
    """Build the list of entries of a pool; what an earlier run counted is not counted again."""
    with _errors(as_json):
        checked = load_config(config, override or [])
        metadata_plan(checked)
        with _prefect(as_json):
            from flows.metadata import build_metadata

            summary = build_metadata(checked)
        if as_json:
            typer.echo(json.dumps(summary, ensure_ascii=False, indent=1))
        else:
            display_metadata.show_build(summary)


@metadata.command("show")
def show_list(
    config: ConfigPath,
    entry: Annotated[str | None, typer.Option(help="Show id, source and score of this entry alone.")] = None,
    samples: Annotated[int, typer.Option(min=1, help="Entries to show of each source.")] = 5,
    override: Override = None,
    as_json: Json = False,
) -> None:
    """Show sizes by source and samples of the list of entries, or one entry."""
    with _errors(as_json):
        checked = load_config(config, override or [])
        store = Store(checked.storage)
        found = require(metadata_plan(checked).job.find(store))
        described = describe(store, found, samples) if entry is None else find_entry(store, found, entry)
        if as_json:
            typer.echo(json.dumps(described, ensure_ascii=False, indent=1))
        elif entry is None:
            display_metadata.show_list(described)
        else:
            display_metadata.show_entry(described)


def _show(summary: dict[str, Any], as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps(summary, ensure_ascii=False, indent=1))
    else:
        display.show_summary(summary)
