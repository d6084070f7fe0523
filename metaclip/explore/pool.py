"""A finished pool, opened by its record: its configuration, and the addresses of its outputs."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import PurePosixPath
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from metaclip.balance.counts import keep_share
from metaclip.config.loading import parse_config
from metaclip.config.settings import Config, format_t
from metaclip.errors import ConfigError, StoreError
from metaclip.io.storage.files import side_by_side
from metaclip.metadata.list_job import read_entries
from metaclip.pool.record import read_record
from metaclip.processes.shell import command
from metaclip.schemas import PAIRS
from metaclip.stages.count import read_counts
from metaclip.stages.group_counts import ByLanguage, GroupCounts
from metaclip.store.manifest import Manifest, Reference
from metaclip.store.store import Store


@dataclass(frozen=True)
class FinishedPool:
    """A pool's record; outputs are opened when they are needed.

    References are made from addresses only, so that a pool of many shards opens quickly. So their `rows`
    are always 0.
    """

    store: Store
    config: Config
    stages: dict[str, Any]

    @classmethod
    def open(cls, storage: str, name: str) -> "FinishedPool":
        """Read the record of a pool.

        Raises:
            ConfigError: if the store has no finished pool of that name; the message names its pools.
        """
        store = Store(storage)
        record = read_record(store, name)
        return cls(store, parse_config({**record["config"], "storage": storage}, f"pool {name}"), record["stages"])

    def one(self, stage: str) -> Reference:
        """Return the output of a stage that has one output for the whole pool."""
        return reference(self.stages[stage])

    def all(self, stage: str) -> list[Reference]:
        """Return the outputs of a stage, by shard or by partition."""
        return [reference(address) for address in self.stages[stage]]

    @property
    def lists(self) -> dict[str, Reference]:
        """The list of entries of each group of languages by its name, or the one for all texts by the empty name."""
        named = self.stages["metadata"]
        return {
            name: reference(address) for name, address in ({"": named} if isinstance(named, str) else named).items()
        }

    @property
    def survivors(self) -> bool:
        """Whether the pool consists of survivors of another pool, counted and balanced again."""
        return "survive" in self.stages

    @property
    def partitions(self) -> list[Reference]:
        """The pairs that were counted and balanced, sorted by uid, in the order of the balanced partitions."""
        return self.all("survive" if self.survivors else "dedup")

    @property
    def sets(self) -> dict[str, Reference]:
        """The sets of the pool, by t as text, ascending."""
        return {t: reference(addresses[0]) for t, addresses in self.stages["curate"].items()}

    def set(self, t: float | None = None) -> Reference:
        """Return the set that was cut at t, or at the pool's own.

        Raises:
            ConfigError: where there is none, or t is not above 0; the message names those there.
        """
        wanted = format_t(self.t(t))
        if wanted not in self.sets:
            name = self.config.pool
            raise ConfigError(
                f"pool {name!r} has no set at t = {wanted}; there: {', '.join(self.sets)}."
                f" Cut it first: {command('metaclip', 'rebalance', name, '--storage', self.store.root, '--t', wanted)}"
            )
        return self.sets[wanted]

    @cached_property
    def by_language(self) -> ByLanguage | None:
        """Groups and rule of a pool with lists by language; None where one list is for all texts."""
        return ByLanguage.of(self.config.groups, self.config.balance)

    @cached_property
    def group_counts(self) -> GroupCounts:
        """Counts and thresholds of a pool by language.

        Raises:
            ConfigError: if one list is for all texts.
        """
        if self.by_language is None:
            raise ConfigError(f"pool {self.config.pool!r} has one list for all texts, and so no counts by language")
        return GroupCounts(self.store, self.one("count"), self.by_language)

    @cached_property
    def counts(self) -> npt.NDArray[np.uint64]:
        """How many texts of the pool contain each entry, uint64[n_entries]; of all groups one after the other."""
        if self.by_language is not None:
            return self.group_counts.concatenated()
        return read_counts(self.store, self.one("count"))

    @cached_property
    def entries(self) -> pa.Table:
        """The entries of the one list for all texts, of `schemas.ENTRY`."""
        return read_entries(self.store, self.one("metadata"))

    def entries_of(self, group: str | None) -> pa.Table:
        """Return the entries of a group's list, of `schemas.ENTRY`; None for those of the one list."""
        return self.entries if group is None else read_entries(self.store, self.lists[group])

    def entry_id(self, entry: str, group: str | None = None) -> int:
        """Return the id of an entry in a group's list, or in the one list.

        Raises:
            ConfigError: it is not in the list.
        """
        at = int(pc.index(self.entries_of(group).column("entry"), entry).as_py())
        if at < 0:
            raise ConfigError(f"{entry!r} is not in the list; entries are case-sensitive")
        return at

    def counts_of(self, group: str | None) -> npt.NDArray[np.uint64]:
        """Return the counts of a group's entries, uint64[n_entries]; None for those of the one list."""
        return self.counts if group is None else self.group_counts.counts(group)

    def t_of(self, group: str | None, t: float) -> float:
        """Return what a t of the reference language is in a group."""
        return t if group is None else self.group_counts.t(group, t)

    def group(self, name: str | None) -> str | None:
        """Return a group that a command names; None in a pool with one list for all texts.

        Raises:
            ConfigError: if the pool has no such group, or several where none is named.
        """
        if self.by_language is None:
            if name is not None:
                raise ConfigError(f"pool {self.config.pool!r} has one list for all texts; leave --language out")
            return None
        names = self.by_language.groups.names
        if name is None and len(names) == 1:
            return names[0]
        if name not in names:
            said = "name a language with --language" if name is None else f"no group {name!r} in this pool"
            raise ConfigError(f"{said}; there: {', '.join(names)}")
        return name

    def manifests(self, stage: str) -> list[Manifest]:
        """Read the manifests of all outputs of a stage.

        Raises:
            StoreError: if one of them is missing.
        """
        return side_by_side(self.store.manifest, self.stages[stage])

    @cached_property
    def balanced(self) -> list[Manifest]:
        """The manifests of the balanced partitions."""
        return self.manifests("balance")

    @property
    def pairs(self) -> int:
        """Number of distinct pairs with a matched entry."""
        return sum(manifest.rows for manifest in self.balanced)

    @property
    def balanced_bytes(self) -> int:
        """Size of the balanced partitions' files."""
        return sum(file.bytes for manifest in self.balanced for file in manifest.files)

    def t(self, t: float | None) -> float:
        """Return t, or the pool's own if none is given.

        Raises:
            ConfigError: if t is not above 0.
        """
        if t is None:
            return self.config.balance.threshold
        if math.isnan(t) or t <= 0:
            raise ConfigError(f"t must be above 0, or inf; got {t}")
        return float(t)


