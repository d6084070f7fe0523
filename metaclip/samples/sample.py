"""Samples of the pairs of a finished pool by what became of them: kept, balanced away, without a match, and so on."""

from collections import Counter
from collections.abc import Callable, Sequence
from functools import cached_property, partial
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from metaclip.balance.algorithm import draws, min_t, shuffle_keys
from metaclip.config.language_labels import LABELS
from metaclip.config.settings import format_t
from metaclip.errors import ConfigError, InputError, MetaclipError
from metaclip.explore.pool import FinishedPool
from metaclip.io.client import current_client, downloading
from metaclip.pairs.uids import format_uids
from metaclip.removal.lists import Removals, read_removals
from metaclip.samples.again import SEEN_PARTS, Dropped, look_again
from metaclip.samples.unmatched import COLUMNS, FATES, unmatched
from metaclip.samples.walk import rows_of, start_of, take_from, take_from_shards
from metaclip.schemas import PAIR, PAIRS
from metaclip.stages.source import read_listing
from metaclip.tables.by_group import rows_by_group
from metaclip.tables.csr import csr

STORED = ("kept", "balanced", "no_match", "language", "repeat_in_pool", "no_survivor")
"""Reasons whose rows are in the store."""

BY_LANGUAGE = ("score", "no_metadata")
"""What else the store tells of a pool by language; `language` is there for labels that are not wanted."""

_UIDS = ("uid_hi", "uid_lo")
_LANGUAGE = ("lang", "lang_score")
_WINDOW_ROWS = 200_000
"""Rows of all shards in which repeats are looked for at a time."""


def sample_pairs(
    storage: str,
    name: str,
    why: str = "kept",
    n: int = 20,
    seed: int = 0,
    t: float | None = None,
    entry: str | None = None,
    language: str | None = None,
) -> dict[str, Any]:
    """Return a random sample of the pairs that a pool keeps, or that were left out for a reason.

    The same arguments give the same pairs. Where the store has the rows, they are those that follow an arbitrary
    uid, which the seed decides. What extraction drops is not in the store: the files of a shard are read again,
    shard after shard in an order that the seed decides, until there are enough rows.

    Args:
        storage: root of the store.
        name: name of the pool.
        why: `kept`, `balanced`, `no_match`, `language`, `repeat_in_pool`, `no_survivor`, `repeat` (in a shard or
            over shards), in a pool by language also `score` and `no_metadata`, or a reason of the report, such as
            `image.bad_address`, with or without its first part.
        n: number of pairs.
        seed: of the choice.
        t: for `kept` and `balanced`; None for the pool's own.
        entry: only pairs with this entry, of `kept`, `balanced`, `repeat_in_pool` and `no_survivor`.
        language: only pairs in this language, of reasons whose rows are in the store; in a pool by language those of
            a group, which an entry needs to be named, or those with a label.

    Returns:
        JSON values: `pool`, `why`, `t`, `seed`, `total` (how many the pool has of them, before `entry` and
        `language`; None if not known), `read` (`store`, or how many of how many shards were read again) and `rows`:
        `url`, `text`, `page_url`, and where known `uid`, `lang`, `lang_score`, `text_key`, `entries`, `min_t`.

    Raises:
        ConfigError: unknown pool, reason or entry, or an option that does not apply; the message names the reasons.
        InputError: a file that must be read again is not there.
        StoreError: an output of the pool is missing.
    """
    pool = FinishedPool.open(storage, name)
    sampler = Sampler(pool, pool.t(t), n, seed, entry, language)
    return sampler.sample(why)


