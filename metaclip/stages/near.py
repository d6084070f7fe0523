"""The near stage: how many texts of a pool miss an entry by case, punctuation, spacing or a plural.

A shard is looked at by itself, so that a new crawl leaves what was counted as it is. A pair that several shards have
is counted in each. Of a large pool a part is looked at: the pairs whose `uid_hi`, a hash of the image's address, is
in the first half, quarter and so on of its range, which are the first rows of each extracted shard.

In a pool by language a text is looked at with the list of its own group, if its entries are found the paper's way:
what misses an entry is told by the spaces between words.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from metaclip.config.groups import Groups
from metaclip.config.settings import Match, Near
from metaclip.kernels.ways import Work
from metaclip.matching.matcher import Matcher
from metaclip.matching.spacing import can_match
from metaclip.matching.variants import BOTH, CAUSES, NEVER, NearMatcher
from metaclip.metadata.list_job import open_matcher, read_entries
from metaclip.schemas import GROUP_NEAR_MISS, NEAR_MISS, PAIRS
from metaclip.stages.match import in_language
from metaclip.stages.match_groups import place
from metaclip.store.job import Job
from metaclip.store.manifest import Reference
from metaclip.store.store import Store
from metaclip.store.writer import OutputWriter
from metaclip.tables.parquet import group_bytes

MISSES = "near.parquet"

AUTO_BELOW = 50_000
"""Entries of the shortest list for which near misses are counted only where `near.use` is `always`."""

MOST_SHARDS = 1000
"""Each shard is a task of the run that adds up; of a pool with more of them so many are looked at."""

EXAMPLE_CHARACTERS = 300
_ENGLISH = "en"
"""The label whose plural is known."""
_COLUMNS = ["uid_hi", "uid_lo", "text", "lang", "lang_score"]
_ROWS = 16_384
"""Texts that are looked at in one go, which bounds memory."""
_GATHERED = 32
"""Shards whose counts are read before they are added up."""


@dataclass(frozen=True)
class NearShardJob(Job):
    """Count the near misses of one extracted shard."""

    STAGE: ClassVar[str] = "near"
    VERSION: ClassVar[int] = 1

    extracted: Reference
    metadata: Reference
    settings: Match
    halvings: int
    """How often the range of `uid_hi` is halved."""

    def config(self) -> Mapping[str, Any]:
        """Return the language filter, and which part is looked at; how entries are matched is in the metadata's key."""
        chosen = self.settings.model_dump(mode="json", include={"languages", "min_lang_score"})
        return {**chosen, "halvings": self.halvings}

    def inputs(self) -> list[str]:
        """Return the keys of the shard and of the metadata."""
        return [self.extracted.key, self.metadata.key]

    def work(self) -> Work:
        """Return the kernels of tables and of the matcher: those of the entries' other spellings are made here."""
        return Work(("table", "match"), 5e-4 * self.metadata.rows + 1e-4 * self.extracted.rows)

    def compute(self, store: Store, output: OutputWriter) -> Mapping[str, Any]:
        """Read the shard as a stream, as far as the part goes; it is sorted by uid."""
        counts = Counter(dict.fromkeys(("texts", *_COUNTS), 0))
        near = _near_matcher(store, self.metadata)
        exact = open_matcher(store, self.metadata)
        found = [NEAR_MISS.empty_table()]
        for table in _read(store, self.extracted, self.halvings, counts):
            table = table.take(pa.array(in_language(table, self.settings)))
            for start in range(0, table.num_rows, _ROWS):
                found = [_sum([*found, _look_at(table.slice(start, _ROWS), near, exact, counts)])]
        output.parquet(MISSES, NEAR_MISS, iter(found))
        return {"counts": dict(sorted(counts.items()))}


def _read(store: Store, extracted: Reference, halvings: int, counts: Counter[str]) -> Iterator[pa.Table]:
    """Yield the row groups of a shard, as far as the part goes."""
    file = store.open_parquet(extracted, PAIRS)
    last = np.uint64((1 << (64 - halvings)) - 1)
    for group in range(file.num_row_groups):
        table = file.read_row_group(group, columns=_COLUMNS)
        counts["bytes_read"] += group_bytes(file, group, _COLUMNS)
        inside = int(np.searchsorted(table.column("uid_hi").to_numpy(), last, side="right"))
        yield table.slice(0, inside)
        if inside < table.num_rows:
            return


