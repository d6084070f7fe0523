"""The curate stage: the set for one t, in the form that img2dataset reads.

Rows are in an order that is free of content (`shuffle_keys`), so that any part of a file is a sample
of it. All partitions of a set lie in one flat folder. Each commits its own files under a manifest of its
own (`part-00003.manifest.json`), and the set's `manifest.json` is written when all are there.
"""

import io
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from metaclip.balance.algorithm import shuffle_keys
from metaclip.balance.tally import Tally, add_tally
from metaclip.config.settings import format_t
from metaclip.pairs.uids import format_uids
from metaclip.schemas import BALANCED, CURATED, PAIRS
from metaclip.store.job import Job
from metaclip.store.manifest import Reference
from metaclip.store.store import Store
from metaclip.store.writer import OutputWriter
from metaclip.tables.parquet import group_bytes
from metaclip.tables.sorter import Sorter

_TALLY = ".entry_counts.arrow"
REMOVED = "removed.npy"
"""In an output of the removed stage: the uids that are taken out of a partition."""
STAGE = "curate"
VERSION = 3


@dataclass(frozen=True)
class CuratedSetJob(Job):
    """Make one set from all its parts."""

    STAGE: ClassVar[str] = STAGE
    VERSION: ClassVar[int] = VERSION

    balanced: tuple[Reference, ...]
    t: float
    rows_per_file: int
    seed: int
    removed: tuple["Removed | None", ...] = ()
    """For each partition what is taken out of it; empty where nothing is taken out of any."""

    @property
    def label(self) -> str:
        """The set's t."""
        return f"t={format_t(self.t)}"

    def config(self) -> Mapping[str, Any]:
        """Return t, how files are cut, and the seed of the rows' order."""
        return {"t": format_t(self.t), "rows_per_file": self.rows_per_file, "seed": self.seed}

    def inputs(self) -> list[str]:
        """Return the keys of all balanced partitions, and the digests of what is taken out of them."""
        digests = [f"removed:{number}:{each.sha256}" for number, each in enumerate(self.removed) if each is not None]
        return [*(partition.key for partition in self.balanced), *digests]

    def parts(self) -> list["CuratePartJob"]:
        """Return the jobs that must be done before this one, one for each partition."""
        removed = self.removed or (None,) * len(self.balanced)
        return [
            CuratePartJob(partition, number, self.t, self.rows_per_file, self.seed, self.folder, taken)
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
        return {"counts": dict(counts), "t": format_t(self.t)}


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
    removed: Removed | None = None

    @property
    def label(self) -> str:
        """The set's t and the partition's number."""
        return f"t={format_t(self.t)} part {self.number + 1}"

    def config(self) -> Mapping[str, Any]:
        """Return t, how files are cut, the seed of the rows' order, and the number that names the files."""
        return {"t": format_t(self.t), "rows_per_file": self.rows_per_file, "seed": self.seed, "part": self.number}

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
        tally = Tally()
        counts: Counter[str] = Counter()
        prefix = balanced_prefix(store.open_parquet(self.balanced, PAIRS), self.t, counts)
        if self.removed is not None:
            prefix = not_removed(prefix, store, self.removed.reference, counts)
        tables = shuffled(tally.counting(prefix), self.seed)
        curated = 0
        for number, file_tables in enumerate(cut(tables, self.rows_per_file)):
            name = f"part-{self.number:05d}-{number:05d}.parquet"
            curated += output.parquet(name, CURATED, (to_curated(table) for table in file_tables))
        tally.write(output, f"part-{self.number:05d}{_TALLY}")
        taken = {} if self.removed is None else {"removed": counts["removed"]}
        return {"counts": {"curated": curated, "bytes_read": counts["bytes_read"], **taken}}


def not_removed(
    tables: Iterator[pa.Table], store: Store, removed: Reference, counts: Counter[str] | None = None
) -> Iterator[pa.Table]:
    """Yield the rows of tables that an output of the removed stage does not name; add `removed` to `counts`."""
    taken = np.load(io.BytesIO(store.read_bytes(removed, REMOVED)))
    pairs = set(zip(taken["f0"].tolist(), taken["f1"].tolist(), strict=True))
    for table in tables:
        high, low = table.column("uid_hi").to_numpy(), table.column("uid_lo").to_numpy()
        stays = np.ones(len(high), np.bool_)
        for row in np.flatnonzero(np.isin(high, taken["f0"])).tolist():
            stays[row] = (int(high[row]), int(low[row])) not in pairs
        if counts is not None:
            counts["removed"] += int((~stays).sum())
        yield table if stays.all() else table.take(pa.array(np.flatnonzero(stays)))


def add_set_tallies(total: npt.NDArray[np.uint64], store: Store, curated: Reference) -> None:
    """Add the entry counts of a set to uint64[n_entries], in place."""
    for file in store.manifest(curated.manifest).files:
        if file.name.endswith(_TALLY):
            add_tally(total, store, curated, file.name)


def balanced_prefix(
    pairs: pq.ParquetFile, t: float, counts: Counter[str], columns: list[str] | None = None
) -> Iterator[pa.Table]:
    """Yield the rows of a balanced file with min_t <= t; later row groups are not read.

    Adds `bytes_read` to `counts`. `columns` are all by default, and must include `min_t`.
    """
    for group in range(pairs.num_row_groups):
        column = pairs.metadata.row_group(group).column(pairs.schema_arrow.get_field_index("min_t"))
        # `entry_ids` is one nested column both in Arrow and in Parquet, so the indices are the same.
        if column.statistics is not None and column.statistics.min > t:
            return
        table = pairs.read_row_group(group, columns=columns)
        counts["bytes_read"] += group_bytes(pairs, group, columns)
        rows = int(np.searchsorted(table.column("min_t").to_numpy(), t, side="right"))
        if rows:
            yield table.slice(0, rows)
        if rows < table.num_rows:
            return


_SHUFFLED = BALANCED.append(pa.field("shuffle_key", pa.uint64(), nullable=False))
_KEYS = ("shuffle_key", "uid_hi", "uid_lo")


def shuffled(tables: Iterator[pa.Table], seed: int) -> Iterator[pa.Table]:
    """Yield the rows of tables of `schemas.BALANCED` in an order of their uids and the seed alone; see `Sorter`."""
    ordered = Sorter(_SHUFFLED, _KEYS, _order)
    for table in tables:
        keys = shuffle_keys(table.column("uid_hi").to_numpy(), table.column("uid_lo").to_numpy(), seed)
        ordered.append(table.append_column(_SHUFFLED.field("shuffle_key"), pa.array(keys)))
    for table in ordered.tables():
        yield table.drop_columns(["shuffle_key"])


def _order(table: pa.Table) -> npt.NDArray[np.int64]:
    return np.lexsort([table.column(key).to_numpy() for key in reversed(_KEYS)])


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


def to_curated(table: pa.Table) -> pa.Table:
    """Convert rows of `schemas.BALANCED` to rows of `schemas.CURATED`."""
    uid = format_uids(table.column("uid_hi").to_numpy(), table.column("uid_lo").to_numpy())
    columns = [uid, *(table.column(name) for name in ("url", "text", *CURATED.names[3:]))]
    return pa.table(columns, schema=CURATED)
