"""Counts of entries, and what follows from them for a choice of t."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from metaclip.balance.counts import entry_counts, keep_share, tail_t
from metaclip.errors import ConfigError


@given(st.lists(st.integers(0, 9), max_size=60), st.integers(0, 60))
def test_counts_are_those_of_a_plain_count_and_chunks_add_up(ids, cut):
    counts = entry_counts(np.array(ids, np.uint32), 10)
    assert counts.dtype == np.uint64
    assert counts.tolist() == [ids.count(entry) for entry in range(10)]
    parts = [entry_counts(np.array(part, np.uint32), 10) for part in (ids[:cut], ids[cut:])]
    assert (parts[0] + parts[1]).tolist() == counts.tolist()


def test_ids_beyond_the_metadata_and_other_types_are_refused():
    with pytest.raises(ValueError, match="entry id 3 at 1: the metadata has 3 entries"):
        entry_counts(np.array([2, 3], np.uint32), 3)
    with pytest.raises(TypeError, match="expected uint32, got int64"):
        entry_counts(np.array([1]), 3)
    assert entry_counts(np.array([], np.uint32), 2).tolist() == [0, 0]


def test_an_entry_keeps_with_the_probability_of_the_paper():
    counts = [0, 1, 1, 2, 6, 10, 0]
    assert [keep_share(count, 2.0) for count in counts] == [1, 1, 1, 1, 2 / 6, 2 / 10, 1]
    assert [keep_share(count, np.inf) for count in counts] == [1] * 7


def test_the_tail_of_a_t_holds_the_share_asked_for():
    counts = np.array([0, 1, 1, 2, 6, 90], np.uint64)
    assert [tail_t(counts, share) for share in (0.01, 0.02, 0.021, 0.04, 0.1, 0.11, 1.0)] == [1, 1, 2, 2, 6, 90, 90]
    assert tail_t(np.array([7, 93], np.uint64), 0.07) == 7  # 0.07 times 100 is more than 7 in float64
    for share in (0.0, -1.0, 1.1, float("nan")):
        with pytest.raises(ConfigError, match="tail_share"):
            tail_t(counts, share)
    with pytest.raises(ConfigError, match="no entry has a match"):
        tail_t(np.zeros(3, np.uint64), 0.5)


@given(st.lists(st.integers(0, 10**12), min_size=1, max_size=30), st.floats(1e-9, 1.0))
def test_the_tail_of_any_smaller_t_holds_less(values, share):
    counts = np.array([*values, 1], np.uint64)
    t = tail_t(counts, share)
    total = float(counts.sum())
    assert int(counts[counts <= t].sum()) / total >= share
    smaller = counts[counts < t]
    if smaller.any():
        assert int(smaller.sum()) / total < share
