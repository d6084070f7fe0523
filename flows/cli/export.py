"""The command for other tools: `metaclip export`."""

from enum import StrEnum
from typing import Annotated, Any

import typer
from rich.console import Console

from flows.cli.common import Json, Storage, emit, errors, threshold
from flows.cli.show.summary import progress
from flows.cli.show.tables import Column, figures, show_table
from flows.cli.show.terminal import plain

_MOST_ROWS = 1_000_000
"""`metaclip.export.run.MOST_ROWS`, which takes a second to import."""


class Format(StrEnum):
    """The formats of an export."""

    IMG2DATASET = "img2dataset"
    DATACOMP = "datacomp"
    METACLIP = "metaclip"
    JSONL = "jsonl"


class Texts(StrEnum):
    """The texts of an image: all, or one."""

    ALL = "all"
    ONE = "one"


def export(
    pool: Annotated[str, typer.Argument(help="Name of a finished pool.")],
    storage: Storage,
    to: Annotated[str, typer.Option(help="Folder, or an address such as s3://bucket/prefix; new or empty.")],
    t: Annotated[str | None, typer.Option(help="Any t, or inf for all; default: the pool's own.")] = None,
    form: Annotated[
        Format,
        typer.Option(
            "--format",
            help="img2dataset: Parquet. datacomp: sorted uids (.npy). metaclip: JSON Lines by image."
            " jsonl: JSON Lines, one pair a line.",
        ),
    ] = Format.IMG2DATASET,
    rows_per_file: Annotated[int, typer.Option(help="Maximum rows in a file (datacomp: one file).")] = _MOST_ROWS,
    texts_per_image: Annotated[
        Texts, typer.Option(help="one: for each image only the text that is kept at the smallest t.")
    ] = Texts.ALL,
    language_folders: Annotated[
        bool, typer.Option("--language-folders", help="Of a pool by language: a folder for each language.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Write a pool's set for any t in the format of another tool."""
    from metaclip.export.run import Wanted, export_pool
    from metaclip.pool.record import read_record
    from metaclip.store.store import Store

    with errors(as_json):
        chosen = threshold(t)
        record = read_record(Store(storage), pool)
        wanted = Wanted(
            float(record["config"]["balance"]["t"] if chosen is None else chosen),
            form.value,
            rows_per_file,
            texts_per_image.value,
            language_folders,
        )
        with progress(quiet=as_json) as watch:
            done = export_pool(storage, pool, to, wanted, lambda finished, total: watch("export", finished, total))
        emit(done, as_json, lambda done: _show(done, to))


def _show(done: dict[str, Any], to: str) -> None:
    from metaclip.config.settings import format_t

    console = Console(soft_wrap=True)
    size = sum(file["bytes"] for file in done["files"])
    counts = [f"{done['pairs']:,}", f"{done['images']:,}", f"{len(done['files']):,}", f"{size / 1e6:,.1f}"]
    columns = [*map(Column, ("pool", "t", "format")), *figures("pairs", "images", "files", "MB")]
    row = [done["pool"], format_t(done["t"]), done["format"], *counts]
    show_table(console, columns, [row], "" if done["written"] else "stood already; nothing was written")
    console.print(plain(f"export: {to.rstrip('/')}/export.json"))
