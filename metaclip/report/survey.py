"""The survey stage: hosts, images, languages and attributes of one partition's pairs at a t."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from metaclip.config.groups import Groups
from metaclip.config.settings import format_t
from metaclip.errors import StoreError
from metaclip.schemas import HOST_COUNT, PAIRS
from metaclip.stages.curate import balanced_prefix
from metaclip.store.job import Job
from metaclip.store.manifest import Reference
from metaclip.store.store import Store
from metaclip.store.writer import OutputWriter
from metaclip.tables.by_group import rows_by_group

HOSTS = "hosts.parquet"
_COLUMNS = ["uid_hi", "url", "text", "text_key", "lang", "entry_ids", "min_t"]

TEXT_LENGTHS = (5, 10, 20, 40, 80, 160, 320, 640)
"""Characters up to which a text counts to a class; longer ones are a class of their own."""
MATCHES = (1, 2, 3, 4, 5, 6, 8, 10, 15, 20)
"""The same for the entries of a pair."""


_HOST = r"^[a-z]+://(?:[^/?#@]*@)?(?P<host>\[[^\]/]*\]|[^/?#:@]+)"
KEPT = 10_000
"""Number of hosts of a partition that are kept; the error for the others has a bound, and totals stay exact."""
GATHERED = 64
"""Number of tables that are collected before they are added up."""


def hosts(addresses: pa.ChunkedArray) -> pa.ChunkedArray:
    """Return the host of each address, without user and port; `?` if an address has none."""
    return pc.fill_null(pc.struct_field(pc.extract_regex(addresses, _HOST), "host"), "?")


def count_hosts(tables: Iterable[pa.Table]) -> pa.Table:
    """Add up columns `host` and `pairs`, exactly; sorted by descending number of pairs, then by host.

    Memory grows with the number of distinct hosts.
    """
    total = HOST_COUNT.empty_table()
    waiting: list[pa.Table] = []
    for table in tables:
        waiting.append(table)
        if len(waiting) >= GATHERED:
            total, waiting = _sum([total, *waiting]), []
    return _sum([total, *waiting]).sort_by([("pairs", "descending"), ("host", "ascending")])


def _sum(tables: list[pa.Table]) -> pa.Table:
    summed = pa.concat_tables(tables).group_by("host").aggregate([("pairs", "sum")])
    return summed.select(["host", "pairs_sum"]).rename_columns(["host", "pairs"]).cast(HOST_COUNT)


@dataclass(frozen=True)
class HostCounts:
    """The hosts of a pool or a set."""

    table: pa.Table
    """`schemas.HOST_COUNT`, largest first."""
    error: int
    """Upper bound of the error: a host has at most this many pairs more than its row says (0 if it has no row)."""


def merge_hosts(parts: Iterable[tuple[pa.Table, int]]) -> HostCounts:
    """Add up the hosts of partitions, each with the largest count that it left out (0 for none).

    The count of a host is exact if all partitions kept it. Otherwise it is too small by at most the
    largest counts that these partitions left out, so by at most the sum over all partitions.
    """
    error = 0

    def tables() -> Iterable[pa.Table]:
        nonlocal error
        for table, left_out in parts:
            error += left_out
            yield table

    return HostCounts(count_hosts(tables()), error)


@dataclass(frozen=True)
class SurveyJob(Job):
    """Survey one balanced partition at t; `inf` surveys the whole partition."""

    STAGE: ClassVar[str] = "survey"
    VERSION: ClassVar[int] = 3

    balanced: Reference
    t: float
    groups: Groups | None = None
    """Of a pool by language; the balanced partition's key depends on them already."""

    @property
    def label(self) -> str:
        """The t and the partition's key."""
        return f"t={format_t(self.t)} {self.balanced.key[:8]}"

    def config(self) -> Mapping[str, Any]:
        """Return t."""
        return {"t": format_t(self.t)}

    def inputs(self) -> list[str]:
        """Return the key of the balanced partition."""
        return [self.balanced.key]

    def compute(self, store: Store, output: OutputWriter) -> Mapping[str, Any]:
        """Count exactly in this partition; write its largest hosts, and the count of the largest one left out."""
        counts: Counter[str] = Counter()
        languages: Counter[str] = Counter()
        groups: Counter[str] = Counter()
        text_keys: Counter[str] = Counter()
        images = [np.zeros(0, np.uint64)]
        lengths, matches = np.zeros(len(TEXT_LENGTHS) + 1, np.int64), np.zeros(len(MATCHES) + 1, np.int64)

        columns = _COLUMNS if self.groups is None else [*_COLUMNS, "lang_score"]

        def tables() -> Iterator[pa.Table]:
            for table in balanced_prefix(store.open_parquet(self.balanced, PAIRS), self.t, counts, columns):
                counts["pairs"] += table.num_rows
                _count_values(languages, table.column("lang"))
                _count_values(text_keys, table.column("text_key"))
                if self.groups is not None:
                    groups.update({group: len(rows) for group, rows in rows_by_group(self.groups, table)})
                lengths[:] += _classes(pc.utf8_length(table.column("text")), TEXT_LENGTHS)
                matches[:] += _classes(pc.list_value_length(table.column("entry_ids")), MATCHES)
                images.append(table.column("uid_hi").to_numpy())
                found = hosts(table.column("url")).value_counts()
                yield pa.table([found.field("values"), found.field("counts")], names=HOST_COUNT.names).cast(HOST_COUNT)

        found = count_hosts(tables())
        output.parquet(HOSTS, HOST_COUNT, iter([found.slice(0, KEPT)]))
        # All texts of an image are in one partition, so numbers of images can be added up.
        counts["images"] = len(np.unique(np.concatenate(images)))
        return {
            "counts": dict(sorted(counts.items())),
            "languages": dict(sorted(languages.items())),
            **({} if self.groups is None else {"groups": dict(sorted(groups.items()))}),
            "text_keys": dict(sorted(text_keys.items())),
            "text_lengths": lengths.tolist(),
            "matches_a_pair": matches.tolist(),
            "hosts": found.num_rows,
            "largest_host_left_out": found.column("pairs")[KEPT].as_py() if found.num_rows > KEPT else 0,
        }


