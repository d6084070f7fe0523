"""The t of every language on the axis of the reference language: the fast way against the definition."""

import math
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from metaclip.balance.algorithm import draws, min_t
from metaclip.balance.reference_axis import GroupThresholds, Rule, distinct_counts, own_t, reference_t

counts_of = st.lists(
    st.one_of(st.just(0), st.integers(0, 5), st.integers(0, 200), st.sampled_from([1000, 10**6, 10**12])),
    min_size=1,
    max_size=15,
).filter(any)
rules = st.builds(
    Rule,
    st.sampled_from(["tail_share", "same"]),
    st.sampled_from([None, 1.0, 0.5, 1.5, 4.0, 1 / 3, 0.7]),
    st.sampled_from([0, 1, 5, 50]),
)

DEGENERATE = {
    "dominated": ([0, 0, 0, 1000], [1, 2, 3, 4, 5, 6, 7, 8, 9, 100]),
    "dominated beside others": ([1, 2, 3, 10**6], [1, 2, 3, 4, 5, 6, 7, 8, 9, 100]),
    "all once": ([0, 0, 1, 1, 1, 1, 1], [1] * 9 + [100]),
    "all equal": ([7] * 5, [1, 2, 3, 50]),
    "one entry": ([3], [1, 2, 3, 50]),
    "reference of one entry": ([1, 2, 3, 50], [40]),
    "both large": ([10**12, 3 * 10**12 + 1, 5], [10**12 + 1, 7, 2 * 10**12]),
}


def _thresholds(counts: list[int], reference: list[int], *, is_reference: bool = False) -> GroupThresholds:
    own, others = (distinct_counts(np.array(one, np.uint64)) for one in (counts, reference))
    return GroupThresholds.of(own, others, is_reference=is_reference)


def _interesting(counts: list[int], reference: list[int], rule: Rule) -> list[float]:
    """Every t of the reference language at which something may change, both its neighbours, and others."""
    found = {0.0, 0.25, math.inf}
    for count in {*counts, *reference, rule.floor}:
        for value in (float(count), count / (rule.ceiling or 1.0), count + 0.5):
            found |= {value, np.nextafter(value, np.inf), max(0.0, np.nextafter(value, -np.inf))}
    return sorted(map(float, found))


def _own(counts: list[int], least: float) -> np.ndarray:
    """Thresholds that pairs of a language may have: 0, each count, and between."""
    there = [float(count) for count in counts if count]
    values = {0.0, least, *there} | {(low + high) / 2 for low, high in pairwise(sorted({0.0, *there}))}
    return np.array(sorted(value for value in values if value <= max(there)))


@pytest.mark.slow
@settings(max_examples=400)
@given(counts_of, counts_of, rules, st.floats(1e-9, 50))
def test_kept_by_the_own_t_is_kept_on_the_axis_for_every_t(
    counts: list[int], reference: list[int], rule: Rule, least: float
) -> None:
    own = _own(counts, least)
    thresholds = _thresholds(counts, reference)
    r = thresholds.min_t(own, rule)
    for s in [*_interesting(counts, reference, rule), *r.tolist()]:
        t = own_t(counts, reference, s, rule)
        assert thresholds.t(s, rule) == t
        np.testing.assert_array_equal(own <= t, r <= s, err_msg=f"s = {s}, t = {t}")


@settings(max_examples=300)
@given(counts_of, counts_of, st.floats(0, 100))
@example([1, 1, 1], [5], 0.0)
def test_r_is_that_of_the_definition(counts: list[int], reference: list[int], own: float) -> None:
    own = min(own, float(max(counts)))
    (r,) = _thresholds(counts, reference).min_t(np.array([own]))
    assert r == reference_t(counts, reference, own)


@pytest.mark.parametrize("name", DEGENERATE)
def test_degenerate_languages(name: str) -> None:
    counts, reference = DEGENERATE[name]
    own = _own(counts, 0.3)
    thresholds = _thresholds(counts, reference)
    for rule in (Rule(), Rule(ceiling=1.0), Rule(floor=5), Rule("same")):
        r = thresholds.min_t(own, rule)
        for s in _interesting(counts, reference, rule):
            t = own_t(counts, reference, s, rule)
            assert not math.isnan(t)
            np.testing.assert_array_equal(own <= t, r <= s)


