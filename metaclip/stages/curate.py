"""The curate stage: the set for one t, in the form that img2dataset reads.

Rows are in an order that is free of content (`shuffle_keys`), so that any part of a file is a sample
of it. All partitions of a set lie in one flat folder. Each commits its own files under a manifest of its
own (`part-00003.manifest.json`), and the set's `manifest.json` is written when all are there.
"""

import io
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import takewhile
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from metaclip.balance.algorithm import shuffle_keys
from metaclip.balance.tally import Tally, add_tally, read_group_tally
from metaclip.config.groups import Groups
from metaclip.config.settings import format_t
from metaclip.pairs.uids import format_uids
from metaclip.schemas import CURATED, CURATED_BY_LANGUAGE, PAIRS, kept_fields, with_kept
from metaclip.store.job import Job
from metaclip.store.manifest import Reference
from metaclip.store.store import Store
from metaclip.store.writer import OutputWriter
from metaclip.tables.by_group import group_column
from metaclip.tables.order import row_order
from metaclip.tables.parquet import read_groups
from metaclip.tables.sorter import Sorter

_TALLY = ".entry_counts.arrow"
REMOVED = "removed.npy"
"""In an output of the removed stage: the uids that are taken out of a partition."""
STAGE = "curate"
VERSION = 3


@dataclass(frozen=True)
class OwnT:
    """Languages with a t of their own, in a pool by language: their pairs are those with own_t up to it."""

    by_language: tuple[tuple[str, float], ...]
    """Groups, ascending, and the t of each."""
    prefix: float
    """A t of the reference language up to which all pairs of the set lie; it follows from the counts."""

    def to_json(self) -> dict[str, str]:
        """Return each t as text, by language."""
        return {group: format_t(t) for group, t in self.by_language}

    def chosen(self, tables: Iterator[pa.Table], groups: Groups, t: float, counts: Counter[str]) -> Iterator[pa.Table]:
        """Yield the rows of these languages with own_t up to their t, and those of the others with min_t <= t.

        Adds `pairs_read` to `counts`.
        """
        named = dict(self.by_language)
        of_group = np.array([named.get(group, np.nan) for group in groups.names])
        for table in tables:
            counts["pairs_read"] += table.num_rows
            limits = of_group[groups.of_rows(table.column("lang"), table.column("lang_score"))]
            own, smallest = table.column("own_t").to_numpy(), table.column("min_t").to_numpy()
            yield table.filter(pa.array(np.where(np.isnan(limits), smallest <= t, own <= limits)))


def set_name(t: float, own: OwnT | None) -> str:
    """Return what a pool's record calls a set: its t, and the languages with a t of their own."""
    if own is None:
        return format_t(t)
    return f"{format_t(t)};" + ",".join(f"{group}={of}" for group, of in own.to_json().items())


@dataclass(frozen=True)
class CuratedSetJob(Job):
    """Make one set from all its parts."""

    STAGE: ClassVar[str] = STAGE
    VERSION: ClassVar[int] = VERSION

    balanced: tuple[Reference, ...]
    t: float
    rows_per_file: int
    seed: int
    groups: Groups | None = None
    """Of a pool by language; the balanced partitions' keys depend on them already."""
    own: OwnT | None = None
    removed: tuple["Removed | None", ...] = ()
    """For each partition what is taken out of it; empty where nothing is taken out of any."""

    @property
    def label(self) -> str:
        """The set's t."""
        return f"t={set_name(self.t, self.own)}"

    def config(self) -> Mapping[str, Any]:
        """Return t, how files are cut, the seed of the rows' order, and the languages with a t of their own."""
        own = {} if self.own is None else {"language_t": self.own.to_json()}
        return {"t": format_t(self.t), "rows_per_file": self.rows_per_file, "seed": self.seed, **own}

    def inputs(self) -> list[str]:
        """Return the keys of all balanced partitions, and the digests of what is taken out of them."""
        digests = [f"removed:{number}:{each.sha256}" for number, each in enumerate(self.removed) if each is not None]
        return [*(partition.key for partition in self.balanced), *digests]

    def parts(self) -> list["CuratePartJob"]:
        """Return the jobs that must be done before this one, one for each partition."""
        removed = self.removed or (None,) * len(self.balanced)
        return [
            CuratePartJob(
                partition, number, self.t, self.rows_per_file, self.seed, self.folder, self.groups, self.own, taken
            )
            for number, (partition, taken) in enumerate(zip(self.balanced, removed, strict=True))
        ]

    def compute(self, store: Store, output: OutputWriter) -> Mapping[str, Any]:
        """List the files of the parts."""
        counts = Counter(curated=0)
        for part in self.parts():
            manifest = store.manifest(part.manifest)
            output.adopt(manifest.files)
            counts.update({name: manifest.statistics["counts"].get(name, 0) for name in ("curated", "removed")})
        if not self.removed:
            del counts["removed"]
        return {"counts": dict(counts), "t": set_name(self.t, self.own)}


