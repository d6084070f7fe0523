"""The report stage: what went in, what was dropped and why, and what balancing did to the entries."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from metaclip.config import format_t
from metaclip.manifest import Reference
from metaclip.output import OutputWriter
from metaclip.stages.base import Job
from metaclip.stages.count import read_counts
from metaclip.stages.curate import add_set_tallies
from metaclip.stages.metadata import read_entries
from metaclip.store import Store

REPORT = "report.json"
TOP = 100

FUNNEL = ("files", "failed_files", "bytes_read", "records", "pages", "images", "texts", "pairs")
"""Steps that the extract stage counts; `pairs` is texts without repeats within a shard."""


@dataclass(frozen=True)
class ReportJob(Job):
    """Report on one set of a pool."""

    STAGE: ClassVar[str] = "report"
    VERSION: ClassVar[int] = 1

    metadata: Reference
    extracted: tuple[Reference, ...]
    matched: tuple[Reference, ...]
    partitions: tuple[Reference, ...]
    counts: Reference
    curated: Reference
    t: float
    survived: tuple[Reference, ...] = ()
    """Outputs of the survive stage, where the pool is the survivors of another."""

    def config(self) -> Mapping[str, Any]:
        """Return t, by which entries are told apart into head and tail."""
        return {"t": format_t(self.t)}

    def inputs(self) -> list[str]:
        """Return the keys of all that is reported on."""
        parts = [*self.extracted, *self.matched, *self.partitions, *self.survived]
        return [self.metadata.key, self.counts.key, self.curated.key, *(part.key for part in parts)]

    def compute(self, store: Store, output: OutputWriter) -> Mapping[str, Any]:
        """Write `report.json`."""
        extracted, languages, failed = Counter[str](), Counter[str](), list[dict[str, str]]()
        for reference in self.extracted:
            statistics = store.manifest(reference.manifest).statistics
            extracted.update(statistics["counts"])
            languages.update(statistics["languages"])
            failed += statistics["failed_files"]
        matched, unique = _sum_counts(store, self.matched), _sum_counts(store, self.partitions)
        curated = store.manifest(self.curated.manifest).statistics["counts"]["curated"]
        dropped = Counter({name: count for name, count in extracted.items() if name.startswith("dropped.")})
        dropped["dropped.pair.language"] = matched["pairs"] - matched["kept_by_language"]
        dropped["dropped.pair.no_match"] = matched["kept_by_language"] - matched["matched"]
        dropped["dropped.pair.repeat_in_pool"] = unique["dropped.pair.repeat"]
        survivors: dict[str, int] = {}
        before_balancing = unique["unique"]
        if self.survived:
            found = _sum_counts(store, self.survived)
            before_balancing = found["survived"]
            survivors = {name: found[name] for name in ("uids", "images", "unknown_uids", "unknown_images")}
            dropped["dropped.pair.not_survived"] = unique["unique"] - before_balancing
        dropped["dropped.pair.balanced"] = before_balancing - curated
        report = {
            "t": format_t(self.t),
            "funnel": {
                **{name: extracted[name] for name in FUNNEL},
                "kept_by_language": matched["kept_by_language"],
                "matched": matched["matched"],
                "unique": unique["unique"],
                **({"survived": before_balancing} if self.survived else {}),
                "curated": curated,
            },
            "dropped": {name.removeprefix("dropped."): count for name, count in sorted(dropped.items()) if count},
            "languages": dict(sorted(languages.items(), key=lambda item: (-item[1], item[0]))),
            "failed_files": failed,
            **({"survivors": survivors} if survivors else {}),
            **self._entries(store),
        }
        output.json(REPORT, report, 1)
        return {"funnel": report["funnel"]}

    def _entries(self, store: Store) -> dict[str, Any]:
        before = read_counts(store, self.counts)
        after = np.zeros_like(before)
        add_set_tallies(after, store, self.curated)
        matches = int(before.sum())
        tail = int(before[before <= self.t].sum())
        # Descending by count, then by id: a stable sort of what falls.
        ranked = np.argsort(np.iinfo(np.uint64).max - before, kind="stable")[:TOP]
        ranked = ranked[before[ranked] > 0]
        entries = read_entries(store, self.metadata).take(ranked)
        return {
            "entries": {
                "entries": len(before),
                "with_matches": int(np.count_nonzero(before)),
                "without_matches": int(np.count_nonzero(before == 0)),
                "head": int(np.count_nonzero(before > self.t)),
                "matches": matches,
                "matches_curated": int(after.sum()),
                "tail_share": round(tail / matches, 6) if matches else None,
            },
            "top_entries": [
                {
                    "rank": rank,
                    "entry_id": int(entry_id),
                    "entry": entry,
                    "count": int(before[entry_id]),
                    "curated": int(after[entry_id]),
                    "keep_probability": round(min(1.0, self.t / float(before[entry_id])), 6),
                }
                for rank, (entry_id, entry) in enumerate(
                    zip(ranked, entries.column("entry").to_pylist(), strict=True), start=1
                )
            ],
        }


def _sum_counts(store: Store, references: tuple[Reference, ...]) -> Counter[str]:
    total: Counter[str] = Counter()
    for reference in references:
        total.update(store.manifest(reference.manifest).statistics["counts"])
    return total
