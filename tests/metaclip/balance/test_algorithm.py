import math
from fractions import Fraction
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numba import njit

from metaclip.balance import algorithm as balance
from metaclip.balance.algorithm import algorithm1, draws, keep_probability, min_t

ULP = Fraction(1, 2**53)
SMALLEST, LARGEST = 2.0**-53, 1 - 2.0**-53


def rows_of(rows):
    """Return counts, offsets and ids of rows of counts, each row with entries of its own."""
    counts = np.array([count for row in rows for count in row], np.uint64)
    offsets = np.cumsum([0, *map(len, rows)])
    return counts, offsets, np.arange(len(counts), dtype=np.uint32)


def exact_kept(row, t):
    """Return 1 - prod(1 - min(1, t/c)) in rational arithmetic."""
    lost = Fraction(1)
    for count in row:
        lost *= 1 - min(Fraction(t) / count, 1)
    return 1 - lost


def pool(seed, n=2_000, entries=300):
    """Return a pool of pairs with counts as they come out of a real one: few heads, a long tail."""
    rng = np.random.default_rng(seed)
    lists = [np.unique(np.minimum(rng.pareto(0.5, k) * 2, entries - 1)) for k in rng.poisson(2.5, n) + 1]
    ids = np.concatenate(lists).astype(np.uint32)
    offsets = np.cumsum([0, *map(len, lists)])
    counts = np.bincount(ids, minlength=entries).astype(np.uint64)
    uids = rng.integers(0, 2**64, (2, n), dtype=np.uint64)
    return counts, offsets, ids, uids


some_counts = st.lists(
    st.one_of(st.integers(1, 5), st.integers(1, 10**6), st.integers(1, 10**12), st.just(10**12)),
    min_size=1,
    max_size=12,
)
some_draws = st.one_of(
    st.sampled_from([SMALLEST, 2 * SMALLEST, 1e-9, 0.5, 1 - 1e-9, LARGEST - SMALLEST, LARGEST]),
    st.integers(0, 2**53 - 1).map(lambda k: k * 2.0**-53),
)


@pytest.mark.slow
@settings(max_examples=1500)
@given(some_counts, some_draws)
def test_min_t_is_the_smallest_t_at_which_the_pair_is_kept(row, draw):
    """In the module's own arithmetic F(min_t) >= draw exactly; in exact arithmetic F(min_t) is
    within 4 (k + 1) units of 2^-53 of the draw, relative for F: what the k steps of F round away."""
    (t,) = min_t(*rows_of([row]), np.array([draw]))
    assert 0 <= t <= min(row)
    assert keep_probability(*rows_of([row]), t)[0] >= draw
    exact = exact_kept(row, t)
    slack = 4 * (len(row) + 1) * ULP
    assert abs(exact - Fraction(draw)) <= slack * Fraction(draw)


@pytest.mark.slow
@settings(max_examples=500)
@given(some_counts, some_draws, st.floats(1e-6, 2.0))
def test_agrees_with_the_probability_at_any_other_t(row, draw, factor):
    """Away from the root by more than rounding, min_t <= t is F(t) >= draw, in exact arithmetic."""
    (t,) = min_t(*rows_of([row]), np.array([draw]))
    other = t * factor
    exact = exact_kept(row, other)
    slack = 4 * (len(row) + 1) * ULP * Fraction(draw)
    if exact >= Fraction(draw) + slack:
        assert t <= other
    elif exact < Fraction(draw) - slack:
        assert t > other


def test_many_entries():
    rng = np.random.default_rng(3)
    for largest in (1, 3, 10**6, 10**12):
        row = rng.integers(1, largest, 200, endpoint=True).tolist()
        for draw in (SMALLEST, 1e-5, 0.3, 0.999, LARGEST):
            (t,) = min_t(*rows_of([row]), np.array([draw]))
            assert keep_probability(*rows_of([row]), t)[0] >= draw
            assert abs(exact_kept(row, t) - Fraction(draw)) <= 4 * 201 * ULP * Fraction(draw)


@pytest.mark.parametrize("count", [1, 2, 3, 7, 20_000, 10**12])
def test_one_entry_gives_the_draw_times_the_count(count):
    uniform = np.concatenate([np.random.default_rng(0).random(500), [SMALLEST, LARGEST, 0.0]])
    result = min_t(np.array([count], np.uint64), np.arange(504), np.zeros(503, np.uint32), uniform)
    np.testing.assert_array_max_ulp(result, uniform * count, maxulp=1)
    assert result[-1] == 0.0


