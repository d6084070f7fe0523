"""The match stage of a pool in many languages: each text is matched against the list of its own group.

A text's group follows from its label (`metaclip.config.groups`); entry ids are positions in the list of that group.
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from metaclip.config.groups import NO_GROUP, Groups
from metaclip.config.settings import Match
from metaclip.kernels.ways import Work
from metaclip.metadata.list_job import open_matcher
from metaclip.schemas import ENTRY_IDS, MATCHED, PAIR, PAIRS, conform, with_kept
from metaclip.store.job import Job
from metaclip.store.manifest import Reference
from metaclip.store.store import Store
from metaclip.store.writer import OutputWriter
from metaclip.tables.csr import id_lists
from metaclip.tables.distinct_sketch import DistinctSketch
from metaclip.tables.parquet import RANGE_GROUP_ROWS, read_groups

KEPT = "matched"
"""What the statistics by label call texts that have a row; the other names are reasons of dropped ones."""

REASONS = ("not_wanted", "score", "no_metadata", "no_match")
"""Why a text has no row, in the order in which it is asked: its label is not in `match.languages`; its score is under
`match.min_lang_score`; the group of its label has no list; its text contains no entry."""


@dataclass(frozen=True)
class MatchGroupsJob(Job):
    """Match one extracted shard against the lists of the groups whose texts it has."""

    STAGE: ClassVar[str] = "match"
    VERSION: ClassVar[int] = 3

    extracted: Reference
    lists: tuple[tuple[str, Reference], ...]
    """Name and list of each group that the shard's labels can lead to, ascending."""
    labels: tuple[tuple[str, str], ...]
    """Each of the shard's labels that has a list, and its group, ascending."""
    settings: Match
    reference: str
    other_below: float | None = None

    @classmethod
    def of(
        cls, store: Store, extracted: Reference, metadata: Mapping[str, Reference], settings: Match, groups: Groups
    ) -> "MatchGroupsJob":
        """Return the job of a shard; its labels are read from the statistics of its extraction."""
        labels = store.manifest(extracted.manifest).statistics["languages"]
        if settings.languages:
            labels = [label for label in labels if label in settings.languages]
        return cls(
            extracted,
            tuple((name, metadata[name]) for name in groups.met(labels)),
            tuple(sorted((label, groups.by_label[label]) for label in labels if label in groups.by_label)),
            settings,
            groups.reference,
            groups.other_below,
        )

    def config(self) -> Mapping[str, Any]:
        """Return the filter of languages, and the groups of the labels that occur."""
        other = {} if self.other_below is None else {"below_score": "other"}
        return {**self.settings.key_settings, "groups": dict(self.labels), **other}

    def inputs(self) -> list[str]:
        """Return the keys of the shard, and of the lists of the groups that it can have texts of."""
        return [self.extracted.key, *(f"{name}:{metadata.key}" for name, metadata in self.lists)]

    def work(self) -> Work:
        """Return the matcher's kernels; the lists tell by which rule they are found in texts."""
        return Work(("match", "tokens"), 6e-5 * self.extracted.rows)

    @cached_property
    def _groups(self) -> Groups:
        names = tuple(name for name, _ in self.lists)
        return Groups(names, self.reference, dict(self.labels), {}, self.other_below)

    def compute(self, store: Store, output: OutputWriter) -> Mapping[str, Any]:
        """Read the shard as a stream; it is sorted by uid already, and so is the result.

        The statistics have `by_label`, for each label the texts that it has and what became of them (KEPT or one of
        REASONS), and `by_group`, for each group that was met its texts, those `matched`, and their `matches`.
        """
        tally = _Tally()
        sketch = DistinctSketch()
        pairs = store.open_parquet(self.extracted, PAIRS)
        groups = read_groups(pairs, range(pairs.num_row_groups), is_remote=not store.is_local)
        tables = (self._matched(store, conform(table, PAIR), tally) for table, _ in groups)
        schema = with_kept(MATCHED, pairs.schema_arrow)
        rows = output.parquet(PAIRS, schema, _sketched(tables, sketch), RANGE_GROUP_ROWS)
        tally.counts["matched"] = rows
        tally.counts["bytes_read"] = store.manifest(self.extracted.manifest).file(PAIRS).bytes
        return {**tally.to_json(), "sketch": sketch.to_json()}

    def _matched(self, store: Store, table: pa.Table, tally: "_Tally") -> pa.Table:
        labels = table.column("lang").combine_chunks().dictionary_encode()
        groups, fates = place(self._groups, self.settings, table, labels)
        texts, n = table.column("text"), table.num_rows
        sizes = np.zeros(n, np.int64)
        parts: list[npt.NDArray[np.uint32]] = []
        rows_of: list[npt.NDArray[np.int64]] = []
        for position, (name, metadata) in enumerate(self.lists):
            rows = np.flatnonzero(groups == position)
            if len(rows):
                # Opened only now, so that the tables of groups that do not occur are not read.
                offsets, ids = open_matcher(store, metadata).match(texts.take(pa.array(rows)))
                sizes[rows] = np.diff(offsets)
                parts.append(ids)
                rows_of.append(rows)
                tally.add_group(name, len(rows), int(np.count_nonzero(sizes[rows])), len(ids))
        fates[(groups != NO_GROUP) & (sizes == 0)] = REASONS.index("no_match") + 1
        tally.add_labels(labels, fates)
        kept = np.flatnonzero(sizes)
        bounds = np.zeros(len(kept) + 1, np.int64)
        np.cumsum(sizes[kept], out=bounds[1:])
        entry_ids = _in_row_order(sizes, parts, rows_of)
        matched = table.take(pa.array(kept)).append_column(ENTRY_IDS, id_lists(bounds, entry_ids))
        return conform(matched, MATCHED)


