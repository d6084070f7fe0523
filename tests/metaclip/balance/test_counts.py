import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from metaclip.balance.counts import (
    entries_without_match,
    entry_counts,
    keep_probabilities,
    t_for_tail_share,
    tail_share,
)

COUNTS = np.array([0, 1, 1, 2, 6, 10, 0], np.uint64)


@settings(deadline=None)
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


def test_entries_without_match():
    assert entries_without_match(COUNTS) == 2


def test_keep_probabilities_are_those_of_the_paper():
    assert keep_probabilities(COUNTS, 2.0).tolist() == [1, 1, 1, 1, 2 / 6, 2 / 10, 1]
    assert keep_probabilities(COUNTS, np.inf).tolist() == [1] * 7
    for t in (0.0, -1.0, float("nan")):
        with pytest.raises(ValueError, match="positive"):
            keep_probabilities(COUNTS, t)


def test_tail_share():
    assert tail_share(COUNTS, 0.5) == 0
    assert tail_share(COUNTS, 1) == 2 / 20
    assert tail_share(COUNTS, 9.9) == 10 / 20
    assert tail_share(COUNTS, np.inf) == 1
    with pytest.raises(ValueError, match="no entry has a match"):
        tail_share(np.zeros(3, np.uint64), 1)


def test_t_for_tail_share():
    assert t_for_tail_share(COUNTS, 0.001) == 1
    assert t_for_tail_share(COUNTS, 0.1) == 1
    assert t_for_tail_share(COUNTS, 0.11) == 2
    assert t_for_tail_share(COUNTS, 1.0) == 10
    for share in (0.0, 1.01, -1.0, float("nan")):
        with pytest.raises(ValueError, match="above 0"):
            t_for_tail_share(COUNTS, share)
    with pytest.raises(ValueError, match="no entry has a match"):
        t_for_tail_share(np.zeros(3, np.uint64), 0.5)


def test_one_entry_that_holds_nearly_all_counts_leaves_t_above_0():
    assert t_for_tail_share(np.array([1_000_000, 1], np.uint64), 0.06) == 1_000_000
    assert t_for_tail_share(np.array([1_000_000], np.uint64), 0.06) == 1_000_000


@settings(deadline=None)
@given(st.lists(st.integers(0, 10**12), min_size=1, max_size=30), st.floats(1e-9, 1.0))
def test_t_for_tail_share_is_the_smallest(values, share):
    counts = np.array([*values, 1], np.uint64)
    t = t_for_tail_share(counts, share)
    assert t >= 1
    assert tail_share(counts, t) >= share
    smaller = counts[(counts < t) & (counts > 0)]
    if len(smaller):
        assert tail_share(counts, float(smaller.max())) < share
