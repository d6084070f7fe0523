"""What the page asks: entries, texts, sizes, reasons, languages, hosts and comparisons, as JSON values."""

import math
import threading
from collections.abc import Iterable, Sequence
from functools import cached_property, lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from metaclip.balance.size_ladder import t_ladder
from metaclip.browse.pool_index import Found, PoolIndex
from metaclip.config.settings import format_t
from metaclip.errors import ConfigError, InputError
from metaclip.explore.explain import explain_in
from metaclip.explore.near import LooseEntries, loose_entries
from metaclip.explore.pool import FinishedPool, entry_rows
from metaclip.explore.sizes import Sizes
from metaclip.matching.spacing import can_match
from metaclip.matching.variants import CAUSES
from metaclip.opened.difference import compare
from metaclip.samples.sample import STORED, Sampler
from metaclip.stages.near import read_misses

SHOWN, SAMPLES, BESIDE, NEXT = 50, 10, 20, 4
"""Entries of a search, pairs of a sample, entries beside one, and entries next to one in rank on each side."""
MOST_CHANGES = 100
COUNTED = 4_000_000
"""Matches between two t that are counted one by one."""
FIRST_LOOK = 1_000
"""Entries that are looked at first for changes."""
LONGEST_QUERY = 2_000
"""Characters of a question."""


