"""Rows in order, however few of them are in memory at a time."""

from itertools import pairwise

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from metaclip.tables import sorter
from metaclip.tables.sorter import Sorter

SCHEMA = pa.schema([("weight", pa.float64()), ("number", pa.uint64()), ("name", pa.string())])
KEYS = ("weight", "number")

Row = tuple[float, int]
rows = st.lists(
    st.tuples(st.sampled_from([0.0, 0.5, 1.0, float("inf")]), st.integers(0, 2**64 - 1)),
    max_size=40,
    unique_by=lambda row: row[1],
)


def table(chosen: list[Row]) -> pa.Table:
    weights, numbers = [row[0] for row in chosen], [row[1] for row in chosen]
    names = [f"{weight} {number}" for weight, number in chosen]
    columns = [pa.array(weights, pa.float64()), pa.array(numbers, pa.uint64()), pa.array(names, pa.string())]
    return pa.table(columns, schema=SCHEMA)


def order(rows: pa.Table) -> npt.NDArray[np.int64]:
    return np.lexsort([rows.column(key).to_numpy() for key in reversed(KEYS)])


def cut(chosen: list[Row], cuts: list[int]) -> list[pa.Table]:
    bounds = [0, *sorted(min(one, len(chosen)) for one in cuts), len(chosen)]
    return [table(chosen[a:b]) for a, b in pairwise(bounds)]


@pytest.mark.parametrize("memory", [sorter.MEMORY_BYTES, 200, 0])
@given(chosen=rows, cuts=st.lists(st.integers(0, 40), max_size=9), fan_in=st.integers(2, 4), piece=st.integers(1, 5))
def test_rows_come_back_in_order(memory: int, chosen: list[Row], cuts: list[int], fan_in: int, piece: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sorter, "MEMORY_BYTES", memory)
        patch.setattr(sorter, "_FAN_IN", fan_in)
        patch.setattr(sorter, "_PIECE_BYTES", 40 * piece)
        rows = Sorter(SCHEMA, KEYS, order)
        for one in cut(chosen, cuts):
            rows.append(one)
        assert rows.rows == len(chosen)
        assert pa.concat_tables([SCHEMA.empty_table(), *rows.tables()]).equals(table(sorted(chosen)))


def test_a_few_rows_of_a_table_do_not_keep_all_of_it_in_memory() -> None:
    rows = Sorter(SCHEMA, KEYS, order)
    before = pa.total_allocated_bytes()
    for start in range(0, 400_000, 10_000):
        numbers = np.arange(start, start + 10_000, dtype=np.uint64)
        names = pa.array(["a name of some length"] * len(numbers))
        rows.append(pa.table([numbers / 2, numbers, names], schema=SCHEMA).slice(70, 100))
    assert rows.rows == 4_000
    assert pa.total_allocated_bytes() - before < 1_000_000
    assert sum(one.num_rows for one in rows.tables()) == 4_000