class Sampler:
    """Takes samples of one pool."""

    def __init__(
        self, pool: FinishedPool, t: float, n: int, seed: int = 0, entry: str | None = None, language: str | None = None
    ) -> None:
        self._pool, self._t, self._n, self._language = pool, t, n, language
        self._seed = seed
        try:
            self._start = start_of(seed)
        except ValueError as error:
            raise ConfigError(str(error)) from error
        self._check_language(language)
        self._entry_id: int | None = None
        if entry is not None:
            group = pool.group(language) if pool.by_language is not None else None
            if group is not None:
                self._language = group
            self._entry_id = pool.entry_id(entry, group)

    def _check_language(self, language: str | None) -> None:
        """Raise a ConfigError for what is neither a label nor a group of the pool."""
        by_language = self._pool.by_language
        groups = () if by_language is None else by_language.groups.names
        if language is not None and language not in LABELS and language not in groups:
            there = f", and no group of the pool; its groups: {', '.join(groups)}" if groups else ""
            raise ConfigError(f"--language {language}: no label of the language model, such as en, de, zh{there}")

    @cached_property
    def _removals(self) -> Removals:
        return read_removals(self._pool.store, self._pool.config.pool)

    def sample(self, why: str) -> dict[str, Any]:
        """Return a sample of one reason, see `sample_pairs`."""
        reason = self._reason(why)
        ways: dict[str, Callable[[], dict[str, Any]]] = {
            "kept": lambda: self._balanced(kept=True),
            "balanced": lambda: self._balanced(kept=False),
            **{reason: partial(self._unmatched, reason) for reason in FATES},
            "repeat_in_pool": self._repeats,
            "no_survivor": self._no_survivor,
        }
        if self._entry_id is not None and reason in FATES:
            raise ConfigError(f"--entry: pairs of {reason!r} have no entries; `metaclip near` shows what they miss")
        if reason not in ways and (self._entry_id is not None or self._language is not None):
            raise ConfigError(f"--entry and --language: what was left out as {reason!r} has neither")
        found = ways[reason]() if reason in ways else self._again(reason)
        return {
            "pool": self._pool.config.pool,
            "why": reason,
            "t": format_t(self._t),
            "seed": self._seed,
            "total": self.total(reason),
            **found,
        }

    def reasons(self) -> dict[str, int | None]:
        """Return the reasons that a sample can be had of, with the number of pairs of each where it is known."""
        by_language = () if self._pool.by_language is None else BY_LANGUAGE
        named = [*STORED[:-1], *by_language, *(["no_survivor"] if self._pool.survivors else [])]
        found = {reason: self.total(reason) for reason in named}
        seen = {reason: count for reason, count in self._dropped.items() if reason.startswith(SEEN_PARTS)}
        return {**found, **seen}

    def _reason(self, why: str) -> str:
        """Return the full name of a reason."""
        if why == "no_survivor" and not self._pool.survivors:
            raise ConfigError(f"pool {self._pool.config.pool!r} does not consist of survivors of another pool")
        stored = STORED if self._pool.by_language is None else STORED + BY_LANGUAGE
        if why in stored:
            return why
        if why in ("repeat", "pair.repeat"):
            return "pair.repeat" if self._dropped["pair.repeat"] else "repeat_in_pool"
        short = why.removeprefix("pair.")
        if short in stored:
            return short
        known = [reason for reason in self._dropped if why in (reason, reason.partition(".")[2])]
        if len(known) == 1 and known[0].startswith(SEEN_PARTS):
            return known[0]
        if known:
            raise ConfigError(
                f"--why {why}: {self._dropped[known[0]]:,} of {known[0]!r} are counted, and nothing else is known of"
                " them: they are records, pages or parts of files and no pairs"
            )
        there = ", ".join(f"{reason} ({count:,})" for reason, count in self.reasons().items() if count)
        raise ConfigError(f"--why {why}: this pool has left out nothing for this reason; there: {there or 'nothing'}")

    @property
    def _dropped(self) -> Counter[str]:
        """What extraction dropped, by reason."""
        counts: Counter[str] = Counter()
        for manifest in self._pool.manifests("extract"):
            counts.update(manifest.statistics["counts"])
        start = "dropped."
        return Counter({name.removeprefix(start): n for name, n in counts.items() if n and name.startswith(start)})

    def total(self, reason: str) -> int | None:
        """Return how many pairs a reason has, if manifests tell."""
        pool = self._pool
        if reason in ("kept", "balanced"):
            found = pool.sets.get(format_t(self._t))
            if found is None:
                return None
            kept = int(pool.store.manifest(found.manifest).statistics["counts"]["curated"])
            return kept if reason == "kept" else pool.pairs - kept
        if reason in FATES:
            counts: Counter[str] = Counter()
            for manifest in pool.manifests("match"):
                counts.update(manifest.statistics["counts"])
            if pool.by_language is not None:
                return counts[f"dropped.{FATES[reason]}"]
            language = counts["kept_by_language"]
            return counts["pairs"] - language if reason == "language" else language - counts["matched"]
        if reason == "repeat_in_pool":
            matched = sum(manifest.rows for manifest in pool.manifests("match"))
            return matched - sum(manifest.rows for manifest in pool.manifests("dedup"))
        if reason == "no_survivor":
            unique = sum(manifest.rows for manifest in pool.manifests("dedup"))
            return unique - sum(manifest.rows for manifest in pool.manifests("survive"))
        return self._dropped[reason]

    def _asked(self, table: pa.Table, rows: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """Return those of the rows that have the entry and the language that were asked for."""
        if self._language is not None:
            rows = rows[self._in_language(table)[rows]]
        if self._entry_id is not None:
            offsets, ids = csr(table.column("entry_ids"))
            has = np.unique(np.searchsorted(offsets, np.flatnonzero(ids == self._entry_id), side="right") - 1)
            rows = np.intersect1d(rows, has)
        return rows

    def _in_language(self, table: pa.Table) -> npt.NDArray[np.bool_]:
        """Return which rows are in the language that was asked for, bool[n]: a group, or else a label."""
        by_language = self._pool.by_language
        if by_language is None or self._language not in by_language.groups.names:
            return np.asarray(pc.equal(table.column("lang"), self._language).to_numpy(), np.bool_)
        groups = by_language.groups
        of_rows = groups.of_rows(table.column("lang"), table.column("lang_score"))
        return np.asarray(of_rows == groups.names.index(self._language), np.bool_)

    def _balanced(self, *, kept: bool) -> dict[str, Any]:
        pool = self._pool

        def thresholds(table: pa.Table) -> npt.NDArray[np.float64]:
            high, low = (table.column(name).to_numpy() for name in _UIDS)
            uniform = draws(high, low, pool.config.balance.seed)
            if pool.by_language is not None:
                return pool.group_counts.min_t_of(table, uniform)
            return np.asarray(min_t(pool.counts, *csr(table.column("entry_ids")), uniform), np.float64)

        def choose(table: pa.Table) -> npt.NDArray[np.int64]:
            rows = self._asked(table, np.arange(table.num_rows))
            inside = thresholds(table.take(pa.array(rows))) <= self._t
            chosen: npt.NDArray[np.int64] = rows[inside == kept]
            return chosen

        found = take_from(pool.store, pool.partitions, self._start, (*_UIDS, "entry_ids", *_LANGUAGE), choose, self._n)
        rows = self._shown(found)
        if found is not None:
            for row, threshold in zip(rows, thresholds(found), strict=True):
                row["min_t"] = float(threshold)
        return {"read": {"from": "store"}, "rows": rows}

    def _unmatched(self, reason: str) -> dict[str, Any]:
        """Return pairs of extracted shards that have no entry, or whose language was not asked for one."""
        choose = unmatched(self._pool, reason, self._asked)
        shards = self._pool.all("extract")
        found, read = take_from_shards(self._pool.store, shards, self._start, COLUMNS, choose, self._n)
        return {"read": {"from": "store", "shards": read, "of": len(shards)}, "rows": self._shown(found)}

    def _no_survivor(self) -> dict[str, Any]:
        pool = self._pool
        survived: dict[str, set[tuple[int, int]]] = {}

        def choose(table: pa.Table) -> npt.NDArray[np.int64]:
            high, low = (table.column(name).to_numpy().tolist() for name in _UIDS)
            partitions = pool.partitions
            part = partitions[high[0] * len(partitions) >> 64].folder
            if part not in survived:
                survived.clear()
                kept = pool.store.open_parquet(partitions[high[0] * len(partitions) >> 64], PAIRS).read(list(_UIDS))
                survived[part] = set(zip(*(kept.column(name).to_pylist() for name in _UIDS), strict=True))
            gone = [row for row, uid in enumerate(zip(high, low, strict=True)) if uid not in survived[part]]
            return self._asked(table, np.array(gone, np.int64))

        columns = (*_UIDS, "entry_ids", *_LANGUAGE)
        found = take_from(pool.store, pool.all("dedup"), self._start, columns, choose, self._n)
        return {"read": {"from": "store"}, "rows": self._shown(found)}

    def _repeats(self) -> dict[str, Any]:
        """Return pairs that several shards have, without the copy that stays; windows of uids of all shards."""
        pool, rows = self._pool, list[dict[str, Any]]()
        matched = pool.manifests("match")
        windows = max(1, sum(manifest.rows for manifest in matched) // _WINDOW_ROWS)
        if self.total("repeat_in_pool"):
            first = self._start * windows >> 64
            for turn in range(windows):
                number = (first + turn) % windows
                bounds = (number << 64) // windows, ((number + 1) << 64) // windows
                rows += self._repeats_between(*bounds)
                if len(rows) >= self._n:
                    break
        return {"read": {"from": "store"}, "rows": rows[: self._n]}

    def _repeats_between(self, first: int, end: int) -> list[dict[str, Any]]:
        pool, tables = self._pool, list[pa.Table]()
        for shard in pool.all("match"):
            file = pool.store.open_parquet(shard, PAIRS)
            for group in range(file.num_row_groups):
                bounds = file.metadata.row_group(group).column(0).statistics
                if bounds is None or (bounds.max >= first and bounds.min < end):
                    table = file.read_row_group(group)
                    high = table.column("uid_hi").to_numpy()
                    low_row = int(np.searchsorted(high, np.uint64(first)))
                    tables.append(
                        table.slice(low_row, int(np.searchsorted(high, np.uint64(end - 1), "right")) - low_row)
                    )
        whole = pa.concat_tables(tables, promote_options="permissive")  # kept columns may have several types
        whole = whole.append_column("row", pa.array(np.arange(whole.num_rows)))
        keys = [(name, "ascending") for name in (*_UIDS, "page_url", "text_key", "row")]
        whole = whole.take(pc.sort_indices(whole.select([name for name, _ in keys]), sort_keys=keys)).drop_columns(
            ["row"]
        )
        high, low = (whole.column(name).to_numpy() for name in _UIDS)
        again = 1 + np.flatnonzero((high[1:] == high[:-1]) & (low[1:] == low[:-1]))
        return self._shown(whole.take(pa.array(self._asked(whole, again)[: self._n])))

    def _again(self, reason: str) -> dict[str, Any]:
        """Read shards again until enough rows of the reason are found."""
        pool = self._pool
        listing = read_listing(pool.store, pool.stages["source"])
        manifests = pool.manifests("extract")
        with_some = [
            number for number, one in enumerate(manifests) if one.statistics["counts"].get(f"dropped.{reason}")
        ]
        if len(listing) != len(pool.stages["extract"]):
            raise InputError("the pool's listing is of another number of shards; run the pool again")
        places = np.array(with_some, np.uint64)
        order = np.array(with_some)[np.argsort(_hashes(places, self._seed), kind="stable")].tolist()
        dropped = Dropped(reason, self._n, self._seed)
        source, read = pool.config.source, 0
        for shard in order:
            with downloading(current_client()):
                try:
                    columns = (source.url_column, source.text_column)
                    failed = {file["path"] for file in manifests[shard].statistics["failed_files"]}
                    look_again(listing[shard], pool.config.extract, columns, dropped, failed)
                except (MetaclipError, FileNotFoundError) as error:
                    raise InputError(
                        f"what was left out as {reason!r} is not in the store, and cannot be read again: {error}"
                    ) from error
            read += 1
            if dropped.found >= self._n:
                break
        return {"read": {"from": "files", "shards": read, "of": len(listing)}, "rows": dropped.rows}

    def _shown(self, table: pa.Table | None) -> list[dict[str, Any]]:
        if table is None:
            return []
        if self._removals:  # what was asked to be taken out is not shown either
            named, _ = self._removals.named(table)
            table = table.filter(pa.array(~named))
        uids = format_uids(*(table.column(name).to_numpy() for name in _UIDS)).to_pylist()
        shown = rows_of(table.select([name for name in PAIR.names if name not in _UIDS]))
        names: Sequence[list[str]] = [[] for _ in shown]
        if "entry_ids" in table.column_names:
            names = self._named(table)
        for row, uid, own in zip(shown, uids, names, strict=True):
            row |= {"uid": uid, **({"entries": own} if own else {})}
        return shown

    def _named(self, table: pa.Table) -> list[list[str]]:
        """Return the spellings of each pair's entries."""
        listed = table.column("entry_ids").to_pylist()
        pool, names = self._pool, list[list[str]]([[] for _ in listed])
        everything = np.arange(len(listed))
        groups = [(None, everything)] if pool.by_language is None else rows_by_group(pool.by_language.groups, table)
        for group, rows in groups:
            entries = pool.entries_of(group).column("entry")
            for row in rows.tolist():
                names[row] = entries.take(pa.array(listed[row])).to_pylist()
        return names


def _hashes(places: npt.NDArray[np.uint64], seed: int) -> npt.NDArray[np.uint64]:
    return shuffle_keys(places, places, seed)
