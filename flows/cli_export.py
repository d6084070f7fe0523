"""The commands that hand a set on: `metaclip export`."""

import json
from enum import StrEnum
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from flows import display
from flows.command import Json, Storage, errors, threshold
from metaclip.config import format_t
from metaclip.export.run import MOST_ROWS, Wanted, export_pool
from metaclip.record import read_record
from metaclip.store import Store


class Format(StrEnum):
    """The forms of an export."""

    IMG2DATASET = "img2dataset"
    DATACOMP = "datacomp"
    METACLIP = "metaclip"
    JSONL = "jsonl"


class Texts(StrEnum):
    """Which texts of an image."""

    ALL = "all"
    ONE = "one"


def export(
    pool: Annotated[str, typer.Argument(help="Name of a finished pool.")],
    storage: Storage,
    to: Annotated[str, typer.Option(help="Folder to fill, or an address such as s3://bucket/prefix; new or empty.")],
    t: Annotated[str | None, typer.Option(help="Any t, or inf for all; default: the pool's own.")] = None,
    form: Annotated[
        Format,
        typer.Option(
            "--format",
            help="img2dataset: Parquet. datacomp: sorted uids (.npy). metaclip: JSON Lines, one image a line."
            " jsonl: JSON Lines, one pair a line.",
        ),
    ] = Format.IMG2DATASET,
    rows_per_file: Annotated[int, typer.Option(help="Most rows in a file (datacomp: always one file).")] = MOST_ROWS,
    texts_per_image: Annotated[
        Texts, typer.Option(help="one: of each image the text that is kept at the smallest t.")
    ] = Texts.ALL,
    as_json: Json = False,
) -> None:
    """Write a pool's set for any t in the form of another tool."""
    with errors(as_json):
        chosen = threshold(t)
        record = read_record(Store(storage), pool)
        wanted = Wanted(
            float(record["config"]["balance"]["t"] if chosen is None else chosen),
            form.value,
            rows_per_file,
            texts_per_image.value,
        )
        with display.progress(quiet=as_json) as watch:
            done = export_pool(storage, pool, to, wanted, lambda finished, total: watch("export", finished, total))
        if as_json:
            typer.echo(json.dumps(done, ensure_ascii=False, indent=1))
        else:
            _show(done, to)


def _show(done: dict[str, Any], to: str) -> None:
    table = Table("pool", "t", "format", title=None if done["written"] else "stood already; nothing was written")
    for name in ("pairs", "images", "files", "MB"):
        table.add_column(name, justify="right")
    size = sum(file["bytes"] for file in done["files"])
    figures = [f"{done['pairs']:,}", f"{done['images']:,}", f"{len(done['files']):,}", f"{size / 1e6:,.1f}"]
    table.add_row(done["pool"], format_t(done["t"]), done["format"], *figures)
    console = Console(soft_wrap=True)
    console.print(table)
    console.print(Text(f"export: {to.rstrip('/')}/export.json"))
