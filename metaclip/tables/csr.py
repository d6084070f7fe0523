"""Matched entry ids between Arrow list columns and CSR arrays, and their counts on the way past."""

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from metaclip.schemas import ENTRY_IDS


def id_lists(offsets: npt.NDArray[np.int64], entry_ids: npt.NDArray[np.uint32]) -> pa.ListArray:
    """Turn CSR arrays into an Arrow list column."""
    return pa.ListArray.from_arrays(pa.array(offsets.astype(np.int32)), pa.array(entry_ids), type=ENTRY_IDS.type)


def csr(column: pa.ChunkedArray) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.uint32]]:
    """Turn an Arrow list column into CSR arrays: offsets int64[n+1], entry_ids uint32[m]."""
    if not len(column):
        return np.zeros(1, np.int64), np.zeros(0, np.uint32)
    lists = column.combine_chunks()
    if isinstance(lists, pa.ChunkedArray):
        lists = lists.chunk(0)
    offsets = lists.offsets.to_numpy().astype(np.int64)
    return offsets - offsets[0], lists.flatten().to_numpy()