def test_counts_of_one_are_kept_at_t_1_whatever_the_draw():
    rows = [[1], [1, 1], [1, 10**12], [10**12, 1, 1]]
    for draw in (SMALLEST, 0.5, LARGEST):
        assert (min_t(*rows_of(rows), np.full(4, draw)) <= 1).all()
    assert keep_probability(*rows_of(rows), 1.0).tolist() == [1] * 4


def test_a_draw_of_0_is_kept_at_any_t():
    assert min_t(*rows_of([[5], [3, 4], [10**12]]), np.zeros(3)).tolist() == [0, 0, 0]


def test_known_values():
    """Two entries of count c: 1 - (1 - t/c)^2 = u, so t = c (1 - sqrt(1 - u))."""
    uniform = np.array([0.0625, 0.19, 0.5, 0.75, 0.99])
    result = min_t(*rows_of([[1000, 1000]] * 5), uniform)
    np.testing.assert_allclose(result, 1000 * (1 - np.sqrt(1 - uniform)), rtol=1e-14)
    assert keep_probability(*rows_of([[10, 40], [10], [5, 5]]), 8.0).tolist() == pytest.approx([0.84, 0.8, 1.0])


def test_equals_newton_on_logarithms():
    """The same equation by another way: sum(log(1 - t/c)) = log(1 - u), from the right."""
    counts, offsets, ids, uids = pool(4)
    uniform = draws(*uids, 0)
    c = counts.astype(np.float64)[ids]
    starts = offsets[:-1]
    low = np.minimum.reduceat(c, starts)
    t = uniform * low
    for _ in range(30):
        wide = np.repeat(t, np.diff(offsets))
        value = np.add.reduceat(np.log1p(-wide / c), starts) - np.log1p(-uniform)
        t += value / np.add.reduceat(1 / (c - wide), starts)
    np.testing.assert_allclose(min_t(counts, offsets, ids, uniform), t, rtol=1e-11)


def test_draws_are_uniform_and_independent_of_one_another():
    n = 200_000
    sequence = np.arange(n, dtype=np.uint64)
    zero = np.zeros(n, np.uint64)
    for uniform in (draws(sequence, zero, 0), draws(zero, sequence, 0), draws(sequence, sequence, 9)):
        assert uniform.min() >= 0
        assert uniform.max() < 1
        cells = np.histogram2d(uniform[:-1], uniform[1:], bins=16, range=[[0, 1], [0, 1]])[0].ravel()
        chi_square = ((cells - n / 256) ** 2 / (n / 256)).sum()
        assert abs(chi_square - 255) < 5 * math.sqrt(2 * 255)
    correlation = np.corrcoef(draws(sequence, zero, 0), draws(sequence, zero, 1))[0, 1]
    assert abs(correlation) < 5 / math.sqrt(n)


def test_draws_follow_the_documented_formula():
    low_64 = 2**64 - 1

    def mix(z):
        z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & low_64
        z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & low_64
        return z ^ (z >> 31)

    g = 0x9E3779B97F4A7C15
    # The first output of splitmix64 seeded with 0 is a published value.
    assert mix(g) == 0xE220A8397B1DCDAF
    for hi, lo, seed in [(0, 0, 0), (1, 2, 3), (low_64, low_64, low_64), (2**63, 12345, 2**62 + 1)]:
        hashed = mix(((mix(mix((seed + g) & low_64) ^ hi) + g) & low_64) ^ lo)
        result = draws(np.array([hi], np.uint64), np.array([lo], np.uint64), seed)
        assert result.tolist() == [(hashed >> 11) / 2**53]


def test_draws_refuse_what_they_cannot_use():
    uids = np.zeros(2, np.uint64)
    for seed in (-1, 2**64):
        with pytest.raises(ValueError, match="seed"):
            draws(uids, uids, seed)
    with pytest.raises(ValueError, match="halves"):
        draws(uids, uids[:1], 0)
    with pytest.raises(TypeError, match="uint64"):
        draws(uids.astype(np.int64), uids, 0)


@pytest.mark.parametrize("t", [1.0, 3.0, 7.5])
def test_kept_share_over_many_seeds_is_the_probability_and_that_of_algorithm_1(t):
    counts, offsets, ids, uids = pool(7, n=150)
    p = keep_probability(counts, offsets, ids, t)
    by_hand = [float(exact_kept([int(counts[i]) for i in ids[a:b]], t)) for a, b in pairwise(offsets)]
    np.testing.assert_allclose(p, by_hand, rtol=1e-13)
    seeds, runs = 4_000, 400
    kept = sum(min_t(counts, offsets, ids, draws(*uids, seed)) <= t for seed in range(seeds))
    literal = sum(algorithm1(counts, offsets, ids, t, np.random.default_rng(seed)) for seed in range(runs))
    certain = p == 1
    assert (kept[certain] == seeds).all()
    assert (literal[certain] == runs).all()
    open_ = ~certain
    for times, total in ((kept, seeds), (literal, runs)):
        deviation = (times - total * p)[open_] / np.sqrt(total * p * (1 - p))[open_]
        degrees = open_.sum()
        assert degrees > 20
        assert abs((deviation**2).sum() - degrees) < 5 * math.sqrt(2 * degrees)
        assert abs(deviation.sum()) < 5 * math.sqrt(degrees)


