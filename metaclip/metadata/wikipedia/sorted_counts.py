"""Sorted runs of counts, and their merge in bounded memory.

A run is two Parquet files: texts with counts, in the order of their code points; and pairs of texts
with counts, where each text is its position in the first file, sorted too. To merge runs, one row group
of each is read at a time. So memory grows with their number, not with their length. If there are many
runs, they are merged in groups first.
"""

import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from metaclip.schemas import PAIR_COUNT, TEXT_COUNT

FAN_IN = 64
"""Number of runs that are merged at a time, with a row group of each in memory."""

RUN_GROUP_ROWS = 8192
"""Rows of a row group of a temporary run; outputs have larger ones."""

Counts: TypeAlias = npt.NDArray[np.int64]
Keys: TypeAlias = npt.NDArray[np.uint64]


@dataclass(frozen=True)
class WordCounts:
    """Consecutive texts of a run."""

    texts: pa.StringArray
    counts: Counts

    def table(self) -> pa.Table:
        """Return the texts as a table of `schemas.TEXT_COUNT`."""
        return pa.table([self.texts, pa.array(self.counts.astype(np.uint64))], schema=TEXT_COUNT)


@dataclass(frozen=True)
class PairCounts:
    """Consecutive pairs of a run; a key is the position of the first text times 2^32, plus that of the second."""

    keys: Keys
    counts: Counts

    def table(self) -> pa.Table:
        """Return the pairs as a table of `schemas.PAIR_COUNT`."""
        first = (self.keys >> np.uint64(32)).astype(np.uint32)
        columns = [first, self.keys.astype(np.uint32), self.counts.astype(np.uint64)]
        return pa.table([pa.array(column) for column in columns], schema=PAIR_COUNT)


@dataclass(frozen=True)
class Run:
    """A sorted run; its files are opened when it is read."""

    open_texts: Callable[[], pq.ParquetFile]
    open_pairs: Callable[[], pq.ParquetFile] | None = None

    def texts(self) -> Iterator[WordCounts]:
        """Read the texts, one row group at a time."""
        file = self.open_texts()
        for group in range(file.num_row_groups):
            table = file.read_row_group(group).cast(TEXT_COUNT).combine_chunks()
            if table.num_rows:
                yield WordCounts(table.column(0).chunk(0), table.column(1).to_numpy().astype(np.int64))

    def pairs(self) -> Iterator[PairCounts]:
        """Read the pairs, one row group at a time."""
        if self.open_pairs is None:
            return
        file = self.open_pairs()
        for group in range(file.num_row_groups):
            first, second, counts = (column.to_numpy() for column in file.read_row_group(group).columns)
            keys = first.astype(np.uint64) << np.uint64(32) | second
            if len(keys):
                yield PairCounts(keys, counts.astype(np.int64))


@dataclass(frozen=True)
class HeldRun:
    """A sorted run in memory."""

    words: WordCounts
    word_pairs: PairCounts

    def texts(self) -> Iterator[WordCounts]:
        """Give the texts, a row group at a time."""
        for at in range(0, len(self.words.counts), RUN_GROUP_ROWS):
            rows = slice(at, at + RUN_GROUP_ROWS)
            yield WordCounts(self.words.texts[rows], self.words.counts[rows])

    def pairs(self) -> Iterator[PairCounts]:
        """Give the pairs, a row group at a time."""
        for at in range(0, len(self.word_pairs.counts), RUN_GROUP_ROWS):
            rows = slice(at, at + RUN_GROUP_ROWS)
            yield PairCounts(self.word_pairs.keys[rows], self.word_pairs.counts[rows])


AnyRun: TypeAlias = Run | HeldRun


class RunSet:
    """Runs in unnamed temporary files, which disappear with the process, however it ends."""

    def __init__(self) -> None:
        self.written = 0
        self._levels: list[list[Run]] = [[]]

    @property
    def runs(self) -> list[Run]:
        """All runs, a few dozen at most."""
        return [run for level in self._levels for run in level]

    def write(self, run: "AnyRun | Merge") -> None:
        """Add a run; if there are many, they are merged into one."""
        self.written += 1
        self._put(0, run)

    def _put(self, level: int, source: "AnyRun | Merge") -> None:
        run = Run(
            _temporary(TEXT_COUNT, (part.table() for part in source.texts())),
            _temporary(PAIR_COUNT, (part.table() for part in source.pairs())),
        )
        self._levels[level].append(run)
        if len(self._levels[level]) < FAN_IN:
            return
        if level + 1 == len(self._levels):
            self._levels.append([])
        self._put(level + 1, Merge(self._levels[level]))
        self._levels[level] = []


def _temporary(schema: pa.Schema, tables: Iterator[pa.Table]) -> Callable[[], pq.ParquetFile]:
    file = tempfile.TemporaryFile(prefix="metaclip-")  # noqa: SIM115 (lives as long as its run)
    with pq.ParquetWriter(file, schema, compression="lz4", use_dictionary=False, write_statistics=False) as writer:
        for table in tables:
            writer.write_table(table, row_group_size=RUN_GROUP_ROWS)
    file.flush()

    def reopen() -> pq.ParquetFile:
        file.seek(0)
        return pq.ParquetFile(file)

    return reopen


