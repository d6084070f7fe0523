"""The image-cover stage: which images fall, for which one that stays, and the uids that are left."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from metaclip.images.dedup.filter_job import kept_rows
from metaclip.images.dedup.keys_job import NEAR
from metaclip.images.dedup.near import covered
from metaclip.images.dedup.pairs_job import PAIRS_FILE
from metaclip.pairs.uids import UIDS
from metaclip.schemas import COVERED
from metaclip.store.job import Job
from metaclip.store.manifest import Reference
from metaclip.store.store import Store
from metaclip.store.writer import OutputWriter
from metaclip.survivors.list_job import Buckets, bucket_name, sorted_ids

DROPPED = "dropped.parquet"
_SIZES = (1, 2, 5, 10, 100, 1000)
_KINDS = ("same_bytes", "same_pixels", "near")


@dataclass(frozen=True)
class ImageCoverJob(Job):
    """Choose the images of the whole pool that stay, and list the uids of their rows as survivors."""

    STAGE: ClassVar[str] = "image-cover"
    VERSION: ClassVar[int] = 1

    pairs: tuple[Reference, ...]
    inspected: tuple[Reference, ...]
    judged: tuple[Reference, ...]
    partitions: int

    def config(self) -> Mapping[str, Any]:
        """Return the number of ranges of uids."""
        return {"partitions": self.partitions}

    def inputs(self) -> list[str]:
        """Return the keys of all pairs and of all judged files."""
        return [each.key for each in (*self.pairs, *self.judged)]

    def compute(self, store: Store, output: OutputWriter) -> Mapping[str, Any]:
        """Write the images that fell, and by range of uids those of the rows that are left."""
        counts: Counter[str] = Counter()
        dropped = self._dropped(store)
        output.parquet(DROPPED, COVERED, iter([dropped]))
        fallen = dropped.column("image").to_numpy()
        buckets = Buckets(UIDS, self.partitions)
        for inspected, judged in zip(self.inspected, self.judged, strict=True):
            for table in kept_rows(store, inspected, judged, ["uid_hi", "uid_lo"]):
                high, low = (table.column(name).to_numpy() for name in ("uid_hi", "uid_lo"))
                stays = ~_among(fallen, high)
                uids = np.empty(int(stays.sum()), UIDS)
                uids["f0"], uids["f1"] = high[stays], low[stays]
                buckets.add(uids, uids["f0"])
                counts.update({"rows": len(high), "rows_dropped": int((~stays).sum())})
        for number in range(self.partitions):
            found = sorted_ids(buckets.take(number))
            counts["uids"] += len(found)
            if len(found):
                with output.file(bucket_name("uids", number)) as sink:
                    np.lib.format.write_array(sink, found, (1, 0), allow_pickle=False)
                    sink.rows = len(found)
        kinds = np.bincount(dropped.column("kind").to_numpy(), minlength=len(_KINDS))
        counts.update({f"dropped.{name}": int(count) for name, count in zip(_KINDS, kinds, strict=True)})
        counts["dropped"] = dropped.num_rows
        return {"counts": dict(sorted(counts.items())), "groups": _groups(dropped)}

    def _dropped(self, store: Store) -> pa.Table:
        tables = [store.open_parquet(each, PAIRS_FILE).read() for each in self.pairs]
        if not sum(table.num_rows for table in tables):
            return COVERED.empty_table()
        pairs = pa.concat_tables(tables)
        kind, distance = pairs.column("kind").to_numpy(), pairs.column("distance").to_numpy().astype(np.int64)
        images = np.concatenate([pairs.column(name).to_numpy() for name in ("image", "other")])
        ranks = np.concatenate([pairs.column(name).to_numpy() for name in ("rank", "other_rank")])
        # An image in several files has the smallest of its ranks.
        order = np.lexsort((ranks, images))
        unique, first = np.unique(images[order], return_index=True)
        by_rank = np.lexsort((unique, ranks[order][first]))
        node = np.empty(len(unique), np.int64)
        node[by_rank] = np.arange(len(unique))
        of_rows = node[np.searchsorted(unique, images)].reshape(2, -1)
        near = kind == NEAR
        equal = (of_rows[0][~near], of_rows[1][~near])
        keeper, away, leader = covered(len(unique), equal, (of_rows[0][near], of_rows[1][near], distance[near]))
        what = np.full(len(unique), NEAR, np.int64)
        for side in equal:
            np.minimum.at(what, side, kind[~near].astype(np.int64))
        # Of those that equal the first may have fallen itself: then all fell for being near what stays.
        itself = keeper == leader
        nodes = np.flatnonzero(keeper != np.arange(len(unique)))
        of_node = unique[by_rank]
        order = np.argsort(of_node[nodes])
        nodes = nodes[order]
        columns = [
            of_node[nodes],
            np.where(itself[nodes], what[nodes], NEAR).astype(np.uint8),
            of_node[keeper[nodes]],
            away[nodes].astype(np.uint8),
        ]
        return pa.table([pa.array(column) for column in columns], schema=COVERED)


def _among(ordered: npt.NDArray[np.uint64], values: npt.NDArray[np.uint64]) -> npt.NDArray[np.bool_]:
    if not len(ordered):
        return np.zeros(len(values), np.bool_)
    place = np.minimum(np.searchsorted(ordered, values), len(ordered) - 1)
    return np.asarray(ordered[place] == values)


def _groups(dropped: pa.Table) -> dict[str, int]:
    """Return how many images stay that so many fell for: by the least number of each class."""
    _, sizes = np.unique(dropped.column("keeper").to_numpy(), return_counts=True)
    classes = np.searchsorted(_SIZES, sizes, "right") - 1
    counted = np.bincount(classes, minlength=len(_SIZES))
    return {str(size): int(count) for size, count in zip(_SIZES, counted, strict=True)}
