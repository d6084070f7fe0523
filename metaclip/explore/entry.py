"""One entry of a finished pool: its matches in the pool and in the set, and samples of its texts."""

import difflib
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from metaclip.balance.algorithm import draws, min_t
from metaclip.balance.tally import add_tally
from metaclip.config.settings import format_t
from metaclip.errors import ConfigError, InputError
from metaclip.explore.pool import FinishedPool, RowGroup, entry_rows, row_groups
from metaclip.kernels.jit import plainly
from metaclip.matching.spacing import can_match
from metaclip.matching.variants import loose
from metaclip.pairs.uids import format_uids
from metaclip.stages.curate import add_set_tallies
from metaclip.stages.dedup import TALLY
from metaclip.store.manifest import Reference
from metaclip.tables.by_group import rows_by_group
from metaclip.tables.csr import csr

READERS = 4
"""Number of partitions that are read in parallel."""
SHOWN = ("url", "text", "page_url", "lang")


def describe_entry(
    storage: str,
    name: str,
    entry: str | None = None,
    entry_id: int | None = None,
    t: float | None = None,
    samples: int = 5,
    language: str | None = None,
) -> dict[str, Any]:
    """Describe an entry of a pool, given by its spelling or by its id.

    If the pool has a set of that t, or the entry has at most t matches, no pair is read for `curated`;
    otherwise the entry ids of the pairs up to t are read. Samples are the pairs with the smallest uids.
    uids are hashes, so this is a random sample. Partitions are ranges of uids, so for all but rare
    entries only the first partition is read.

    Returns:
        JSON values: id, entry, source, count, `rank` by count (entries with equal counts share it),
        shares of all matches and of all pairs, `keep_probability` at t, `curated` pairs of it at t,
        and samples with uid, addresses, text and min_t. In a pool by language also `language`, `own_t`, what t is
        in it, and `kept_from`, the smallest t at which all of its matches are kept; ranks and shares are of its list.

    Raises:
        ConfigError: unknown pool or language, several languages and none named, t not above 0, or not exactly one of
            entry and id given.
        InputError: no such entry; the message names similar ones.
        StoreError: an output of the pool is missing.
    """
    if (entry is None) == (entry_id is None):
        raise ConfigError("give either the entry or its id")
    pool = FinishedPool.open(storage, name)
    t = pool.t(t)
    group = pool.group(language)
    entry_id = _id_of(pool, group, entry) if entry is not None else _checked_id(pool, group, entry_id or 0)
    (row,) = entry_rows(pool, [entry_id], t, group)
    counts, count = pool.counts_of(group), row["count"]
    matches = int(counts.sum())
    reader = _EntryReader(pool, entry_id, group)
    curated, told_by = reader.curated(t, count)
    first = pc.index(pool.entries_of(group).column("entry"), row["entry"]).as_py()
    return {
        "pool": name,
        "t": format_t(t),
        **({} if group is None else {"language": group, "own_t": format_t(pool.t_of(group, t))}),
        **row,
        "rank": 1 + int((counts > count).sum()) if count else None,
        "share_of_matches": count / matches if matches else None,
        "share_of_pairs": count / pool.pairs if pool.pairs else None,
        "curated": curated,
        "curated_told_by": told_by,
        "can_match": pool.config.match.space_entries or can_match(row["entry"]),
        "repeats": first if first != entry_id else None,
        "samples": reader.samples(min(samples, count), t),
        "megabytes_read": round(reader.bytes_read / 1e6, 3),
    }


def _checked_id(pool: FinishedPool, group: str | None, entry_id: int) -> int:
    entries = len(pool.counts_of(group))
    if not 0 <= entry_id < entries:
        raise InputError(f"no entry has the id {entry_id}: ids are 0 to {entries - 1}")
    return entry_id


def _id_of(pool: FinishedPool, group: str | None, entry: str) -> int:
    entries = pool.entries_of(group).column("entry")
    at = int(pc.index(entries, entry).as_py())
    if at < 0:
        near = ", ".join(map(repr, _near(entry, entries))) or "none"
        raise InputError(f"{entry!r} is not in the list; entries are case-sensitive; near: {near}")
    return at


