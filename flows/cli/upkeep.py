"""`metaclip status`, `gc` and `doctor`: check and clean up a pool, a store and a machine."""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.text import Text

from flows.cli.common import Json, Storage, emit, errors
from flows.cli.show.status import show_status
from flows.cli.show.tables import Column, figures, show_table
from flows.cli.show.terminal import plain
from metaclip.errors import ConfigError
from metaclip.processes.plain_text import visible

if TYPE_CHECKING:
    from metaclip.prepare.doctor import Finding

Override = Annotated[
    list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Change a field of CONFIG, such as storage=pool.")
]

_COLOURS: dict[str, str] = {"ok": "green", "warn": "yellow", "fail": "red"}


def status(
    pool: Annotated[str, typer.Argument(help="Name of a pool.")],
    storage: Storage,
    full: Annotated[bool, typer.Option("--full", help="Compare the SHA-256 of every file as well.")] = False,
    as_json: Json = False,
) -> None:
    """Show what a pool consists of, whether all of it exists, and what its runs are doing."""
    from metaclip.pool.status import pool_status

    with errors(as_json):
        found = pool_status(storage, pool, "full" if full else "size")
        emit(found, as_json, show_status)
        if found["missing"] or found["doubtful"]:
            raise typer.Exit(4)


def warm(as_json: Json = False) -> None:
    """Compile all kernels now, for this machine or into an image; runs else do that beside their work."""
    from metaclip.kernels.ways import WAYS
    from metaclip.prepare.warm import GROUPS
    from metaclip.prepare.warm import warm as compile_all

    with errors(as_json):
        started, missing = time.monotonic(), WAYS.missing(GROUPS)
        kernels = 0
        with Console(stderr=True, quiet=as_json).status("compiling") as shown:

            def report(compiled: int, of: int) -> None:
                nonlocal kernels
                kernels = compiled
                shown.update(f"compiling: {compiled} of {of} kernels")

            compile_all(missing, report)
        found = {"groups": missing, "kernels": kernels, "seconds": round(time.monotonic() - started, 3)}
        emit(found, as_json, _show_warm)


def _show_warm(found: dict[str, Any]) -> None:
    if found["groups"]:
        typer.echo(f"compiled {found['kernels']} kernels in {found['seconds']:.0f} s")
    else:
        typer.echo("all kernels are compiled for this machine")


def gc(
    storage: Storage,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what would be removed, and remove nothing.")] = False,
    grace: Annotated[
        str, typer.Option(help="Keep what was written within this time: a number with s, m, h or d.")
    ] = "24h",
    as_json: Json = False,
) -> None:
    """Remove outputs that no pool needs, and remains of killed runs."""
    from metaclip.pool.gc import collect, parse_grace

    with errors(as_json):
        done = collect(storage, dry_run=dry_run, grace=parse_grace(grace))
        emit(done, as_json, lambda done: _show_removed(done, storage, grace, dry_run))


def _show_removed(done: dict[str, Any], storage: str, grace: str, dry_run: bool) -> None:
    console = Console(soft_wrap=True)
    rows = [
        (stage["stage"], f"{stage['outputs']:,}", f"{stage['files']:,}", f"{stage['bytes'] / 1e6:,.2f}")
        for stage in done["removed"]
    ]
    if rows:
        title = f"{'would go from' if dry_run else 'removed from'} {storage}"
        show_table(console, [Column("stage"), *figures("outputs", "files", "MB")], rows, title)
    else:
        console.print(plain(f"nothing to remove from {storage}"))
    leftovers, runs = done["leftovers"], done["runs"]
    kept, young = (sum(stage["outputs"] for stage in done[name]) for name in ("kept", "young"))
    console.print(
        plain(
            f"temporary files {leftovers['files']:,}, unfinished uploads {leftovers['uploads']:,}, signs of life"
            f" {runs['files']:,}; {kept:,} outputs of pools {', '.join(done['pools']) or 'none'} stay,"
            f" {young:,} others are younger than {grace}"
        )
    )
    if not done["pools"] and not any((kept, young, rows)):
        console.print(plain(f"{storage} holds no outputs at all: is this the root of the store?"), style="yellow")
    for run in done["active"]:
        console.print(plain(f"a run goes on, so gc would refuse: {run}"), style="yellow")
    for doubt in done["doubts"]:
        console.print(plain(f"in doubt, so gc would refuse: {doubt}"), style="yellow")
    for address in done["missing"]:
        console.print(plain(f"named by a pool and not there, run the pool again: {address}"), style="yellow")


def doctor(
    config: Annotated[Path | None, typer.Argument(help="A configuration whose source and entries to check.")] = None,
    storage: Annotated[
        str | None, typer.Option(help="Root of the store to check; default: the configuration's own.")
    ] = None,
    override: Override = None,
    as_json: Json = False,
) -> None:
    """Check everything that a run needs: libraries, model, storage, disk, Prefect."""
    with errors(as_json):
        if override and config is None:
            raise ConfigError("--set changes a configuration: name its file as well")
        found = []
        for finding in _findings(config, storage, override or []):
            found.append(finding)
            if not as_json:  # each is printed when it is done, because some take seconds
                _show_finding(finding)
        failed = [finding for finding in found if finding.state == "fail"]
        if as_json:
            states = [{"check": f.check, "state": f.state, "message": f.message, "mend": f.mend} for f in found]
            emit({"ok": not failed, "checks": states}, as_json, _show_finding)
        if failed:
            raise typer.Exit(failed[0].exit_code or 1)


def _findings(path: Path | None, storage: str | None, override: list[str]) -> "Iterator[Finding]":
    from flows.cli.prefect_check import prefect_api
    from metaclip.config.loading import load_config
    from metaclip.config.settings import Config
    from metaclip.prepare.doctor import Finding, examine, guarded

    config: Config | None = None
    if path is not None:
        loaded: list[Config] = []

        def load() -> "Iterator[Finding]":
            loaded.append(load_config(path, override))
            yield Finding("configuration", "ok", f"{path} can be read")

        yield from guarded("configuration", load)
        config = loaded[0] if loaded else None
    if storage is None and config is not None:
        storage = config.storage
    yield from examine(storage, config)
    yield from prefect_api(config)


def _show_finding(finding: "Finding") -> None:
    line = Text(f"{finding.state:<5}", style=_COLOURS[finding.state])
    line.append(visible(f"{finding.check}: {finding.message}"), style="default")
    if finding.mend and finding.state != "ok":
        line.append(f"\n     → {visible(finding.mend)}", style="default")
    Console(soft_wrap=True).print(line)
