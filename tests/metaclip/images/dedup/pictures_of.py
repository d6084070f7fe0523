"""Inspected files of pictures that a test makes up, without a download."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
from PIL import Image

from metaclip.images.decoding import WHOLE, Bounds, inspect
from metaclip.images.inspect_job import IMAGES
from metaclip.schemas import INSPECTED
from metaclip.store.manifest import Reference
from metaclip.store.store import Store


def row_of(uid: tuple[int, int], data: bytes, **changes: Any) -> dict[str, Any]:
    """Return the row of a picture file."""
    import hashlib

    found = inspect(data, WHOLE, Bounds())
    good = found.status == "ok"
    return {
        "uid_hi": uid[0],
        "uid_lo": uid[1],
        "status": found.status,
        "width": found.width,
        "height": found.height,
        "area64": found.content.area64 if good else None,
        "quality": found.content.quality,
        "colour": found.content.colour if good else None,
        "bytes_sha256": hashlib.sha256(data).digest(),
        "pixels": found.content.pixels if good else None,
        "stored_width": found.width,
        "stored_height": found.height,
        "bytes": len(data),
        "shard": "00000",
        "key": f"{uid[0] % 10**9:09d}",
        **changes,
    }


def inspected(store: Store, rows: Sequence[dict[str, Any]], name: str = "a") -> Reference:
    """Write rows as an output of the inspect stage."""
    ordered = sorted(rows, key=lambda row: (row["uid_hi"], row["uid_lo"]))
    table = pa.Table.from_pylist(list(ordered), INSPECTED)
    from metaclip.store.manifest import stage_key

    folder = f"inspect-v1/{stage_key('inspect', 1, {}, [name])}"
    with store.create("inspect", 1, {}, [name], f"{folder}/manifest.json") as output:
        output.parquet(IMAGES, INSPECTED, iter([table]))
        return output.commit({"counts": {"rows": len(rows)}})


def flat(grey: int) -> Image.Image:
    """Return a picture without any gradient."""
    return Image.fromarray(np.full((60, 80, 3), grey, np.uint8))
