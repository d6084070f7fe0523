"""The command `metaclip near`: entries that the texts of a pool miss, and why."""

from typing import Annotated

import typer

from flows.cli.common import Json, Storage, emit, errors
from flows.cli.show import near as show


def near(
    pool: Annotated[str, typer.Argument(help="Name of a finished pool.")],
    storage: Storage,
    entry: Annotated[str | None, typer.Option(help="Show this entry only.")] = None,
    language: Annotated[
        str | None, typer.Option(help="In a pool by language: entries of this group only; needed with --entry.")
    ] = None,
    n: Annotated[int, typer.Option("--n", min=1, help="Number of entries to show.")] = 20,
    as_json: Json = False,
) -> None:
    """Show which entries texts miss by case, punctuation, spacing or a plural, with an example of each."""
    from metaclip.explore.misses import describe_misses

    with errors(as_json):
        emit(describe_misses(storage, pool, n, entry, language), as_json, show.show_misses)