class Answers:
    """The answers about one finished pool. All methods may be called by several threads."""

    def __init__(self, pool: FinishedPool, index: PoolIndex) -> None:
        self._pool, self._index = pool, index
        self._sizes = Sizes(pool)
        self.counts = pool.counts
        self._order = np.argsort(-self.counts.astype(np.int64), kind="stable")
        self._ascending = np.sort(self.counts)
        self._place = np.empty(len(self._order), np.int64)
        self._place[self._order] = np.arange(len(self._order))
        self._starts = [0] if pool.by_language is None else list(pool.group_counts.offsets.values())
        self._entries = pa.chunked_array(
            [chunk for group in self._groups for chunk in pool.entries_of(group).column("entry").chunks], pa.string()
        ).combine_chunks()
        self._lower = pc.utf8_lower(self._entries.take(pa.array(self._order)))
        self._sampling = threading.Lock()
        self.forms = lru_cache(maxsize=64)(self._forms)
        self.sample = lru_cache(maxsize=64)(self._sample)
        self.difference = lru_cache(maxsize=8)(self._difference)
        self.size(pool.t(None))

    def warm(self) -> None:
        """Do ahead what would make the first question of a kind wait."""
        self.overview()
        self.names("hosts", None)
        self.names("languages", None)
        self.explain("warm", None)
        self.entry(int(self._order[0]), None) if len(self._order) else None

    @property
    def _groups(self) -> Sequence[str | None]:
        return (None,) if self._pool.by_language is None else self._pool.by_language.groups.names

    def _group_of(self, entry_id: int) -> tuple[str | None, int]:
        """Return the group whose list has an entry, and its id there."""
        at = int(np.searchsorted(self._starts, entry_id, side="right")) - 1
        return self._groups[at], entry_id - self._starts[at]

    def _forms(self, group: str | None) -> list[LooseEntries]:
        return list(loose_entries(self._pool.entries_of(group).column("entry")))

    def overview(self) -> dict[str, Any]:
        """Return the figures of the pool, and the size of its set by t."""
        pool = self._pool
        return {
            "pool": pool.config.pool,
            "t": format_t(pool.t(None)),
            "seed": pool.config.balance.seed,
            "pairs": self._index.pairs,
            "entries": len(self.counts),
            "entries_with_matches": int(np.count_nonzero(self.counts)),
            "matches": int(self.counts.sum()),
            "largest_count": int(self.counts.max(initial=0)),
            "sets": list(pool.sets),
            "pools": list(pool.store.names("pools")),
            "by_language": pool.by_language is not None,
            "curve": self._curve,
        }

    @cached_property
    def _ladder(self) -> list[float]:
        return [float(t) for t in t_ladder(max(1, math.ceil(self._sizes.largest_t)))]

    @cached_property
    def _curve(self) -> list[dict[str, Any]]:
        return [{"t": t, "pairs": sum(self._index.kept(t))} for t in self._ladder]

    def size(self, t: float | None) -> dict[str, Any]:
        """Return size, tail share and head entries at t, and what becomes of the largest entries."""
        t = self._pool.t(t)
        head = self._order[:SHOWN]
        found = self._sizes.at(t, sum(self._index.kept(t)))
        return {**found, "entries": self._rows(head, t, self._index.kept_of_entries(head, t))}

    def entries(self, query: str, t: float | None, first: int = 0) -> dict[str, Any]:
        """Return entries that contain a string, whatever its case, those with most matches first."""
        t, query = self._pool.t(t), _short(query)
        wanted = pc.utf8_lower(pa.scalar(query))
        places = np.flatnonzero(pc.match_substring(self._lower, wanted.as_py()).to_numpy(False))
        ids = self._order[places[first : first + SHOWN]]
        return {
            "query": query,
            "total": len(places),
            "first": first,
            "rows": self._rows(ids, t, self._index.kept_of_entries(ids, t)),
        }

    def _rows(self, ids: Iterable[int], t: float, kept: npt.NDArray[np.int64] | None = None) -> list[dict[str, Any]]:
        """Return id, entry, source, count, keep probability, and kept pairs of entries."""
        ids = [int(one) for one in ids]
        rows: dict[int, dict[str, Any]] = {}
        by_group: dict[str | None, list[tuple[int, int]]] = {}
        for one in ids:
            group, local = self._group_of(one)
            by_group.setdefault(group, []).append((one, local))
        for group, couples in by_group.items():
            found = entry_rows(self._pool, [local for _, local in couples], t, group)
            for (one, _), row in zip(couples, found, strict=True):
                rows[one] = {**row, "id": one, **({} if group is None else {"language": group})}
        for place, one in enumerate(ids):
            if kept is not None:
                rows[one]["kept"] = int(kept[place])
        return [rows[one] for one in ids]

    def _id(self, entry_id: int) -> int:
        if not 0 <= entry_id < len(self.counts):
            raise InputError(f"no entry has the id {entry_id}: ids are 0 to {len(self.counts) - 1}")
        return entry_id

    def entry(self, entry_id: int, t: float | None, seed: int = 0) -> dict[str, Any]:
        """Return an entry's rank, counts, neighbours in rank, entries beside it, and samples."""
        t, entry_id = self._pool.t(t), self._id(entry_id)
        found = self._index.of_entry(entry_id)
        count, inside = int(self.counts[entry_id]), found.of_set(self._index.kept(t))
        (row,) = self._rows([entry_id], t)
        place = int(self._place[entry_id])
        near_ids = self._order[max(0, place - NEXT) : place + NEXT + 1]
        looked_at, beside = self._index.beside(found, entry_id, BESIDE)
        others = self._rows([one for one, _ in beside], t)
        return {
            **row,
            "t": format_t(t),
            "kept": inside.total,
            "rank": 1 + len(self.counts) - int(np.searchsorted(self._ascending, count, side="right"))
            if count
            else None,
            "share_of_matches": count / int(self.counts.sum()) if count else None,
            "share_of_pairs": count / self._index.pairs if count else None,
            "can_match": self._pool.config.match.space_entries or can_match(row["entry"]),
            "next": self._rows(near_ids, t),
            "beside": [{**other, "with": times} for other, (_, times) in zip(others, beside, strict=True)],
            "beside_of": looked_at,
            "curve": [{"t": at, "kept": found.of_set(self._index.kept(at)).total} for at in self._ladder],
            "misses": self._misses_of(entry_id),
            "samples": self._shown(found, t, seed),
        }

    @cached_property
    def _misses(self) -> pa.Table | None:
        if self._pool.by_language is not None or "near" not in self._pool.stages:
            return None
        return read_misses(self._pool.store, self._pool.one("near"))

    def _misses_of(self, entry_id: int) -> list[dict[str, Any]] | None:
        if self._misses is None:
            return None
        own = self._misses.filter(pc.equal(self._misses.column("entry_id"), pa.scalar(entry_id, pa.uint32())))
        return [
            {"cause": cause, "texts": row["texts"], "example": row["example"]}
            for cause in CAUSES
            for row in own.to_pylist()
            if row["cause"] == cause
        ]

    def _shown(self, found: Found, t: float, seed: int, n: int = SAMPLES) -> list[dict[str, Any]]:
        rows = self._index.read(found.some(n, seed), t)
        ids = sorted({entry_id for row in rows for entry_id in row["entries"]})
        names = dict(zip(ids, self._entries.take(pa.array(ids, pa.int64())).to_pylist(), strict=True))
        for row in rows:
            row["entries"] = [{"id": one, "entry": names[one]} for one in row["entries"]]
        return rows

    def texts(
        self,
        query: str,
        t: float | None,
        language: str | None = None,
        host: str | None = None,
        which: str = "all",
        seed: int = 0,
    ) -> dict[str, Any]:
        """Return pairs whose texts have all words of a query, with their exact number; some at random."""
        t, found = self._pool.t(t), self._index.of_words(_short(query))
        for kind, value in (("l", language), ("h", host)):
            if value:
                found = found.both(self._index.of_term(kind, _short(value)))
        kept = found.of_set(self._index.kept(t))
        chosen = {"all": found, "kept": kept, "left": found.of_set(self._index.kept(t), inside=False)}[which]
        return {
            "query": query,
            "t": format_t(t),
            "total": found.total,
            "kept": kept.total,
            "shown_of": chosen.total,
            "rows": self._shown(chosen, t, seed, 2 * SAMPLES),
        }

    def explain(self, text: str, t: float | None) -> dict[str, Any]:
        """Return how the pool treats a text, as `metaclip explain --json` does; entries with their ids on this page."""
        if len(text) > 10 * LONGEST_QUERY:
            raise ConfigError(
                f"the text has {len(text):,} characters; at most {10 * LONGEST_QUERY:,} are explained here"
            )
        found = explain_in(self._pool, text, t, forms=self.forms)
        start = dict(zip(self._groups, self._starts, strict=True))[found.get("group")] if found["entries"] else 0
        for row in [*found["entries"], *found["near_misses"]]:
            row["id"] = row["entry_id"] + start
        return found

    @cached_property
    def reasons(self) -> list[dict[str, Any]]:
        """The reasons for which pairs were left out, with their numbers where known."""
        sampler = Sampler(self._pool, self._pool.t(None), SAMPLES)
        return [
            {"why": why, "total": total, "from": "store" if why in STORED else "files"}
            for why, total in sampler.reasons().items()
            if total != 0
        ]

    def reason(self, why: str, t: float | None, seed: int = 0) -> dict[str, Any]:
        """Return samples of a reason: of what t keeps and leaves out at once, of the rest as `metaclip sample` does."""
        t = self._pool.t(t)
        if why in ("kept", "balanced"):
            found = self._index.all.of_set(self._index.kept(t), inside=why == "kept")
            return {
                "why": why,
                "t": format_t(t),
                "total": found.total,
                "rows": self._shown(found, t, seed, 2 * SAMPLES),
            }
        return self.sample(why, seed)

    def _sample(self, why: str, seed: int) -> dict[str, Any]:
        with self._sampling:  # it may read files of the source, which one at a time is enough
            found = Sampler(self._pool, self._pool.t(None), 2 * SAMPLES, seed).sample(why)
        for row in found["rows"]:
            row["entries"] = [{"id": None, "entry": entry} for entry in row.get("entries", [])]
        return found

    def names(self, kind: str, t: float | None) -> dict[str, Any]:
        """Return the languages, or the hosts with most pairs, with the pairs of each in the pool and in the set."""
        kept = self._index.kept(self._pool.t(t))
        found = {"languages": self._index.languages, "hosts": self._index.hosts}[kind]
        rows = [{"name": name, "pairs": one.total, "kept": one.of_set(kept).total} for name, one in found]
        return {"kind": kind, "pairs": self._index.pairs, "kept": sum(kept), "rows": rows}

    def _largest_changes(
        self, t: float, other_t: float
    ) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        """Return the entries whose pairs differ most at two t, and the pairs of each at both, int64[n] each.

        If few matches lie between the two, they are counted. Otherwise no entry changes by more than its matches: those
        with most matches are looked at, four times as many each time, until the others have too few.
        """
        between = self._index.between(t, other_t, COUNTED, len(self.counts))
        if between is not None:
            ids = np.argsort(-between, kind="stable")[:MOST_CHANGES]
            ids = ids[between[ids] > 0]
            return ids, self._index.kept_of_entries(ids, t), self._index.kept_of_entries(ids, other_t)
        looked_at = 0
        found = [np.zeros(0, np.int64)] * 3
        while True:
            some = self._order[looked_at : max(4 * looked_at, FIRST_LOOK)]
            looked_at += len(some)
            new = [some, *(self._index.kept_of_entries(some, one) for one in (t, other_t))]
            found = [np.concatenate(both) for both in zip(found, new, strict=True)]
            change = np.abs(found[2] - found[1])
            best = np.argsort(-change, kind="stable")[:MOST_CHANGES]
            found = [part[best[change[best] > 0]] for part in found]
            least = int(change[best][-1]) if len(best) == MOST_CHANGES else 0
            if looked_at == len(self._order) or int(self.counts[self._order[looked_at]]) <= least:
                ids, a, b = found
                return ids, a, b

    def compare(self, t: float | None, other_t: float | None) -> dict[str, Any]:
        """Return how the sets of two t differ; the one of the smaller t is a part of the other."""
        ts = self._pool.t(t), self._pool.t(other_t)
        ids, a, b = self._largest_changes(*ts)
        rows = self._rows(ids, ts[0])
        sides = [self._sizes.at(one, sum(self._index.kept(one))) for one in ts]
        smaller, larger = sorted(side["pairs"] for side in sides)
        kept = [self._index.kept(one) for one in ts]
        return {
            "a": sides[0],
            "b": sides[1],
            "both": smaller,
            "jaccard": smaller / larger if larger else None,
            "changes": [
                {**row, "a": of_a, "b": of_b, "change": of_b - of_a}
                for row, of_a, of_b in zip(rows, a.tolist(), b.tolist(), strict=True)
            ],
            "languages": [
                {"language": name, "a": one.of_set(kept[0]).total, "b": one.of_set(kept[1]).total}
                for name, one in self._index.languages[:SHOWN]
            ],
        }

    def _difference(self, other: str, t: float | None) -> dict[str, Any]:
        """Return how the set at t and the set of another pool of the store differ; all pairs of both are read."""
        return compare(self._pool, FinishedPool.open(self._pool.store.root, other), t)


def _short(query: str) -> str:
    if len(query) > LONGEST_QUERY:
        raise ConfigError(f"the question has {len(query):,} characters; at most {LONGEST_QUERY:,} are looked up")
    return query
