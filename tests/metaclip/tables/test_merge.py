"""Sorted tables merged into one."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from metaclip.tables.merge import merge_sorted
from tests.metaclip.tables.test_sorter import KEYS, Row, cut, rows


@given(st.lists(st.tuples(rows, st.lists(st.integers(0, 40), max_size=3)), max_size=5))
def test_merged_tables_follow_each_other_and_hold_all_rows_of_a_key(runs: list[tuple[list[Row], list[int]]]) -> None:
    merged = list(merge_sorted([cut(sorted(chosen), cuts) for chosen, cuts in runs], KEYS))
    found = [list(zip(*(one.column(key).to_pylist() for key in KEYS), strict=True)) for one in merged]
    assert all(found)
    assert all(max(before) < min(after) for before, after in pairwise(found))
    assert sorted(row for one in found for row in one) == sorted(row for chosen, _ in runs for row in chosen)
