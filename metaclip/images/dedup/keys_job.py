"""The image-keys stage: the images of one file that the filter left, ranked, under the keys that copies share."""

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from metaclip.balance.tally import Tally
from metaclip.config.images import ImageDedup
from metaclip.images.dedup.filter_job import kept_rows
from metaclip.images.dedup.near import table_bits, table_keys
from metaclip.images.hash_lists import LEAST_QUALITY, fixed_bytes
from metaclip.schemas import EQUAL_KEY, NEAR_KEY, PAIRS
from metaclip.stages.count import read_counts
from metaclip.stages.dedup import TALLY
from metaclip.stages.group_counts import ByLanguage, GroupCounts
from metaclip.store.job import Job
from metaclip.store.manifest import Reference
from metaclip.store.store import Store
from metaclip.store.writer import OutputWriter
from metaclip.tables.csr import csr
from metaclip.tables.parquet import ROW_GROUP_ROWS, group_bytes

EQUAL = "equal.parquet"
BYTES, PIXELS, NEAR = 0, 1, 2
"""Kinds of what two images have in common."""

_MOST = (1 << 32) - 1
_COLUMNS = ["uid_hi", "uid_lo", "width", "height", "area64", "quality", "colour", "bytes_sha256", "pixels"]


def near_name(table: int) -> str:
    """Return the name of the file of one table."""
    return f"near-{table:02d}.parquet"


@dataclass(frozen=True)
class ImageKeysJob(Job):
    """Rank the images of one file, and sort them by their keys.

    An image is a `uid_hi`: rows of one address are one image, whose picture is that of its first row.
    """

    STAGE: ClassVar[str] = "image-keys"
    VERSION: ClassVar[int] = 1

    inspected: Reference
    judged: Reference
    counts: Reference
    partitions: tuple[Reference, ...]
    settings: ImageDedup
    by_language: ByLanguage | None = None

    def config(self) -> Mapping[str, Any]:
        """Return how images are ranked, and the number of tables; by language also how languages get their t."""
        tables = self.settings.tables if self.settings.by == "near" else 0
        ranked = {} if self.by_language is None else {"rule": asdict(self.by_language.rule)}
        return {"keep": self.settings.keep, "tables": tables, **ranked}

    def inputs(self) -> list[str]:
        """Return the keys of the judged file, the pool's counts and its partitions."""
        return [self.judged.key, self.counts.key, *(part.key for part in self.partitions)]

    def compute(self, store: Store, output: OutputWriter) -> Mapping[str, Any]:
        """Write the images by what equals, by 32 bits of their hash for each table, and their entries' counts."""
        counts: Counter[str] = Counter()
        parts = list(kept_rows(store, self.inspected, self.judged, _COLUMNS))
        table = pa.concat_tables(parts).combine_chunks()
        high, low = table.column("uid_hi").to_numpy(), table.column("uid_lo").to_numpy()
        tally = Tally(None if self.by_language is None else self.by_language.groups)
        rarest = self._rarest(store, high, low, tally, counts)
        tally.write(output, TALLY)
        images, first = np.unique(high, return_index=True)  # sorted by uid: the first row of each
        ranks = self._ranks(np.minimum.reduceat(rarest, first) if len(first) else rarest, table, first)
        table = table.take(pa.array(first))
        equal, kinds = self._equal(table)
        order = np.lexsort((images[kinds[1]], ranks[kinds[1]], equal, kinds[0]))
        rows = kinds[1][order]
        columns = [kinds[0][order].astype(np.uint8), equal[order], ranks[rows], images[rows]]
        output.parquet(EQUAL, EQUAL_KEY, iter([pa.table([*map(pa.array, columns)], schema=EQUAL_KEY)]))
        near = self._leaders(table, ranks, images) if self.settings.by == "near" else np.zeros(0, np.int64)
        if self.settings.by == "near":
            self._write_tables(output, table, ranks, images, near)
        counts.update({"rows": len(high), "images": len(images), "in_tables": len(near), "equal_keys": len(rows)})
        return {"counts": dict(sorted(counts.items()))}

    def _rarest(
        self,
        store: Store,
        high: npt.NDArray[np.uint64],
        low: npt.NDArray[np.uint64],
        tally: Tally,
        counts: Counter[str],
    ) -> npt.NDArray[np.uint64]:
        """Return the smallest count of the entries of each row's pair, uint64[n]; the largest number where unknown.

        By language it is the smallest t of the reference language at which that entry is kept whole, rounded up.
        """
        found = np.full(len(high), _MOST, np.uint64)
        if not len(high):
            return found
        smallest, columns = _smallest_counts(store, self.counts, self.by_language)
        known = np.zeros(len(high), np.bool_)
        for partition in self.partitions:
            file = store.open_parquet(partition, PAIRS)
            for group in range(file.num_row_groups):
                bounds = file.metadata.row_group(group).column(0).statistics
                if bounds is not None and bounds.has_min_max and (bounds.max < high[0] or bounds.min > high[-1]):
                    continue
                pairs = file.read_row_group(group, columns=["uid_hi", "uid_lo", "entry_ids", *columns])
                counts["bytes_read"] += group_bytes(file, group, pairs.column_names)
                of_rows, of_pairs = _joined(
                    high, low, pairs.column("uid_hi").to_numpy(), pairs.column("uid_lo").to_numpy()
                )
                pairs = pairs.take(pa.array(of_pairs))
                if len(of_rows):
                    for _ in tally.counting(iter([pairs])):
                        pass
                    found[of_rows] = np.minimum(smallest(pairs), _MOST)
                    known[of_rows] = True
        counts["unknown"] += int(np.count_nonzero(~known))
        return found

    def _ranks(
        self, rarest: npt.NDArray[np.uint64], table: pa.Table, first: npt.NDArray[np.int64]
    ) -> npt.NDArray[np.uint64]:
        sides = [table.column(name).to_numpy()[first].astype(np.uint64) for name in ("width", "height")]
        smaller = np.uint64(_MOST) - np.minimum(sides[0] * sides[1], np.uint64(_MOST))
        upper, lower = (rarest, smaller) if self.settings.keep == "rarest" else (smaller, rarest)
        return (upper << np.uint64(32)) | lower

    def _equal(
        self, table: pa.Table
    ) -> tuple[npt.NDArray[np.uint64], tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]]:
        """Return the keys by which images equal, their kinds and their rows."""
        hashed = np.flatnonzero(table.column("bytes_sha256").is_valid().to_numpy())
        digests = table.column("bytes_sha256").combine_chunks().take(pa.array(hashed))
        of_bytes = np.ascontiguousarray(fixed_bytes(digests, 32)[:, :8]).view(np.uint64).ravel()
        of_pixels = table.column("pixels").to_numpy()
        kinds = np.concatenate([np.full(len(hashed), BYTES), np.full(len(of_pixels), PIXELS)])
        rows = np.concatenate([hashed, np.arange(len(of_pixels))])
        return np.concatenate([of_bytes, of_pixels.astype(np.uint64)]), (kinds, rows)

    def _leaders(
        self, table: pa.Table, ranks: npt.NDArray[np.uint64], images: npt.NDArray[np.uint64]
    ) -> npt.NDArray[np.int64]:
        """Return the rows to look up: not flat, and of those with the same pixels the first in rank alone.

        So a placeholder that stands at a million addresses is in the tables once for each file.
        """
        clear = np.flatnonzero(table.column("quality").to_numpy() >= LEAST_QUALITY)
        order = clear[np.lexsort((images[clear], ranks[clear]))]
        _, first = np.unique(table.column("pixels").to_numpy()[order], return_index=True)
        return np.sort(order[first])

    def _write_tables(
        self,
        output: OutputWriter,
        table: pa.Table,
        ranks: npt.NDArray[np.uint64],
        images: npt.NDArray[np.uint64],
        rows: npt.NDArray[np.int64],
    ) -> None:
        areas = table.column("area64").combine_chunks().take(pa.array(rows))
        colours = table.column("colour").combine_chunks().take(pa.array(rows))
        words = fixed_bytes(areas, 32).view(np.uint64)
        ranks, images = ranks[rows], images[rows]
        for number, bits in enumerate(table_bits(self.settings.tables)):
            keys = table_keys(words, bits)
            order = np.lexsort((images, ranks, keys))

            def tables(keys: Any = keys, order: Any = order) -> Any:
                for start in range(0, max(len(order), 1), ROW_GROUP_ROWS):
                    some = order[start : start + ROW_GROUP_ROWS]
                    taken = pa.array(some)
                    columns = [pa.array(keys[some]), pa.array(ranks[some]), pa.array(images[some])]
                    yield pa.table([*columns, areas.take(taken), colours.take(taken)], schema=NEAR_KEY)

            output.parquet(near_name(number), NEAR_KEY, tables())


