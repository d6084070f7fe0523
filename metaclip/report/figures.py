"""All figures of a report, as JSON values and as the arrays for the plots."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa

import metaclip
from metaclip.balance.counts import keep_share
from metaclip.config.settings import format_t
from metaclip.explore.by_language import language_rows
from metaclip.images.dedup.outputs import image_figures
from metaclip.metadata.list_job import ENTRIES, read_entries
from metaclip.report.curves import Curves, read_curves
from metaclip.report.pool_outputs import Extracted, PoolOutputs, SetParts, by_count, funnel, sum_counts, sum_labels
from metaclip.report.survey import MATCHES, TEXT_LENGTHS, HostCounts, Survey, read_surveys
from metaclip.samples.of_set import samples_of
from metaclip.schemas import PAIRS, SET_COUNT, SET_COUNT_BY_LANGUAGE
from metaclip.stages.count import read_counts
from metaclip.stages.curate import add_set_tallies, set_group_tallies
from metaclip.stages.group_counts import GroupCounts
from metaclip.store.manifest import Reference
from metaclip.store.store import Store

TOP = 100
TOP_HOSTS = 50
EXAMPLES = 8
CONCENTRATION = (1, 10, 100, 1_000, 10_000)
"""Numbers of largest hosts whose share of the pairs is told."""


@dataclass(frozen=True)
class Figures:
    """The figures of a set."""

    t: float
    content: dict[str, Any]
    """`report.json`."""
    entries: pa.Table
    """`schemas.SET_COUNT`, sorted by entry_id; in a pool by language SET_COUNT_BY_LANGUAGE, by language first."""
    before: npt.NDArray[np.uint64]
    """uint64[n_entries], matches in the pool."""
    after: npt.NDArray[np.uint64]
    """uint64[n_entries], matches in the set."""
    curves: Curves
    """The curves; the t of this set is one of the steps."""
    step: int
    """Index of the step with this set's t."""
    kept: pa.Schema
    """The balanced pairs' schema, which has the columns that files of the source had of their own."""


def figures(store: Store, parts: SetParts, t: float) -> Figures:
    """Compute the figures of a set from the statistics of its partitions; no pair is read.

    Raises:
        StoreError: if an output is missing.
    """
    extracted = Extracted.read(store, parts.pool.extracted)
    matched = sum_counts(store, parts.pool.matched)
    unique = sum_counts(store, parts.pool.unique)
    survived = sum_counts(store, parts.pool.survived) if parts.pool.survived else None
    of_set = store.manifest(parts.curated.manifest).statistics["counts"]
    curated = of_set["curated"]
    lists = _ByLanguage.of(store, parts.pool, t) if parts.pool.by_language else _OneList(store, parts.pool, t)
    before, after = lists.before, lists.after(parts.curated)
    entries = lists.entries(after)
    curves, step = with_step(read_curves(store, parts.curves, before, lists.largest_t), t, curated, after)
    pool, chosen = read_surveys(store, parts.pool_surveys), read_surveys(store, parts.set_surveys)
    content = {
        "t": format_t(t),
        **funnel(extracted, matched, unique, survived, curated, of_set.get("removed", 0)),
        "entries": _entries(before, after, lists.own_t),
        "top_entries": _top_entries(entries, curves, lists.own_t),
        "entry_sources": _entry_sources(entries),
        "pool": _described(pool, int(before.sum())),
        "set": _described(chosen, int(after.sum())),
        "hosts": _hosts(pool.hosts, chosen.hosts, pool.pairs, chosen.pairs),
        "curve": {**_curve(curves), **lists.tails(curves.t)},
        "input": {
            "kinds": by_count(extracted.kinds),
            "crawls": dict(sorted(extracted.crawls.items())),
            # A report states of pages only what the run saw of pages.
            "pages": extracted.from_pages,
            "pairs": extracted.from_pairs,
            "entries_built_from": _built_from(store, parts.pool),
        },
        "settings": {**extracted.settings, **_settings(store, parts)},
        "provenance": _provenance(store, parts),
        "samples": _samples(store, parts, t, of_set),
        **lists.more(pool, chosen),
    }
    if parts.pool.images is not None:
        offsets = lists.counts.offsets if isinstance(lists, _ByLanguage) else None
        content["images"] = image_figures(store, parts.pool.images, before, entries.column("entry"), offsets)
    kept = store.open_parquet(parts.pool.balanced[0], PAIRS).schema_arrow
    return Figures(t, content, entries, before, after, curves, step, kept)