def _look_at(table: pa.Table, near: NearMatcher, exact: Matcher, counts: Counter[str]) -> pa.Table:
    """Return the near misses of some texts, and count the texts."""
    texts = table.column("text").combine_chunks()
    text, entry, cause = near.find(texts, *exact.match(texts))
    counts["texts"] += table.num_rows
    # A text counts once, by the first cause of any of its entries that can be mended.
    first = np.full(table.num_rows, len(CAUSES), np.int64)
    np.minimum.at(first, text, cause)
    counts["texts_that_miss"] += int((first < NEVER).sum())
    counts["texts_but_for_case_or_punctuation"] += int((first <= BOTH).sum())
    counts["texts_with_an_entry_that_never_matches"] += len(np.unique(text[cause == NEVER]))
    return _tabulate(table, texts, text, entry, cause)


_COUNTS = ("texts_that_miss", "texts_but_for_case_or_punctuation", "texts_with_an_entry_that_never_matches")


@dataclass(frozen=True)
class NearJob(Job):
    """Add up the near misses of all shards."""

    STAGE: ClassVar[str] = "near"
    VERSION: ClassVar[int] = 1

    shards: tuple[Reference, ...]
    metadata: Reference
    halvings: int
    of: int
    """Number of shards of the pool, of which these were chosen."""

    @property
    def label(self) -> str:
        """What is added up."""
        return f"sum of {len(self.shards)}"

    def config(self) -> Mapping[str, Any]:
        """Return which part was looked at."""
        return {"sum": True, "halvings": self.halvings, "part": len(self.shards) / self.of * 0.5**self.halvings}

    def inputs(self) -> list[str]:
        """Return the keys of the metadata and of all shards."""
        return [self.metadata.key, *(shard.key for shard in self.shards)]

    def compute(self, store: Store, output: OutputWriter) -> Mapping[str, Any]:
        """Write one row for each entry and cause, and count the entries that can never match."""
        counts = Counter(dict.fromkeys(("texts", *_COUNTS), 0))
        found = [NEAR_MISS.empty_table()]
        for shard in self.shards:
            of_shard = store.manifest(shard.manifest).statistics["counts"]
            counts.update({name: of_shard[name] for name in ("texts", *_COUNTS)})
            found.append(store.open_parquet(shard, MISSES).read().cast(NEAR_MISS))
            if len(found) > _GATHERED:
                found = [_sum(found)]
        output.parquet(MISSES, NEAR_MISS, iter([_sum(found)]))
        entries, spaced = _entries(store, self.metadata)
        counts["entries_that_never_match"] = 0 if spaced else sum(not can_match(entry) for entry in entries)
        return {"counts": dict(sorted(counts.items()))}


@dataclass(frozen=True)
class NearGroupsShardJob(Job):
    """Count the near misses of one extracted shard of a pool by language."""

    STAGE: ClassVar[str] = "near"
    VERSION: ClassVar[int] = 1

    extracted: Reference
    lists: tuple[tuple[str, Reference], ...]
    """Name and list of each group that is looked at and that the shard's labels can lead to, ascending."""
    groups: Groups
    """All groups of the pool."""
    settings: Match
    halvings: int

    @classmethod
    def of(
        cls,
        store: Store,
        extracted: Reference,
        lists: Mapping[str, Reference],
        groups: Groups,
        settings: Match,
        halvings: int,
    ) -> "NearGroupsShardJob":
        """Return the job of a shard; its labels are read from the statistics of its extraction."""
        met = groups.met(store.manifest(extracted.manifest).statistics["languages"])
        chosen = tuple((name, lists[name]) for name in met if name in lists)
        return cls(extracted, chosen, groups, settings, halvings)

    def config(self) -> Mapping[str, Any]:
        """Return the filter of languages, the labels of the groups that are looked at, and which part is."""
        names = {name for name, _ in self.lists}
        labels = {label: name for label, name in sorted(self.groups.by_label.items()) if name in names}
        other = {} if self.groups.other_below is None else {"below_score": "other"}
        return {**self.settings.key_settings, "groups": labels, **other, "halvings": self.halvings}

    def inputs(self) -> list[str]:
        """Return the keys of the shard and of the lists."""
        return [self.extracted.key, *(f"{name}:{listed.key}" for name, listed in self.lists)]

    def work(self) -> Work:
        """Return the kernels of tables and of the matcher."""
        entries = sum(listed.rows for _, listed in self.lists)
        return Work(("table", "match"), 5e-4 * entries + 1e-4 * self.extracted.rows)

    def compute(self, store: Store, output: OutputWriter) -> Mapping[str, Any]:
        """Read the shard as a stream, as far as the part goes, and look at the texts of each group."""
        total: Counter[str] = Counter()
        counts = {name: Counter(dict.fromkeys(("texts", *_COUNTS), 0)) for name, _ in self.lists}
        found = {name: NEAR_MISS.empty_table() for name, _ in self.lists}
        for table in _read(store, self.extracted, self.halvings, total):
            labels = table.column("lang").combine_chunks().dictionary_encode()
            of_rows, _ = place(self.groups, self.settings, table, labels)
            for name, listed in self.lists:
                rows = np.flatnonzero(of_rows == self.groups.names.index(name))
                if not len(rows):
                    continue
                near = _near_matcher(store, listed, english=_ENGLISH in self.groups.labels_of(name))
                exact = open_matcher(store, listed)
                for start in range(0, len(rows), _ROWS):
                    some = table.take(pa.array(rows[start : start + _ROWS]))
                    found[name] = _sum([found[name], _look_at(some, near, exact, counts[name])])
        return {"counts": _write_groups(output, found, counts, total), "by_group": _plain(counts)}