def place(
    groups: Groups, settings: Match, table: pa.Table, labels: pa.DictionaryArray
) -> tuple[npt.NDArray[np.int16], npt.NDArray[np.int64]]:
    """Return which texts are matched in which list, and why the others are not.

    Args:
        groups: the groups whose lists there are.
        settings: the filter of labels and scores.
        table: of `schemas.PAIR`; n rows.
        labels: its column `lang`.

    Returns:
        For each text the position of its group in `groups.names`, int16[n], NO_GROUP where it is dropped; and
        int64[n], 0 or 1 + the number of its reason in REASONS.
    """
    scores = table.column("lang_score").to_numpy()
    of_rows = groups.of_rows(labels, scores)
    fates = np.zeros(table.num_rows, np.int64)
    fates[of_rows == NO_GROUP] = REASONS.index("no_metadata") + 1
    if groups.other_below is None:
        fates[scores < np.float32(settings.min_lang_score)] = REASONS.index("score") + 1
    if settings.languages:
        wanted = pc.is_in(labels, value_set=pa.array(settings.languages)).to_numpy(zero_copy_only=False)
        fates[~wanted] = REASONS.index("not_wanted") + 1
    of_rows[fates != 0] = NO_GROUP
    return of_rows, fates


class _Tally:
    """What became of the texts: in all, by label, and by group."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self._labels: dict[str, Counter[str]] = {}
        self._groups: dict[str, Counter[str]] = {}

    def add_labels(self, labels: pa.DictionaryArray, fates: npt.NDArray[np.int64]) -> None:
        names = (KEPT, *REASONS)
        known = labels.dictionary.to_pylist()
        pairs = np.bincount(labels.indices.to_numpy() * len(names) + fates, minlength=len(known) * len(names))
        for label, row in zip(known, pairs.reshape(-1, len(names)).tolist(), strict=True):
            self._labels.setdefault(label, Counter()).update(dict(zip(names, row, strict=True)))

    def add_group(self, name: str, texts: int, matched: int, matches: int) -> None:
        self._groups.setdefault(name, Counter()).update(texts=texts, matched=matched, matches=matches)

    def to_json(self) -> dict[str, Any]:
        total: Counter[str] = Counter()
        for row in self._labels.values():
            total.update(row)
        self.counts["pairs"] = total.total()
        self.counts["kept_by_language"] = total[KEPT] + total["no_match"]
        self.counts["matches"] = sum(row["matches"] for row in self._groups.values())
        self.counts.update({f"dropped.{reason}": total[reason] for reason in REASONS})
        return {
            "counts": dict(sorted(self.counts.items())),
            "by_label": {label: {"texts": row.total(), **(+row)} for label, row in sorted(self._labels.items())},
            "by_group": {name: dict(row) for name, row in sorted(self._groups.items())},
        }


def _sketched(tables: Iterator[pa.Table], sketch: DistinctSketch) -> Iterator[pa.Table]:
    for table in tables:
        sketch.add(table.column("uid_lo").to_numpy())
        yield table


def _in_row_order(
    sizes: npt.NDArray[np.int64], parts: list[npt.NDArray[np.uint32]], rows_of: list[npt.NDArray[np.int64]]
) -> npt.NDArray[np.uint32]:
    """Bring the ids of rows that were matched group by group into the order of the rows.

    `sizes` has the number of ids of each row; `parts` the ids of the rows in `rows_of`, which are disjoint.
    """
    starts = np.cumsum(sizes) - sizes
    result = np.empty(int(sizes.sum()), np.uint32)
    for ids, rows in zip(parts, rows_of, strict=True):
        own = sizes[rows]
        first = np.cumsum(own) - own
        result[np.repeat(starts[rows] - first, own) + np.arange(len(ids))] = ids
    return result
