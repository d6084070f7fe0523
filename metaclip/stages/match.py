"""The match stage: the pairs of one extracted shard in the wanted languages whose text contains an entry."""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from metaclip.config.settings import Match
from metaclip.kernels.ways import Work
from metaclip.matching.matcher import Matcher
from metaclip.metadata.list_job import open_matcher
from metaclip.schemas import ENTRY_IDS, MATCHED, PAIR, PAIRS, conform, with_kept
from metaclip.store.job import Job
from metaclip.store.manifest import Reference
from metaclip.store.store import Store
from metaclip.store.writer import OutputWriter
from metaclip.tables.csr import id_lists
from metaclip.tables.distinct_sketch import DistinctSketch
from metaclip.tables.parquet import RANGE_GROUP_ROWS, read_groups


@dataclass(frozen=True)
class MatchJob(Job):
    """Match one extracted shard against the metadata."""

    STAGE: ClassVar[str] = "match"
    VERSION: ClassVar[int] = 3

    extracted: Reference
    metadata: Reference
    settings: Match

    def config(self) -> Mapping[str, Any]:
        """Return the language filter; the spacing of entries is part of the metadata's key."""
        return self.settings.key_settings

    def inputs(self) -> list[str]:
        """Return the keys of the shard and of the metadata."""
        return [self.extracted.key, self.metadata.key]

    def work(self) -> Work:
        """Return the matcher's kernels."""
        groups = ("match",) if self.settings.rule == "paper" else ("match", "tokens")
        return Work(groups, 3e-5 * self.extracted.rows)

    def compute(self, store: Store, output: OutputWriter) -> Mapping[str, Any]:
        """Read the shard as a stream; it is sorted by uid already, and so is the result."""
        counts: Counter[str] = Counter()
        sketch = DistinctSketch()
        pairs = store.open_parquet(self.extracted, PAIRS)
        matcher = open_matcher(store, self.metadata)
        schema = with_kept(MATCHED, pairs.schema_arrow)
        tables = read_groups(pairs, range(pairs.num_row_groups), is_remote=not store.is_local)
        matched = self._matched((table for table, _ in tables), matcher, counts, sketch)
        rows = output.parquet(PAIRS, schema, matched, RANGE_GROUP_ROWS)
        counts["matched"] = rows
        counts["bytes_read"] = store.manifest(self.extracted.manifest).file(PAIRS).bytes
        return {"counts": dict(sorted(counts.items())), "sketch": sketch.to_json()}

    def _matched(
        self, tables: Iterator[pa.Table], matcher: Matcher, counts: Counter[str], sketch: DistinctSketch
    ) -> Iterator[pa.Table]:
        for table in tables:
            table = conform(table, PAIR)
            counts["pairs"] += table.num_rows
            wanted = in_language(table, self.settings)
            counts["kept_by_language"] += len(wanted)
            offsets, entry_ids = matcher.match(table.column("text").take(pa.array(wanted)))
            counts["matches"] += len(entry_ids)
            kept = np.flatnonzero(np.diff(offsets))
            table = table.take(pa.array(wanted[kept]))
            sketch.add(table.column("uid_lo").to_numpy())
            # A text without a match has no ids, so removing its row does not change the ids.
            bounds = np.append(offsets[kept], offsets[-1])
            yield conform(table.append_column(ENTRY_IDS, id_lists(bounds, entry_ids)), MATCHED)


def in_language(table: pa.Table, settings: Match) -> npt.NDArray[np.int64]:
    """Return the rows of a table of pairs that are in a wanted language."""
    keep = pc.greater_equal(table.column("lang_score"), pa.scalar(settings.min_lang_score, pa.float32()))
    if settings.languages:
        wanted = pc.is_in(table.column("lang"), value_set=pa.array(settings.languages))
        keep = pc.and_(keep, wanted)
    return np.flatnonzero(keep.to_numpy())