@dataclass(frozen=True)
class NearGroupsJob(Job):
    """Add up the near misses of all shards of a pool by language."""

    STAGE: ClassVar[str] = "near"
    VERSION: ClassVar[int] = 1

    shards: tuple[Reference, ...]
    lists: tuple[tuple[str, Reference], ...]
    """The groups that are looked at, ascending, and their lists."""
    halvings: int
    of: int
    """Number of shards of the pool, of which these were chosen."""

    @property
    def label(self) -> str:
        """What is added up."""
        return f"sum of {len(self.shards)}"

    def config(self) -> Mapping[str, Any]:
        """Return which part was looked at."""
        part = len(self.shards) / self.of * 0.5**self.halvings
        return {"sum": True, "by_language": True, "halvings": self.halvings, "part": part}

    def inputs(self) -> list[str]:
        """Return the keys of the lists and of all shards."""
        return [*(f"{name}:{listed.key}" for name, listed in self.lists), *(shard.key for shard in self.shards)]

    def compute(self, store: Store, output: OutputWriter) -> Mapping[str, Any]:
        """Write one row for each group, entry and cause, and count the entries that can never match."""
        counts = {name: Counter(dict.fromkeys(("texts", *_COUNTS), 0)) for name, _ in self.lists}
        found = {name: NEAR_MISS.empty_table() for name, _ in self.lists}
        for shard in self.shards:
            table = store.open_parquet(shard, MISSES).read().cast(GROUP_NEAR_MISS)
            for name, of_group in store.manifest(shard.manifest).statistics["by_group"].items():
                counts[name].update(of_group)
                own = table.filter(pc.equal(table.column("group"), name)).drop_columns(["group"])
                found[name] = _sum([found[name], own])
        for name, listed in self.lists:
            entries, spaced = _entries(store, listed)
            counts[name]["entries_that_never_match"] = 0 if spaced else sum(not can_match(entry) for entry in entries)
        return {"counts": _write_groups(output, found, counts, Counter()), "by_group": _plain(counts)}


def _write_groups(
    output: OutputWriter, found: Mapping[str, pa.Table], counts: Mapping[str, Counter[str]], total: Counter[str]
) -> dict[str, int]:
    """Write the near misses of all groups, and return the sums of their counts."""
    tables = [
        table.add_column(0, GROUP_NEAR_MISS.field("group"), pa.repeat(name, len(table)))
        for name, table in found.items()
    ]
    output.parquet(MISSES, GROUP_NEAR_MISS, iter([pa.concat_tables([GROUP_NEAR_MISS.empty_table(), *tables])]))
    for name in ("texts", *_COUNTS):
        total[name] += 0
    for of_group in counts.values():
        total.update(of_group)
    return dict(sorted(total.items()))


