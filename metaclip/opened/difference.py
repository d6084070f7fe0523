"""How two sets differ: their pairs, entries, languages, hosts and tail shares.

The sets may be of two t, two seeds, two lists or two crawls, in one store or in two. Pairs are told apart by uid and
entries by spelling, so two pools with different lists can be compared. Both sets are read range by range of uids,
each file once; min_t and entry ids are read, so no set need be cut at a t.

Of pools by language, entries are told apart by language and spelling. One list for all texts is compared with the list
of the group that its pool's labels lead to; where they lead to several, entries are told apart by spelling alone.
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from metaclip.config.settings import format_t
from metaclip.explore.pool import FinishedPool
from metaclip.pairs.uids import format_uids
from metaclip.report.survey import hosts
from metaclip.schemas import PAIRS
from metaclip.stages.curate import balanced_prefix
from metaclip.stages.group_counts import ByLanguage
from metaclip.store.manifest import Reference
from metaclip.tables.by_group import group_column
from metaclip.tables.csr import csr

MOST_ENTRIES = 500
"""Entries that gained or lost that are returned, of each."""
MOST_HOSTS = 200
EXAMPLES = 10
_COLUMNS = ["uid_hi", "uid_lo", "url", "lang", "entry_ids", "min_t"]

Uids = tuple[npt.NDArray[np.uint64], npt.NDArray[np.uint64]]
"""The two halves of uids."""


def compare(a: FinishedPool, b: FinishedPool, t: float | None = None, other_t: float | None = None) -> dict[str, Any]:
    """Return how the set of a pool at t and that of another pool, or of another t, differ.

    Returns:
        JSON values: `a` and `b`, each with pool, storage, t, seed, pairs, images, matches, entries,
        entries_with_matches and tail_share (by language that of the `reference`, which is named); `both`, `only_a` and
        `only_b` pairs; `jaccard`, the share of all pairs of the two that both have; `gained` and `lost`, entries by
        the change of their matches from a to b, each with `a`, `b` and `change` (None where the list of the set does
        not have the entry), by language with `language`; `languages` and `hosts` with `a` and `b`, and `t_a` and
        `t_b` of groups of languages; `examples_only_a` and `examples_only_b`, pairs with the smallest uids.

    Raises:
        ConfigError: t is not above 0.
        StoreError: an output is missing or was altered.
    """
    merged = _lists(a, b)
    sides = _Side(a, a.t(t), merged[0]), _Side(b, b.t(other_t), merged[1])
    both = 0
    for uids_a, uids_b in zip(*(side.ranges(_ranges(a, b)) for side in sides), strict=True):
        shared_a, shared_b = _shared(uids_a, uids_b)
        both += int(shared_a.sum())
        sides[0].keep_examples(uids_a, shared_a)
        sides[1].keep_examples(uids_b, shared_b)
    only_a, only_b = (side.pairs - both for side in sides)
    total = both + only_a + only_b
    gained, lost = _changes(*sides)
    return {
        "a": sides[0].described(),
        "b": sides[1].described(),
        "both": both,
        "only_a": only_a,
        "only_b": only_b,
        "jaccard": both / total if total else None,
        "gained": gained,
        "lost": lost,
        "languages": [
            {**row, **_own_ts(sides, row["language"])}
            for row in _side_by_side("language", sides[0].languages, sides[1].languages, None)
        ],
        "hosts": _side_by_side("host", sides[0].hosts, sides[1].hosts, MOST_HOSTS),
        "examples_only_a": sides[0].examples(),
        "examples_only_b": sides[1].examples(),
    }


def _ranges(a: FinishedPool, b: FinishedPool) -> int:
    """Return the number of uid ranges: as many as the pool with more partitions has."""
    return max(len(a.stages["balance"]), len(b.stages["balance"]))


Lists = Mapping[str, tuple[str | None, ...]]
"""Which of a pool's lists are compared as one, by language; that is empty where no language is told."""


def _lists(a: FinishedPool, b: FinishedPool) -> tuple[Lists, Lists]:
    """Return which lists of two pools are compared with each other."""
    of_a, of_b = (_own_lists(pool) for pool in (a, b))
    if a.by_language is None and b.by_language is not None:
        of_a, of_b = _beside(a, b.by_language)
    elif b.by_language is None and a.by_language is not None:
        of_b, of_a = _beside(b, a.by_language)
    return of_a, of_b


def _own_lists(pool: FinishedPool) -> Lists:
    if pool.by_language is None:
        return {"": (None,)}
    return {group: (group,) for group in pool.by_language.groups.names}


def _beside(one: FinishedPool, other: ByLanguage) -> tuple[Lists, Lists]:
    """Return how the one list of a pool is compared with the lists of another pool."""
    groups = other.groups
    met = {groups.by_label.get(label) for label in one.config.match.languages}
    if len(met) == 1 and None not in met:
        return {str(met.pop()): (None,)}, {group: (group,) for group in groups.names}
    return {"": (None,)}, {"": groups.names}


