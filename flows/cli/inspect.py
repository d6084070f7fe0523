"""`metaclip plan`, `explain`, `entry`, `trace` and `files`: what a finished pool tells, read from the store alone."""

from typing import Annotated

import typer

from flows.cli.common import Json, Storage, emit, errors, threshold
from flows.cli.show import pool as show
from metaclip.explore.entry import describe_entry
from metaclip.explore.explain import explain_text
from metaclip.explore.files import list_files
from metaclip.explore.sizes import plan_sizes
from metaclip.explore.trace import trace_pair

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
        bool | None,
        typer.Option(
            "--expected/--no-expected",
            help="Read the entry ids of all pairs where expected sizes are not known yet; by default of a small pool.",
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """Tell how many pairs any t keeps, exactly, and which t gives a size or a tail."""
    with errors(as_json):
        ts = [float(threshold(one)) for one in t or []]
        found = plan_sizes(storage, pool, ts, target_pairs or [], tail_share or [], expected)
        emit(found, as_json, show.show_plan)


def explain(
    pool: Pool,
    text: Annotated[str, typer.Argument(help="The text, as it stands on a page.")],
    storage: Storage,
    t: T = None,
    as_json: Json = False,
) -> None:
    """Tell what a pool makes of a text: spacing, language, entries, keep probability, near misses."""
    with errors(as_json):
        emit(explain_text(storage, pool, text, _t(t)), as_json, show.show_explanation)


def entry(
    pool: Pool,
    storage: Storage,
    spelling: Annotated[str | None, typer.Argument(metavar="[ENTRY]", help="The entry, as the list spells it.")] = None,
    entry_id: Annotated[int | None, typer.Option("--id", help="Instead of the spelling: the entry's id.")] = None,
    t: T = None,
    samples: Annotated[int, typer.Option(min=0, help="Texts to show.")] = 5,
    as_json: Json = False,
) -> None:
    """Tell how often an entry matches, what balancing leaves of it, and some of its texts."""
    with errors(as_json):
        found = describe_entry(storage, pool, spelling, entry_id, _t(t), samples)
        emit(found, as_json, show.show_entry)


def trace(
    pool: Pool,
    uid: Annotated[str, typer.Argument(help="32 hex digits, as the column `uid` of a set has it.")],
    storage: Storage,
    as_json: Json = False,
) -> None:
    """Tell where a pair came from, what became of it, and why."""
    with errors(as_json):
        emit(trace_pair(storage, pool, uid), as_json, show.show_trace)


def files(
    pool: Pool,
    storage: Storage,
    stage: Annotated[str, typer.Option(help="The stage, such as match, balance or curate.")] = "curate",
    t: Annotated[str | None, typer.Option(help="With curate: which of the pool's sets; default: its own t.")] = None,
    as_json: Json = False,
) -> None:
    """List the Parquet files of a pool's stage, one address a line, and those of no other pool."""
    with errors(as_json):
        emit(list_files(storage, pool, stage, _t(t)), as_json, show.show_files)


def _t(t: str | None) -> float | None:
    return None if t is None else float(threshold(t))