def test_sets_are_nested_in_t():
    counts, offsets, ids, uids = pool(8)
    smallest = min_t(counts, offsets, ids, draws(*uids, 0))
    before = np.zeros(len(smallest), bool)
    for t in (0.1, 1, 2, 5, 20, 100, np.inf):
        kept = smallest <= t
        assert not (before & ~kept).any()
        # Whatever t, what is kept is what the pair's own draw says; no pair sits on the boundary here.
        assert (kept == (keep_probability(counts, offsets, ids, t) >= draws(*uids, 0))).all()
        before = kept
    assert before.all()


@settings(max_examples=60)
@given(st.integers(0, 2**32), st.integers(1, 7))
def test_order_shards_and_repeats_change_nothing(seed, shards):
    counts, offsets, ids, uids = pool(9, n=300)
    whole = min_t(counts, offsets, ids, draws(*uids, 0))
    rng = np.random.default_rng(seed)
    for part in np.array_split(rng.permutation(np.tile(np.arange(300), 2)), shards):
        lists = [ids[offsets[i] : offsets[i + 1]] for i in part]
        part_offsets = np.cumsum([0, *map(len, lists)])
        result = min_t(counts, part_offsets, np.concatenate(lists), draws(*uids[:, part], 0))
        assert result.tobytes() == whole[part].tobytes()


def test_offsets_may_begin_and_end_inside_the_ids():
    counts, offsets, ids, uids = pool(10, n=50)
    uniform = draws(*uids, 0)
    whole = min_t(counts, offsets, ids, uniform)
    assert (min_t(counts, offsets[20:31], ids, uniform[20:30]) == whole[20:30]).all()
    assert min_t(counts, offsets[:1], ids, uniform[:0]).tolist() == []


def test_unusable_input_is_refused():
    counts = np.array([3, 0, 5], np.uint64)
    half = np.array([0.5])

    def ids(*values):
        return np.array(values, np.uint32)

    for compute, last in ((min_t, half), (keep_probability, 1.0)):
        with pytest.raises(ValueError, match="pair 0: it has no entry"):
            compute(counts, np.array([0, 0]), ids(), last)
        with pytest.raises(ValueError, match=r"pair 0: an id of \[0, 1\] has a count of 0"):
            compute(counts, np.array([0, 2]), ids(0, 1), last)
        with pytest.raises(ValueError, match=r"pair 0: an id of \[3\] is not below 3"):
            compute(counts, np.array([0, 1]), ids(3), last)
        for offsets in ([0, 2], [-1, 1], [1, 0]):
            with pytest.raises(ValueError, match="offsets must rise"):
                compute(counts, np.array(offsets), ids(0), last)
        with pytest.raises(TypeError, match="integers"):
            compute(counts.astype(float), np.array([0, 1]), ids(0), last)
        with pytest.raises(TypeError, match="uint32"):
            compute(counts, np.array([0, 1]), np.array([0]), last)
    with pytest.raises(ValueError, match="2 draws for 1 pairs"):
        min_t(counts, np.array([0, 1]), ids(0), np.array([0.5, 0.5]))
    for draw in (1.0, -0.1, float("nan")):
        with pytest.raises(ValueError, match="draws must be"):
            min_t(counts, np.array([0, 1]), ids(0), np.array([draw]))
    for t in (-1.0, float("nan")):
        with pytest.raises(ValueError, match="t must be"):
            keep_probability(counts, np.array([0, 1]), ids(0), t)


def test_no_multiplication_is_fused_with_an_addition():
    """Fused operations round once instead of twice, and not every processor has them."""
    given = balance._min_t.compiled.targetoptions
    options = {name: given[name] for name in ("error_model", "fastmath") if name in given}
    fresh = njit(**options)(balance._solve.py_func)
    fresh(np.array([3.0, 5.0]), 2, 0.5)
    (assembly,) = fresh.inspect_asm().values()
    assert "div" in assembly
    assert not any(fused in assembly for fused in ("fmadd", "fmsub", "fnmadd", "fmla"))
