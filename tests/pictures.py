"""Pictures for tests, made of noise at all scales, and exports and downloads of them."""

import io
import os
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from PIL import Image

from metaclip.export.images import Effort, ImageSettings, claim, download_file, exported_files
from metaclip.pairs.uids import format_uids
from metaclip.schemas import CURATED
from metaclip.store.delivery import Target
from metaclip.store.manifest import StoredFile
from metaclip.tables.parquet import write_parquet

os.environ["NO_ALBUMENTATIONS_UPDATE"] = "1"  # else its import asks a server for news

EFFORT = Effort(threads=8, retries=0, min_success=0.0, host_connections=8, allow_loopback=True)
"""For a server on this machine."""


def picture(seed: int, width: int = 320, height: int = 240) -> Image.Image:
    """Return a picture that no other seed gives anything like."""
    random = np.random.default_rng(seed)
    total = np.zeros((height, width, 3))
    for scale in (4, 8, 16, 32):
        noise = random.integers(0, 256, (scale, scale, 3)).astype(np.uint8)
        total += np.asarray(Image.fromarray(noise).resize((width, height), Image.Resampling.BICUBIC)).astype(float)
    return Image.fromarray((total / 4).clip(0, 255).astype(np.uint8))


def encoded(image: Image.Image, form: str = "JPEG", **options: Any) -> bytes:
    """Return the file of a picture."""
    sink = io.BytesIO()
    image.save(sink, form, **options)
    return sink.getvalue()


def write_export(to: Path, parts: list[pa.Table]) -> Path:
    """Write an export of tables with uid_hi, uid_lo, url and text, one file for each."""
    files: list[StoredFile] = []
    target = Target(str(to), "export.json", f"{[part.num_rows for part in parts]}")
    for number, part in enumerate(parts):
        rows = part.num_rows
        columns = {
            "uid": format_uids(part.column("uid_hi").to_numpy(), part.column("uid_lo").to_numpy()),
            "url": part.column("url"),
            "caption": part.column("text"),
            "text_key": ["alt"] * rows,
            "page_url": [""] * rows,
            "lang": ["en"] * rows,
            "lang_score": pa.array([1.0] * rows, pa.float32()),
            "entry_ids": [[1]] * rows,
            "min_t": np.arange(rows, dtype=float),
        }
        with target.file(f"part-{number:05d}-00000.parquet", files) as sink:
            sink.rows = write_parquet(sink, CURATED, iter([pa.table(columns).cast(CURATED)]))
    target.finish({"format": "img2dataset"}, files)
    return to


def download(export: Path, to: Path, **settings: Any) -> Path:
    """Download an export."""
    chosen = ImageSettings(**settings)
    claim(str(to), chosen)
    for file in exported_files(str(export)):
        download_file(str(to), file, chosen, EFFORT)
    return to
