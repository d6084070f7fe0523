"""The image-sheets stage: small pictures for people to look at, by what became of them."""

import base64
import io
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import xxhash

from metaclip.images.dedup.cover_job import DROPPED
from metaclip.images.dedup.filter_job import REASONS
from metaclip.images.downloaded import Downloaded, pictures_of
from metaclip.images.inspect_job import IMAGES
from metaclip.store.job import Job
from metaclip.store.manifest import Reference
from metaclip.store.store import Store
from metaclip.store.writer import OutputWriter

SHEETS = "sheets.json"
CELLS = 48
SIDE = 96
_QUALITY = 60
_MAX_BYTES = 50 << 20

KEPT, DUPLICATE = "kept", "duplicate"

_Rows = npt.NDArray[np.int64]


@dataclass(frozen=True)
class ImageSheetsJob(Job):
    """Choose pictures by a hash of uid and reason, and shrink them. What must not be shown is in none."""

    STAGE: ClassVar[str] = "image-sheets"
    VERSION: ClassVar[int] = 1

    downloaded: tuple[Downloaded, ...]
    inspected: tuple[Reference, ...]
    judged: tuple[Reference, ...]
    cover: Reference

    def config(self) -> Mapping[str, Any]:
        """Return how many pictures there are of a reason, and how large."""
        return {"cells": CELLS, "side": SIDE}

    def inputs(self) -> list[str]:
        """Return the keys of the judged files and of the cover."""
        return [*(each.key for each in self.judged), self.cover.key]

    def compute(self, store: Store, output: OutputWriter) -> Mapping[str, Any]:
        """Write for each reason the pictures, as JPEG data, with what is to be said of each."""
        chosen = self._chosen(store)
        wanted: dict[int, set[tuple[str, str]]] = {}
        for cells in chosen.values():
            for cell in cells:
                for file, shard, key in cell["at"]:
                    wanted.setdefault(file, set()).add((shard, key))
        pictures = dict(self._thumbnails(wanted))
        sections = []
        for reason, cells in chosen.items():
            found = [
                {
                    "uid": cell["uid"],
                    "said": cell["said"],
                    "pictures": [pictures[place] for place in cell["at"] if place in pictures],
                }
                for cell in cells
            ]
            sections.append({"reason": reason, "cells": [cell for cell in found if cell["pictures"]]})
        output.json(SHEETS, sections, sum(len(section["cells"]) for section in sections))
        return {"counts": {"pictures": len(pictures)}}

    def _chosen(self, store: Store) -> dict[str, list[dict[str, Any]]]:
        """Return for each reason the cells with the smallest hashes, of the whole pool."""
        dropped = store.open_parquet(self.cover, DROPPED).read()
        fallen = dropped.column("image").to_numpy()
        best: dict[str, list[tuple[int, dict[str, Any]]]] = {}
        for file, (inspected, judged) in enumerate(zip(self.inspected, self.judged, strict=True)):
            for table in _judged_rows(store, inspected, judged):
                place = np.searchsorted(fallen, table.column("uid_hi").to_numpy())
                for reason, rows in _by_reason(table, fallen, place):
                    keys = [_hash(table, row, reason) for row in rows.tolist()]
                    for order in np.argsort(np.array(keys, np.uint64), kind="stable")[:CELLS].tolist():
                        cell = _cell(table, int(rows[order]), file)
                        if reason == DUPLICATE:
                            row = dropped.slice(int(place[rows[order]]), 1).to_pylist()[0]
                            cell |= {"keeper": row["keeper"], "said": f"{row['distance']} bits"}
                        best.setdefault(reason, []).append((keys[order], cell))
                for reason, cells in best.items():
                    best[reason] = sorted(cells, key=lambda each: (each[0], each[1]["uid"]))[:CELLS]
        found = {reason: [cell for _, cell in cells] for reason, cells in sorted(best.items())}
        if DUPLICATE in found:
            found[DUPLICATE] = self._beside_keepers(store, found[DUPLICATE][: CELLS // 2])
        first = [reason for reason in (KEPT, DUPLICATE) if reason in found]
        return {reason: found[reason] for reason in [*first, *(each for each in found if each not in first)]}

    def _beside_keepers(self, store: Store, cells: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """Put the picture that stays first in each cell; a cell whose picture may not be shown goes."""
        wanted = {cell["keeper"] for cell in cells}
        places: dict[int, tuple[int, str, str]] = {}
        for file, (inspected, judged) in enumerate(zip(self.inspected, self.judged, strict=True)):
            for table in _judged_rows(store, inspected, judged):
                high = table.column("uid_hi").to_numpy()
                for row in np.flatnonzero(np.isin(high, np.array(sorted(wanted), np.uint64))).tolist():
                    if table.column("shown")[row].as_py() and not table.column("reason")[row].as_py():
                        places.setdefault(int(high[row]), _place(table, row, file))
        return [{**cell, "at": [places[cell["keeper"]], *cell["at"]]} for cell in cells if cell["keeper"] in places]

    def _thumbnails(self, wanted: Mapping[int, set[tuple[str, str]]]) -> Iterator[tuple[tuple[int, str, str], str]]:
        for file, places in sorted(wanted.items()):
            downloaded = self.downloaded[file]
            images = Store(downloaded.root)
            for shard in sorted({shard for shard, _ in places}):
                left = {key for of, key in places if of == shard}
                pictures = pictures_of(images, downloaded.key, shard, downloaded.output_format, _MAX_BYTES)
                for key, data, _ in pictures:
                    if key in left:
                        left.discard(key)
                        yield (file, shard, key), thumbnail(data)
                    if not left:
                        break


def _judged_rows(store: Store, inspected: Reference, judged: Reference) -> Iterator[pa.Table]:
    images, reasons = store.open_parquet(inspected, IMAGES), store.open_parquet(judged, REASONS)
    columns = ["uid_hi", "uid_lo", "width", "height", "shard", "key"]
    for group in range(images.num_row_groups):
        table = images.read_row_group(group, columns=columns)
        verdict = reasons.read_row_group(group, columns=["reason", "by", "shown"])
        for name in verdict.column_names:
            table = table.append_column(name, verdict.column(name))
        yield table


def _by_reason(
    table: pa.Table, fallen: npt.NDArray[np.uint64], place: npt.NDArray[np.int64]
) -> Iterator[tuple[str, _Rows]]:
    """Yield the rows of each reason that may be shown."""
    reason = np.asarray(table.column("reason").to_pylist(), object)
    by = np.asarray(table.column("by").to_pylist(), object)
    shown = np.asarray(table.column("shown").to_pylist(), bool)
    high = table.column("uid_hi").to_numpy()
    fell = np.zeros(len(high), np.bool_)
    if len(fallen):
        fell = fallen[np.minimum(place, len(fallen) - 1)] == high
    names = np.array([f"{one} {other}".strip() for one, other in zip(reason, by, strict=True)], object)
    names[(reason == "") & fell] = DUPLICATE
    names[(reason == "") & ~fell] = KEPT
    for name in sorted(set(names[shown])):
        yield str(name), np.flatnonzero(shown & (names == name))


def _hash(table: pa.Table, row: int, reason: str) -> int:
    uid = f"{table.column('uid_hi')[row].as_py():016x}{table.column('uid_lo')[row].as_py():016x}"
    return int(xxhash.xxh3_64_intdigest(f"{uid} {reason}".encode()))


def _cell(table: pa.Table, row: int, file: int) -> dict[str, Any]:
    found = table.slice(row, 1).to_pylist()[0]
    return {
        "uid": f"{found['uid_hi']:016x}{found['uid_lo']:016x}",
        "said": f"{found['width']} × {found['height']}",
        "at": [_place(table, row, file)],
    }


def _place(table: pa.Table, row: int, file: int) -> tuple[int, str, str]:
    return file, table.column("shard")[row].as_py(), table.column("key")[row].as_py()


_ANY_PIXELS = 1 << 62
"""The filter let the picture pass, within the bound that it was given."""


def thumbnail(data: bytes) -> str:
    """Return a picture as JPEG data, at most 96 pixels wide and high."""
    from PIL import Image

    from metaclip.images.decoding import open_picture, upright_rgb

    with open_picture(data, _ANY_PIXELS) as picture:
        small = Image.fromarray(upright_rgb(picture))
    small.thumbnail((SIDE, SIDE), Image.Resampling.BOX)
    sink = io.BytesIO()
    small.save(sink, "JPEG", quality=_QUALITY)
    return base64.b64encode(sink.getvalue()).decode()
