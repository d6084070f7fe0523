"""`metaclip.open`: a finished pool, with its pairs as Arrow datasets and its answers as Python values."""

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds
from markupsafe import Markup

from metaclip.config.settings import Config, format_t
from metaclip.errors import StoreError
from metaclip.explore.entry import describe_entry
from metaclip.explore.explain import explain_text
from metaclip.explore.misses import describe_misses
from metaclip.explore.pool import FinishedPool
from metaclip.explore.sizes import plan_sizes
from metaclip.explore.trace import trace_pair
from metaclip.io.object_store import connect
from metaclip.opened.shown import Rows, Told, table_html
from metaclip.samples.sample import sample_pairs
from metaclip.schemas import PAIRS


def open(storage: str | Path, name: str) -> "Pool":  # noqa: A001 (called as metaclip.open)
    """Open a finished pool for reading.

    Args:
        storage: root of the store: a folder, or an address such as s3://bucket/prefix.
        name: name of the pool.

    Raises:
        ConfigError: the store has no finished pool of that name; the message names its pools.
        StoreError: the store cannot be read.
    """
    return Pool(FinishedPool.open(str(storage), name))


class Pool:
    """A finished pool: its pairs, its entries, and what it tells of sizes, texts, entries and pairs.

    Nothing is read before it is asked for, and nothing is ever written.
    """

    def __init__(self, finished: FinishedPool, summary: dict[str, Any] | None = None) -> None:
        self._finished = finished
        self.summary = summary
        """The summary of the run that made it, if `metaclip.run` did; its t is that of this run."""

    @property
    def name(self) -> str:
        """The name of the pool."""
        return self._finished.config.pool

    @property
    def storage(self) -> str:
        """The root of the store."""
        return self._finished.store.root

    @property
    def config(self) -> Config:
        """The configuration of its last run."""
        return self._finished.config

    @property
    def t(self) -> float:
        """The pool's own t."""
        return self._finished.t(None)

    def __len__(self) -> int:
        """Return the number of distinct pairs with a matched entry."""
        return self._finished.pairs

    def pairs(self, t: float | None = None) -> ds.Dataset:
        """Return the pairs that t keeps as an Arrow dataset with the columns of `schemas.BALANCED`.

        Any t will do, whether a set was cut at it or not: files are sorted by `min_t`, and row groups beyond t are
        not read. Nothing is read before the dataset is scanned. `to_table`, `to_batches`, `head` and `count_rows`
        are Arrow's; pandas, polars and DuckDB take such datasets.

        Args:
            t: above 0, or infinity for all pairs of the pool; None for the pool's own t.

        Raises:
            ConfigError: t is not above 0.
            StoreError: a file is missing, or has another size than its manifest states.
        """
        t = self._finished.t(t)
        store, parts = self._finished.store, self._finished.all("balance")
        for part in parts:
            if store.find(part.manifest) is None:
                raise StoreError(
                    f"{store.address(part.folder)}: is not whole; run the pool again, which makes what is missing anew"
                )
        system, _ = connect(store.root)
        paths = [store.path(f"{part.folder}/{PAIRS}") for part in parts]
        whole = ds.dataset(paths, filesystem=system, format="parquet")
        return whole.filter(pc.field("min_t") <= t)

    @cached_property
    def entries(self) -> pa.Table:
        """The list: `entry_id`, `entry`, `source`, and `count`, the number of the pool's pairs with the entry.

        In a pool by language the lists of all groups, with `language` before the other columns.
        """
        finished, tables = self._finished, list[pa.Table]()
        by_language = finished.by_language
        for group in (None,) if by_language is None else by_language.groups.names:
            listed = finished.entries_of(group).select(["entry_id", "entry", "source"])
            table = listed.append_column("count", pa.array(finished.counts_of(group)))
            if group is not None:
                table = table.add_column(0, "language", pa.repeat(group, table.num_rows))
            tables.append(table)
        return pa.concat_tables(tables)

    def plan(
        self, ts: Sequence[float] = (), target_pairs: Sequence[int] = (), tail_shares: Sequence[float] = ()
    ) -> Rows:
        """Return the size of the set at each t, for each size the t, or both for a ladder of t; exact.

        The rows are `sizes` of `metaclip plan --json`.
        """
        found = plan_sizes(self.storage, self.name, list(ts), list(target_pairs), list(tail_shares))
        return Rows(found["sizes"], f"{self.name}: {found['pairs']:,} pairs, {found['matches']:,} matches")

    def explain(self, text: str, t: float | None = None, language: str | None = None) -> Told:
        """Return how the pool treats a text, as `metaclip explain --json` does; `language` in place of its label."""
        return Told(explain_text(self.storage, self.name, text, t, language))

    def entry(self, entry: str, t: float | None = None, samples: int = 5, language: str | None = None) -> Told:
        """Return what the pool knows of an entry, as `metaclip entry --json` does; by language, of that of a group."""
        return Told(describe_entry(self.storage, self.name, entry, None, t, samples, language))

    def trace(self, uid: str) -> Told:
        """Return where a pair came from and what became of it, as `metaclip trace --json` does."""
        return Told(trace_pair(self.storage, self.name, uid))

    def sample(
        self,
        why: str = "kept",
        n: int = 20,
        seed: int = 0,
        t: float | None = None,
        entry: str | None = None,
        language: str | None = None,
    ) -> Rows:
        """Return a random sample of the pairs that are kept, or left out for a reason; see docs/sample.md."""
        found = sample_pairs(self.storage, self.name, why, n, seed, t, entry, language)
        total = "" if found["total"] is None else f" of {found['total']:,}"
        return Rows(found["rows"], f"{found['why']}: {len(found['rows']):,}{total}")

    def near(self, n: int = 20, entry: str | None = None, language: str | None = None) -> Rows:
        """Return the entries that texts miss by case, punctuation, spacing or a plural; see docs/near.md."""
        found = describe_misses(self.storage, self.name, n, entry, language)
        return Rows(found["rows"], f"{found['texts_that_miss']:,} of {found['texts']:,} texts miss an entry")

    def diff(self, other: "Pool", t: float | None = None, other_t: float | None = None) -> "Told":
        """Return how this set and that of another pool, or of another t, differ; see docs/diff.md.

        Args:
            other: another pool, or this one.
            t: of this set; None for the pool's own.
            other_t: of the other set; None for its pool's own.
        """
        from metaclip.opened.difference import compare

        return Told(compare(self._finished, other._finished, t, other_t))

    def __repr__(self) -> str:
        return f"metaclip.open({self.storage!r}, {self.name!r})  # {len(self):,} pairs, t = {format_t(self.t)}"

    def _repr_html_(self) -> str:
        finished = self._finished
        told = {
            "store": self.storage,
            "pairs": len(self),
            "entries": len(finished.counts),
            "entries with matches": int((finished.counts > 0).sum()),
            "matches": int(finished.counts.sum()),
            "t": format_t(self.t),
            "sets at t": ", ".join(finished.sets),
        }
        title = Markup("<b>pool {}</b>").format(self.name)
        return f"{title}{table_html('', [{'': name, ' ': value} for name, value in told.items()])}"