class Merge:
    """Sums the counts of runs: first all of `texts`, then `pairs`."""

    def __init__(self, runs: Sequence[AnyRun]) -> None:
        if len(runs) > FAN_IN:
            grouped = RunSet()
            for start in range(0, len(runs), FAN_IN):
                grouped.write(Merge(runs[start : start + FAN_IN]))
            runs = grouped.runs
        self._runs = runs
        self._positions = [_Numbers() for _ in runs]

    def texts(self) -> Iterator[WordCounts]:
        """Yield all texts once, with their counts over all runs, in the order of their code points."""
        if len(self._runs) == 1:
            yield from self._runs[0].texts()
            return
        base = 0
        for taken in _in_step([run.texts() for run in self._runs], _last_text, _cut_texts):
            texts = pa.concat_arrays([part.texts for _, part in taken])
            counts = np.concatenate([part.counts for _, part in taken])
            encoded = texts.dictionary_encode()
            order = pc.sort_indices(encoded.dictionary).to_numpy()
            ranks = np.empty(len(order), np.int64)
            ranks[order] = np.arange(len(order))
            ranks = ranks[encoded.indices.to_numpy()]
            sums = np.zeros(len(order), np.int64)
            np.add.at(sums, ranks, counts)
            start = 0
            for run, part in taken:
                self._positions[run].append(base + ranks[start : start + len(part.counts)])
                start += len(part.counts)
            base += len(order)
            yield WordCounts(encoded.dictionary.take(pa.array(order)), sums)

    def pairs(self) -> Iterator[PairCounts]:
        """Yield all pairs once, with their counts over all runs, by the positions that `texts` gave."""
        if len(self._runs) == 1:
            yield from self._runs[0].pairs()
            return
        sources = [self._renumbered(number, run) for number, run in enumerate(self._runs)]
        for taken in _in_step(sources, lambda part: int(part.keys[-1]), _cut_pairs):
            keys = np.concatenate([part.keys for _, part in taken])
            counts = np.concatenate([part.counts for _, part in taken])
            if len(taken) > 1:
                order = np.argsort(keys, kind="stable")
                keys, counts = keys[order], counts[order]
                begins = np.flatnonzero(np.concatenate([[True], keys[1:] != keys[:-1]]))
                keys, counts = keys[begins], np.add.reduceat(counts, begins)
            yield PairCounts(keys, counts)

    def _renumbered(self, number: int, run: AnyRun) -> Iterator[PairCounts]:
        positions = self._positions[number].array()
        for part in run.pairs():
            first = positions[part.keys >> np.uint64(32)].astype(np.uint64)
            second = positions[part.keys & np.uint64(0xFFFFFFFF)]
            # Positions are in the same order as the run's own, so the rows stay sorted.
            yield PairCounts(first << np.uint64(32) | second, part.counts)


def _in_step(
    sources: Sequence[Iterator[Any]], last: Callable[[Any], Any], cut: Callable[[Any, Any], tuple[Any, Any]]
) -> Iterator[list[tuple[int, Any]]]:
    """Read sorted sources in parallel: yield, with the number of each source, their parts up to a common key."""
    held = {}
    for number, source in enumerate(sources):
        part = next(source, None)
        if part is not None:
            held[number] = part
    while held:
        until = min(last(part) for part in held.values())
        taken = []
        for number, part in list(held.items()):
            below, above = cut(part, until)
            if below is not None:
                taken.append((number, below))
            following = above if above is not None else next(sources[number], None)
            if following is None:
                del held[number]
            else:
                held[number] = following
        yield taken


def _last_text(part: WordCounts) -> Any:
    return part.texts[-1].as_py()


def _cut_texts(part: WordCounts, until: str) -> tuple[WordCounts | None, WordCounts | None]:
    low, high = 0, len(part.texts)
    while low < high:
        middle = (low + high) // 2
        if part.texts[middle].as_py() <= until:
            low = middle + 1
        else:
            high = middle
    below = WordCounts(part.texts[:low], part.counts[:low]) if low else None
    above = WordCounts(part.texts[low:], part.counts[low:]) if low < len(part.texts) else None
    return below, above


def _cut_pairs(part: PairCounts, until: int) -> tuple[PairCounts | None, PairCounts | None]:
    at = int(np.searchsorted(part.keys, np.uint64(until), side="right"))
    below = PairCounts(part.keys[:at], part.counts[:at]) if at else None
    above = PairCounts(part.keys[at:], part.counts[at:]) if at < len(part.keys) else None
    return below, above


class _Numbers:
    """Positions by row, on disk; only those in use are in memory."""

    def __init__(self) -> None:
        self._file = tempfile.TemporaryFile(prefix="metaclip-")  # noqa: SIM115 (lives as long as its mapping)

    def append(self, numbers: Counts) -> None:
        numbers.astype(np.uint32).tofile(self._file)

    def array(self) -> npt.NDArray[np.uint32]:
        self._file.flush()
        if not self._file.tell():
            return np.zeros(0, np.uint32)
        return np.memmap(self._file, np.uint32, "r")
