"""Steps of t and groups of entries, by which curves of partitions add up."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from metaclip.report.curves import SINGLE, EntryGroups, steps


@pytest.mark.parametrize("largest", [0, 1, 2, 9, 10, 11, 79, 81, 99, 120_000_000])
def test_steps_rise_from_one_to_the_first_that_keeps_everything(largest: int) -> None:
    grid = steps(largest)
    assert grid[0] == 1
    assert np.all(np.diff(grid) > 0)
    assert grid[-1] >= largest
    assert len(grid) == 1 or grid[-2] < largest
    assert np.all(grid == np.round(grid))


def test_the_papers_t_are_steps() -> None:
    assert {20, 20_000} <= set(steps(120_000_000))


@given(st.lists(st.integers(0, 50), max_size=400))
def test_groups_hold_every_entry_with_matches_once_from_tail_to_head(values: list[int]) -> None:
    counts = np.array(values, np.uint64)
    groups = EntryGroups.of(counts)
    assert sorted(groups.order) == list(np.flatnonzero(counts))
    ordered = counts[groups.order]
    assert np.all(ordered[1:] >= ordered[:-1])
    assert groups.sums(counts).sum() == counts.sum()
    of = groups.of_entries(len(counts))
    assert np.all((of < 0) == (counts == 0))
    sums = np.bincount(of[of >= 0], weights=counts[of >= 0].astype(float), minlength=len(groups))
    assert np.all(sums == groups.sums(counts))
    singles = np.diff(groups.bounds)[-SINGLE:]
    assert np.all(singles == 1)
    # Largest first, and of equal counts the smaller id first, as tables of top entries have it.
    expected = sorted(range(len(values)), key=lambda entry: (-values[entry], entry))
    assert list(groups.order[::-1]) == expected[: len(groups.order)]


def test_groups_stay_few_however_many_entries() -> None:
    assert len(EntryGroups.of(np.arange(500_000, dtype=np.uint64))) < 300