def test_what_the_published_rule_gets_wrong() -> None:
    english, dominated, all_once = [*range(1, 10), 100], [0, 0, 0, 1000], [0, 0, 1, 1, 1, 1, 1]
    assert _thresholds(dominated, english).t(8) == 1000
    assert _thresholds(dominated, english).t(8, Rule(ceiling=1.0)) == 8
    assert _thresholds(all_once, [1] * 9 + [100]).t(1) == 1


def test_there_and_back() -> None:
    """The case tail-round-trip: the German t at English ones, on both sides of a step and on it."""
    english = [9] * 20 + [40] * 10 + [100] * 30
    german = [18] * 3 + [80] * 7 + [300]
    thresholds = _thresholds(german, english)
    share = 20 * 9 / sum(english)
    assert 0 < share <= 3 * 18 / sum(german)
    assert [thresholds.t(s) for s in (8.9, 9, 9.5, 39)] == [0, 18, 18, 18]
    assert thresholds.t(40) == 80
    np.testing.assert_array_equal(thresholds.min_t(np.array([0.5, 18, 18.5, 80])), [9, 9, 40, 40])


def test_the_reference_language_is_its_own_axis() -> None:
    counts = [1, 5, 9, 9]
    own = np.array([0.0, 0.5, 5.0, 8.75])
    thresholds = _thresholds(counts, counts, is_reference=True)
    assert thresholds.min_t(own, Rule(ceiling=0.5, floor=3)) is own
    assert thresholds.t(5.5, Rule(ceiling=0.5, floor=3)) == 5.5
    np.testing.assert_array_equal(thresholds.reference_t, thresholds.counts)


def test_products_beyond_64_bits_are_exact() -> None:
    """The shares differ by one in 10^24; float64 and 64-bit integers take them for equal."""
    million = 10**12
    english = [million, million + 1]  # share of the first: million / (2 million + 1)
    same, above = [million, million + 1], [million + 1, million + 2]
    assert _thresholds(same, english).t(million) == million
    # (million + 1) / (2 million + 3) is above million / (2 million + 1) by about 1 / (4 million^2).
    assert _thresholds(above, english).t(million) == million + 1
    assert _thresholds([million, million + 2], english).t(million) == million + 2


def test_a_group_without_matches_and_a_reference_without() -> None:
    empty = _thresholds([0, 0], [1, 2])
    assert (empty.t(5), empty.matches, empty.largest, empty.tail_share(5)) == (0, 0, 0, 0)
    assert len(empty.min_t(np.zeros(0))) == 0
    with pytest.raises(ValueError, match="no entry of the reference language has a match"):
        _thresholds([1], [0, 0])
    with pytest.raises(ValueError, match="largest count is 3"):
        _thresholds([3], [1]).min_t(np.array([3.5]))


@pytest.mark.parametrize("wrong", [{"ceiling": 0.0}, {"ceiling": math.inf}, {"floor": -1}])
def test_rules_that_are_none(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="must be"):
        Rule(**wrong)  # type: ignore[arg-type]


def test_tail_share_is_of_the_entries_with_at_most_t() -> None:
    thresholds = _thresholds([1, 1, 2, 6], [3])
    assert [thresholds.tail_share(t) for t in (0.5, 1, 2, 5.9, 6)] == [0, 0.2, 0.4, 0.4, 1]


def test_a_text_with_a_tail_entry_is_kept_by_every_seed() -> None:
    """Of five texts of an image the one with an entry of the tail is kept whatever the draws; the others are not."""
    counts = np.array([2, 10**6, 5 * 10**6], np.uint64)
    own_counts = [2, 10**6, 5 * 10**6]
    thresholds = _thresholds(own_counts, [1, 4, 10**6, 6 * 10**6])
    offsets, ids = np.array([0, 2, 3, 4, 5, 6]), np.array([0, 2, 1, 2, 1, 2], np.uint32)
    high, low = np.full(5, 7, np.uint64), np.arange(5, dtype=np.uint64)
    t = 1.0
    assert thresholds.t(t) == 2
    kept = np.array([thresholds.min_t(min_t(counts, offsets, ids, draws(high, low, seed))) <= t for seed in range(100)])
    assert kept[:, 0].all()
    assert not kept[:, 1:].any()