class _Side:
    """One of the two sets, as far as it was read."""

    def __init__(self, pool: FinishedPool, t: float, lists: Lists) -> None:
        self.pool, self.t, self.lists = pool, t, lists
        self.pairs = self.images = 0
        self.counts = {
            group: np.zeros(len(pool.counts_of(group)), np.uint64) for groups in lists.values() for group in groups
        }
        self._columns = _COLUMNS if pool.by_language is None else [*_COLUMNS, "lang_score"]
        self.languages, self.hosts = Counter[str](), Counter[str]()
        self._alone: list[tuple[int, int]] = []

    def ranges(self, ranges: int) -> Iterator[Uids]:
        """Yield the uids of the set of each range of `uid_hi`, in order; what else is counted is counted on the way."""
        parts = self.pool.all("balance")
        held: dict[int, Uids] = {}
        for number in range(ranges):
            first, end = (number << 64) // ranges, ((number + 1) << 64) // ranges
            wanted = range(first * len(parts) >> 64, ((end - 1) * len(parts) >> 64) + 1)
            held = {part: held[part] if part in held else self._read(parts[part]) for part in wanted}
            found = []
            for high, low in held.values():
                begin, stop = (
                    np.searchsorted(high, np.uint64(first)),
                    np.searchsorted(high, np.uint64(end - 1), "right"),
                )
                found.append((high[begin:stop], low[begin:stop]))
            yield np.concatenate([high for high, _ in found]), np.concatenate([low for _, low in found])

    def _read(self, part: Reference) -> Uids:
        """Count one partition of the set, and return its uids."""
        highs, lows = [np.zeros(0, np.uint64)], [np.zeros(0, np.uint64)]
        for table in self._prefix(part, self._columns):
            highs.append(table.column("uid_hi").to_numpy())
            lows.append(table.column("uid_lo").to_numpy())
            languages = table.column("lang")
            if self.pool.by_language is None:
                self._count(None, csr(table.column("entry_ids"))[1])
            else:
                languages = group_column(self.pool.by_language.groups, table)
                for group, _, _, ids in self.pool.group_counts.pairs(table):
                    self._count(group, ids)
            for counter, column in ((self.languages, languages), (self.hosts, hosts(table.column("url")))):
                counter.update({row["values"]: row["counts"] for row in column.value_counts().to_pylist()})
        high, low = np.concatenate(highs), np.concatenate(lows)
        self.pairs += len(high)
        self.images += len(np.unique(high))  # all texts of an image are in one partition
        order = np.lexsort((low, high))
        return high[order], low[order]

    def _count(self, group: str | None, ids: npt.NDArray[np.uint32]) -> None:
        counts = self.counts[group]
        counts += np.bincount(ids, minlength=len(counts)).astype(np.uint64)

    def _prefix(self, part: Reference, columns: list[str]) -> Iterator[pa.Table]:
        return balanced_prefix(self.pool.store.open_parquet(part, PAIRS), self.t, Counter(), columns)

    def keep_examples(self, uids: Uids, shared: npt.NDArray[np.bool_]) -> None:
        """Remember the first uids that the other set does not have."""
        high, low = uids
        alone = np.flatnonzero(~shared)[: EXAMPLES - len(self._alone)]
        self._alone += list(zip(high[alone].tolist(), low[alone].tolist(), strict=True))

    def examples(self) -> list[dict[str, Any]]:
        """Read the pairs that were remembered."""
        parts = self.pool.all("balance")
        wanted = [f"{high:016x}{low:016x}" for high, low in self._alone]
        found: dict[str, dict[str, Any]] = {}
        for number in sorted({high * len(parts) >> 64 for high, _ in self._alone}):
            for table in self._prefix(parts[number], ["uid_hi", "uid_lo", "text", "url", "lang", "min_t"]):
                high = pa.array([high for high, _ in self._alone], pa.uint64())
                some = table.filter(pc.is_in(table.column("uid_hi"), value_set=high))
                uids = format_uids(some.column("uid_hi").to_numpy(), some.column("uid_lo").to_numpy()).to_pylist()
                rows = some.select(["text", "url", "lang", "min_t"]).to_pylist()
                found |= {uid: {**row, "uid": uid} for uid, row in zip(uids, rows, strict=True)}
        return [found[uid] for uid in wanted]

    def described(self) -> dict[str, Any]:
        """Return the figures of the set."""
        pool, t = self.pool, self.t
        reference = None if pool.by_language is None else pool.group_counts.reference
        counts = pool.counts_of(reference)
        matches = int(counts.sum())
        return {
            "pool": pool.config.pool,
            "storage": pool.store.root,
            "t": format_t(t),
            **({} if reference is None else {"reference": reference}),
            "seed": pool.config.balance.seed,
            "pairs": self.pairs,
            "images": self.images,
            "matches": sum(int(counted.sum()) for counted in self.counts.values()),
            "entries": sum(map(len, self.counts.values())),
            "entries_with_matches": sum(int(np.count_nonzero(counted)) for counted in self.counts.values()),
            "tail_share": int(counts[counts <= t].sum()) / matches if matches else None,
        }

    def own_t(self, language: str) -> str | None:
        """Return what t is in a group of languages, as text."""
        pool = self.pool
        if pool.by_language is None or not pool.group_counts.thresholds[language].matches:
            return None
        return format_t(pool.t_of(language, self.t))

    def by_entry(self, language: str) -> dict[str, int]:
        """Return the matches of each entry of a language; of equal entries of a list only the first has any."""
        found: dict[str, int] = {}
        for group in self.lists.get(language, ()):
            entries = self.pool.entries_of(group).column("entry").to_pylist()
            for entry, count in zip(entries, self.counts[group].tolist(), strict=True):
                found[entry] = found.get(entry, 0) + count
        return found

    def only_list(self, language: str) -> tuple[str, Reference] | None:
        """Return the one list of a language, with the root of its store."""
        groups = self.lists.get(language, ())
        return (self.pool.store.root, self.pool.lists[groups[0] or ""]) if len(groups) == 1 else None


