"""The browse stage: an index of one balanced partition, from which a page is answered in milliseconds.

A partition is cut into segments. A row of a segment keeps the place that it has in the balanced partition, so rows are
in the order of min_t, and every list of rows (those with a word, an entry, a host, a language) is too. So what t keeps
of any list is a prefix of it, which takes one binary search.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from metaclip.config.groups import Groups
from metaclip.matching.variants import loose
from metaclip.report.survey import hosts
from metaclip.schemas import BROWSED, BROWSED_TERM, PAIRS
from metaclip.store.job import Job
from metaclip.store.manifest import Reference
from metaclip.store.store import Store
from metaclip.store.writer import OutputWriter
from metaclip.tables.csr import csr

SEGMENT_ROWS = 1 << 20
BATCH_ROWS = 128
"""Rows that are decompressed to read one of them."""

WORD, HOST, LANGUAGE = "w", "h", "l"
"""First letters of terms."""

LONGEST_WORD = 64
"""Characters of a word; longer ones are cut."""

_ALONE = r"([\p{Han}\p{Hiragana}\p{Katakana}\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}])"
"""Letters of scripts that write words without spaces between them: each is a word."""

Rows = npt.NDArray[np.uint32]
Ends = npt.NDArray[np.uint64]


def words(texts: pa.Array) -> pa.ListArray:
    """Return the words of texts as they are searched: the loose form, cut at spaces, see `matching.variants.loose`."""
    return pc.split_pattern(pc.replace_substring_regex(loose(texts), _ALONE, r" \1 "), " ")


@dataclass(frozen=True)
class BrowseIndexJob(Job):
    """Index one balanced partition by word, entry, host and language."""

    STAGE: ClassVar[str] = "browse"
    VERSION: ClassVar[int] = 1

    balanced: Reference
    first_ids: tuple[tuple[str, int], ...] = ()
    """In a pool by language, by group: the number of entries of the lists before its own, as `counts` has them."""
    groups: Groups | None = None
    """Of a pool by language; the balanced partition's key depends on both already."""

    def config(self) -> Mapping[str, Any]:
        """Return how rows are divided."""
        return {"segment_rows": SEGMENT_ROWS, "batch_rows": BATCH_ROWS}

    def inputs(self) -> list[str]:
        """Return the key of the balanced partition."""
        return [self.balanced.key]

    def compute(self, store: Store, output: OutputWriter) -> Mapping[str, Any]:
        """Write the files of each segment; memory is that of one, whatever the size of the partition."""
        segments = []
        for number, tables in enumerate(self._segments(store)):
            segments.append(self._write(output, f"{number:05}", tables))
        return {"counts": {"pairs": sum(segments)}, "segments": segments}

    def _segments(self, store: Store) -> Iterator[Iterator[pa.Table]]:
        """Yield the tables of each segment, which are used up before the next segment is asked for."""
        file = store.open_parquet(self.balanced, PAIRS)
        rows = [file.metadata.row_group(number).num_rows for number in range(file.num_row_groups)]
        groups: list[int] = []
        for number, of_group in enumerate(rows):
            if groups and sum(rows[each] for each in groups) + of_group > SEGMENT_ROWS:
                yield (file.read_row_group(each) for each in groups)
                groups = []
            groups.append(number)
        if groups:
            yield (file.read_row_group(each) for each in groups)

    def _write(self, output: OutputWriter, name: str, tables: Iterator[pa.Table]) -> int:
        names: list[pa.Array] = []
        of_terms: list[Rows] = []
        lists: list[tuple[npt.NDArray[np.int64], Rows]] = []
        thresholds: list[npt.NDArray[np.float64]] = []
        rows = 0
        options = pa.ipc.IpcWriteOptions(compression=pa.Codec("zstd", compression_level=1))
        with output.file(f"{name}.rows.arrow") as sink:
            with pa.ipc.new_file(sink, BROWSED, options=options) as writer:
                for table in _even(tables, BATCH_ROWS):
                    writer.write_table(table.select(BROWSED.names).cast(BROWSED), max_chunksize=BATCH_ROWS)
                    for term, of_term in _terms(table):
                        names.append(term)
                        of_terms.append(of_term + np.uint32(rows))
                    offsets, ids = csr(table.column("entry_ids"))
                    lists.append((np.diff(offsets), ids + self._first_ids(table, offsets)))
                    thresholds.append(table.column("min_t").to_numpy())
                    rows += table.num_rows
            sink.rows = rows
        self._write_terms(output, name, names, of_terms)
        sizes = np.concatenate([sizes for sizes, _ in lists])
        entry_ids = np.concatenate([ids for _, ids in lists])
        own_rows = np.repeat(np.arange(rows, dtype=np.uint32), sizes)
        entries, ends, entry_rows = _inverted(entry_ids, own_rows)
        _save(output, f"{name}.min_t.npy", np.concatenate(thresholds))
        _save(output, f"{name}.row_ends.npy", np.cumsum(sizes).astype(np.uint64))
        _save(output, f"{name}.row_entries.npy", entry_ids)
        _save(output, f"{name}.entries.npy", entries)
        _save(output, f"{name}.entry_ends.npy", ends)
        _save(output, f"{name}.entry_rows.npy", entry_rows)
        return rows

    def _first_ids(self, table: pa.Table, offsets: npt.NDArray[np.int64]) -> Rows:
        """Return what is added to each entry id so that it is a position in the pool's counts."""
        if self.groups is None:
            return np.zeros(int(offsets[-1]), np.uint32)
        starts = dict(self.first_ids)
        of_row = self.groups.of_rows(table.column("lang"), table.column("lang_score"))
        named = np.array([starts.get(group, 0) for group in self.groups.names], np.uint32)
        return np.repeat(named[of_row], np.diff(offsets))

    def _write_terms(self, output: OutputWriter, name: str, names: list[pa.Array], rows: list[Rows]) -> None:
        coded = pa.chunked_array(names).combine_chunks().dictionary_encode()
        order = pc.sort_indices(coded.dictionary).to_numpy()
        place = np.empty(len(order), np.uint32)
        place[order] = np.arange(len(order), dtype=np.uint32)
        codes, ends, term_rows = _inverted(place[coded.indices.to_numpy()], np.concatenate(rows))
        assert len(codes) == len(order)  # every term has a row
        listed = pa.table([coded.dictionary.take(pa.array(order)), pa.array(ends)], schema=BROWSED_TERM)
        with output.file(f"{name}.terms.arrow") as sink, pa.ipc.new_file(sink, BROWSED_TERM) as writer:
            writer.write_table(listed.combine_chunks(), max_chunksize=max(1, len(listed)))
        _save(output, f"{name}.term_rows.npy", term_rows)


