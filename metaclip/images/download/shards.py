"""One shard as img2dataset writes it: a tar of samples, a Parquet with a row for each, and counts.

Names and columns as in img2dataset 1.47 (`writer.py`, `downloader.py`), samples as webdataset's TarWriter has them.
Samples are in the order of their rows, so that the same answers give the same bytes.
"""

import io
import json
import tarfile
import tempfile
import time
from collections import Counter
from typing import Any, BinaryIO, cast

import pyarrow as pa
import pyarrow.parquet as pq

from metaclip.images.download.shrink import Shrunk
from metaclip.store.store import Store

SHARD_DIGITS = 5
SUCCESS = "success"
_FILES = ("jpg", "json", "txt")
_OWN = pa.schema(
    [
        pa.field("key", pa.string()),
        pa.field("status", pa.string()),
        pa.field("error_message", pa.string()),
        *(pa.field(name, pa.int32()) for name in ("width", "height", "original_width", "original_height")),
        pa.field("exif", pa.string()),
        pa.field("sha256", pa.string()),
    ]
)
_NONE = ["status", "error_message", "width", "height", "original_width", "original_height", "exif", "sha256"]


def shard_name(number: int) -> str:
    """Return the name of a shard, by its place in the input file."""
    return f"{number:0{SHARD_DIGITS}d}"


def sample_key(shard: int, row: int, samples_per_shard: int) -> str:
    """Return img2dataset's key of a row: the digits of the shard, then those of the place in it."""
    digits = len(str(samples_per_shard - 1)) if samples_per_shard > 1 else 0
    return f"{shard * 10**digits + row:0{digits + SHARD_DIGITS}d}"


class ShardWriter:
    """Collects what became of the rows of one shard, in any order, and writes it at the end.

    Args:
        store, folder: where the shard is written.
        number: its place in the input file.
        rows: its rows, with `url` and `caption` last, as img2dataset has them.
        samples_per_shard: of the whole download.
    """

    def __init__(self, store: Store, folder: str, number: int, rows: pa.Table, samples_per_shard: int) -> None:
        self.number = number
        self.rows = rows
        self._store = store
        self._stem = f"{folder}/{shard_name(number)}"
        self._digits = samples_per_shard
        self._start = time.time()
        self._found: list[tuple[str, str | None, Shrunk | None]] = [("", None, None)] * rows.num_rows
        self._places: list[tuple[int, int]] = [(0, 0)] * rows.num_rows
        # Of no name, and on the same disk as the tar: a killed process leaves nothing.
        self._spool = cast(BinaryIO, tempfile.TemporaryFile(dir=store.temporary(f"{self._stem}.tar").parent))  # noqa: SIM115
        self.left = rows.num_rows

    def add(self, row: int, status: str, reason: str | None, picture: Shrunk | None = None) -> None:
        """Note what became of a row; the picture's bytes go to the disk."""
        if picture is not None:
            self._spool.seek(0, io.SEEK_END)
            self._places[row] = (self._spool.tell(), len(picture.picture))
            self._spool.write(picture.picture)
            picture = picture._replace(picture=b"")
        self._found[row] = (status, reason, picture)
        self.left -= 1

    def write(self) -> None:
        """Write the tar, the Parquet and, last, the counts; each is there as a whole or not at all."""
        told = [self._told(row, *found) for row, found in enumerate(self._found)]
        tar, parquet = f"{self._stem}.tar", f"{self._stem}.parquet"
        temporary = self._store.temporary(tar)
        with self._spool, temporary.open("wb") as sink:
            self._write_tar(sink, told)
        self._store.put(temporary, tar)
        own = pa.table({field.name: pa.array([each[field.name] for each in told], field.type) for field in _OWN})
        table = self.rows
        for name in own.column_names:
            table = table.append_column(_OWN.field(name), own.column(name))
        temporary = self._store.temporary(parquet)
        pq.write_table(table, temporary)
        self._store.put(temporary, parquet)
        self._store.write_whole(f"{self._stem}_stats.json", json.dumps(self._statistics(), indent=4).encode())

    def _told(self, row: int, status: str, reason: str | None, picture: Shrunk | None) -> dict[str, Any]:
        told: dict[str, Any] = {"key": sample_key(self.number, row, self._digits), **dict.fromkeys(_NONE)}
        told |= {"status": status, "error_message": reason}
        if picture is not None:
            told |= {"width": picture.width, "height": picture.height, "exif": picture.exif}
            told |= {"original_width": picture.original_width, "original_height": picture.original_height}
            told["sha256"] = picture.sha256.hex()
        return told

    def _write_tar(self, sink: BinaryIO, told: list[dict[str, Any]]) -> None:
        with tarfile.open(fileobj=sink, mode="w|", format=tarfile.USTAR_FORMAT) as archive:
            for row, own in enumerate(told):
                if own["status"] != SUCCESS:
                    continue
                given = self.rows.slice(row, 1).to_pylist()[0]
                place, size = self._places[row]
                self._spool.seek(place)
                caption = given["caption"] if given["caption"] is not None else ""
                contents = (self._spool.read(size), json.dumps({**given, **own}, indent=4).encode(), caption.encode())
                for ending, content in zip(_FILES, contents, strict=True):
                    member = tarfile.TarInfo(f"{own['key']}.{ending}")
                    member.size, member.mode = len(content), 0o444
                    member.uname = member.gname = "bigdata"
                    archive.addfile(member, io.BytesIO(content))

    def _statistics(self) -> dict[str, Any]:
        statuses = Counter(status for status, _, _ in self._found)
        reasons = Counter(reason or status for status, reason, _ in self._found)
        end = time.time()
        return {
            "count": len(self._found),
            "successes": statuses[SUCCESS],
            "failed_to_download": statuses["failed_to_download"],
            "failed_to_resize": statuses["failed_to_resize"],
            "duration": end - self._start,
            "start_time": self._start,
            "end_time": end,
            "status_dict": dict(reasons),
        }
