import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from metaclip.tables.order import row_order

FEW = st.integers(0, 3)
ROWS = st.lists(st.tuples(FEW, FEW, FEW), max_size=60)


@given(ROWS)
def test_it_equals_the_sort_by_all_columns(rows: list[tuple[int, int, int]]) -> None:
    columns = list(np.array(rows, np.uint64).reshape(-1, 3).T)
    np.testing.assert_array_equal(row_order(*columns), np.lexsort(columns[::-1]))
    np.testing.assert_array_equal(row_order(columns[0]), np.argsort(columns[0], kind="stable"))


@pytest.mark.parametrize("share", [0, 0.01, 0.5, 1])
@pytest.mark.parametrize("dtype", [np.uint64, np.float64])
def test_many_rows_with_some_that_are_alike(share: float, dtype: type) -> None:
    rng = np.random.default_rng(0)
    first = rng.integers(0, 2**63, 20_000, np.uint64)
    alike = rng.random(len(first)) < share
    first[alike] = rng.integers(0, 100, int(alike.sum()), np.uint64)
    second = rng.integers(0, 5, len(first), np.uint64)
    order = row_order(first.astype(dtype), second)
    assert order.dtype == np.int64
    np.testing.assert_array_equal(order, np.lexsort((second, first.astype(dtype))))