def with_step(curves: Curves, t: float, curated: int, after: npt.NDArray[np.uint64]) -> tuple[Curves, int]:
    """Return the curves with t as a step, and its index; so the figures of the set are exact for any t."""
    # The last step and every larger t keep all pairs.
    step = len(curves.t) - 1 if t >= curves.t[-1] else int(np.searchsorted(curves.t, t))
    if curves.t[step] == t or t >= curves.t[-1]:
        return curves, step
    return replace(
        curves,
        t=np.insert(curves.t, step, t),
        pairs=np.insert(curves.pairs, step, curated),
        matches=np.insert(curves.matches, step, curves.groups.sums(after), axis=1),
    ), step


@dataclass
class _OneList:
    """The entries of a pool with one list for all texts, and what its t is for each of them."""

    store: Store
    pool: PoolOutputs
    t: float
    largest_t: ClassVar[float | None] = None

    @cached_property
    def before(self) -> npt.NDArray[np.uint64]:
        return read_counts(self.store, self.pool.counts)

    @property
    def own_t(self) -> npt.NDArray[np.float64]:
        """The t of the list of each entry, float64[n_entries]."""
        return np.full(len(self.before), self.t)

    def after(self, curated: Reference) -> npt.NDArray[np.uint64]:
        total = np.zeros_like(self.before)
        add_set_tallies(total, self.store, curated)
        return total

    def entries(self, after: npt.NDArray[np.uint64]) -> pa.Table:
        entries = read_entries(self.store, self.pool.metadata).select(["entry_id", "entry", "source"])
        return pa.table([*entries.columns, pa.array(self.before), pa.array(after)], schema=SET_COUNT)

    def tails(self, t: npt.NDArray[np.float64]) -> dict[str, Any]:
        """Return the entries above each t, and the share of matches of all others."""
        return _tails([self.before], [t])

    def more(self, pool: Survey, chosen: Survey) -> dict[str, Any]:
        return {}


@dataclass
class _ByLanguage:
    """The same for a pool by language; the entries of all lists stand one after the other."""

    store: Store
    pool: PoolOutputs
    t: float
    counts: GroupCounts

    @classmethod
    def of(cls, store: Store, pool: PoolOutputs, t: float) -> "_ByLanguage":
        assert pool.by_language is not None
        return cls(store, pool, t, GroupCounts(store, pool.counts, pool.by_language))

    @property
    def largest_t(self) -> float:
        return self.counts.largest_t

    @cached_property
    def before(self) -> npt.NDArray[np.uint64]:
        return self.counts.concatenated()

    @property
    def own_t(self) -> npt.NDArray[np.float64]:
        groups = self.counts.names
        sizes = [len(self.counts.counts(group)) for group in groups]
        return np.repeat([self.counts.t(group, self.t) for group in groups], sizes)

    def after(self, curated: Reference) -> npt.NDArray[np.uint64]:
        total = np.zeros_like(self.before)
        for group, entry_ids, found in set_group_tallies(self.store, curated):
            total[self.counts.offsets[group] + entry_ids.astype(np.int64)] += found
        return total

    def entries(self, after: npt.NDArray[np.uint64]) -> pa.Table:
        tables = []
        for group, listed in self.pool.lists:
            entries = read_entries(self.store, listed).select(["entry_id", "entry", "source"])
            start = self.counts.offsets[group]
            counts = [pa.array(column[start : start + entries.num_rows]) for column in (self.before, after)]
            language = pa.repeat(group, entries.num_rows)
            tables.append(pa.table([language, *entries.columns, *counts], schema=SET_COUNT_BY_LANGUAGE))
        return pa.concat_tables(tables)

    def tails(self, t: npt.NDArray[np.float64]) -> dict[str, Any]:
        groups = self.counts.names
        own = [np.array([self.counts.t(group, one) for one in t.tolist()]) for group in groups]
        return _tails([self.counts.counts(group) for group in groups], own)

    def more(self, pool: Survey, chosen: Survey) -> dict[str, Any]:
        """Return `by_language`, a row for each list, and `labels`, what became of the texts of each label."""
        labels = sum_labels(self.store, self.pool.matched)
        groups = self.counts.by_language.groups
        rows = language_rows(self.counts, self.t, pool.groups, chosen.groups)
        for row in rows:
            own = [label for label in labels if groups.by_label.get(label) == row["language"]]
            row["labels"] = {label: labels[label]["texts"] for label in own}
            row["texts"] = sum(row["labels"].values())
            row["largest_entry"] = self._entry(row["language"], row["largest_entry_id"])
        return {"reference": self.counts.reference, "by_language": rows, "labels": labels}

    def _entry(self, group: str, entry_id: int | None) -> str | None:
        if entry_id is None:
            return None
        return str(read_entries(self.store, dict(self.pool.lists)[group]).column("entry")[entry_id].as_py())


