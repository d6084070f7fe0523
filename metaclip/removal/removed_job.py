"""The removed stage: which pairs of one partition a pool's removals name."""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa

from metaclip.balance.tally import Tally
from metaclip.config.groups import Groups
from metaclip.pairs.uids import UIDS
from metaclip.removal.lists import Entry, Removals
from metaclip.schemas import MATCHED, PAIRS, conform, with_kept
from metaclip.stages.curate import REMOVED
from metaclip.stages.dedup import TALLY
from metaclip.store.job import Job
from metaclip.store.manifest import Reference
from metaclip.store.store import Store
from metaclip.store.writer import OutputWriter
from metaclip.survivors.list_job import sorted_ids
from metaclip.tables.parquet import group_bytes

_COLUMNS = ["uid_hi", "uid_lo", "url", "page_url"]


@dataclass(frozen=True)
class RemovedJob(Job):
    """Find the pairs of one partition, balanced or not, that are named."""

    STAGE: ClassVar[str] = "removed"
    VERSION: ClassVar[int] = 1

    partition: Reference
    removals: Removals

    def config(self) -> Mapping[str, Any]:
        """Return nothing: what is named depends on the removals alone."""
        return {}

    def inputs(self) -> list[str]:
        """Return the partition's key and the digest of the removals."""
        return [self.partition.key, f"removals:{self.removals.digest}"]

    def compute(self, store: Store, output: OutputWriter) -> Mapping[str, Any]:
        """Write the uids of the pairs, sorted, and which entries of the removals name one."""
        counts: Counter[str] = Counter()
        file = store.open_parquet(self.partition, PAIRS)
        parts = [np.zeros(0, UIDS)]
        met: set[Entry] = set()
        for group in range(file.num_row_groups):
            table = file.read_row_group(group, columns=_COLUMNS)
            counts["bytes_read"] += group_bytes(file, group, _COLUMNS)
            named, entries = self.removals.named(table)
            met |= entries
            uids = np.empty(int(named.sum()), UIDS)
            uids["f0"], uids["f1"] = (table.column(name).to_numpy()[named] for name in ("uid_hi", "uid_lo"))
            parts.append(uids)
        found = sorted_ids(np.concatenate(parts))
        with output.file(REMOVED) as sink:
            np.lib.format.write_array(sink, found, (1, 0), allow_pickle=False)
            sink.rows = len(found)
        places = [number for number, entry in enumerate(self.removals.entries) if entry in met]
        output.json("met.json", places, 0)
        return {"counts": {**dict(sorted(counts.items())), "removed": len(found)}}


def entries_met(store: Store, removed: tuple[Reference, ...], removals: Removals) -> set[Entry]:
    """Return the entries that name a pair of some partition."""
    return {removals.entries[place] for each in removed for place in store.output_json(each.manifest, "met.json")}


@dataclass(frozen=True)
class TakeOutJob(Job):
    """Leave out the removed pairs of one partition, so that counts can be taken anew."""

    STAGE: ClassVar[str] = "survive"
    VERSION: ClassVar[int] = 2

    partition: Reference
    removed: Reference
    removed_sha256: str
    groups: Groups | None = None
    """Of a pool by language; the partition's key depends on them already."""

    def config(self) -> Mapping[str, Any]:
        """Return what tells this from lists of survivors."""
        return {"without": True}

    def inputs(self) -> list[str]:
        """Return the partition's key and the digest of the pairs that go."""
        return [self.partition.key, f"removed:{self.removed_sha256}"]

    def compute(self, store: Store, output: OutputWriter) -> Mapping[str, Any]:
        """Write the pairs that are left, and their entry counts."""
        from metaclip.stages.curate import not_removed

        counts: Counter[str] = Counter()
        file = store.open_parquet(self.partition, PAIRS)
        tally = Tally(self.groups)

        def left() -> Iterator[pa.Table]:
            for group in range(file.num_row_groups):
                table = conform(file.read_row_group(group), MATCHED)
                counts["pairs"] += table.num_rows
                yield table

        rows = output.parquet(
            PAIRS, with_kept(MATCHED, file.schema_arrow), tally.counting(not_removed(left(), store, self.removed))
        )
        tally.write(output, TALLY)
        counts.update({"survived": rows, "uids": 0, "images": 0, "unknown_uids": 0, "unknown_images": 0})
        return {"counts": dict(sorted(counts.items()))}
