"""What balancing counts for each t of a ladder, against the definition."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from metaclip.balance.algorithm import keep_probability, min_t
from metaclip.balance.size_ladder import SizeStatistics, merged, t_ladder

COUNTS = np.array([1, 3, 20, 999, 30_000, 200_000], np.uint64)

pairs = st.lists(st.sets(st.integers(0, len(COUNTS) - 1), min_size=1), max_size=30)


def _csr(lists: list[set[int]]) -> tuple[np.ndarray, np.ndarray]:
    ids = [one for each in lists for one in sorted(each)]
    return np.cumsum([0, *map(len, lists)]), np.array(ids, np.uint32)


@given(pairs, st.integers(0, 2**32), st.integers(1, 7))
def test_sums_over_parts_are_the_definition(lists: list[set[int]], seed: int, step: int) -> None:
    uniform = np.random.default_rng(seed).random(len(lists))
    ladder = t_ladder(int(COUNTS.max()))
    parts = []
    for start in range(0, len(lists), step):
        offsets, ids = _csr(lists[start : start + step])
        statistics = SizeStatistics(COUNTS, ladder)
        statistics.add(offsets, ids, min_t(COUNTS, offsets, ids, uniform[start : start + step]))
        parts.append(statistics.to_json())
    found = merged(parts)
    offsets, ids = _csr(lists)
    thresholds = min_t(COUNTS, offsets, ids, uniform)
    assert list(found) == (ladder if lists else [])
    for t, figures in found.items():
        assert figures["pairs"] == int((thresholds <= t).sum())
        assert figures["tail_pairs"] == sum(any(COUNTS[one] <= t for one in each) for each in lists)
        np.testing.assert_allclose(figures["expected"], keep_probability(COUNTS, offsets, ids, t).sum(), atol=0.02)
    if lists:
        assert found[ladder[-1]]["pairs"] == found[ladder[-1]]["tail_pairs"] == len(lists)


def test_the_ladder_ends_where_every_pair_is_kept() -> None:
    assert t_ladder(0) == t_ladder(1) == [1]
    assert t_ladder(21) == [1, 2, 5, 10, 20, 50]
    assert t_ladder(120_000_000)[-1] == 200_000_000
    assert {20_000, 170_000} <= set(t_ladder(200_000))
    assert t_ladder(150_000)[-1] == 200_000
