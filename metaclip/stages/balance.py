"""The balance stage: for each pair of a partition, the smallest t at which it is kept."""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from metaclip.balance.algorithm import draws, min_t
from metaclip.balance.reference_axis import Rule
from metaclip.balance.size_ladder import SizeStatistics, summed, t_ladder
from metaclip.kernels.ways import Work
from metaclip.schemas import BALANCED, BALANCED_BY_LANGUAGE, PAIRS, conform, with_kept
from metaclip.stages.count import read_counts
from metaclip.stages.group_counts import ByLanguage, GroupCounts
from metaclip.store.job import Job
from metaclip.store.manifest import Reference
from metaclip.store.store import Store
from metaclip.store.writer import OutputWriter
from metaclip.tables.csr import csr
from metaclip.tables.order import row_order
from metaclip.tables.parquet import read_groups
from metaclip.tables.sorter import Sorter

_KEYS = ("min_t", "uid_hi", "uid_lo")


@dataclass(frozen=True)
class BalanceJob(Job):
    """Balance one partition; this does not depend on t."""

    STAGE: ClassVar[str] = "balance"
    VERSION: ClassVar[int] = 2

    partition: Reference
    counts: Reference
    seed: int
    by_language: ByLanguage | None = None

    def config(self) -> Mapping[str, Any]:
        """Return the seed of the draws; in a pool by language also how languages get their t, if not by tail share."""
        if self.by_language is None or self.by_language.rule == Rule():
            return {"seed": self.seed}
        return {"seed": self.seed, "rule": asdict(self.by_language.rule)}

    def inputs(self) -> list[str]:
        """Return the keys of the partition and of the counts."""
        return [self.partition.key, self.counts.key]

    def work(self) -> Work:
        """Return the kernels of `min_t` and of the ladder."""
        return Work(("balance",), 3e-5 * self.partition.rows)

    def compute(self, store: Store, output: OutputWriter) -> Mapping[str, Any]:
        """Write the pairs sorted by (min_t, uid), so that the set for any t is a prefix."""
        if self.by_language is not None:
            return self._compute_by_language(store, output, GroupCounts(store, self.counts, self.by_language))
        counts = read_counts(store, self.counts)
        pairs = store.open_parquet(self.partition, PAIRS)
        schema = with_kept(BALANCED, pairs.schema_arrow)
        ordered = Sorter(schema, _KEYS, _order)
        sizes = SizeStatistics(counts, t_ladder(int(counts.max(initial=0))))
        largest = 0.0
        for table, _ in read_groups(pairs, range(pairs.num_row_groups), is_remote=not store.is_local):
            high, low = table.column("uid_hi").to_numpy(), table.column("uid_lo").to_numpy()
            offsets, entry_ids = csr(table.column("entry_ids"))
            thresholds = min_t(counts, offsets, entry_ids, draws(high, low, self.seed))
            sizes.add(offsets, entry_ids, thresholds)
            largest = max(largest, float(thresholds.max(initial=0)))
            ordered.append(conform(table.append_column("min_t", pa.array(thresholds)), BALANCED))
        rows = output.parquet(PAIRS, schema, ordered.tables())
        read = store.manifest(self.partition.manifest).file(PAIRS).bytes
        return {
            "counts": {"pairs": rows, "bytes_read": read},
            "largest_min_t": largest,
            "sizes": sizes.to_json(),
        }

    def _compute_by_language(self, store: Store, output: OutputWriter, counts: GroupCounts) -> Mapping[str, Any]:
        """Write the pairs sorted by (min_t, uid), each balanced by the counts of its own group."""
        pairs = store.open_parquet(self.partition, PAIRS)
        schema = with_kept(BALANCED_BY_LANGUAGE, pairs.schema_arrow)
        ordered = Sorter(schema, _KEYS, _order)
        ladder = t_ladder(math.ceil(counts.largest_t))
        sizes: dict[str, SizeStatistics] = {}
        largest = 0.0
        for table, _ in read_groups(pairs, range(pairs.num_row_groups), is_remote=not store.is_local):
            uniform = draws(table.column("uid_hi").to_numpy(), table.column("uid_lo").to_numpy(), self.seed)
            own, smallest = np.empty(table.num_rows), np.empty(table.num_rows)
            for language, rows, offsets, entry_ids in counts.pairs(table):
                own[rows] = min_t(counts.counts(language), offsets, entry_ids, uniform[rows])
                smallest[rows] = counts.min_t(language, own[rows])
                if language not in sizes:
                    own_ladder = [counts.t(language, t) for t in ladder]
                    sizes[language] = SizeStatistics(counts.counts(language), ladder, own_ladder)
                sizes[language].add(offsets, entry_ids, smallest[rows])
            largest = max(largest, float(smallest.max(initial=0)))
            table = table.append_column("min_t", pa.array(smallest)).append_column("own_t", pa.array(own))
            ordered.append(conform(table, BALANCED_BY_LANGUAGE))
        written = output.parquet(PAIRS, schema, ordered.tables())
        read = store.manifest(self.partition.manifest).file(PAIRS).bytes
        of_languages = {language: sizes[language].to_json() for language in sorted(sizes)}
        return {
            "counts": {"pairs": written, "bytes_read": read},
            "largest_min_t": largest,
            "sizes": summed(of_languages.values(), ladder),
            "sizes_by_language": of_languages,
        }


def _order(table: pa.Table) -> npt.NDArray[np.int64]:
    return row_order(*(table.column(key).to_numpy() for key in _KEYS))
