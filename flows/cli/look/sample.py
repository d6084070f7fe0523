"""The command `metaclip sample`: pairs of a pool by what became of them."""

from typing import Annotated

import typer

from flows.cli.common import Json, Storage, emit, errors, threshold
from flows.cli.show import sample as show


def sample(
    pool: Annotated[str, typer.Argument(help="Name of a finished pool.")],
    storage: Storage,
    why: Annotated[
        str,
        typer.Option(
            help="kept, balanced, no_match, language, repeat, no_survivor, by language also score and no_metadata, or a"
            " reason of the report: bad_address, …"
        ),
    ] = "kept",
    entry: Annotated[str | None, typer.Option(help="Only pairs with this entry.")] = None,
    language: Annotated[
        str | None, typer.Option(help="Only pairs in this language, such as en: a label, or a group.")
    ] = None,
    n: Annotated[int, typer.Option("--n", min=1, max=100_000, help="Number of pairs.")] = 20,
    seed: Annotated[int, typer.Option(min=0, help="Another seed gives other pairs.")] = 0,
    t: Annotated[str | None, typer.Option(help="With kept and balanced: use this t instead of the pool's own.")] = None,
    as_json: Json = False,
) -> None:
    """Show a random sample of the pairs that a pool keeps, or that were left out for a reason."""
    from metaclip.samples.sample import sample_pairs

    with errors(as_json):
        at = None if t is None else float(threshold(t))
        emit(sample_pairs(storage, pool, why, n, seed, at, entry, language), as_json, show.show_sample)