def _tails(counts: list[npt.NDArray[np.uint64]], t: list[npt.NDArray[np.float64]]) -> dict[str, Any]:
    """Add up over lists: entries with more than t matches, and the share of matches of all others, by step of t."""
    matches, head, held = 0, np.zeros(len(t[0]), np.int64), np.zeros(len(t[0]), np.int64)
    for of_entries, steps in zip(counts, t, strict=True):
        ascending = np.sort(of_entries[of_entries > 0]).astype(np.int64)
        sums = np.concatenate([[0], np.cumsum(ascending)])
        in_tail = np.searchsorted(ascending, steps, side="right")
        matches += int(sums[-1])
        head += len(ascending) - in_tail
        held += sums[in_tail]
    shares = [round(int(one) / matches, 6) if matches else None for one in held]
    return {"head": head.tolist(), "tail_share": shares}


def _entries(
    before: npt.NDArray[np.uint64], after: npt.NDArray[np.uint64], t: npt.NDArray[np.float64]
) -> dict[str, Any]:
    matches = int(before.sum())
    tail = int(before[before <= t].sum())
    return {
        "entries": len(before),
        "with_matches": int(np.count_nonzero(before)),
        "without_matches": int(np.count_nonzero(before == 0)),
        "head": int(np.count_nonzero(before > t)),
        "matches": matches,
        "matches_curated": int(after.sum()),
        "head_matches": matches - tail,
        "tail_share": round(tail / matches, 6) if matches else None,
    }


def _top_entries(entries: pa.Table, curves: Curves, t: npt.NDArray[np.float64]) -> list[dict[str, Any]]:
    largest = curves.groups.order[::-1][:TOP]
    ranked = entries.take(largest)
    return [
        {
            "rank": rank,
            **({"language": row["language"]} if "language" in row else {}),
            "entry_id": row["entry_id"],
            "entry": row["entry"],
            "count": row["count"],
            "curated": row["curated_count"],
            "keep_probability": round(keep_share(row["count"], own_t), 6),
        }
        for rank, (row, own_t) in enumerate(zip(ranked.to_pylist(), t[largest].tolist(), strict=True), start=1)
    ]


def _entry_sources(entries: pa.Table) -> list[dict[str, Any]]:
    sources = entries.column("source").combine_chunks().dictionary_encode()
    of = sources.indices.to_numpy()
    before, after = entries.column("count").to_numpy(), entries.column("curated_count").to_numpy()
    found = []
    for number, source in enumerate(sources.dictionary.to_pylist()):
        own = of == number
        unmatched = np.flatnonzero(own & (before == 0))
        found.append(
            {
                "source": source,
                "entries": int(np.count_nonzero(own)),
                "without_matches": len(unmatched),
                "matches": int(before[own].sum()),
                "matches_curated": int(after[own].sum()),
                "examples_without_matches": entries.column("entry").take(unmatched[:EXAMPLES]).to_pylist(),
            }
        )
    return found


def _described(survey: Survey, matches: int) -> dict[str, Any]:
    return {
        "pairs": survey.pairs,
        "images": survey.images,
        "matches": matches,
        "languages": by_count(survey.languages),
        "text_keys": by_count(survey.text_keys),
        "text_lengths": _named_classes(survey.text_lengths, TEXT_LENGTHS),
        "matches_a_pair": _named_classes(survey.matches_a_pair, MATCHES),
    }


def _named_classes(counts: Sequence[int], ends: Sequence[int]) -> dict[str, int]:
    """Return counts by what each class holds: `3`, `11 to 20`, and the last one `more than 320`."""
    firsts = [1, *(end + 1 for end in ends[:-1])]
    names = [str(end) if first == end else f"{first} to {end}" for first, end in zip(firsts, ends, strict=True)]
    return dict(zip([*names, f"more than {ends[-1]}"], counts, strict=True))


