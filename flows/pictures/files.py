"""What is done with pictures outside of a pool's stages: hashes, contact sheets, blurred copies, pictures taken out."""

from typing import Any

from prefect import flow, task

from flows.runner import task_runner
from metaclip.images.blur import blur_pictures
from metaclip.images.hash_lists import hash_pictures
from metaclip.images.purge import purge_pictures
from metaclip.report.publish import write_sheets


@flow(name="hash-images", flow_run_name="{source}", task_runner=task_runner())
def hash_images(source: str, to: str) -> dict[str, Any]:
    """Write the hashes of pictures, such as those of an evaluation set; no picture can be made of them.

    Args:
        source: A folder, a tar, or a Parquet file of pictures.
        to: The Parquet file to write.
    """
    return task(hash_pictures, name="hash", persist_result=False)(source, to)


@flow(name="sheet-images", flow_run_name="{pool}", task_runner=task_runner())
def sheet_images(pool: str, storage: str, to: str) -> dict[str, Any]:
    """Write the contact sheets of a pool's pictures as one page.

    Args:
        pool: Name of a pool that was made with images.
        storage: Root of the store that holds it: a folder, or an address such as s3://bucket/prefix.
        to: The HTML file to write.
    """
    return task(write_sheets, name="sheet", persist_result=False)(storage, pool, to)


@flow(name="blur-images", flow_run_name="{images}", task_runner=task_runner())
def blur_images(images: str, boxes: str, to: str) -> dict[str, Any]:
    """Copy the tars that were downloaded with parts of their pictures blurred, such as faces.

    Args:
        images: Folder or address of the images.
        boxes: Parquet or JSON Lines: uid, x, y, w and h of a box in each row.
        to: Folder or address for the copies.
    """
    return task(blur_pictures, name="blur", persist_result=False)(images, boxes, to)


@flow(name="purge-images", flow_run_name="{images}", task_runner=task_runner())
def purge_images(images: str, listed: str) -> dict[str, Any]:
    """Take pictures out of the tars or folders that were downloaded.

    Args:
        images: Folder or address of the images.
        listed: A file that names a uid, image, url or sha256 on each line.
    """
    return task(purge_pictures, name="purge", persist_result=False)(images, listed)