def _near(entry: str, entries: pa.ChunkedArray, most: int = 8) -> list[str]:
    """Return entries with the same loose form, then those with the same beginning and a similar spelling."""
    forms = loose(entries)
    (form,) = loose(pa.array([entry])).to_pylist()
    same = entries.filter(pc.equal(forms, form)).to_pylist() if form else []
    alike = entries.filter(pc.starts_with(forms, form[:2])).to_pylist()[:20_000] if form else []
    # Each once, those with the same loose form first.
    return list(dict.fromkeys([*same, *difflib.get_close_matches(entry, alike, most, 0.75)]))[:most]


class _EntryReader:
    """Reads only those parts of a pool that are needed for one entry."""

    def __init__(self, pool: FinishedPool, entry_id: int, group: str | None) -> None:
        self._pool = pool
        self._entry_id = entry_id
        self._group = group
        self._columns = ("entry_ids",) if group is None else ("entry_ids", "lang", "lang_score")
        self.bytes_read = 0

    def curated(self, t: float, count: int) -> tuple[int, str]:
        """Return the exact number of pairs with the entry in the set for t, and where the number comes from."""
        if count <= self._pool.t_of(self._group, t):
            return count, "in the tail, which is kept whole"
        found = self._pool.sets.get(format_t(t))
        if found is not None:
            total = np.zeros_like(self._pool.counts_of(self._group))
            add_set_tallies(total, self._pool.store, found, self._group)
            return int(total[self._entry_id]), "from the counts of the set"
        with ThreadPoolExecutor(READERS) as threads:
            parts = list(threads.map(lambda part: self._count(part, t), self._pool.all("balance")))
        self.bytes_read += sum(size for _, size in parts)
        return sum(found for found, _ in parts), "counted in the pairs up to t"

    def _count(self, balanced: Reference, t: float) -> tuple[int, int]:
        """Count one partition's pairs up to t with the entry; also return the bytes that were read."""
        found = read = 0
        for group in row_groups(self._pool.store, balanced, *self._columns, "min_t"):
            bounds = group.bounds("min_t")
            if bounds is not None and bounds[0] > t:
                break
            table = group.read()
            read += group.bytes
            kept = int(np.searchsorted(table.column("min_t").to_numpy(), t, side="right"))
            found += int((self._rows(table) < kept).sum())
        return found, read

    def samples(self, wanted: int, t: float) -> list[dict[str, Any]]:
        """Return the pairs with the smallest uids that contain the entry."""
        found: list[dict[str, Any]] = []
        for partition in self._pool.partitions:
            if len(found) == wanted:
                break
            here = np.zeros_like(self._pool.counts_of(self._group))
            add_tally(here, self._pool.store, partition, TALLY, self._group)
            left = min(wanted - len(found), int(here[self._entry_id]))
            for group in row_groups(self._pool.store, partition, "uid_hi", "uid_lo", *self._columns):
                if not left:
                    break
                table = group.read()
                self.bytes_read += group.bytes
                rows = self._rows(table)[:left]
                left -= len(rows)
                if len(rows):
                    found += self._sample(group, table.take(pa.array(rows)), rows, t)
        return found

    def _sample(self, group: RowGroup, table: pa.Table, rows: npt.NDArray[np.int64], t: float) -> list[dict[str, Any]]:
        shown = group.read(SHOWN).take(pa.array(rows)).to_pylist()
        high, low = (table.column(name).to_numpy() for name in ("uid_hi", "uid_lo"))
        uniform = draws(high, low, self._pool.config.balance.seed)
        with plainly():
            thresholds = min_t(self._pool.counts_of(self._group), *csr(table.column("entry_ids")), uniform)
        if self._group is not None:
            thresholds = self._pool.group_counts.min_t(self._group, thresholds)
        uids = format_uids(high, low).to_pylist()
        return [
            {"uid": uid, **values, "min_t": float(threshold), "kept": bool(threshold <= t)}
            for uid, values, threshold in zip(uids, shown, thresholds, strict=True)
        ]

    def _rows(self, table: pa.Table) -> npt.NDArray[np.int64]:
        """Return the rows that contain the entry, ascending."""
        offsets, ids = csr(table.column("entry_ids"))
        rows = np.searchsorted(offsets, np.flatnonzero(ids == self._entry_id), side="right") - 1
        if self._pool.by_language is None:
            return rows
        # The same id is of another entry in the texts of another language.
        of_group = dict(rows_by_group(self._pool.by_language.groups, table)).get(str(self._group), rows[:0])
        return np.intersect1d(rows, of_group)