def _classes(values: pa.ChunkedArray, ends: Sequence[int]) -> npt.NDArray[np.int64]:
    """Return how many values are at most each end and above the one before, and how many above all."""
    return np.bincount(np.searchsorted(ends, values.to_numpy()), minlength=len(ends) + 1)


def _add(total: npt.NDArray[np.int64], statistics: Mapping[str, Any], name: str, part: Reference) -> None:
    """Add the classes that a survey counted.

    Raises:
        StoreError: they are of another number.
    """
    if len(statistics[name]) != len(total):
        raise StoreError(f"{part.manifest}: `{name}` has other classes; delete it and run the pool again")
    total += np.array(statistics[name], np.int64)


def _count_values(total: Counter[str], column: pa.ChunkedArray) -> None:
    total.update({found["values"]: found["counts"] for found in column.value_counts().to_pylist()})


@dataclass(frozen=True)
class Survey:
    """The sum of the surveys of all partitions."""

    pairs: int
    images: int
    languages: Counter[str]
    groups: Counter[str]
    """Pairs by group; empty where one list is for all texts."""
    text_keys: Counter[str]
    text_lengths: list[int]
    """Pairs by the length of their text, see TEXT_LENGTHS."""
    matches_a_pair: list[int]
    """Pairs by the number of their entries, see MATCHES."""
    hosts: HostCounts


def read_surveys(store: Store, parts: Sequence[Reference]) -> Survey:
    """Add up the surveys of all partitions of a pool, one partition at a time."""
    counts: Counter[str] = Counter()
    languages: Counter[str] = Counter()
    groups: Counter[str] = Counter()
    text_keys: Counter[str] = Counter()

    def found() -> Iterator[tuple[pa.Table, int]]:
        for part in parts:
            statistics = store.manifest(part.manifest).statistics
            counts.update(statistics["counts"])
            languages.update(statistics["languages"])
            groups.update(statistics.get("groups", {}))
            text_keys.update(statistics["text_keys"])
            _add(lengths, statistics, "text_lengths", part)
            _add(matches, statistics, "matches_a_pair", part)
            yield store.open_parquet(part, HOSTS).read(), statistics["largest_host_left_out"]

    lengths, matches = np.zeros(len(TEXT_LENGTHS) + 1, np.int64), np.zeros(len(MATCHES) + 1, np.int64)
    merged = merge_hosts(found())
    named = (languages, groups, text_keys)
    return Survey(counts["pairs"], counts["images"], *named, lengths.tolist(), matches.tolist(), merged)
