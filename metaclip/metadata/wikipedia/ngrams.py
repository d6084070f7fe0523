"""Count words and word pairs of any amount of text in bounded memory.

The counts are in two hash tables. When one is full, both are written as sorted runs and emptied. The
runs are merged at the end (`metaclip.metadata.wikipedia.sorted_counts`). So memory is that of the
tables, and the result depends neither on their size nor on the order of the texts.
"""

from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from metaclip.kernels.jit import frozen
from metaclip.kernels.types import Bytes, Indices, Ints, Words
from metaclip.metadata.wikipedia.sorted_counts import AnyRun, HeldRun, PairCounts, RunSet, WordCounts
from metaclip.metadata.wikipedia.words import (
    BATCH,
    LETTERS,
    MAX_WORD_CHARACTERS,
    PAIRS,
    TOKENS,
    TOO_LONG,
    WORDS,
    classes,
    count_tokens,
)

MIN_MEMORY_BYTES = 1 << 20
MAX_MEMORY_BYTES = 16 << 30

_MARGIN = 8  # bytes behind a text


class _Tables(NamedTuple):
    """What `count_tokens` counts in."""

    pairs: Words
    slots: Words
    starts: Indices
    letters: Bytes
    word_counts: Ints

    @classmethod
    def of(cls, pair_slots: int, words: int) -> "_Tables":
        """Return empty tables; two thirds of the slots of words are used."""
        letters = words * 12 + BATCH * 4 * MAX_WORD_CHARACTERS
        return cls(
            np.zeros(pair_slots * 2, np.uint64),
            np.zeros(words * 3, np.uint64),
            np.zeros(words + 1, np.int32),
            np.zeros(letters, np.uint8),
            np.zeros(words, np.int64),
        )


class NgramCounter:
    """Counts the words and pairs of texts.

    Args:
        memory_bytes: memory for the tables and their sorting; less is slower.
        unicode_marks: cut words at all punctuation and symbols, as the rules of matching other than the paper's do.
    """

    def __init__(self, memory_bytes: int = 512 << 20, unicode_marks: bool = False) -> None:
        self._classes = classes(unicode_marks)
        budget = min(max(memory_bytes, MIN_MEMORY_BYTES), MAX_MEMORY_BYTES)
        # Two thirds of the slots are used; a slot takes 16 bytes, and a pair some 44 more while it is sorted.
        pair_slots = budget // 64
        self._max_pairs = pair_slots * 2 // 3
        max_words = budget // 200
        self._tables = _Tables.of(pair_slots, max_words)
        self._sizes = np.zeros(5, np.int64)
        self._runs = RunSet()

    @property
    def tokens(self) -> int:
        """Number of words counted, repeats included."""
        return int(self._sizes[TOKENS])

    @property
    def too_long(self) -> int:
        """Number of tokens that were skipped because of their length."""
        return int(self._sizes[TOO_LONG])

    @property
    def spills(self) -> int:
        """Number of runs written so far."""
        return self._runs.written

    def add(self, text: str) -> None:
        """Count the words and pairs of a text."""
        data = text.encode("utf-8", "replace")
        letters, size = frozen(np.frombuffer(data + bytes(_MARGIN), np.uint8), np.uint8), len(data)
        at = previous = previous_end = 0
        while True:
            at, previous, previous_end = count_tokens(
                letters, size, self._classes, at, previous, previous_end, *self._tables, self._sizes, self._max_pairs
            )
            if at == size:
                return
            self._spill()

    def runs(self) -> list[AnyRun]:
        """Return all runs, the last of them in memory; the counter cannot be used afterwards."""
        runs: list[AnyRun] = list(self._runs.runs)
        if self._sizes[WORDS]:
            runs.append(self._sorted())
        self._tables = _Tables.of(0, 0)  # the memory is free for the merge
        return runs

    def _spill(self) -> None:
        self._runs.write(self._sorted())
        self._tables.pairs[:] = 0
        self._tables.slots[:] = 0
        self._tables.word_counts[:] = 0
        self._sizes[[WORDS, LETTERS, PAIRS]] = 0

    def _sorted(self) -> HeldRun:
        """Return what is in the tables, sorted."""
        words = int(self._sizes[WORDS])
        pairs, _, starts, letters, word_counts = self._tables
        data = pa.py_buffer(letters[: starts[words]])
        texts = pa.StringArray.from_buffers(words, pa.py_buffer(starts[: words + 1]), data)
        order = pc.sort_indices(texts)
        rank = np.empty(words, np.uint64)
        rank[order.to_numpy()] = np.arange(words, dtype=np.uint64)
        used = np.flatnonzero(pairs[1::2]) * 2
        # Few arrays at a time: each has a row for each pair.
        found = pairs[used]
        keys = rank[found >> np.uint64(32)]
        keys <<= np.uint64(32)
        found &= np.uint64(0xFFFFFFFF)
        keys |= rank[found]
        del found
        sorting = np.argsort(keys)
        keys = keys[sorting]
        used = used[sorting]
        del sorting
        used += 1
        return HeldRun(
            WordCounts(texts.take(order), word_counts[order.to_numpy()]),
            PairCounts(keys, pairs[used].view(np.int64)),
        )
