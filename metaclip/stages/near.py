"""The near stage: how many texts of a pool miss an entry by case, punctuation, spacing or a plural.

A shard is looked at by itself, so that a new crawl leaves what was counted as it is. A pair that several shards have
is counted in each. Of a large pool a part is looked at: the pairs whose `uid_hi`, a hash of the image's address, is
in the first half, quarter and so on of its range, which are the first rows of each extracted shard.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from metaclip.config.settings import Match, Near
from metaclip.kernels.ways import Work
from metaclip.matching.spacing import can_match
from metaclip.matching.variants import BOTH, CAUSES, NEVER, NearMatcher
from metaclip.metadata.list_job import open_matcher, read_entries
from metaclip.schemas import NEAR_MISS, PAIRS
from metaclip.stages.match import in_language
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
        for table in self._read(store, counts):
            texts = table.column("text").combine_chunks()
            text, entry, cause = near.find(texts, *exact.match(texts))
            counts["texts"] += table.num_rows
            # A text counts once, by the first cause of any of its entries that can be mended.
            first = np.full(table.num_rows, len(CAUSES), np.int64)
            np.minimum.at(first, text, cause)
            counts["texts_that_miss"] += int((first < NEVER).sum())
            counts["texts_but_for_case_or_punctuation"] += int((first <= BOTH).sum())
            counts["texts_with_an_entry_that_never_matches"] += len(np.unique(text[cause == NEVER]))
            found = [_sum([*found, _tabulate(table, texts, text, entry, cause)])]
        output.parquet(MISSES, NEAR_MISS, iter(found))
        return {"counts": dict(sorted(counts.items()))}

    def _read(self, store: Store, counts: Counter[str]) -> Iterator[pa.Table]:
        file = store.open_parquet(self.extracted, PAIRS)
        last = np.uint64((1 << (64 - self.halvings)) - 1)
        for group in range(file.num_row_groups):
            table = file.read_row_group(group, columns=_COLUMNS)
            counts["bytes_read"] += group_bytes(file, group, _COLUMNS)
            inside = int(np.searchsorted(table.column("uid_hi").to_numpy(), last, side="right"))
            whole, table = inside == table.num_rows, table.slice(0, inside)
            table = table.take(pa.array(in_language(table, self.settings)))
            yield from (table.slice(start, _ROWS) for start in range(0, table.num_rows, _ROWS))
            if not whole:
                return


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
    """Return the near misses of a pool, of `schemas.NEAR_MISS`."""
    return store.open_parquet(near, MISSES).read().cast(NEAR_MISS)


_made: dict[tuple[str, str], NearMatcher] = {}
"""The matcher of the last list, which takes up to a second to make."""


def _near_matcher(store: Store, metadata: Reference) -> NearMatcher:
    name = (store.root, metadata.folder)
    if name not in _made:
        _made.clear()
        entries, spaced = _entries(store, metadata)
        _made[name] = NearMatcher(entries, spaced)
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