@dataclass(frozen=True)
class Removed:
    """What is taken out of one partition."""

    reference: Reference
    """An output of the removed stage."""
    sha256: str
    """Of its uids."""


@dataclass(frozen=True)
class CuratePartJob(Job):
    """Cut one partition at t."""

    STAGE: ClassVar[str] = STAGE
    VERSION: ClassVar[int] = VERSION

    balanced: Reference
    number: int
    t: float
    rows_per_file: int
    seed: int
    set_folder: str
    groups: Groups | None = None
    own: OwnT | None = None
    removed: Removed | None = None

    @property
    def label(self) -> str:
        """The set's t and the partition's number."""
        return f"t={set_name(self.t, self.own)} part {self.number + 1}"

    def config(self) -> Mapping[str, Any]:
        """Return t, how files are cut, the seed of the rows' order, and the number that names the files."""
        own = {} if self.own is None else {"language_t": self.own.to_json()}
        return {
            "t": format_t(self.t),
            "rows_per_file": self.rows_per_file,
            "seed": self.seed,
            "part": self.number,
            **own,
        }

    def inputs(self) -> list[str]:
        """Return the key of the balanced partition, and the digest of what is taken out of it, if anything is."""
        return [self.balanced.key, *([] if self.removed is None else [f"removed:{self.removed.sha256}"])]

    @property
    def folder(self) -> str:
        """The folder of the set, shared by all its parts."""
        return self.set_folder

    @property
    def manifest(self) -> str:
        """The address of the part's own manifest."""
        return f"{self.folder}/part-{self.number:05d}.manifest.json"

    def compute(self, store: Store, output: OutputWriter) -> Mapping[str, Any]:
        """Read the prefix with min_t <= t and write it, shuffled, in files of at most `rows_per_file` rows."""
        tally = Tally(self.groups)
        counts: Counter[str] = Counter()
        pairs = store.open_parquet(self.balanced, PAIRS)
        schema = curated_schema(pairs.schema_arrow, self.groups)
        prefix = self.t if self.own is None else self.own.prefix
        chosen = balanced_prefix(pairs, prefix, counts, is_remote=not store.is_local)
        if self.own is not None and self.groups is not None:
            chosen = self.own.chosen(chosen, self.groups, self.t, counts)
        if self.removed is not None:
            chosen = not_removed(chosen, store, self.removed.reference, counts)
        tables = shuffled(tally.counting(chosen), self.seed)
        curated = 0
        for number, file_tables in enumerate(cut(tables, self.rows_per_file)):
            name = f"part-{self.number:05d}-{number:05d}.parquet"
            curated += output.parquet(name, schema, (to_curated(table, self.groups) for table in file_tables))
        tally.write(output, f"part-{self.number:05d}{_TALLY}")
        read = {} if self.own is None else {"pairs_read": counts["pairs_read"]}
        taken = {} if self.removed is None else {"removed": counts["removed"]}
        return {"counts": {"curated": curated, "bytes_read": counts["bytes_read"], **read, **taken}}


def removed_uids(store: Store, removed: Reference) -> npt.NDArray[np.void]:
    """Return the uids that an output of the removed stage names, of dtype `pairs.uids.UIDS`, sorted."""
    found: npt.NDArray[np.void] = np.load(io.BytesIO(store.read_bytes(removed, REMOVED)))
    return found


def not_removed(
    tables: Iterator[pa.Table], store: Store, removed: Reference, counts: Counter[str] | None = None
) -> Iterator[pa.Table]:
    """Yield the rows of tables that an output of the removed stage does not name; add `removed` to `counts`."""
    taken = removed_uids(store, removed)
    pairs = set(zip(taken["f0"].tolist(), taken["f1"].tolist(), strict=True))
    for table in tables:
        high, low = table.column("uid_hi").to_numpy(), table.column("uid_lo").to_numpy()
        stays = np.ones(len(high), np.bool_)
        for row in np.flatnonzero(np.isin(high, taken["f0"])).tolist():
            stays[row] = (int(high[row]), int(low[row])) not in pairs
        if counts is not None:
            counts["removed"] += int((~stays).sum())
        yield table if stays.all() else table.take(pa.array(np.flatnonzero(stays)))


