"""The inspect stage: what became of each row of one input file of img2dataset, and what its picture looks like."""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from metaclip.config.images import Inspect
from metaclip.errors import InputError
from metaclip.images.decoder import Decoder, Picture, decoder_name
from metaclip.images.downloaded import Downloaded, pictures_of, rows_of, unpadded
from metaclip.pairs.uids import parse_uids
from metaclip.schemas import INSPECTED
from metaclip.store.job import Job
from metaclip.store.store import Store
from metaclip.store.writer import OutputWriter
from metaclip.tables.sorter import Sorter

IMAGES = "images.parquet"
_PICTURES = 64
_BATCH_BYTES = 16 << 20
"""Pictures that are sent to be decoded together, and their bytes."""

_OPTED_OUT = "X-Robots-Tag"
"""In the message of img2dataset for a picture whose server asks that it is not used."""


@dataclass(frozen=True)
class InspectJob(Job):
    """Inspect the pictures of one input file of the export."""

    STAGE: ClassVar[str] = "inspect"
    VERSION: ClassVar[int] = 1

    downloaded: Downloaded
    settings: Inspect
    decoder: str

    @classmethod
    def of(cls, downloaded: Downloaded, settings: Inspect) -> "InspectJob":
        """Return the job for the decoder of this machine."""
        return cls(downloaded, settings, decoder_name())

    @property
    def label(self) -> str:
        """The name of the folder of images."""
        return self.downloaded.key

    def config(self) -> Mapping[str, Any]:
        """Return how pictures were stored, what one may take, and what decodes them."""
        changed = self.settings.model_dump(mode="json", exclude_defaults=True)
        return {"stored": self.downloaded.settings, "decoder": self.decoder, **changed}

    def inputs(self) -> list[str]:
        """Return the export file's hash, and each shard's name, the fingerprint of its rows and its pictures' bytes."""
        shards = [f"{shard.name}:{shard.fingerprint}:{shard.bytes}" for shard in self.downloaded.shards]
        return [self.downloaded.source_sha256, *shards]

    def compute(self, store: Store, output: OutputWriter) -> Mapping[str, Any]:
        """Write one row for each row that img2dataset tried, sorted by uid.

        Raises:
            InputError: the rows are not those of the export.
        """
        counts: Counter[str] = Counter()
        images = Store(self.downloaded.root)
        ordered = Sorter(INSPECTED, ("uid_hi", "uid_lo"), _order)
        with Decoder(self.settings.max_pixels, self.settings.max_bytes, self.settings.seconds) as decoder:
            for shard in self.downloaded.shards:
                ordered.append(self._inspected(images, shard.name, decoder, counts))
        if ordered.rows > self.downloaded.rows:
            raise InputError(
                f"{self.downloaded.root}/{self.downloaded.key}: has {ordered.rows:,} rows where the export"
                f" has {self.downloaded.rows:,}; remove the folder and the .json of its name, and download again"
            )
        rows = output.parquet(IMAGES, INSPECTED, ordered.tables())
        # Rows that the downloader lost by an error of its own are in none of its files.
        lost = self.downloaded.rows - rows
        counts.update(
            {"rows": rows, "lost_by_downloader": lost, "bytes_read": sum(s.bytes for s in self.downloaded.shards)}
        )
        return {"counts": dict(sorted(counts.items()))}

    def _inspected(self, images: Store, shard: str, decoder: Decoder, counts: Counter[str]) -> pa.Table:
        folder = self.downloaded.key
        table = rows_of(images, folder, shard)
        rows = _Rows(table)
        box = self._boxes(table)
        places = {key: row for row, key in enumerate(table.column("key").to_pylist())}
        waiting: list[tuple[int, Picture, int]] = []
        held = 0

        def flush() -> None:
            for (row, _, size), found in zip(waiting, decoder.describe([each[1] for each in waiting]), strict=True):
                rows.add(row, found, size)
            waiting.clear()

        pictures = pictures_of(images, folder, shard, self.downloaded.output_format, self.settings.max_bytes)
        for key, data, size in pictures:
            row = places.get(key)
            if row is None:
                counts["pictures_without_row"] += 1
            elif size > self.settings.max_bytes:
                rows.status[row] = "too_many_bytes"
                rows.sizes[row] = size
            else:
                waiting.append((row, (data, box(row)), size))
                held += size
                if len(waiting) == _PICTURES or held > _BATCH_BYTES:
                    flush()
                    held = 0
        flush()
        counts.update(f"status.{status}" for status in rows.status)
        return rows.table(table, shard)

    def _boxes(self, table: pa.Table) -> Any:
        widths, heights = (_numbers(table.column(f"original_{side}")) for side in ("width", "height"))
        mode, size = self.downloaded.resize_mode, self.downloaded.image_size
        return lambda row: unpadded(mode, size, int(widths[row]), int(heights[row]))


