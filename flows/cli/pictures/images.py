"""The commands `metaclip images …`: download, inspect, hash, look at, blur and purge pictures."""

import os
from dataclasses import asdict
from enum import StrEnum
from typing import Annotated, Any

import typer
from rich.console import Console
from typer.core import TyperGroup

from flows.cli.common import Json, Storage, emit, errors, prefect
from flows.cli.show.summary import show_stages
from flows.cli.show.tables import Column, figures, show_table
from flows.cli.show.terminal import plain
from metaclip.processes.shell import command


class _Group(TyperGroup):
    """Tells those who write the command as it was before it was a group."""

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Find the subcommand."""
        if args and args[0] not in self.commands and not args[0].startswith("-"):
            wanted = ", ".join(self.commands)
            ctx.fail(
                f"{args[0]!r} is none of {wanted}. To download the images of an export: "
                + command("metaclip", "images", "download", *args)
            )
        return super().resolve_command(ctx, args)


app = typer.Typer(
    cls=_Group,
    help="Pictures of an export: download, inspect, hash, look at, blur and purge them.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)


class Downloader(StrEnum):
    """What downloads."""

    CAREFUL = "careful"
    IMG2DATASET = "img2dataset"


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


@app.command(epilog="Example: metaclip images download export --to images")
def download(
    source: Annotated[str, typer.Argument(metavar="EXPORT", help="Folder or address of an img2dataset export.")],
    to: Annotated[str, typer.Option(help="Folder or address for the images.")],
    image_size: Annotated[int, typer.Option(min=1, help="Width and height in pixels.")] = 256,
    resize_mode: Annotated[Resize, typer.Option(help="How images are resized.")] = Resize.BORDER,
    output_format: Annotated[Output, typer.Option(help="Tar shards, plain files, or Parquet.")] = Output.WEBDATASET,
    samples_per_shard: Annotated[int, typer.Option(min=1, help="Pairs in a shard.")] = 10_000,
    processes: Annotated[int, typer.Option(min=1, help="Processes that shrink pictures.")] = os.cpu_count() or 1,
    threads: Annotated[int, typer.Option(min=1, help="Connections open at once (img2dataset: in each process).")] = 64,
    timeout: Annotated[int, typer.Option(min=1, help="Seconds that a server may be silent.")] = 10,
    retries: Annotated[int, typer.Option(min=0, help="How often a download is retried.")] = 1,
    user_agent_token: Annotated[str, typer.Option(help="Your name for robots.txt and X-Robots-Tag.")] = "img2dataset",
    min_success: Annotated[float, typer.Option(min=0, max=1, help="Minimum share of downloaded images.")] = 0.01,
    downloader: Annotated[
        Downloader, typer.Option(help="img2dataset asks no robots.txt and holds none of the bounds below.")
    ] = Downloader.CAREFUL,
    contact: Annotated[str, typer.Option(help="An address of yours, for the user agent.")] = "",
    host_connections: Annotated[int, typer.Option(min=1, help="Connections open to one host at once.")] = 4,
    max_host_share: Annotated[
        float, typer.Option(max=1, help="Share of a file's rows that one host may have, and at least 1,000.")
    ] = 0.05,
    max_seconds: Annotated[int, typer.Option(min=1, help="Seconds for one picture, redirects included.")] = 60,
    max_bytes: Annotated[int, typer.Option(min=1, help="Bytes of one picture.")] = 50 << 20,
    max_pixels: Annotated[int, typer.Option(min=1, help="Pixels of one picture, by its header.")] = 89_478_485,
    allow_loopback: Annotated[bool, typer.Option("--allow-loopback", hidden=True)] = False,
    as_json: Json = False,
) -> None:
    """Download the images of an export, robots.txt first; continue an interrupted download."""
    from metaclip.export.images import Effort, ImageSettings, claim, exported_files, require_downloader

    with errors(as_json):
        # These checks come first, because Prefect takes seconds to start.
        settings = ImageSettings(
            image_size, resize_mode.value, output_format.value, samples_per_shard, downloader.value
        )
        require_downloader(settings)
        effort = Effort(
            processes,
            threads,
            timeout,
            retries,
            user_agent_token,
            min_success,
            contact,
            host_connections,
            max_host_share,
            max_seconds,
            max_bytes,
            max_pixels,
            allow_loopback,
        )
        exported_files(source)
        claim(to, settings)
        with prefect(as_json, "flows.pictures.download") as flow:
            done = flow.download_images(source, to, **asdict(settings), **asdict(effort))
        emit(done, as_json, _show_images)


def _show_images(done: dict[str, Any]) -> None:
    console = Console(soft_wrap=True)
    names = ("success", "failed_to_download", "failed_to_resize")
    rows = [(name.replace("_", " "), f"{done[name]:,}") for name in names]
    rows += [(f"  {reason}", f"{count:,}") for reason, count in list(done["reasons"].items())[:5]]
    title = f"{done['files']:,} files, {done['cached']:,} of them done before"
    show_table(console, [Column("images"), *figures("count")], rows, title)
    console.print(plain(f"images: {done['to']}"))
    again = command("metaclip", "rebalance", "POOL", "--storage", "ROOT", "--t", "N", "--images", done["to"])
    console.print(plain(f"next:   {again}"))


Images = Annotated[str, typer.Option("--images", help="Folder or address of `metaclip images download`.")]


@app.command(epilog="Example: metaclip images inspect demo --storage demo-data/pool --images images")
def inspect(
    pool: Annotated[str, typer.Argument(help="Name of the pool that the images were exported from.")],
    storage: Storage,
    images: Images,
    as_json: Json = False,
) -> None:
    """Decode every picture once, in bounded processes, and tell of each what it is or why it is none."""
    from metaclip.images.decoder import require_pillow
    from metaclip.images.downloaded import downloaded_files
    from metaclip.pool.record import read_record
    from metaclip.store.store import Store

    with errors(as_json):
        require_pillow()
        read_record(Store(storage), pool)
        downloaded_files(images)
        with prefect(as_json, "flows.pictures.inspection") as flow:
            done = flow.inspect_images(pool, storage, images)
        emit(done, as_json, _show_inspected)


def _show_inspected(done: dict[str, Any]) -> None:
    console = Console(soft_wrap=True)
    show_stages(console, done["stages"], f"images of pool {done['pool']}")
    rows = [(status.replace("_", " "), f"{count:,}") for status, count in done["status"].items()]
    show_table(console, [Column("status"), *figures("rows")], rows, f"{done['rows']:,} rows")
    if done["lost_by_downloader"]:
        console.print(
            f"{done['lost_by_downloader']:,} rows of the export are in no file of the downloader.", style="yellow"
        )


@app.command("hash", epilog="Example: metaclip images hash pictures --to hashes.parquet")
def hash_(
    source: Annotated[str, typer.Argument(metavar="PICTURES", help="A folder, a tar, or a Parquet file of pictures.")],
    to: Annotated[str, typer.Option(help="The Parquet file to write.")],
    as_json: Json = False,
) -> None:
    """Write the hashes of pictures, such as those of an evaluation set; no picture can be made of them."""
    with errors(as_json):
        from metaclip.images.hash_lists import hash_pictures

        emit(hash_pictures(source, to), as_json, _show_hashed)


def _show_hashed(done: dict[str, Any]) -> None:
    console = Console(soft_wrap=True)
    rows = [(status.replace("_", " "), f"{count:,}") for status, count in done["status"].items()]
    show_table(console, [Column("status"), *figures("pictures")], rows, f"{done['pictures']:,} pictures")
    if done["too_flat"]:
        console.print(f"{done['too_flat']:,} are too flat to be found by more than their bytes or pixels.")
    if done["other_files"]:
        console.print(f"{done['other_files']:,} files are no pictures by their names and were left out.")
    console.print(plain(f"hashes: {done['to']}"))


@app.command(epilog="Example: metaclip images sheet demo-images --storage demo-data/pool --to sheet.html")
def sheet(
    pool: Annotated[str, typer.Argument(help="Name of a pool that `metaclip rebalance --images` made.")],
    storage: Storage,
    to: Annotated[str, typer.Option(help="The HTML file to write.")],
    as_json: Json = False,
) -> None:
    """Write the contact sheets of a pool's pictures as one page: kept, copies beside what stays, and each reason."""
    from metaclip.report.publish import write_sheets

    with errors(as_json):
        emit(write_sheets(storage, pool, to), as_json, _show_sheets)


