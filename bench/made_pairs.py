"""Matched shards of made-up pairs, as large as wanted, for the benches of the pool's stages.

A fifth of the pairs are there twice or more, on other pages. Entries follow Zipf's law, 3.5 in each text, as
MetaCLIP's pool has them. The same arguments give the same rows.
"""

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from metaclip.schemas import ENTRY_IDS, MATCHED, PAIRS
from metaclip.store.manifest import Reference
from metaclip.store.store import Store
from metaclip.tables.csr import id_lists
from metaclip.tables.distinct_sketch import DistinctSketch
from metaclip.tables.parquet import RANGE_GROUP_ROWS

ENTRIES = 500_000
_CAPTIONS = 200_000
_WORDS_IN_A_CAPTION = 8
_REPEATED = 2.2
"""So many times as many numbers to draw from as pairs: a fifth of the pairs are drawn before."""


class MadePairs:
    """Makes pairs by their numbers: address, text and entries follow from the number."""

    def __init__(self, rows: int, entries: int = ENTRIES, seed: int = 0) -> None:
        self.rows = rows
        self.entries = entries
        self._seed = seed
        rng = np.random.default_rng(seed)
        words = np.array(["".join(rng.choice(list("etaoinshrdlu"), n)) for n in rng.integers(2, 12, 30_000)])
        drawn = words[np.minimum(rng.pareto(0.6, (_CAPTIONS, _WORDS_IN_A_CAPTION)) * 3, len(words) - 1).astype(int)]
        self._captions = pa.array([" ".join(row) for row in drawn])
        self._lists = _entry_lists(rng, entries)

    def shards(self, rows_a_shard: int) -> Iterator[pa.Table]:
        """Give the shards, each of `schemas.MATCHED` and sorted by uid, each uid once in it."""
        rng = np.random.default_rng(self._seed + 1)
        for start in range(0, self.rows, rows_a_shard):
            size = min(rows_a_shard, self.rows - start)
            yield self._shard(rng.integers(0, int(self.rows * _REPEATED), size), rng)

    def _shard(self, numbers: npt.NDArray[np.int64], rng: np.random.Generator) -> pa.Table:
        numbers = np.unique(numbers)
        high, low = _mixed(numbers, 1), _mixed(numbers, 2)
        order = np.lexsort((low, high))
        numbers, high, low = numbers[order], high[order], low[order]
        size = len(numbers)
        site, name = _text(numbers % 50_021), _text(numbers)
        page = _text(rng.integers(0, 1 << 40, size))
        caption = pa.array((_mixed(numbers, 3) % np.uint64(_CAPTIONS)).astype(np.int64))
        columns = [
            pa.array(high),
            pa.array(low),
            pc.binary_join_element_wise("https://cdn.site-", site, ".example/images/", name, ".jpg?w=640", ""),
            pc.binary_join_element_wise(self._captions.take(caption), name, " "),
            pa.array(np.array(["alt", "title"]))
            .take(pa.array((rng.random(size) < 0.2).astype(np.int64)))
            .cast(pa.string()),
            pc.binary_join_element_wise("https://www.site-", site, ".example/", page, ".html", ""),
            pa.repeat("en", size),
            pa.array(np.full(size, 0.9, np.float32)),
            self._lists.take(caption),
        ]
        return pa.table(columns, schema=MATCHED)


def write_matched(store: Store, pairs: MadePairs, rows_a_shard: int) -> tuple[Reference, tuple[Reference, ...]]:
    """Write the outputs of metadata and match of a made-up pool; return what names them."""
    how = {"made_up": [pairs.rows, pairs.entries, rows_a_shard]}
    with store.create("metadata", 1, how, [], f"metadata-v1/made-{pairs.entries}/manifest.json") as output:
        output.json("entries.json", {"made_up": pairs.entries}, pairs.entries)
        metadata = output.commit({"entries": pairs.entries})
    shards = []
    for number, table in enumerate(pairs.shards(rows_a_shard)):
        sketch = DistinctSketch()
        sketch.add(table.column("uid_lo").to_numpy())
        folder = f"match-v3/made-{pairs.rows}-{pairs.entries}-{number:04}"
        with store.create("match", 3, {**how, "shard": number}, [], f"{folder}/manifest.json") as output:
            output.parquet(PAIRS, MATCHED, iter([table]), RANGE_GROUP_ROWS)
            shards.append(output.commit({"counts": {"matched": table.num_rows}, "sketch": sketch.to_json()}))
    return metadata, tuple(shards)


def _entry_lists(rng: np.random.Generator, entries: int) -> pa.Array:
    """Return the entries of each caption, ascending and distinct, at least one."""
    lengths = rng.poisson(2.6, _CAPTIONS) + 1
    rows = np.repeat(np.arange(_CAPTIONS), lengths)
    drawn = np.minimum(rng.pareto(0.35, len(rows)) * 3, entries - 1).astype(np.int64)
    keys = np.unique(rows * entries + drawn)
    bounds = np.searchsorted(keys, np.arange(_CAPTIONS + 1) * entries)
    return id_lists(bounds, (keys % entries).astype(np.uint32)).cast(ENTRY_IDS.type)


def _mixed(numbers: npt.NDArray[np.int64], salt: int) -> npt.NDArray[np.uint64]:
    """Return a hash of each number (the finalizer of splitmix64)."""
    x = numbers.astype(np.uint64) + np.uint64(salt * 0x9E3779B97F4A7C15 & (1 << 64) - 1)
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return np.asarray(x ^ (x >> np.uint64(31)), np.uint64)


def _text(numbers: npt.NDArray[np.int64]) -> pa.Array:
    return pa.array(numbers).cast(pa.string())
