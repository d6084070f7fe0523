"""The command `metaclip diff`: how two sets differ."""

from pathlib import Path
from typing import Annotated

import typer

from flows.cli.common import Json, Storage, emit, errors, threshold
from flows.cli.show import diff as show
from metaclip.errors import ConfigError


def diff(
    a: Annotated[str, typer.Argument(help="Name of a finished pool.")],
    storage: Storage,
    b: Annotated[str | None, typer.Argument(help="Name of another pool; default: the same, for another t.")] = None,
    other_storage: Annotated[str | None, typer.Option(help="Root of the other store; default: the same.")] = None,
    t: Annotated[str | None, typer.Option(help="t of the first set; default: the pool's own.")] = None,
    other_t: Annotated[str | None, typer.Option(help="t of the other set; default: its pool's own.")] = None,
    n: Annotated[int, typer.Option("--n", min=1, max=500, help="Number of entries and hosts to print.")] = 10,
    to: Annotated[str | None, typer.Option(help="Write a page with plots to this .html file.")] = None,
    as_json: Json = False,
) -> None:
    """Compare two sets: pairs in both and in one, entries that gained and lost, languages, hosts, tail share."""
    from metaclip.explore.pool import FinishedPool
    from metaclip.io.temporary import write_whole
    from metaclip.opened.difference import compare
    from metaclip.opened.difference_page import difference_page

    with errors(as_json):
        ts = [None if one is None else float(threshold(one)) for one in (t, other_t)]
        if b is None and other_storage is None and ts[0] == ts[1]:
            raise ConfigError("a set does not differ from itself: name another pool, or give --t and --other-t")
        if to is not None and (not to.endswith(".html") or not Path(to).absolute().parent.is_dir()):
            raise ConfigError(f"--to {to}: must be a .html file in a folder that exists")
        first = FinishedPool.open(storage, a)
        second = FinishedPool.open(other_storage or storage, b or a)
        found = compare(first, second, *ts)
        if to is not None:
            write_whole(Path(to), difference_page(found).encode())
            found["page"] = to
        emit(found, as_json, lambda told: show.show_diff(told, n))
