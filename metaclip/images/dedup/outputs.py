"""The outputs of the stages of pictures, and what a report says of them."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from metaclip.balance.tally import add_tally, read_group_tally
from metaclip.stages.dedup import TALLY
from metaclip.store.manifest import Reference
from metaclip.store.store import Store

LOST = 100
"""How many of the entries that lost their last pair are named."""


@dataclass(frozen=True)
class ImageOutputs:
    """The outputs of a pool's stages of pictures."""

    inspected: tuple[Reference, ...]
    judged: tuple[Reference, ...]
    keyed: tuple[Reference, ...]
    pairs: tuple[Reference, ...]
    cover: Reference
    sheets: Reference

    @property
    def keys(self) -> list[str]:
        """The keys of all of them."""
        parts = (*self.inspected, *self.judged, *self.keyed, *self.pairs, self.cover, self.sheets)
        return [each.key for each in parts]


def image_figures(
    store: Store,
    images: ImageOutputs,
    after: npt.NDArray[np.uint64],
    entry: pa.ChunkedArray,
    offsets: Mapping[str, int] | None = None,
) -> dict[str, Any]:
    """Return what became of the pictures, as JSON values.

    Args:
        store: the pool's.
        images: the outputs.
        after: uint64[n_entries], the counts of what is left.
        entry: a column of the spelling of each entry.
        offsets: in a pool by language where the entries of each group begin among those of all.
    """
    inspected, judged, pairs = (_sum(store, each) for each in (images.inspected, images.judged, images.pairs))
    cover = store.manifest(images.cover.manifest)
    counts = cover.statistics["counts"]
    before = np.zeros_like(after)
    for each in images.keyed:
        if offsets is None:
            add_tally(before, store, each, TALLY)
        else:
            for group, entry_ids, tallied in read_group_tally(store, each, TALLY):
                before[offsets[group] + entry_ids.astype(np.int64)] += tallied
    lost = np.flatnonzero((before > 0) & (after == 0))
    first = {name.removeprefix("first."): count for name, count in judged.items() if name.startswith("first.")}
    return {
        "rows": inspected["rows"],
        "lost_by_downloader": inspected["lost_by_downloader"],
        "reasons": {
            name: {"first": count, "alone": judged[f"alone.{name}"]}
            for name, count in sorted(first.items(), key=lambda item: (-item[1], item[0]))
        },
        "passed": judged["kept"],
        "duplicates": {name: counts[f"dropped.{name}"] for name in ("same_bytes", "same_pixels", "near")},
        "texts_of_duplicates": counts["rows_dropped"],
        "stay": counts["uids"],
        "groups": dict(cover.statistics["groups"]),
        "capped": pairs["capped"],
        "lost_entries": len(lost),
        "lost_entries_such_as": [entry[number].as_py() for number in lost[:LOST].tolist()],
    }


def _sum(store: Store, outputs: tuple[Reference, ...]) -> Counter[str]:
    total: Counter[str] = Counter()
    for each in outputs:
        total.update(store.manifest(each.manifest).statistics["counts"])
    return total