def add_set_tallies(total: npt.NDArray[np.uint64], store: Store, curated: Reference, group: str | None = None) -> None:
    """Add the entry counts of a set to uint64[n_entries], in place; in a pool by language those of a group."""
    for file in store.manifest(curated.manifest).files:
        if file.name.endswith(_TALLY):
            add_tally(total, store, curated, file.name, group)


def set_group_tallies(
    store: Store, curated: Reference
) -> Iterator[tuple[str, npt.NDArray[np.uint32], npt.NDArray[np.uint64]]]:
    """Yield the entry counts of a set's parts by group: group, entry ids, counts; a group once for each part."""
    for file in store.manifest(curated.manifest).files:
        if file.name.endswith(_TALLY):
            yield from read_group_tally(store, curated, file.name)


def balanced_prefix(
    pairs: pq.ParquetFile,
    t: float,
    counts: Counter[str],
    columns: list[str] | None = None,
    *,
    is_remote: bool = False,
) -> Iterator[pa.Table]:
    """Yield the rows of a balanced file with min_t <= t; later row groups are not read.

    Adds `bytes_read` to `counts`. `columns` are all by default, and must include `min_t`.
    """
    # `entry_ids` is one nested column both in Arrow and in Parquet, so the indices are the same.
    place = pairs.schema_arrow.get_field_index("min_t")
    stated = (pairs.metadata.row_group(group).column(place).statistics for group in range(pairs.num_row_groups))
    within = takewhile(lambda group: group[1] is None or group[1].min <= t, enumerate(stated))
    for table, size in read_groups(pairs, [group for group, _ in within], columns, is_remote=is_remote):
        counts["bytes_read"] += size
        rows = int(np.searchsorted(table.column("min_t").to_numpy(), t, side="right"))
        if rows:
            yield table.slice(0, rows)
        if rows < table.num_rows:
            return


_SHUFFLE_KEY = pa.field("shuffle_key", pa.uint64(), nullable=False)
_KEYS = ("shuffle_key", "uid_hi", "uid_lo")


def shuffled(tables: Iterator[pa.Table], seed: int) -> Iterator[pa.Table]:
    """Yield the rows of balanced tables in an order of their uids and the seed alone; see `Sorter`."""
    ordered: Sorter | None = None
    for table in tables:
        if ordered is None:
            ordered = Sorter(table.schema.append(_SHUFFLE_KEY), _KEYS, _order)
        keys = shuffle_keys(table.column("uid_hi").to_numpy(), table.column("uid_lo").to_numpy(), seed)
        ordered.append(table.append_column(_SHUFFLE_KEY, pa.array(keys)))
    for table in ordered.tables() if ordered else ():
        yield table.drop_columns(["shuffle_key"])


def _order(table: pa.Table) -> npt.NDArray[np.int64]:
    return row_order(*(table.column(key).to_numpy() for key in _KEYS))


def cut(tables: Iterator[pa.Table], rows_per_file: int) -> Iterator[Iterator[pa.Table]]:
    """Divide a stream of tables into streams of at most `rows_per_file` rows."""
    rest: list[pa.Table] = []

    def one_file() -> Iterator[pa.Table]:
        room = rows_per_file
        while room:
            table = rest.pop() if rest else next(tables, None)
            if table is None:
                return
            yield table.slice(0, room)
            if table.num_rows > room:
                rest.append(table.slice(room))
            room -= min(room, table.num_rows)

    while True:
        if not rest:
            table = next(tables, None)
            if table is None:
                return
            rest.append(table)
        yield one_file()


def to_curated(table: pa.Table, groups: Groups | None = None) -> pa.Table:
    """Convert rows of `schemas.BALANCED` to rows of `schemas.CURATED`; with groups those of pools by language."""
    uid = format_uids(table.column("uid_hi").to_numpy(), table.column("uid_lo").to_numpy())
    columns = [uid, *(table.column(name) for name in ("url", "text", *CURATED.names[3:]))]
    if groups is not None:
        columns += [table.column("own_t"), group_column(groups, table)]
    columns += [table.column(field.name) for field in kept_fields(table.schema)]
    return pa.table(columns, schema=curated_schema(table.schema, groups))


def curated_schema(balanced: pa.Schema, groups: Groups | None) -> pa.Schema:
    """Return the schema of the curated rows of a balanced partition with this schema."""
    return with_kept(CURATED if groups is None else CURATED_BY_LANGUAGE, balanced)