def reference(address: str) -> Reference:
    """Return a reference from the address of a manifest, without reading it."""
    return Reference(address, PurePosixPath(address).parent.name, 0)


@dataclass(frozen=True)
class RowGroup:
    """Some columns of one row group of an output's pairs."""

    file: pq.ParquetFile
    address: str
    number: int
    columns: tuple[str, ...]

    def read(self, columns: Sequence[str] = ()) -> pa.Table:
        """Read its columns, or others.

        Raises:
            StoreError: if they are damaged.
        """
        try:
            return self.file.read_row_group(self.number, columns=list(columns or self.columns))
        except (OSError, pa.ArrowException) as error:
            raise StoreError(
                f"{self.address}: row group {self.number} cannot be read: {error}; delete the file and run the pool"
                " again, which remakes it"
            ) from error

    def bounds(self, column: str) -> tuple[Any, Any] | None:
        """Return the smallest and largest value of a flat column, if the file has them."""
        stated = self.file.metadata.row_group(self.number)
        statistics = stated.column(self.file.schema_arrow.get_field_index(column)).statistics
        return (statistics.min, statistics.max) if statistics is not None and statistics.has_min_max else None

    @property
    def bytes(self) -> int:
        """Size of its columns in the file."""
        stated = self.file.metadata.row_group(self.number)
        parts = [stated.column(number) for number in range(stated.num_columns)]
        return sum(part.total_compressed_size for part in parts if part.path_in_schema.split(".")[0] in self.columns)


def row_groups(store: Store, output: Reference, *columns: str) -> Iterator[RowGroup]:
    """Yield an output's pairs by row group; only the footer is read before a row group is used."""
    file = store.open_parquet(output, PAIRS)
    for number in range(file.num_row_groups):
        yield RowGroup(file, store.address(f"{output.folder}/{PAIRS}"), number, columns)


def entry_rows(
    pool: FinishedPool, entry_ids: Sequence[int], t: float, group: str | None = None
) -> list[dict[str, Any]]:
    """Return id, entry, source, count and keep probability min(1, t / count) of entries, as JSON values.

    In a pool by language the ids are of a group's list, t is that of the reference language, and `kept_from` is
    the smallest t of it at which all matches of the entry are kept.
    """
    columns = pool.entries_of(group).select(["entry_id", "entry", "source"])
    rows: list[dict[str, Any]] = columns.take(pa.array(entry_ids, pa.int64())).to_pylist()
    counts, own_t = pool.counts_of(group), pool.t_of(group, t)
    for row in rows:
        row["count"] = int(counts[row["entry_id"]])
        row["keep_probability"] = keep_share(row["count"], own_t)
        if group is not None:
            # As for `keep_probability`, an entry without a match is one with so few that nothing is sampled down.
            own = np.array([float(max(row["count"], 1))])
            there = pool.group_counts.thresholds[group].matches
            row["kept_from"] = float(pool.group_counts.min_t(group, own)[0]) if there else None
    return rows


def pair_probability(shares: Sequence[float]) -> float:
    """Return 1 - prod(1 - p), the probability that Algorithm 1 keeps a pair whose entries have these p."""
    return 1.0 - math.prod(1.0 - share for share in shares)
