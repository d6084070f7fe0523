"""The index of a whole pool: lists of rows over all segments, what t keeps of them, and random rows of them."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from metaclip.browse.index_job import HOST, LANGUAGE, WORD, BrowseIndexJob, Rows, words
from metaclip.browse.segment import Segment
from metaclip.explore.pool import FinishedPool
from metaclip.pairs.uids import format_uids
from metaclip.removal.lists import read_removals
from metaclip.store.manifest import Reference

MOST_NAMES = 200
"""Hosts that are listed."""
NEIGHBOUR_ROWS = 5_000
"""Pairs of an entry whose other entries are counted."""


@dataclass(frozen=True)
class Found:
    """Rows of a pool: by segment, ascending, so in each segment in the order of min_t."""

    parts: tuple[Rows, ...]

    @property
    def total(self) -> int:
        """How many."""
        return sum(map(len, self.parts))

    def of_set(self, kept: Sequence[int], inside: bool = True) -> "Found":
        """Return those that a set has, or those that it leaves out; `kept` is what it has of each segment."""
        cuts = [int(np.searchsorted(part, some)) for part, some in zip(self.parts, kept, strict=True)]
        chosen = [part[:cut] if inside else part[cut:] for part, cut in zip(self.parts, cuts, strict=True)]
        return Found(tuple(chosen))

    def both(self, other: "Found") -> "Found":
        """Return the rows of both."""
        return Found(tuple(_shared(a, b) for a, b in zip(self.parts, other.parts, strict=True)))

    def some(self, n: int, seed: int) -> list[tuple[int, int]]:
        """Return n of them at random, as (segment, row); the seed decides which."""
        total = self.total
        places = np.random.default_rng(seed).permutation(total) if total <= n else _distinct(total, n, seed)
        ends = np.cumsum([len(part) for part in self.parts])
        segments = np.searchsorted(ends, places, side="right")
        starts = np.concatenate([[0], ends])
        return [
            (int(number), int(self.parts[number][place - starts[number]]))
            for number, place in zip(segments, places, strict=True)
        ]


def _distinct(total: int, n: int, seed: int) -> npt.NDArray[np.int64]:
    """Return n distinct numbers below total, which is larger, in random order."""
    draw = np.random.default_rng(seed)
    found: dict[int, None] = {}
    while len(found) < n:
        found.update(dict.fromkeys(draw.integers(total, size=n).tolist()))
    return np.array(list(found)[:n], np.int64)


def _shared(a: Rows, b: Rows) -> Rows:
    """Return what two ascending lists have both; the shorter one is looked up in the longer one."""
    short, long = (a, b) if len(a) <= len(b) else (b, a)
    if not len(short):
        return short
    place = np.minimum(np.searchsorted(long, short), len(long) - 1)
    found: Rows = short[long[place] == short]
    return found


def index_jobs(pool: FinishedPool) -> list[BrowseIndexJob]:
    """Return the jobs that index a finished pool, one for each partition."""
    if pool.by_language is None:
        return [BrowseIndexJob(part) for part in pool.all("balance")]
    first = tuple(pool.group_counts.offsets.items())
    return [BrowseIndexJob(part, first, pool.by_language.groups) for part in pool.all("balance")]


class PoolIndex:
    """The index of a pool, opened.

    Raises:
        StoreError: an output of it is missing, or was altered.
    """

    def __init__(self, pool: FinishedPool, outputs: Sequence[Reference]) -> None:
        self._pool = pool
        self.segments = [
            Segment(pool.store, output, number)
            for output in outputs
            for number in range(len(pool.store.manifest(output.manifest).statistics["segments"]))
        ]
        self.pairs = sum(segment.rows for segment in self.segments)
        self._removals = read_removals(pool.store, pool.config.pool)
        self.kept = lru_cache(maxsize=64)(self._kept)
        """What t keeps of each segment."""

    def _kept(self, t: float) -> tuple[int, ...]:
        return tuple(segment.kept(t) for segment in self.segments)

    @cached_property
    def all(self) -> Found:
        """All rows; 4 bytes each."""
        return Found(tuple(np.arange(segment.rows, dtype=np.uint32) for segment in self.segments))

    def of_entry(self, entry_id: int) -> Found:
        """Return the rows with an entry, which is given by its position in the pool's counts."""
        return Found(tuple(segment.of_entry(entry_id) for segment in self.segments))

    def of_term(self, kind: str, value: str) -> Found:
        """Return the rows with a word, of a host, or in a language."""
        return Found(tuple(segment.of_term(segment.term(kind + value)) for segment in self.segments))

    def of_words(self, query: str) -> Found:
        """Return the rows with all words of a query; all rows if it has none. The rarest word is taken first."""
        asked = {word[:64] for word in words(pa.array([query]))[0].as_py() if word}
        lists = sorted((self.of_term(WORD, word) for word in sorted(asked)), key=lambda found: found.total)
        found = lists[0] if lists else self.all
        for other in lists[1:]:
            found = found.both(other)
        return found

    @cached_property
    def languages(self) -> list[tuple[str, Found]]:
        """The languages of the pool with their rows, those with most rows first."""
        return self._names(LANGUAGE, None)

    @cached_property
    def hosts(self) -> list[tuple[str, Found]]:
        """The hosts with most rows, with their rows."""
        return self._names(HOST, MOST_NAMES)

    def _names(self, kind: str, most: int | None) -> list[tuple[str, Found]]:
        parts = []
        for segment in self.segments:
            places = segment.kind(kind)
            ends = segment.term_ends[places.start : places.stop].astype(np.int64)
            before = int(segment.term_ends[places.start - 1]) if places.start else 0
            sizes = np.diff(ends, prepend=before)
            parts.append(pa.table({"name": segment.terms[places.start : places.stop], "rows": sizes}))
        if not parts:
            return []
        total = pa.concat_tables(parts).group_by("name").aggregate([("rows", "sum")])
        total = total.sort_by([("rows_sum", "descending"), ("name", "ascending")]).slice(0, most)
        names = [name[1:] for name in total.column("name").to_pylist()]
        return [(name, self.of_term(kind, name)) for name in names]

    def beside(self, found: Found, own: int, most: int) -> tuple[int, list[tuple[int, int]]]:
        """Return the entries that random rows have besides their own: how many rows were looked at, and (id, rows)."""
        by_segment: dict[int, list[int]] = {}
        chosen = found.some(min(found.total, NEIGHBOUR_ROWS), 0)
        for number, row in chosen:
            by_segment.setdefault(number, []).append(row)
        ids = [self.segments[n].entries_of(np.array(rows, np.uint32))[1] for n, rows in sorted(by_segment.items())]
        values, counts = np.unique(np.concatenate(ids) if ids else np.zeros(0, np.uint32), return_counts=True)
        counts = counts[values != own]
        values = values[values != own]
        order = np.lexsort((values, -counts))[:most]
        return len(chosen), [(int(values[at]), int(counts[at])) for at in order]

    def between(self, t: float, other_t: float, most: int, entries: int) -> npt.NDArray[np.int64] | None:
        """Return how many pairs of one set that the other has not have each entry, int64[entries]; None if too many.

        `most` is the number of matches of such pairs that are counted at most.
        """
        low, high = self.kept(min(t, other_t)), self.kept(max(t, other_t))
        parts = [segment.matches_of(a, b) for segment, a, b in zip(self.segments, low, high, strict=True)]
        if sum(map(len, parts)) > most:
            return None
        total = np.zeros(entries, np.int64)
        for part in parts:
            total += np.bincount(part, minlength=entries)
        return total

    def kept_of_entries(self, entry_ids: npt.NDArray[np.int64], t: float) -> npt.NDArray[np.int64]:
        """Return how many pairs that t keeps have each entry, int64[n]."""
        parts = [
            segment.kept_of_entries(entry_ids, kept) for segment, kept in zip(self.segments, self.kept(t), strict=True)
        ]
        return np.sum(parts, axis=0) if parts else np.zeros(len(entry_ids), np.int64)

    def read(self, rows: Sequence[tuple[int, int]], t: float) -> list[dict[str, Any]]:
        """Read rows as JSON values; those that were asked to be taken out of the pool are left out.

        Returns:
            uid, text, url, page_url, lang, lang_score, min_t, `kept` at t, and `entries`, positions in the counts.
        """
        if not rows:
            return []
        tables, entries = [], []
        for number, row in rows:
            tables.append(self.segments[number].read([row]))
            entries.append(self.segments[number].entries_of(np.array([row], np.uint32))[1].tolist())
        table = pa.concat_tables(tables)
        named, _ = self._removals.named(table) if self._removals else (np.zeros(len(rows), bool), None)
        uids = format_uids(*(table.column(name).to_numpy() for name in ("uid_hi", "uid_lo"))).to_pylist()
        shown = table.select(["text", "url", "page_url", "lang", "lang_score", "min_t"]).to_pylist()
        return [
            {"uid": uid, **values, "kept": values["min_t"] <= t, "entries": own}
            for uid, values, own, gone in zip(uids, shown, entries, named.tolist(), strict=True)
            if not gone
        ]
