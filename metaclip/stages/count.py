"""The count stage: how many texts of the whole pool contain each entry."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from metaclip.balance.reference_axis import GroupThresholds, distinct_counts
from metaclip.balance.tally import Tally, add_tally, read_group_tally
from metaclip.config.groups import Groups
from metaclip.errors import ConfigError
from metaclip.schemas import ENTRY_COUNT, THRESHOLD
from metaclip.stages.dedup import TALLY
from metaclip.store.job import Job
from metaclip.store.manifest import Reference
from metaclip.store.store import Store
from metaclip.store.writer import OutputWriter

COUNTS = "entry_counts.parquet"
THRESHOLDS = "thresholds.parquet"
PARTITIONS_A_SUM = 100


@dataclass(frozen=True)
class TallySumJob(Job):
    """Add up the counts of some partitions.

    In a pool of many partitions, the whole pool's counts are the sum of few such files then. Addition has no order, so
    they are the same.
    """

    STAGE: ClassVar[str] = "tally"
    VERSION: ClassVar[int] = 1

    partitions: tuple[Reference, ...]
    groups: Groups | None = None
    """Of a pool by language; the partitions' keys depend on them already."""

    @property
    def label(self) -> str:
        """The number of partitions."""
        return f"{self.key[:8]}, {len(self.partitions)} partitions"

    def config(self) -> Mapping[str, Any]:
        """Return nothing: adding up has no settings."""
        return {}

    def inputs(self) -> list[str]:
        """Return the keys of the partitions."""
        return [partition.key for partition in self.partitions]

    def compute(self, store: Store, output: OutputWriter) -> Mapping[str, Any]:
        """Write the sums in the form in which each partition has its counts."""
        total = Tally(self.groups)
        for partition in self.partitions:
            total.add_written(store, partition, TALLY)
        total.write(output, TALLY)
        return {}


@dataclass(frozen=True)
class CountJob(Job):
    """Add up the counts of all partitions."""

    STAGE: ClassVar[str] = "count"
    VERSION: ClassVar[int] = 2

    partitions: tuple[Reference, ...]
    metadata: Reference
    sums: tuple[Reference, ...] = ()
    """The counts of all partitions, added up in groups by `TallySumJob`; the result is the same."""

    def config(self) -> Mapping[str, Any]:
        """Return nothing: counting has no settings."""
        return {}

    def inputs(self) -> list[str]:
        """Return the keys of the metadata and of all partitions."""
        return [self.metadata.key, *(partition.key for partition in self.partitions)]

    def compute(self, store: Store, output: OutputWriter) -> Mapping[str, Any]:
        """Write one row for each entry of the metadata."""
        entries = store.manifest(self.metadata.manifest).statistics["entries"]
        total = np.zeros(entries, np.uint64)
        for partition in self.sums or self.partitions:
            add_tally(total, store, partition, TALLY)
        table = pa.table([pa.array(np.arange(entries, dtype=np.uint32)), pa.array(total)], schema=ENTRY_COUNT)
        output.parquet(COUNTS, ENTRY_COUNT, iter([table]))
        return {
            "entries": entries,
            "entries_with_matches": int(np.count_nonzero(total)),
            "matches": int(total.sum()),
            "largest": int(total.max(initial=0)),
        }


@dataclass(frozen=True)
class CountByLanguageJob(Job):
    """Add up the counts of all partitions in a pool by language, and put all thresholds on one axis."""

    STAGE: ClassVar[str] = "count"
    VERSION: ClassVar[int] = 2

    partitions: tuple[Reference, ...]
    lists: tuple[tuple[str, Reference], ...]
    """The groups, ascending, each with the metadata output of its list."""
    reference: str
    sums: tuple[Reference, ...] = ()
    """The counts of all partitions, added up in groups by `TallySumJob`; the result is the same."""

    def config(self) -> Mapping[str, Any]:
        """Return the groups, and the one that t is for."""
        return {"groups": [group for group, _ in self.lists], "reference": self.reference}

    def inputs(self) -> list[str]:
        """Return the keys of the groups' lists and of all partitions."""
        return [metadata.key for _, metadata in self.lists] + [partition.key for partition in self.partitions]

    def compute(self, store: Store, output: OutputWriter) -> Mapping[str, Any]:
        """Write a table of counts for each group, and `schemas.THRESHOLD`.

        Raises:
            ConfigError: no text has an entry of the reference group, but texts of several other groups have some.
        """
        entries = {group: store.manifest(of.manifest).statistics["entries"] for group, of in self.lists}
        total: dict[str, npt.NDArray[np.uint64]] = {}
        for partition in self.sums or self.partitions:
            for group, entry_ids, counts in read_group_tally(store, partition, TALLY):
                if group not in total:
                    total[group] = np.zeros(entries[group], np.uint64)
                total[group][entry_ids] += counts
        reference = _reference(self.reference, sorted(total))
        of_reference = distinct_counts(total.get(reference, np.zeros(0, np.uint64)))
        statistics = {}
        thresholds = []
        for group, n_entries in entries.items():
            counts = total.get(group, np.zeros(n_entries, np.uint64))
            table = pa.table([pa.array(np.arange(n_entries, dtype=np.uint32)), pa.array(counts)], schema=ENTRY_COUNT)
            output.parquet(group_file(group), ENTRY_COUNT, iter([table]))
            found = GroupThresholds.of(distinct_counts(counts), of_reference, is_reference=group == reference)
            columns = [pa.array(column) for column in (found.counts, found.held, found.reference_t)]
            thresholds.append(pa.table([pa.repeat(group, len(found.counts)), *columns], schema=THRESHOLD))
            statistics[group] = {
                "entries": n_entries,
                "entries_with_matches": int(np.count_nonzero(counts)),
                "matches": found.matches,
                "largest": found.largest,
            }
        output.parquet(THRESHOLDS, THRESHOLD, iter(thresholds))
        return {
            "entries": sum(entries.values()),
            "entries_with_matches": sum(one["entries_with_matches"] for one in statistics.values()),
            "matches": sum(one["matches"] for one in statistics.values()),
            "largest": max(one["largest"] for one in statistics.values()),
            "reference": reference,
            "by_language": statistics,
        }


def _reference(wanted: str, there: list[str]) -> str:
    """Return the group that t is for: the only one with a match, if the wanted one has none."""
    if wanted in there or not there:
        return wanted
    if len(there) > 1:
        raise ConfigError(
            f"languages.reference: no text of the pool has an entry of the group {wanted!r}, so no t of it says"
            f" anything about the others; name one of those that have matches: {', '.join(there)}"
        )
    return there[0]


def group_file(group: str) -> str:
    """Return the name of the file with the counts of a group."""
    return f"entry_counts-{group}.parquet"


def read_counts(store: Store, counts: Reference, group: str | None = None) -> npt.NDArray[np.uint64]:
    """Return the entry counts, uint64[n_entries]; in a pool by language those of a group."""
    column = (
        store.open_parquet(counts, COUNTS if group is None else group_file(group))
        .read(columns=["count"])
        .column("count")
    )
    return np.asarray(column.to_numpy(), np.uint64)