class _Rows:
    """What is found of the rows of one shard."""

    def __init__(self, table: pa.Table) -> None:
        rows = table.num_rows
        self.status = [
            _told(status, message)
            for status, message in zip(
                table.column("status").to_pylist(), table.column("error_message").to_pylist(), strict=True
            )
        ]
        self.area: list[bytes | None] = [None] * rows
        self.colour: list[bytes | None] = [None] * rows
        self.pixels: list[int | None] = [None] * rows
        self.quality = np.zeros(rows, np.uint8)
        self.stored = np.zeros((rows, 2), np.uint32)
        self.sizes = np.zeros(rows, np.uint64)

    def add(self, row: int, found: Any, size: int) -> None:
        """Note what was found of a picture."""
        self.status[row] = found.status
        self.stored[row] = (found.width, found.height)
        self.sizes[row] = size
        if found.status == "ok":
            content = found.content
            self.area[row], self.colour[row], self.pixels[row] = content.area64, content.colour, content.pixels
            self.quality[row] = content.quality

    def table(self, table: pa.Table, shard: str) -> pa.Table:
        """Return the rows as a table of `schemas.INSPECTED`."""
        uids = parse_uids(table.column("uid"))
        hashes = [bytes.fromhex(each) if each else None for each in table.column("sha256").to_pylist()]
        columns = {
            "uid_hi": uids["f0"],
            "uid_lo": uids["f1"],
            "status": self.status,
            "width": _numbers(table.column("original_width")),
            "height": _numbers(table.column("original_height")),
            "area64": pa.array(self.area, pa.binary(32)),
            "quality": self.quality,
            "colour": pa.array(self.colour, pa.binary(48)),
            "bytes_sha256": pa.array(hashes, pa.binary(32)),
            "pixels": pa.array(self.pixels, pa.uint64()),
            "stored_width": self.stored[:, 0],
            "stored_height": self.stored[:, 1],
            "bytes": self.sizes,
            "shard": pa.array([shard] * table.num_rows, pa.string()),
            "key": table.column("key").cast(pa.string()),
        }
        return pa.table(columns).cast(INSPECTED)


def _told(status: str | None, message: str | None) -> str:
    """Return the status of a row before its picture was seen."""
    if status == "success":
        return "missing"  # until its picture is found; `metaclip images purge` takes pictures out
    if status == "failed_to_resize":
        return "not_resized"
    if message is not None and _OPTED_OUT in message:
        return "opted_out"
    return "robots" if message is not None and message.startswith("robots.txt") else "not_downloaded"


def _numbers(column: pa.ChunkedArray) -> npt.NDArray[np.uint32]:
    return np.asarray(pc.fill_null(column.cast(pa.int64()), 0).to_numpy(), np.uint32)


def _order(table: pa.Table) -> npt.NDArray[np.int64]:
    return np.lexsort([table.column("uid_lo").to_numpy(), table.column("uid_hi").to_numpy()])


def statuses(store: Store, manifests: Iterator[str]) -> Counter[str]:
    """Add up the statuses of inspected files, and `rows` and `lost_by_downloader`."""
    total: Counter[str] = Counter()
    for manifest in manifests:
        total.update(store.manifest(manifest).statistics["counts"])
    return total