def _show_sheets(done: dict[str, Any]) -> None:
    console = Console(soft_wrap=True)
    rows = [(reason, f"{count:,}") for reason, count in done["reasons"].items()]
    show_table(console, [Column("reason"), *figures("shown")], rows, f"pool {done['pool']}")
    console.print(plain(f"page: {done['to']}"))


@app.command(epilog="Example: metaclip images purge images --list purge.txt")
def purge(
    images: Annotated[str, typer.Argument(metavar="DIR", help="Folder or address of `metaclip images download`.")],
    listed: Annotated[str, typer.Option("--list", help="On each line uid, image, url or sha256, and a value.")],
    as_json: Json = False,
) -> None:
    """Take pictures out of the tars or folders that were downloaded; exit code 3 where a line names none."""
    from metaclip.errors import InputError
    from metaclip.images.purge import purge_pictures

    with errors(as_json):
        done = purge_pictures(images, listed)
        emit(done, as_json, _show_purged)
        if done["unknown"]:
            lines = ", ".join(map(str, done["unknown"][:20]))
            raise InputError(f"{listed}: {len(done['unknown']):,} lines name no picture there: {lines}")


def _show_purged(done: dict[str, Any]) -> None:
    told = f"{done['pictures']:,} pictures taken out of {done['shards']:,} shards of {done['images']}"
    Console(soft_wrap=True).print(plain(told))


