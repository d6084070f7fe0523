"""Download the images of an export with img2dataset; each input file is a checkpoint."""

from collections import Counter
from typing import Annotated, Any, Literal

from prefect import flow
from prefect.artifacts import create_table_artifact
from pydantic import Field

from flows.runner import task_runner
from metaclip.export.images import Effort, ImageSettings, claim, exported_files, require_img2dataset
from tasks.artifacts import PATIENCE_SECONDS, show
from tasks.images import images
from tasks.progress import watcher


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
) -> dict[str, Any]:
    """Download the images of an export; files that are done are not downloaded again.

    Args:
        export: Folder or address of an export in the format of img2dataset.
        to: Folder or address for the images.
        image_size: Width and height of the images, in pixels.
        resize_mode: How images are resized; `no` leaves them as they are.
        output_format: Tar shards, plain files, or Parquet.
        samples_per_shard: Pairs in a shard.
        processes: Number of img2dataset processes.
        threads: Parallel downloads in each process.
        timeout: Seconds that a server has to answer.
        retries: How often the download of an image is retried.
        user_agent_token: Your name: a part of the user agent, by which X-Robots-Tag can address you.
            Images whose X-Robots-Tag says noai, noimageai, noindex or noimageindex are dropped.
        min_success: The share of a file's images that must be downloaded.

    Returns:
        `files`, `cached` files, `success`, `failed_to_download`, `failed_to_resize`, and `reasons`.

    Raises:
        ConfigError: img2dataset is not installed, or `export` is not such an export, or `to` has other images.
    """
    require_img2dataset()
    settings = ImageSettings(image_size, resize_mode, output_format, samples_per_shard)
    effort = Effort(processes, threads, timeout, retries, user_agent_token, min_success)
    files = exported_files(export)
    claim(to, settings)
    watch = watcher.get()
    total, reasons = Counter[str](), Counter[str]()
    for number, file in enumerate(files, start=1):
        # One after the other, because img2dataset has its own processes and threads.
        done = images.submit(to, file, settings, effort).result()
        total.update({name: done[name] for name in ("success", "failed_to_download", "failed_to_resize", "cached")})
        reasons.update(done["reasons"])
        if watch is not None:
            watch("images", number, len(files))
    summary = {"export": export, "to": to, "files": len(files), **total, "reasons": dict(reasons.most_common(20))}
    table = [{"count": name, "images": total[name]} for name in total if name != "cached"]
    show("the table of images", lambda: create_table_artifact(table, key="images"), PATIENCE_SECONDS)
    return summary
