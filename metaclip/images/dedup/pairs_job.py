"""The image-pairs stage: pairs of images that count as the same, found in one range of keys of all files."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from metaclip.config.images import ImageDedup
from metaclip.images.dedup.keys_job import EQUAL, NEAR, near_name
from metaclip.images.dedup.near import near_in_runs
from metaclip.images.hash_lists import fixed_bytes
from metaclip.schemas import EQUAL_KEY, IMAGE_PAIR, NEAR_KEY
from metaclip.store.job import Job
from metaclip.store.manifest import Reference
from metaclip.store.store import Store
from metaclip.store.writer import OutputWriter
from metaclip.tables.parquet import group_bytes

PAIRS_FILE = "pairs.parquet"
ROWS = 2_000_000
"""Rows of keys that one job holds, about; 100 bytes each."""


@dataclass(frozen=True)
class ImagePairsJob(Job):
    """Compare the images of one range of keys, in some of the tables; without tables, of those that equal."""

    STAGE: ClassVar[str] = "image-pairs"
    VERSION: ClassVar[int] = 1

    keyed: tuple[Reference, ...]
    tables: tuple[int, ...]
    number: int
    ranges: int
    settings: ImageDedup

    @property
    def label(self) -> str:
        """The tables and the range."""
        what = f"tables {self.tables[0]} to {self.tables[-1]}" if self.tables else "equal"
        return f"{what}, range {self.number + 1} of {self.ranges}"

    def config(self) -> Mapping[str, Any]:
        """Return the range, and what counts as near."""
        near = self.settings.model_dump(mode="json", include={"radius", "max_colour", "max_run"})
        return {"range": [self.number, self.ranges], "tables": list(self.tables), **(near if self.tables else {})}

    def inputs(self) -> list[str]:
        """Return the keys of all files of keys."""
        return [each.key for each in self.keyed]

    def compute(self, store: Store, output: OutputWriter) -> Mapping[str, Any]:
        """Write each pair once, sorted."""
        counts: Counter[str] = Counter()
        found = [self._near(store, table, counts) for table in self.tables] or [self._equal(store, counts)]
        pairs = pa.concat_tables(found)
        names = ["kind", "other_rank", "other", "rank", "image", "distance"]
        order = np.lexsort([pairs.column(name).to_numpy() for name in reversed(names)])
        new = np.ones(len(order), np.bool_)
        if len(order):
            same = [pairs.column(name).to_numpy()[order] for name in names]
            new[1:] = np.any([column[1:] != column[:-1] for column in same], axis=0)
        rows = output.parquet(PAIRS_FILE, IMAGE_PAIR, iter([pairs.take(pa.array(order[new]))]))
        counts["pairs"] = rows
        return {"counts": dict(sorted(counts.items()))}

    def _near(self, store: Store, table: int, counts: Counter[str]) -> pa.Table:
        rows = self._read(store, near_name(table), NEAR_KEY, 32, counts)
        rank, image = (rows.column(name).to_numpy() for name in ("rank", "image"))
        areas = np.ascontiguousarray(fixed_bytes(rows.column("area64"), 32)).view(np.uint64)
        colours = fixed_bytes(rows.column("colour"), 48)
        keys = rows.column("key").to_numpy()
        most_colour = int(self.settings.max_colour * 48)
        first, second, distance, compared, capped = near_in_runs(
            keys, rank, image, areas, colours, self.settings.radius, most_colour, self.settings.max_run
        )
        counts.update({"compared": compared, "capped": capped})
        return _table(np.full(len(first), NEAR), rank, image, first, second, distance)

    def _equal(self, store: Store, counts: Counter[str]) -> pa.Table:
        rows = self._read(store, EQUAL, EQUAL_KEY, 64, counts)
        kind, key, rank, image = (rows.column(name).to_numpy() for name in EQUAL_KEY.names)
        order = np.lexsort((image, rank, key, kind))
        same = (key[order[1:]] == key[order[:-1]]) & (kind[order[1:]] == kind[order[:-1]])
        starts = np.concatenate([[True], ~same]) if len(order) else np.zeros(0, np.bool_)
        begin = np.maximum.accumulate(np.where(starts, np.arange(len(order)), 0))
        later = np.flatnonzero(~starts)
        first, second = order[begin[later]], order[later]
        differ = image[first] != image[second]
        first, second = first[differ], second[differ]
        return _table(kind[second], rank, image, first, second, np.zeros(len(first), np.int64))

    def _read(self, store: Store, name: str, schema: pa.Schema, bits: int, counts: Counter[str]) -> pa.Table:
        """Return the rows of the range whose key is not theirs alone: the others have nothing to be compared with."""
        keys = [np.zeros(0, np.uint64)]
        for _, _, _, key in self._groups(store, name, bits, counts):
            keys.append(key.astype(np.uint64))
        found, times = np.unique(np.concatenate(keys), return_counts=True)
        counts["rows"] += int(times.sum())
        shared = found[times > 1]
        parts = [schema.empty_table()]
        if len(shared):
            for file, group, inside, key in self._groups(store, name, bits, Counter()):
                place = np.minimum(np.searchsorted(shared, key), len(shared) - 1)
                rows = inside[shared[place] == key]
                if len(rows):
                    table = file.read_row_group(group).cast(schema)
                    counts["bytes_read"] += group_bytes(file, group)
                    parts.append(table.take(pa.array(rows)))
        return pa.concat_tables(parts).combine_chunks()

    def _groups(
        self, store: Store, name: str, bits: int, counts: Counter[str]
    ) -> Iterator[tuple[pq.ParquetFile, int, npt.NDArray[np.int64], npt.NDArray[Any]]]:
        """Yield each row group that has keys of the range: its file, its number, its rows in the range, their keys."""
        low, high = ((number << bits) // self.ranges for number in (self.number, self.number + 1))
        for keyed in self.keyed:
            file = store.open_parquet(keyed, name)
            place = file.schema_arrow.get_field_index("key")
            for group in range(file.num_row_groups):
                bounds = file.metadata.row_group(group).column(place).statistics
                if bounds is not None and bounds.has_min_max and (bounds.max < low or bounds.min >= high):
                    continue
                key = file.read_row_group(group, columns=["key"]).column("key").to_numpy()
                counts["bytes_read"] += group_bytes(file, group, ["key"])
                inside = np.flatnonzero(key >= low if high == 1 << bits else (key >= low) & (key < high))
                yield file, group, inside, key[inside]


def _table(
    kind: npt.NDArray[Any],
    rank: npt.NDArray[np.uint64],
    image: npt.NDArray[np.uint64],
    first: npt.NDArray[np.int64],
    second: npt.NDArray[np.int64],
    distance: npt.NDArray[np.int64],
) -> pa.Table:
    columns = [
        kind.astype(np.uint8),
        rank[first],
        image[first],
        rank[second],
        image[second],
        distance.astype(np.uint8),
    ]
    return pa.table([pa.array(column) for column in columns], schema=IMAGE_PAIR)


def pairs_jobs(store: Store, keyed: Sequence[Reference], settings: ImageDedup) -> list[ImagePairsJob]:
    """Return the jobs that find all pairs of some files of keys: each holds some two million rows of keys."""
    return [] if settings.by == "none" else list(_cut(store, tuple(keyed), settings))


def _cut(store: Store, keyed: tuple[Reference, ...], settings: ImageDedup) -> Iterator[ImagePairsJob]:
    counts: Counter[str] = Counter()
    for each in keyed:
        counts.update(store.manifest(each.manifest).statistics["counts"])
    ranges = max(1, -(-counts["equal_keys"] // (4 * ROWS)))  # a quarter of the bytes
    for number in range(ranges):
        yield ImagePairsJob(keyed, (), number, ranges, settings)
    if settings.by != "near":
        return
    rows = max(counts["in_tables"], 1)
    together = max(1, ROWS // rows)  # tables of a small pool are one job
    ranges = max(1, -(-rows // ROWS))
    for first in range(0, settings.tables, together):
        tables = tuple(range(first, min(first + together, settings.tables)))
        for number in range(ranges):
            yield ImagePairsJob(keyed, tables, number, ranges, settings)
