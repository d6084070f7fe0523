"""`metaclip plan`, `explain`, `entry` and `trace`: what a finished pool tells, read from the store alone."""

from typing import Annotated, Any

import typer

from flows import display_pool, terminal
from flows.command import Json, Storage, errors, threshold
from metaclip.finished.sizes import plan_sizes

Pool = Annotated[str, typer.Argument(help="Name of a finished pool.")]
T = Annotated[str | None, typer.Option(help="Take this t instead of the pool's own; inf keeps all.")]


def plan(
    pool: Pool,
    storage: Storage,
    t: Annotated[list[str] | None, typer.Option(help="Tell the size at this t; may be given again.")] = None,
    target_pairs: Annotated[
        list[int] | None, typer.Option(min=1, help="Find the t that gives so many pairs; may be given again.")
    ] = None,
    tail_share: Annotated[
        list[float] | None, typer.Option(help="Find the t whose tail holds this share of matches; may be given again.")
    ] = None,
    expected: Annotated[
        bool, typer.Option("--expected", help="Read the entry ids of all pairs where expected sizes are not known yet.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Tell how many pairs any t keeps, exactly, and which t gives a size or a tail."""
    with errors(as_json):
        ts = [float(threshold(one)) for one in t or []]
        found = plan_sizes(storage, pool, ts, target_pairs or [], tail_share or [], expected)
        _show(found, as_json, display_pool.show_plan)


def _show(found: dict[str, Any], as_json: bool, show: Any) -> None:
    if as_json:
        typer.echo(terminal.to_json(found))
    else:
        show(found)