def _concentration(pool: HostCounts, chosen: HostCounts, pool_pairs: int, set_pairs: int) -> list[dict[str, Any]]:
    """Return the share of pairs that the largest hosts have, each set by its own order."""
    sums = [
        (np.cumsum(counts.table.column("pairs").to_numpy(), dtype=np.int64), pairs)
        for counts, pairs in ((pool, pool_pairs), (chosen, set_pairs))
    ]
    rows = []
    for hosts in CONCENTRATION:
        shares = [round(int(held[min(hosts, len(held)) - 1]) / pairs, 6) if pairs else None for held, pairs in sums]
        rows.append({"hosts": hosts, "pool": shares[0], "set": shares[1]})
        if all(hosts >= len(held) for held, _ in sums):
            break
    return rows


def _hosts(pool: HostCounts, chosen: HostCounts, pool_pairs: int, set_pairs: int) -> dict[str, Any]:
    top = chosen.table.slice(0, TOP_HOSTS)
    in_pool = pool.table.filter(pa.compute.is_in(pool.table.column("host"), top.column("host").combine_chunks()))
    of_pool = dict(zip(in_pool.column("host").to_pylist(), in_pool.column("pairs").to_pylist(), strict=True))
    return {
        "of": "image address",
        "known": {"pool": pool.table.num_rows, "set": chosen.table.num_rows},
        "undercount_at_most": {"pool": pool.error, "set": chosen.error},
        "concentration": _concentration(pool, chosen, pool_pairs, set_pairs),
        "top": [
            {
                "host": row["host"],
                "pool": of_pool.get(row["host"], 0),
                "set": row["pairs"],
                "pool_share": round(of_pool.get(row["host"], 0) / pool_pairs, 6),
                "set_share": round(row["pairs"] / set_pairs, 6),
            }
            for row in top.to_pylist()
        ],
    }


def _curve(curves: Curves) -> dict[str, Any]:
    return {
        "t": curves.t.tolist(),
        "pairs": curves.pairs.tolist(),
        "matches": curves.matches.sum(axis=0).tolist(),
    }


def _built_from(store: Store, pool: PoolOutputs) -> list[str]:
    """Return the sources that the lists of entries were built from; none where all were given."""
    listed = [metadata for _, metadata in pool.lists] or [pool.metadata]
    configs = [store.manifest(one.manifest).config for one in listed]
    return [source for source in ("wordnet", "words", "pairs", "titles") if any(one.get(source) for one in configs)]


def _samples(store: Store, parts: SetParts, t: float, of_set: Mapping[str, int]) -> list[dict[str, Any]]:
    # Samples name entries of one list; and they must not show what was asked to be taken out.
    if parts.pool.lists or "removed" in of_set:
        return []
    return samples_of(store, parts.pool.by_stage, parts.curated, format_t(t))


def _provenance(store: Store, parts: SetParts) -> dict[str, Any]:
    """Return what the set was made from and by, as far as it tells two sets apart."""
    lists = dict(parts.pool.lists) or {"": parts.pool.metadata}
    hashes = {name: store.manifest(listed.manifest).file(ENTRIES).sha256 for name, listed in lists.items()}
    return {
        "code_version": metaclip.__version__,
        "shards": len(parts.pool.extracted),
        # The key of a shard comes from its files and the settings of extraction.
        "shards_sha256": hashlib.sha256(" ".join(sorted(one.key for one in parts.pool.extracted)).encode()).hexdigest(),
        "list_sha256": hashes.get("", hashes),
        "keys": {
            "metadata": parts.pool.metadata.key if "" in lists else {name: one.key for name, one in lists.items()},
            "count": parts.pool.counts.key,
            "set": parts.curated.key,
        },
    }


def _settings(store: Store, parts: SetParts) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for reference, names in ((parts.pool.matched, ("languages", "min_lang_score")), (parts.pool.balanced, ("seed",))):
        for one in reference[:1]:
            config = store.manifest(one.manifest).config
            found |= {name: config[name] for name in names}
    if parts.pool.by_language is not None:
        found |= asdict(parts.pool.by_language.rule)
    return found
