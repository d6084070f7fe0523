"""`metaclip remove`: take pairs out of a pool's sets, now and in every later run."""

from enum import StrEnum
from typing import Annotated, Any

import typer
from rich.console import Console

from flows.cli.common import Json, Storage, emit, errors, prefect
from flows.cli.show.tables import Column, figures, show_table
from flows.cli.show.terminal import plain
from metaclip.errors import ConfigError, InputError
from metaclip.processes.shell import command


class Counts(StrEnum):
    """What becomes of the counts."""

    FROZEN = "frozen"
    ANEW = "anew"


def remove(
    pool: Annotated[str, typer.Argument(help="Name of a finished pool.")],
    storage: Storage,
    listed: Annotated[
        str,
        typer.Option(
            "--list",
            help="On each line uid, image, url, host, domain, page, page_domain, sha256 or pixels, and a value.",
        ),
    ],
    reason: Annotated[str, typer.Option(help="Why, in a word; kept beside the hashes.")] = "",
    counts: Annotated[
        Counts, typer.Option(help="frozen: the sets without these pairs. anew: count and balance what is left again.")
    ] = Counts.FROZEN,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only tell what would be taken out.")] = False,
    purge: Annotated[
        bool, typer.Option("--purge", help="Write the outputs that hold the texts again without them, too.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Take pairs out of a pool's sets; they are kept as hashes and stay out in every later run.

    Exit code 3 where a line names nothing that the pool has; everything else is taken out all the same.
    """
    from metaclip.pool.record import read_record
    from metaclip.removal.lists import read_list
    from metaclip.store.store import Store

    with errors(as_json):
        if purge and counts is Counts.ANEW:
            raise ConfigError("--purge goes with --counts frozen; count anew first, and then purge both pools")
        read_record(Store(storage), pool)
        read_list(listed)
        with prefect(as_json, "flows.pictures.remove") as flow:
            done = flow.remove_pairs(pool, storage, listed, reason, counts.value, dry_run, purge)
        emit(done, as_json, lambda done: _show(done, storage))
        if done["unknown"]:
            lines = ", ".join(map(str, done["unknown"][:20]))
            raise InputError(
                f"{listed}: {len(done['unknown']):,} lines name nothing that pool {pool} has: {lines}"
                + (" and more" if len(done["unknown"]) > 20 else "")
                + "; all others were taken out" * (not dry_run)
            )


def _show(done: dict[str, Any], storage: str) -> None:
    console = Console(soft_wrap=True)
    rows = [
        (t, f"{each['before']:,}", f"{each['now']:,}" if "now" in each else "", each.get("folder", ""))
        for t, each in done["sets"].items()
    ]
    what = "would be taken out" if done["dry_run"] else "are taken out"
    title = f"{done['removed']:,} pairs of {len(done['partitions']):,} partitions {what}; {done['new']:,} new entries"
    show_table(console, [Column("t"), *figures("before", "now"), Column("set")], rows, title)
    if not done["dry_run"]:
        console.print(plain(f"old sets and outputs go with: {command('metaclip', 'gc', '--storage', storage)}"))
    if done["still_hold"]:
        console.print(plain(f"the texts are still in the outputs of: {', '.join(done['still_hold'])}"))
    if done.get("held_by"):
        console.print(plain(f"outputs with the texts belong to these pools too: {', '.join(done['held_by'])}"))
