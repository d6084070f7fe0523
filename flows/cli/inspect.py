"""`metaclip plan`, `explain`, `entry`, `trace` and `files`: what a finished pool tells, read from the store alone."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from flows.cli.common import Json, Storage, emit, errors, threshold
from flows.cli.show import pool as show
from flows.cli.show.ahead import show_ahead
from metaclip.errors import ConfigError


class SpacingOption(StrEnum):
    """The values of `match.spacing`."""

    PAPER = "paper"
    UNICODE = "unicode"


class BoundariesOption(StrEnum):
    """The values of `match.boundaries`."""

    PAPER = "paper"
    CHARACTERS = "characters"
    WORDS = "words"


Pool = Annotated[str, typer.Argument(help="Name of a finished pool.")]
T = Annotated[str | None, typer.Option(help="Use this t instead of the pool's own; inf keeps all.")]


def plan(
    pool: Annotated[
        str, typer.Argument(help="Name of a finished pool; or a configuration (.yaml), to see what a run would do.")
    ],
    storage: Annotated[
        str | None,
        typer.Option(help="Root of the store: a folder, or an address such as s3://bucket/prefix. For a pool."),
    ] = None,
    t: Annotated[list[str] | None, typer.Option(help="Show the size at this t; can be repeated.")] = None,
    target_pairs: Annotated[
        list[int] | None, typer.Option(min=1, help="Find the t that gives this many pairs; can be repeated.")
    ] = None,
    tail_share: Annotated[
        list[float] | None, typer.Option(help="Find the t whose tail has this share of matches; can be repeated.")
    ] = None,
    expected: Annotated[
        bool | None,
        typer.Option(
            "--expected/--no-expected",
            help="Read the entry ids of all pairs if expected sizes are not known yet; default: for a small pool.",
        ),
    ] = None,
    by_language: Annotated[
        bool, typer.Option("--by-language", help="Show each language: its t, its tail, and its share of the set.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Show how many pairs any t keeps, exactly, and which t gives a size or a tail share.

    Of a configuration: which outputs a run would find in the store, and which it would compute. Nothing is written.
    """
    with errors(as_json):
        if pool.endswith((".yaml", ".yml")):
            if any((storage, t, target_pairs, tail_share, by_language)) or expected is not None:
                raise ConfigError(f"plan {pool}: the options are for a finished pool; give its name in their place")
            from metaclip.config.loading import load_config
            from metaclip.prepare.ahead import look_ahead

            emit(look_ahead(load_config(Path(pool))), as_json, show_ahead)
            return
        if storage is None:
            raise ConfigError(f"plan {pool}: give the store of the pool with --storage, or a configuration (.yaml)")
        from metaclip.explore.sizes import plan_sizes

        ts = [float(threshold(one)) for one in t or []]
        found = plan_sizes(storage, pool, ts, target_pairs or [], tail_share or [], expected, by_language)
        emit(found, as_json, show.show_plan)


def explain(
    pool: Annotated[str, typer.Argument(help="Name of a finished pool. With --entries: the text.")],
    text: Annotated[
        str | None, typer.Argument(metavar="[TEXT]", help="The text, as it is on a page. With --entries: left out.")
    ] = None,
    storage: Annotated[
        str | None,
        typer.Option(help="Root of the store: a folder, or an address such as s3://bucket/prefix. Not with --entries."),
    ] = None,
    t: T = None,
    language: Annotated[
        str | None, typer.Option(help="The text's label, such as ja, instead of the one that it is given.")
    ] = None,
    entries: Annotated[str | None, typer.Option(help="Instead of a pool: a list of entries, without counts.")] = None,
    spacing: Annotated[
        SpacingOption | None, typer.Option(help="With --entries: as match.spacing; default: paper.")
    ] = None,
    boundaries: Annotated[
        BoundariesOption | None, typer.Option(help="With --entries: as match.boundaries; default: of the language.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Show how a pool, or a list of entries, treats a text: language, entries, keep probability, near misses."""
    from metaclip.explore.explain import explain_text
    from metaclip.explore.explain_list import explain_with_list

    with errors(as_json):
        if entries is not None:
            if text is not None or storage is not None or t is not None:
                raise ConfigError("explain --entries needs the text alone, and no pool, --storage or --t")
            given = (spacing and spacing.value, boundaries and boundaries.value)
            emit(explain_with_list(pool, entries, language, *given), as_json, show.show_list_explanation)
            return
        if text is None or storage is None:
            raise ConfigError("explain needs a pool, a text and --storage; or a text and --entries LIST")
        if spacing is not None or boundaries is not None:
            raise ConfigError("--spacing and --boundaries are for --entries: a pool has those of its configuration")
        emit(explain_text(storage, pool, text, _t(t), language), as_json, show.show_explanation)


def entry(
    pool: Pool,
    storage: Storage,
    spelling: Annotated[str | None, typer.Argument(metavar="[ENTRY]", help="The entry, as the list spells it.")] = None,
    entry_id: Annotated[int | None, typer.Option("--id", help="Instead of the spelling: the entry's id.")] = None,
    language: Annotated[
        str | None, typer.Option(help="In a pool by language: the language whose list has the entry.")
    ] = None,
    t: T = None,
    samples: Annotated[int, typer.Option(min=0, help="Number of texts to show.")] = 5,
    as_json: Json = False,
) -> None:
    """Show how often an entry matches in the pool and in the set, and samples of its texts."""
    from metaclip.explore.entry import describe_entry

    with errors(as_json):
        found = describe_entry(storage, pool, spelling, entry_id, _t(t), samples, language)
        emit(found, as_json, show.show_entry)


def trace(
    pool: Pool,
    uid: Annotated[str, typer.Argument(help="32 hex digits, as in the column `uid` of a set.")],
    storage: Storage,
    as_json: Json = False,
) -> None:
    """Show where a pair came from, what happened to it, and why."""
    from metaclip.explore.trace import trace_pair

    with errors(as_json):
        from metaclip.images.fate import picture_fate
        from metaclip.pool.record import read_record
        from metaclip.removal.lists import is_removed
        from metaclip.store.store import Store

        found = trace_pair(storage, pool, uid)
        store = Store(storage)
        if "sets" in found and is_removed(store, pool, found):
            found |= {
                "sets": dict.fromkeys(found["sets"], False),
                "ended": "removed",
                "reason": "removed",
                "why": "it was taken out on request, and stays out",
            }
        fate = picture_fate(store, read_record(store, pool)["stages"], uid)
        emit(found if fate is None else {**found, "picture": fate}, as_json, show.show_trace)


def files(
    pool: Pool,
    storage: Storage,
    stage: Annotated[str, typer.Option(help="The stage, such as match, balance or curate.")] = "curate",
    t: Annotated[str | None, typer.Option(help="With curate: which of the pool's sets; default: its own t.")] = None,
    as_json: Json = False,
) -> None:
    """List the Parquet files of a pool's stage, one address a line, and those of no other pool."""
    from metaclip.explore.files import list_files

    with errors(as_json):
        emit(list_files(storage, pool, stage, _t(t)), as_json, show.show_files)


def _t(t: str | None) -> float | None:
    return None if t is None else float(threshold(t))
