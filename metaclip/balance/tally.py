"""Entry counts of one partition, written to the same folder as its pairs."""

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from metaclip.balance.counts import entry_counts
from metaclip.schemas import ENTRY_COUNT
from metaclip.store.manifest import Reference
from metaclip.store.store import Store
from metaclip.store.writer import OutputWriter
from metaclip.tables.csr import csr


class Tally:
    """Counts the entries of a stream of tables."""

    def __init__(self) -> None:
        self._counts: npt.NDArray[np.uint64] = np.zeros(0, np.uint64)

    def counting(self, tables: Iterator[pa.Table]) -> Iterator[pa.Table]:
        """Yield the tables unchanged and count their `entry_ids`."""
        for table in tables:
            _, entry_ids = csr(table.column("entry_ids"))
            if len(entry_ids):
                more = entry_counts(entry_ids, max(int(entry_ids.max()) + 1, len(self._counts)))
                more[: len(self._counts)] += self._counts
                self._counts = more
            yield table

    def write(self, output: OutputWriter, name: str) -> None:
        """Write the entries that occurred, with their counts, as an Arrow file of `schemas.ENTRY_COUNT`.

        It is not Parquet, because readers of the folder expect pairs in every `.parquet` file.
        """
        present = np.flatnonzero(self._counts)
        columns = [pa.array(present.astype(np.uint32)), pa.array(self._counts[present])]
        with output.file(name) as sink, pa.ipc.new_file(sink, ENTRY_COUNT) as ipc:
            ipc.write_table(pa.table(columns, schema=ENTRY_COUNT))


def add_tally(total: npt.NDArray[np.uint64], store: Store, output: Reference, name: str) -> None:
    """Add what a `Tally` wrote to uint64[n_entries], in place.

    Raises:
        StoreError: if the file is missing.
    """
    table = pa.ipc.open_file(pa.BufferReader(store.read_bytes(output, name))).read_all()
    total[table.column("entry_id").to_numpy()] += table.column("count").to_numpy()
