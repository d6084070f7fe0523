"""The best texts of a corpus: words and titles by count, pairs by pointwise mutual information."""

import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from metaclip.metadata.pmi import pmi
from metaclip.metadata.wikipedia.sorted_counts import Merge, Run
from metaclip.schemas import TEXT_COUNT

Floats: TypeAlias = npt.NDArray[np.float64]
Keys: TypeAlias = npt.NDArray[np.uint64]

_LOW = np.uint64(0xFFFFFFFF)
_SLACK = 1 << 20


@dataclass(frozen=True)
class Ranked:
    """The texts that passed the thresholds of a source, sorted by descending score, then by text."""

    texts: list[str]
    """The best of them, as many as were requested."""
    scores: list[float]
    passed: int
    """How many passed in all."""
    failed: dict[str, int]
    """How many did not pass, by reason."""


def join_with_space(first: str, second: str) -> str:
    """Return the entry of a pair of words in a language with spaces."""
    return f"{first} {second}"


class Corpus:
    """The merged counts of some runs: texts on disk, their counts in memory (8 bytes a text)."""

    def __init__(self, runs: Sequence[Run]) -> None:
        self._merge = Merge(runs)
        self._file = tempfile.TemporaryFile(prefix="metaclip-")  # noqa: SIM115 (lives as long as the corpus)
        counts = [np.zeros(0, np.int64)]
        with pq.ParquetWriter(self._file, TEXT_COUNT, compression="lz4", use_dictionary=False) as writer:
            for part in self._merge.texts():
                writer.write_table(part.table())
                counts.append(part.counts)
        self.counts = np.concatenate(counts)
        self.total = int(self.counts.sum())
        self.distinct = int(np.count_nonzero(self.counts))

    def most_counted(self, min_count: int, keep: int, reason: str = "below_min_count") -> Ranked:
        """Rank the texts by count; those that fail are counted under `reason`."""
        best = _Best(keep)
        passing = np.flatnonzero(self.counts >= max(min_count, 1))
        best.add(self.counts[passing].astype(np.float64), passing.astype(np.uint64))
        scores, keys = best.result()
        unseen = int(np.count_nonzero(self.counts == 0))
        failed = {reason: len(self.counts) - unseen - len(passing)}
        return Ranked(self._texts(keys), scores.tolist(), len(passing), failed)

    def most_associated(
        self,
        min_pmi: float,
        min_count: int,
        keep: int,
        total: int | None = None,
        join: Callable[[str, str], str] = join_with_space,
    ) -> Ranked:
        """Rank the pairs by PMI. The pairs are read once, so this can be called only once.

        Args:
            min_pmi: in bits.
            min_count: of the pair.
            keep: maximum number of pairs to return.
            total: words in all, if the counts are an excerpt; default: the sum of the words' counts.
            join: makes an entry of the two words of a pair.
        """
        best = _Best(keep)
        failed = {"below_min_count": 0, "without_word_counts": 0, "below_min_pmi": 0}
        passed = 0
        for part in self._merge.pairs():
            often = part.counts >= max(min_count, 1)
            failed["below_min_count"] += int(np.count_nonzero(~often))
            keys, counts = part.keys[often], part.counts[often]
            first, second = self.counts[keys >> np.uint64(32)], self.counts[keys & _LOW]
            known = (first > 0) & (second > 0)
            failed["without_word_counts"] += int(np.count_nonzero(~known))
            keys = keys[known]
            if not len(keys):
                continue
            scores = pmi(counts[known], first[known], second[known], total or self.total)
            high = scores >= min_pmi
            failed["below_min_pmi"] += int(np.count_nonzero(~high))
            passed += int(np.count_nonzero(high))
            best.add(scores[high], keys[high])
        scores, keys = best.result()
        texts = self._texts(np.concatenate([keys >> np.uint64(32), keys & _LOW]))
        pairs = [join(a, b) for a, b in zip(texts[: len(keys)], texts[len(keys) :], strict=True)]
        return Ranked(pairs, scores.tolist(), passed, failed)

    def counts_of(self, texts: Sequence[str]) -> npt.NDArray[np.int64]:
        """Return the counts of some texts, int64[n], 0 for those that do not occur."""
        wanted = pa.array(texts, pa.string())
        found = np.zeros(len(texts), np.int64)
        self._file.seek(0)
        file = pq.ParquetFile(self._file)
        base = 0
        for group in range(file.num_row_groups):
            column = file.read_row_group(group, columns=["text"]).column(0).combine_chunks()
            places = pc.index_in(wanted, value_set=column)
            here = places.is_valid().to_numpy(zero_copy_only=False)
            found[here] = self.counts[base + places.drop_null().to_numpy()]
            base += len(column)
        return found

    def _texts(self, positions: Keys) -> list[str]:
        """Return the texts at some positions; the file is read once, from front to back."""
        wanted, back = np.unique(positions.astype(np.int64), return_inverse=True)
        self._file.seek(0)
        file = pq.ParquetFile(self._file)
        parts = [pa.array([], pa.string())]
        base = 0
        for group in range(file.num_row_groups):
            rows = file.metadata.row_group(group).num_rows
            here = wanted[np.searchsorted(wanted, base) : np.searchsorted(wanted, base + rows)]
            if len(here):
                column = file.read_row_group(group, columns=["text"]).column(0).combine_chunks()
                parts.append(column.take(pa.array(here - base)))
            base += rows
        found: list[str] = pa.concat_arrays(parts).take(pa.array(back)).to_pylist()
        return found


class _Best:
    """Keeps the rows with the highest scores; of equal scores, those with the lowest keys."""

    def __init__(self, keep: int) -> None:
        self._keep = keep
        self._held = 0
        self._scores: list[Floats] = []
        self._keys: list[Keys] = []

    def add(self, scores: Floats, keys: Keys) -> None:
        self._scores.append(scores)
        self._keys.append(keys)
        self._held += len(keys)
        if self._held > 2 * self._keep + _SLACK:
            self.result()

    def result(self) -> tuple[Floats, Keys]:
        scores = np.concatenate([np.zeros(0), *self._scores])
        keys = np.concatenate([np.zeros(0, np.uint64), *self._keys])
        order = np.lexsort((keys, -scores))[: self._keep]
        self._scores, self._keys = [scores[order]], [keys[order]]
        self._held = len(order)
        return self._scores[0], self._keys[0]
