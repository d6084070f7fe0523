"""The commands for other tools: `metaclip export` and `metaclip images`."""

import os
from dataclasses import asdict
from enum import StrEnum
from typing import Annotated, Any

import typer
from rich.console import Console

from flows.cli.common import Json, Storage, emit, errors, prefect, threshold
from flows.cli.show.summary import progress
from flows.cli.show.tables import Column, figures, show_table
from flows.cli.show.terminal import plain
from metaclip.processes.shell import command

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


class Output(StrEnum):
    """The output formats of img2dataset."""

    WEBDATASET = "webdataset"
    FILES = "files"
    PARQUET = "parquet"


class Resize(StrEnum):
    """How images are resized."""

    BORDER = "border"
    NO = "no"
    KEEP_RATIO = "keep_ratio"
    KEEP_RATIO_LARGEST = "keep_ratio_largest"
    CENTER_CROP = "center_crop"


def images(
    source: Annotated[str, typer.Argument(metavar="EXPORT", help="Folder or address of an img2dataset export.")],
    to: Annotated[str, typer.Option(help="Folder or address for the images.")],
    image_size: Annotated[int, typer.Option(min=1, help="Width and height in pixels.")] = 256,
    resize_mode: Annotated[Resize, typer.Option(help="How images are resized.")] = Resize.BORDER,
    output_format: Annotated[Output, typer.Option(help="Tar shards, plain files, or Parquet.")] = Output.WEBDATASET,
    samples_per_shard: Annotated[int, typer.Option(min=1, help="Pairs in a shard.")] = 10_000,
    processes: Annotated[int, typer.Option(min=1, help="Number of img2dataset processes.")] = os.cpu_count() or 1,
    threads: Annotated[int, typer.Option(min=1, help="Parallel downloads in each process.")] = 64,
    timeout: Annotated[int, typer.Option(min=1, help="Seconds that a server has to answer.")] = 10,
    retries: Annotated[int, typer.Option(min=0, help="How often a download is retried.")] = 1,
    user_agent_token: Annotated[str, typer.Option(help="Your name, a part of the user agent.")] = "img2dataset",
    min_success: Annotated[float, typer.Option(min=0, max=1, help="Minimum share of downloaded images.")] = 0.01,
    as_json: Json = False,
) -> None:
    """Download the images of an export with img2dataset; continue an interrupted download."""
    from metaclip.export.images import Effort, ImageSettings, claim, exported_files, require_img2dataset

    with errors(as_json):
        # These checks come first, because Prefect takes seconds to start.
        require_img2dataset()
        settings = ImageSettings(image_size, resize_mode.value, output_format.value, samples_per_shard)
        Effort(processes, threads, timeout, retries, user_agent_token, min_success)
        exported_files(source)
        claim(to, settings)
        with prefect(as_json):
            from flows.images import download_images

            done = download_images(
                source,
                to,
                **asdict(settings),
                processes=processes,
                threads=threads,
                timeout=timeout,
                retries=retries,
                user_agent_token=user_agent_token,
                min_success=min_success,
            )
        emit(done, as_json, _show_images)


def _show_images(done: dict[str, Any]) -> None:
    console = Console(soft_wrap=True)
    names = ("success", "failed_to_download", "failed_to_resize")
    rows = [(name.replace("_", " "), f"{done[name]:,}") for name in names]
    rows += [(f"  {reason}", f"{count:,}") for reason, count in list(done["reasons"].items())[:5]]
    title = f"{done['files']:,} files, {done['cached']:,} of them done before"
    show_table(console, [Column("images"), *figures("count")], rows, title)
    console.print(plain(f"images: {done['to']}"))
    again = command("metaclip", "rebalance", "POOL", "--storage", "ROOT", "--t", "N", "--survivors", done["to"])
    console.print(plain(f"next:   {again}"))