def _own_ts(sides: tuple[_Side, _Side], language: str) -> dict[str, str | None]:
    """Return the t of a group of languages in both sets, if both are by language and have it."""
    names = [() if side.pool.by_language is None else side.pool.by_language.groups.names for side in sides]
    if not all(language in those for those in names):
        return {}
    return {"t_a": sides[0].own_t(language), "t_b": sides[1].own_t(language)}


def _shared(a: Uids, b: Uids) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.bool_]]:
    """Return of each uid of two sets whether the other has it; a uid occurs once in each."""
    high, low = (np.concatenate(halves) for halves in zip(a, b, strict=True))
    order = np.lexsort((low, high))
    same = (high[order][1:] == high[order][:-1]) & (low[order][1:] == low[order][:-1])
    found = np.zeros(len(order), bool)
    found[order[1:][same]] = True
    found[order[:-1][same]] = True
    return found[: len(a[0])], found[len(a[0]) :]


def _changes(a: _Side, b: _Side) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Return the entries whose matches grew most and fell most from a to b, of all languages."""
    up: list[dict[str, Any]] = []
    down: list[dict[str, Any]] = []
    for language in sorted({*a.lists, *b.lists}):
        named = {"language": language} if language else {}
        for all_rows, rows in zip((up, down), _changes_in(a, b, language), strict=True):
            all_rows += [{**named, **row} for row in rows]
    up.sort(key=lambda row: -row["change"])
    down.sort(key=lambda row: row["change"])
    return up[:MOST_ENTRIES], down[:MOST_ENTRIES]


def _changes_in(a: _Side, b: _Side, language: str) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Return the same for the entries of one language."""
    if a.only_list(language) is not None and a.only_list(language) == b.only_list(language):
        ((of_list,), (of_other,)) = a.lists[language], b.lists[language]
        counts, others = a.counts[of_list], b.counts[of_other]
        difference = others.astype(np.int64) - counts.astype(np.int64)
        entries = a.pool.entries_of(of_list).column("entry")

        def rows(order: npt.NDArray[np.int64]) -> list[dict[str, Any]]:
            named = entries.take(pa.array(order)).to_pylist()
            figures = zip(named, counts[order].tolist(), others[order].tolist(), strict=True)
            return [{"entry": entry, "a": x, "b": y, "change": y - x} for entry, x, y in figures]

        down = np.argsort(difference, kind="stable")
        rising = np.argsort(-difference, kind="stable")
        down, rising = down[difference[down] < 0], rising[difference[rising] > 0]
        return rows(rising[:MOST_ENTRIES]), rows(down[:MOST_ENTRIES])
    of_a, of_b = a.by_entry(language), b.by_entry(language)
    changes: list[tuple[int, str]] = []
    for entry in dict.fromkeys([*of_a, *of_b]):
        change = (of_b.get(entry) or 0) - (of_a.get(entry) or 0)
        if change:
            changes.append((change, entry))

    def named(some: list[tuple[int, str]]) -> list[dict[str, Any]]:
        return [
            {"entry": entry, "a": of_a.get(entry), "b": of_b.get(entry), "change": change} for change, entry in some
        ]

    up = sorted((row for row in changes if row[0] > 0), key=lambda row: -row[0])
    falling = sorted((row for row in changes if row[0] < 0), key=lambda row: row[0])
    return named(up[:MOST_ENTRIES]), named(falling[:MOST_ENTRIES])


def _side_by_side(name: str, a: Counter[str], b: Counter[str], most: int | None) -> list[dict[str, Any]]:
    """Return counts of the two sets, those with the largest sums first."""
    total = a + b
    names = sorted(total, key=lambda key: (-total[key], key))[:most]
    return [{name: key, "a": a[key], "b": b[key]} for key in names]