@app.command(epilog="Example: metaclip images blur images --boxes faces.parquet --to blurred")
def blur(
    images: Annotated[str, typer.Argument(metavar="DIR", help="Folder or address of `metaclip images download`.")],
    boxes: Annotated[str, typer.Option(help="Parquet or JSON Lines: uid, x, y, w and h of a box in each row.")],
    to: Annotated[str, typer.Option(help="Folder or address for the copies.")],
    as_json: Json = False,
) -> None:
    """Copy the tars that were downloaded with parts of their pictures blurred, such as faces."""
    from metaclip.images.blur import blur_pictures

    with errors(as_json):
        emit(blur_pictures(images, boxes, to), as_json, _show_blurred)


def _show_blurred(done: dict[str, Any]) -> None:
    console = Console(soft_wrap=True)
    names = ("pictures", "boxes", "outside", "unknown", "damaged")
    meant = ("blurred", "boxes in them", "boxes outside of their picture", "uids of no row", "damaged, not copied")
    rows = [(text, f"{done[name]:,}") for name, text in zip(names, meant, strict=True)]
    show_table(console, [Column("pictures"), *figures("count")], rows, f"{done['shards']:,} shards")
    console.print(plain(f"images: {done['to']}"))


class Model(StrEnum):
    """What a model finds."""

    FACES = "faces"
    NSFW = "nsfw"


@app.command(epilog="Example: metaclip images score images --with faces --model centerface.onnx --to faces.parquet")
def score(
    images: Annotated[str, typer.Argument(metavar="DIR", help="Folder or address of `metaclip images download`.")],
    kind: Annotated[
        Model, typer.Option("--with", help="faces: CenterFace, for `blur`. nsfw: open_nsfw, for the filter.")
    ],
    model: Annotated[str, typer.Option(help="The ONNX file; none is bundled or fetched.")],
    to: Annotated[str, typer.Option(help="The Parquet file to write, by uid.")],
    as_json: Json = False,
) -> None:
    """Run a model of yours over the pictures: boxes of faces, or a score."""
    from metaclip.images.models import run_model

    with errors(as_json):
        emit(run_model(images, kind.value, model, to), as_json, _show_scored)


def _show_scored(done: dict[str, Any]) -> None:
    console = Console(soft_wrap=True)
    console.print(f"{done['rows']:,} rows of {done['pictures']:,} pictures; {done['damaged']:,} could not be decoded")
    console.print(plain(f"written: {done['to']}"))
