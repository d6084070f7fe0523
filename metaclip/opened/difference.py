"""How two sets differ: their pairs, entries, languages, hosts and tail shares.

The sets may be of two t, two seeds, two lists or two crawls, in one store or in two. Pairs are told apart by uid and
entries by spelling, so two pools with different lists can be compared. Both sets are read range by range of uids,
each file once; min_t and entry ids are read, so no set need be cut at a t.
"""

from collections import Counter
from collections.abc import Iterator
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
from metaclip.store.manifest import Reference
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
        entries_with_matches and tail_share; `both`, `only_a` and `only_b` pairs; `jaccard`, the share of all pairs of
        the two that both have; `gained` and `lost`, entries by the change of their matches from a to b, each with
        `a`, `b` and `change` (None where the list of the set does not have the entry); `languages` and `hosts` with
        `a` and `b`; `examples_only_a` and `examples_only_b`, pairs with the smallest uids.

    Raises:
        ConfigError: t is not above 0.
        StoreError: an output is missing or was altered.
    """
    sides = _Side(a, a.t(t)), _Side(b, b.t(other_t))
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
        "languages": _side_by_side("language", sides[0].languages, sides[1].languages, None),
        "hosts": _side_by_side("host", sides[0].hosts, sides[1].hosts, MOST_HOSTS),
        "examples_only_a": sides[0].examples(),
        "examples_only_b": sides[1].examples(),
    }


def _ranges(a: FinishedPool, b: FinishedPool) -> int:
    """Return the number of uid ranges: as many as the pool with more partitions has."""
    return max(len(a.stages["balance"]), len(b.stages["balance"]))


class _Side:
    """One of the two sets, as far as it was read."""

    def __init__(self, pool: FinishedPool, t: float) -> None:
        pool.need_one_list("a comparison is")
        self.pool, self.t = pool, t
        self.pairs = self.images = 0
        self.counts = np.zeros(len(pool.counts), np.uint64)
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
        for table in self._prefix(part, _COLUMNS):
            highs.append(table.column("uid_hi").to_numpy())
            lows.append(table.column("uid_lo").to_numpy())
            _, ids = csr(table.column("entry_ids"))
            self.counts += np.bincount(ids, minlength=len(self.counts)).astype(np.uint64)
            for counter, column in ((self.languages, table.column("lang")), (self.hosts, hosts(table.column("url")))):
                counter.update({row["values"]: row["counts"] for row in column.value_counts().to_pylist()})
        high, low = np.concatenate(highs), np.concatenate(lows)
        self.pairs += len(high)
        self.images += len(np.unique(high))  # all texts of an image are in one partition
        order = np.lexsort((low, high))
        return high[order], low[order]

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
        counts, t = self.pool.counts, self.t
        matches = int(counts.sum())
        return {
            "pool": self.pool.config.pool,
            "storage": self.pool.store.root,
            "t": format_t(t),
            "seed": self.pool.config.balance.seed,
            "pairs": self.pairs,
            "images": self.images,
            "matches": int(self.counts.sum()),
            "entries": len(counts),
            "entries_with_matches": int(np.count_nonzero(self.counts)),
            "tail_share": int(counts[counts <= t].sum()) / matches if matches else None,
        }

    @property
    def by_entry(self) -> dict[str, int]:
        """The matches of each entry; of equal entries only the first has any."""
        counted = zip(self.pool.entries.column("entry").to_pylist(), self.counts.tolist(), strict=True)
        found: dict[str, int] = {}
        for entry, count in counted:
            found.setdefault(entry, count)
        return found


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
    """Return the entries whose matches grew most and fell most from a to b."""
    if a.pool.stages["metadata"] == b.pool.stages["metadata"] and a.pool.store.root == b.pool.store.root:
        difference = b.counts.astype(np.int64) - a.counts.astype(np.int64)
        entries = a.pool.entries.column("entry")

        def rows(order: npt.NDArray[np.int64]) -> list[dict[str, Any]]:
            named = entries.take(pa.array(order)).to_pylist()
            figures = zip(named, a.counts[order].tolist(), b.counts[order].tolist(), strict=True)
            return [{"entry": entry, "a": x, "b": y, "change": y - x} for entry, x, y in figures]

        down = np.argsort(difference, kind="stable")
        rising = np.argsort(-difference, kind="stable")
        down, rising = down[difference[down] < 0], rising[difference[rising] > 0]
        return rows(rising[:MOST_ENTRIES]), rows(down[:MOST_ENTRIES])
    of_a, of_b = a.by_entry, b.by_entry
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