def _smallest_counts(
    store: Store, counts: Reference, by_language: ByLanguage | None
) -> tuple[Callable[[pa.Table], npt.NDArray[np.uint64]], list[str]]:
    """Return a function that gives the smallest count of each pair's entries, and which columns it needs as well."""
    if by_language is None:
        entry_counts = read_counts(store, counts)

        def of_list(pairs: pa.Table) -> npt.NDArray[np.uint64]:
            offsets, ids = csr(pairs.column("entry_ids"))
            return np.asarray(np.minimum.reduceat(entry_counts[ids], offsets[:-1]), np.uint64)

        return of_list, []
    group_counts = GroupCounts(store, counts, by_language)

    def of_lists(pairs: pa.Table) -> npt.NDArray[np.uint64]:
        found = np.empty(pairs.num_rows, np.uint64)
        for group, rows, offsets, ids in group_counts.pairs(pairs):
            own = np.minimum.reduceat(group_counts.counts(group)[ids], offsets[:-1])
            found[rows] = np.ceil(group_counts.min_t(group, own.astype(np.float64))).astype(np.uint64)
        return found

    return of_lists, ["lang", "lang_score"]


def _joined(
    high: npt.NDArray[np.uint64],
    low: npt.NDArray[np.uint64],
    pairs_high: npt.NDArray[np.uint64],
    pairs_low: npt.NDArray[np.uint64],
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Return the rows and the pairs with the same uid; both are sorted by uid."""
    place, end = (np.searchsorted(pairs_high, high, side) for side in ("left", "right"))
    rows = np.flatnonzero(place < end)
    of_rows, of_pairs = [np.zeros(0, np.int64)], [np.zeros(0, np.int64)]
    while len(rows):
        same = rows[pairs_low[place[rows]] == low[rows]]
        of_rows.append(same)
        of_pairs.append(place[same])
        place[rows] += 1
        rows = rows[place[rows] < end[rows]]
    return np.concatenate(of_rows), np.concatenate(of_pairs)
