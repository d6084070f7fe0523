"""The command `metaclip report`: find or make the report of a set, and copy it."""

from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console

from flows.cli.common import Json, Storage, emit, errors, prefect, threshold
from flows.cli.show.summary import short
from flows.cli.show.terminal import plain
from metaclip.errors import ConfigError

if TYPE_CHECKING:
    from metaclip.store.manifest import Reference
    from metaclip.store.store import Store


def report(
    pool: Annotated[str, typer.Argument(help="Name of a finished pool.")],
    storage: Storage,
    t: Annotated[str | None, typer.Option(help="Which of the pool's sets; default: the pool's own t.")] = None,
    to: Annotated[
        str | None,
        typer.Option(help="Copy the report and the data card to a folder, or an address such as s3://bucket/prefix."),
    ] = None,
    with_set: Annotated[
        bool, typer.Option("--with-set", help="With --to: copy the set's files as well, for a complete folder.")
    ] = False,
    show: Annotated[bool, typer.Option("--open", help="Open the page in a browser.")] = False,
    as_json: Json = False,
) -> None:
    """Find the report of a set, or make it, and print its address."""
    from metaclip.config.settings import format_t
    from metaclip.explore.pool import FinishedPool
    from metaclip.report.job import CARD, PAGE
    from metaclip.report.planned import PlannedReport
    from metaclip.report.publish import publish_report

    with errors(as_json):
        if with_set and to is None:
            raise ConfigError("--with-set: name the folder to copy to with --to")
        chosen = threshold(t)
        opened = FinishedPool.open(storage, pool)
        planned = PlannedReport.of_pool(opened, None if chosen is None else float(chosen))
        job, store = planned.report, opened.store
        found = job.find(store)
        made = found is None
        if made:
            with prefect(as_json, "flows.report") as flow:
                flow.make_report(pool, storage, format_t(job.t))
        reference = found or job.find(store)
        assert reference is not None
        told: dict[str, Any] = {
            "pool": pool,
            "t": format_t(job.t),
            "made": made,
            "report": store.address(f"{job.folder}/{PAGE}"),
            "card": store.address(f"{job.folder}/{CARD}"),
            "set": store.address(job.parts.curated.folder),
        }
        if to is not None:
            published = publish_report(store, reference, job.parts.curated, to, pool, with_set=with_set)
            told |= {"to": to, "files": len(published["files"]), "written": published["written"]}
        if show:
            if to is not None and "://" in to:
                raise ConfigError(f"--open: {to} is not on this machine; copy it here with --to FOLDER")
            typer.launch(f"{to}/{PAGE}" if to is not None else _headed(store, reference, pool))
        emit(told, as_json, _show)


def _headed(store: "Store", report: "Reference", pool: str) -> str:
    """Write the page with its pool and date in its heading to the cache of this machine, and return its path."""
    from metaclip.io.temporary import own_folder, write_whole
    from metaclip.report.publish import headed_page

    path = own_folder("cache") / f"report-{report.key}-{pool}.html"
    write_whole(path, headed_page(store, report, pool).encode())
    return str(path)


def _show(told: dict[str, Any]) -> None:
    console = Console(soft_wrap=True)
    for name in ("report", "card", "set"):
        console.print(plain(f"{name}: {' ' * (6 - len(name))}{short(told[name])}"))
    if "to" in told:
        state = "files" if told["written"] else "files, which stood there already"
        console.print(plain(f"to:     {told['to']} ({told['files']:,} {state})"))