def _plain(counts: Mapping[str, Counter[str]]) -> dict[str, dict[str, int]]:
    return {name: dict(sorted(of_group.items())) for name, of_group in counts.items()}


def is_wanted(settings: Near, entries: int) -> bool:
    """Return whether a pool with a list of this many entries gets near misses."""
    return settings.use == "always" or (settings.use == "auto" and entries < AUTO_BELOW)


def choose_shards(shards: Sequence[Reference]) -> tuple[Reference, ...]:
    """Return the shards that are looked at: all, or of very many those with the smallest keys, which are hashes."""
    if len(shards) <= MOST_SHARDS:
        return tuple(shards)
    keys = sorted(shard.key for shard in shards)[:MOST_SHARDS]
    return tuple(shard for shard in shards if shard.key <= keys[-1])


def halvings_of(pairs: int, most: int) -> int:
    """Return how often a pool is halved so that at most about `most` pairs are looked at."""
    halvings = 0
    while pairs >> halvings > most:
        halvings += 1
    return halvings


def read_misses(store: Store, near: Reference) -> pa.Table:
    """Return the near misses of a pool, of `schemas.NEAR_MISS`; by language of `schemas.GROUP_NEAR_MISS`."""
    by_language = "by_language" in store.manifest(near.manifest).config
    return store.open_parquet(near, MISSES).read().cast(GROUP_NEAR_MISS if by_language else NEAR_MISS)


_made: dict[tuple[str, str], NearMatcher] = {}
"""The matchers of the last lists, each of which takes up to a second to make."""

_MADE_ENTRIES = 400_000
"""So many entries the lists of these have in all, unless a single one has more: 800 bytes each."""


def _near_matcher(store: Store, metadata: Reference, *, english: bool = True) -> NearMatcher:
    name = (store.root, metadata.folder)
    if name not in _made:
        entries, spaced = _entries(store, metadata)
        while _made and sum(one.n_entries for one in _made.values()) + len(entries) > _MADE_ENTRIES:
            del _made[next(iter(_made))]
        _made[name] = NearMatcher(entries, spaced, english=english)
    return _made[name]


def _entries(store: Store, metadata: Reference) -> tuple[list[str], bool]:
    """Return the entries, and whether they are matched spaced out."""
    spaced = bool(store.manifest(metadata.manifest).config.get("space_entries"))
    return read_entries(store, metadata).column("entry").to_pylist(), spaced


def _tabulate(table: pa.Table, texts: pa.Array, text: Any, entry: Any, cause: Any) -> pa.Table:
    """Return the near misses of some texts, the first text of each entry and cause as its example."""
    cells, first, sizes = np.unique(entry * len(CAUSES) + cause, return_index=True, return_counts=True)
    rows = pa.array(text[first])
    columns = {
        "entry_id": pa.array((cells // len(CAUSES)).astype(np.uint32)),
        "cause": pa.array(np.array(CAUSES)[cells % len(CAUSES)].tolist(), pa.string()),
        "texts": pa.array(sizes.astype(np.uint64)),
        "uid_hi": table.column("uid_hi").take(rows),
        "uid_lo": table.column("uid_lo").take(rows),
        "example": pc.utf8_slice_codeunits(texts.take(rows), 0, EXAMPLE_CHARACTERS),
    }
    return pa.table(columns, schema=NEAR_MISS)


def _sum(tables: Sequence[pa.Table]) -> pa.Table:
    """Add up near misses; the example is that of the smallest uid."""
    whole = pa.concat_tables(tables)
    code = pc.index_in(whole.column("cause"), value_set=pa.array(CAUSES)).to_numpy().astype(np.int64)
    entry, high, low = (whole.column(name).to_numpy() for name in ("entry_id", "uid_hi", "uid_lo"))
    order = np.lexsort((low, high, code, entry))
    entry, code = entry[order], code[order]
    starts = np.flatnonzero(np.concatenate([[True], (entry[1:] != entry[:-1]) | (code[1:] != code[:-1])]))
    starts = starts[starts < len(order)]
    texts = whole.column("texts").to_numpy()[order]
    sums = np.add.reduceat(texts, starts) if len(starts) else np.zeros(0, np.uint64)
    rows = whole.take(pa.array(order[starts]))
    return rows.set_column(2, NEAR_MISS.field("texts"), pa.array(sums.astype(np.uint64)))
