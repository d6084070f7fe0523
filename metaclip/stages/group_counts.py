"""The counts and thresholds of a pool by language, as the count stage wrote them, and the rule of a configuration."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from metaclip.balance.algorithm import min_t
from metaclip.balance.reference_axis import GroupThresholds, Rule
from metaclip.config.groups import Groups
from metaclip.config.settings import Balance
from metaclip.stages.count import THRESHOLDS, read_counts
from metaclip.store.manifest import Reference
from metaclip.store.store import Store
from metaclip.tables.by_group import rows_by_group
from metaclip.tables.csr import csr


@dataclass(frozen=True)
class ByLanguage:
    """What a job of a pool by language needs beside the counts; the keys of balanced partitions depend on all of it."""

    groups: Groups
    rule: Rule

    @classmethod
    def of(cls, groups: Groups | None, balance: Balance) -> "ByLanguage | None":
        """Return it for the groups of a configuration and its section `balance`; None for one list for all texts."""
        if groups is None:
            return None
        return cls(groups, Rule(balance.across, balance.ceiling, balance.floor))


def reference_counts(store: Store, counts: Reference, groups: Groups | None) -> npt.NDArray[np.uint64]:
    """Return the counts that t is for, uint64[n_entries]: those of the one list, or of the reference language."""
    if groups is None:
        return read_counts(store, counts)
    return read_counts(store, counts, str(store.manifest(counts.manifest).statistics["reference"]))


@dataclass
class GroupCounts:
    """The counts of each group, read when they are first needed, and their thresholds.

    Args:
        store: that holds them.
        output: of the count stage.
        by_language: groups and rule of the pool.
    """

    store: Store
    output: Reference
    by_language: ByLanguage
    _counts: dict[str, npt.NDArray[np.uint64]] = field(default_factory=dict, init=False)

    @property
    def names(self) -> tuple[str, ...]:
        """The groups that have a list, ascending."""
        return self.by_language.groups.names

    @property
    def rule(self) -> Rule:
        """How groups get their t."""
        return self.by_language.rule

    @cached_property
    def reference(self) -> str:
        """The group that t is for: the one of the configuration, or the only one with a match."""
        return str(self.store.manifest(self.output.manifest).statistics["reference"])

    def counts(self, group: str) -> npt.NDArray[np.uint64]:
        """Return the counts of a group's entries, uint64[n_entries]."""
        if group not in self._counts:
            self._counts[group] = read_counts(self.store, self.output, group)
        return self._counts[group]

    @cached_property
    def thresholds(self) -> dict[str, GroupThresholds]:
        """The thresholds of every group."""
        table = self.store.open_parquet(self.output, THRESHOLDS).read()
        of_reference = table.filter(pc.equal(table.column("group"), self.reference))
        first = of_reference.column("count")[0].as_py() if of_reference.num_rows else 0
        found = {}
        for group in self.names:
            own = table.filter(pc.equal(table.column("group"), group))
            count, held, reference_t = (own.column(name).to_numpy() for name in ("count", "held", "reference_t"))
            found[group] = GroupThresholds(count, held, reference_t, first, group == self.reference)
        return found

    def t(self, group: str, t: float) -> float:
        """Return a group's t at a t of the reference language."""
        return self.thresholds[group].t(t, self.rule)

    def min_t(self, group: str, own: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """Return the smallest t of the reference language for pairs with these own ones, float64[n]."""
        return self.thresholds[group].min_t(own, self.rule)

    def prefix(self, t: float, own: Mapping[str, float]) -> float:
        """Return a t of the reference language up to which the pairs lie that are kept at t, and in `own` at theirs."""
        bounds = [t]
        for group, of in own.items():
            thresholds = self.thresholds[group]
            if thresholds.matches:
                bounds.append(float(self.min_t(group, np.array([min(of, float(thresholds.largest))]))[0]))
        return max(bounds)

    @cached_property
    def largest_t(self) -> float:
        """The smallest t of the reference language that keeps every pair of every language; 0 without a match."""
        there = {group: one for group, one in self.thresholds.items() if one.matches}
        whole = [self.min_t(group, np.array([float(one.largest)])) for group, one in there.items()]
        return float(np.concatenate([[0.0], *whole]).max())

    def pairs(
        self, table: pa.Table
    ) -> Iterator[tuple[str, npt.NDArray[np.int64], npt.NDArray[np.int64], npt.NDArray[np.uint32]]]:
        """Yield each group that occurs in a table of pairs: its rows, and their entry ids in CSR form."""
        for group, rows in rows_by_group(self.by_language.groups, table):
            yield group, rows, *csr(table.column("entry_ids").take(pa.array(rows)))

    def min_t_of(self, table: pa.Table, uniform: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """Return for each pair of a table the smallest t of the reference language that keeps it, float64[n].

        Args:
            table: n pairs, with `lang`, `lang_score` and `entry_ids`.
            uniform: their draws, float64[n].
        """
        found = np.empty(table.num_rows)
        for group, rows, offsets, entry_ids in self.pairs(table):
            found[rows] = self.min_t(group, min_t(self.counts(group), offsets, entry_ids, uniform[rows]))
        return found

    @cached_property
    def offsets(self) -> dict[str, int]:
        """The position of each group's first entry where the lists of all groups stand one after the other."""
        sizes = self.store.manifest(self.output.manifest).statistics["by_language"]
        starts = np.cumsum([0, *(sizes[group]["entries"] for group in self.names)])
        return dict(zip(self.names, starts.tolist(), strict=False))

    def concatenated(self) -> npt.NDArray[np.uint64]:
        """Return the counts of all groups one after the other, uint64[n]: 216 MB for 27 million entries."""
        return np.concatenate([self.counts(group) for group in self.names])
