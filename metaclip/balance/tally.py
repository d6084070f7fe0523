"""Entry counts of one partition, written to the same folder as its pairs; in a pool by language, of each group."""

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from metaclip.config.groups import Groups
from metaclip.schemas import ENTRY_COUNT, GROUP_ENTRY_COUNT
from metaclip.store.manifest import Reference
from metaclip.store.store import Store
from metaclip.store.writer import OutputWriter
from metaclip.tables.by_group import rows_by_group
from metaclip.tables.csr import csr

_ALL = ""
"""The one list of a pool without groups of languages."""


class Tally:
    """Counts the entries of a stream of tables.

    Args:
        groups: the groups of languages, each with entry ids of its own; memory is held for those that occur,
            each as far as its largest id.
    """

    def __init__(self, groups: Groups | None = None) -> None:
        self._groups = groups
        self._counts: dict[str, npt.NDArray[np.uint64]] = {}

    def counting(self, tables: Iterator[pa.Table]) -> Iterator[pa.Table]:
        """Yield the tables unchanged and count their `entry_ids`."""
        for table in tables:
            lists = table.column("entry_ids")
            if self._groups is None:
                self._add(_ALL, lists)
            else:
                for group, rows in rows_by_group(self._groups, table):
                    self._add(group, lists.take(pa.array(rows)))
            yield table

    def _add(self, group: str, lists: pa.ChunkedArray) -> None:
        _, entry_ids = csr(lists)
        if len(entry_ids):
            # In place: tables are small, and a list of entries may be long.
            np.add.at(self._upto(group, int(entry_ids.max())), entry_ids, np.uint64(1))

    def _upto(self, group: str, entry_id: int) -> npt.NDArray[np.uint64]:
        """Return the counts of a group, as far as an entry at least."""
        counts = self._counts.get(group, np.zeros(0, np.uint64))
        if len(counts) <= entry_id:
            counts = self._counts[group] = np.concatenate([counts, np.zeros(entry_id + 1 - len(counts), np.uint64)])
        return counts

    def add_written(self, store: Store, output: Reference, name: str) -> None:
        """Add what another one of the same groups wrote.

        Raises:
            StoreError: if the file is missing.
        """
        if self._groups is None:
            table = pa.ipc.open_file(pa.BufferReader(store.read_bytes(output, name))).read_all()
            found = iter([(_ALL, table.column("entry_id").to_numpy(), table.column("count").to_numpy())])
        else:
            found = read_group_tally(store, output, name)
        for group, entry_ids, counts in found:
            if len(entry_ids):
                self._upto(group, int(entry_ids[-1]))[entry_ids] += counts  # ascending, each once

    def write(self, output: OutputWriter, name: str) -> None:
        """Write the entries that occurred, with their counts, as an Arrow file of `schemas.ENTRY_COUNT`.

        With groups it is of `schemas.GROUP_ENTRY_COUNT`, sorted by group. It is not Parquet, because readers of
        the folder expect pairs in every `.parquet` file.
        """
        schema = ENTRY_COUNT if self._groups is None else GROUP_ENTRY_COUNT
        # A pool without groups writes one table, even of no entry.
        found = (
            sorted(self._counts.items()) if self._groups else [(_ALL, self._counts.get(_ALL, np.zeros(0, np.uint64)))]
        )
        with output.file(name) as sink, pa.ipc.new_file(sink, schema) as ipc:
            for group, counts in found:
                present = np.flatnonzero(counts)
                columns = [pa.array(present.astype(np.uint32)), pa.array(counts[present])]
                if self._groups is not None:
                    columns.insert(0, pa.repeat(group, len(present)))
                ipc.write_table(pa.table(columns, schema=schema))


def add_tally(
    total: npt.NDArray[np.uint64], store: Store, output: Reference, name: str, group: str | None = None
) -> None:
    """Add what a `Tally` wrote to uint64[n_entries], in place; with groups, the counts of one of them.

    Raises:
        StoreError: if the file is missing.
    """
    table = pa.ipc.open_file(pa.BufferReader(store.read_bytes(output, name))).read_all()
    if group is not None:
        table = table.filter(pc.equal(table.column("group"), group))
    total[table.column("entry_id").to_numpy()] += table.column("count").to_numpy()


def read_group_tally(
    store: Store, output: Reference, name: str
) -> Iterator[tuple[str, npt.NDArray[np.uint32], npt.NDArray[np.uint64]]]:
    """Yield what a `Tally` wrote in a pool by language: group, entry ids, and their counts.

    Raises:
        StoreError: if the file is missing.
    """
    reader = pa.ipc.open_file(pa.BufferReader(store.read_bytes(output, name)))
    for number in range(reader.num_record_batches):
        batch = reader.get_batch(number)
        if batch.num_rows:  # a table of a group is one batch or more
            yield (
                batch.column("group")[0].as_py(),
                batch.column("entry_id").to_numpy(),
                batch.column("count").to_numpy(),
            )
