"""Download the images of an export; each input file is a checkpoint, and in it each shard."""

from collections import Counter
from typing import Annotated, Any, Literal

from prefect import flow
from prefect.artifacts import create_table_artifact
from pydantic import Field

from flows.runner import task_runner
from metaclip.export.images import (
    Effort,
    ImageSettings,
    claim,
    exported_files,
    finished_shards,
    require_downloader,
    shards_of,
)
from tasks.artifacts import PATIENCE_SECONDS, show
from tasks.images import images
from tasks.progress import watcher

_LOOK_SECONDS = 2.0
"""How often the shards that are finished are counted, for the bar of progress."""


@flow(name="download-images", flow_run_name="{export}", task_runner=task_runner())
def download_images(
    export: str,
    to: str,
    image_size: Annotated[int, Field(ge=1)] = 256,
    resize_mode: Literal["border", "no", "keep_ratio", "keep_ratio_largest", "center_crop"] = "border",
    output_format: Literal["webdataset", "files", "parquet"] = "webdataset",
    samples_per_shard: Annotated[int, Field(ge=1)] = 10_000,
    processes: Annotated[int, Field(ge=1)] = 1,
    threads: Annotated[int, Field(ge=1)] = 64,
    timeout: Annotated[int, Field(ge=1)] = 10,
    retries: Annotated[int, Field(ge=0)] = 1,
    user_agent_token: str = "img2dataset",
    min_success: Annotated[float, Field(ge=0, le=1)] = 0.01,
    downloader: Literal["careful", "img2dataset"] = "careful",
    contact: str = "",
    host_connections: Annotated[int, Field(ge=1)] = 4,
    max_host_share: Annotated[float, Field(gt=0, le=1)] = 0.05,
    max_seconds: Annotated[int, Field(ge=1)] = 60,
    max_bytes: Annotated[int, Field(ge=1)] = 50 << 20,
    max_pixels: Annotated[int, Field(ge=1)] = 89_478_485,
    allow_loopback: bool = False,
) -> dict[str, Any]:
    """Download the images of an export; files that are done are not downloaded again.

    Args:
        export: Folder or address of an export in the format of img2dataset.
        to: Folder or address for the images.
        image_size: Width and height of the images, in pixels.
        resize_mode: How images are resized; `no` leaves them as they are.
        output_format: Tar shards, plain files, or Parquet.
        samples_per_shard: Pairs in a shard.
        processes: Number of processes that shrink pictures; of img2dataset, that download too.
        threads: Connections that are open at once; of img2dataset, in each process.
        timeout: Seconds that a server may be silent.
        retries: How often the download of an image is retried.
        user_agent_token: Your name: a part of the user agent, by which robots.txt and X-Robots-Tag can address you.
            Images whose X-Robots-Tag says noai, noimageai, noindex or noimageindex are dropped.
        min_success: The share of a file's images that must be downloaded.
        downloader: `careful` asks robots.txt first and holds the bounds below; `img2dataset` does neither.
        contact: An address of yours, which the user agent tells servers.
        host_connections: Connections that are open to one host at once.
        max_host_share: The share of a file's rows that one host may have, and at least 1,000; others are not asked for.
        max_seconds: Time for one picture, redirects included.
        max_bytes: Bytes of one picture.
        max_pixels: A picture whose header states more is not decoded.
        allow_loopback: Let 127.0.0.0/8 pass, for tests with a server of their own; all other networks that are not
            public are refused always.

    Returns:
        `files`, `cached` files, `success`, `failed_to_download`, `failed_to_resize`, and `reasons`.

    Raises:
        ConfigError: what downloads is not installed, or `export` is not such an export, or `to` has other images.
    """
    settings = ImageSettings(image_size, resize_mode, output_format, samples_per_shard, downloader)
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
    files = exported_files(export)
    claim(to, settings)
    total, reasons = Counter[str](), Counter[str]()
    before, shards = 0, sum(shards_of(file, settings) for file in files)
    for file in files:
        # One after the other, because a downloader has its own processes and connections.
        future = images.submit(to, file, settings, effort)
        while watcher.get() is not None and not future.state.is_final():
            future.wait(_LOOK_SECONDS)
            _watch(before + finished_shards(to, file), shards)
        done = future.result()
        before += shards_of(file, settings)
        _watch(before, shards)
        total.update({name: done[name] for name in ("success", "failed_to_download", "failed_to_resize", "cached")})
        reasons.update(done["reasons"])
    summary = {"export": export, "to": to, "files": len(files), **total, "reasons": dict(reasons.most_common(20))}
    table = [{"count": name, "images": total[name]} for name in total if name != "cached"]
    show("the table of images", lambda: create_table_artifact(table, key="images"), PATIENCE_SECONDS)
    return summary


def _watch(finished: int, shards: int) -> None:
    watch = watcher.get()
    if watch is not None:
        watch("images", finished, shards)