def _even(tables: Iterator[pa.Table], rows: int) -> Iterator[pa.Table]:
    """Yield the same rows in tables of which all but the last have a multiple of so many."""
    left: pa.Table | None = None
    for table in tables:
        whole = table if left is None else pa.concat_tables([left, table])
        cut = whole.num_rows // rows * rows
        if cut:
            yield whole.slice(0, cut).combine_chunks()
        left = whole.slice(cut)
    if left is not None and left.num_rows:
        yield left.combine_chunks()


def _terms(table: pa.Table) -> Iterator[tuple[pa.Array, Rows]]:
    """Yield terms of a table, and the row of each."""
    here = np.arange(table.num_rows, dtype=np.uint32)
    split = words(table.column("text").combine_chunks())
    rows = np.repeat(here, pc.list_value_length(split).to_numpy().astype(np.int64))
    found = split.flatten()
    some = pc.not_equal(found, "")
    found, rows = found.filter(some), rows[some.to_numpy(False)]
    yield _term(WORD, pc.utf8_slice_codeunits(found, 0, LONGEST_WORD)), rows
    yield _term(HOST, hosts(table.column("url")).combine_chunks()), here
    yield _term(LANGUAGE, table.column("lang").combine_chunks().cast(pa.string())), here


def _term(kind: str, values: pa.Array) -> pa.Array:
    return pc.binary_join_element_wise(pa.scalar(kind), values.cast(pa.string()), "")


def _inverted(values: Rows, rows: Rows) -> tuple[Rows, Ends, Rows]:
    """Return the distinct values, ascending, the end of the rows of each, and the rows, ascending and each once."""
    keys = values.astype(np.uint64) << np.uint64(32) | rows
    keys.sort()
    if len(keys):
        keys = keys[np.concatenate([[True], keys[1:] != keys[:-1]])]
    of_value = (keys >> np.uint64(32)).astype(np.uint32)
    last = np.flatnonzero(np.concatenate([of_value[1:] != of_value[:-1], np.ones(min(1, len(keys)), bool)]))
    return of_value[last], (last + 1).astype(np.uint64), keys.astype(np.uint32)


def _save(output: OutputWriter, name: str, values: npt.NDArray[Any]) -> None:
    with output.file(name) as sink:
        np.lib.format.write_array(sink, np.ascontiguousarray(values), version=(1, 0), allow_pickle=False)
