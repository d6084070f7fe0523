"""Near hashes are found, those within seven bits for sure, and what falls names what stays."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from metaclip.images.dedup import near
from metaclip.images.dedup.near import covered, near_in_runs, nearest, table_bits, table_keys
from metaclip.images.hash_lists import Hashes
from metaclip.images.perceptual import distances


def _hashes(rows: int, seed: int) -> "near.Words":
    return np.random.default_rng(seed).integers(0, 1 << 64, (rows, 4), dtype=np.uint64)


def _flipped(areas: "near.Words", bits: int, seed: int) -> "near.Words":
    random = np.random.default_rng(seed)
    spread = np.unpackbits(areas.view(np.uint8).reshape(len(areas), 32), axis=1)
    for row in spread:
        row[random.choice(256, bits, replace=False)] ^= 1
    return np.packbits(spread, axis=1).view(np.uint64)


def test_every_eight_tables_are_a_partition_of_the_bits() -> None:
    bits = table_bits(16)
    assert bits.shape == (16, 32)
    for first in (0, 8):
        assert sorted(bits[first : first + 8].ravel().tolist()) == list(range(256))
    assert (table_bits(8) == bits[:8]).all()


def test_keys_are_the_bits_that_a_table_looks_at() -> None:
    areas = _hashes(5, 1)
    spread = np.unpackbits(areas.view(np.uint8).reshape(5, 32), axis=1)
    for bits in table_bits(16):
        expected = [int("".join(map(str, row[bits])), 2) for row in spread]
        assert table_keys(areas, bits).tolist() == expected


@pytest.mark.parametrize(("bits", "least"), [(0, 1.0), (3, 1.0), (7, 1.0), (10, 0.985), (15, 0.92)])
def test_recall_by_distance(bits: int, least: float) -> None:
    rows = 2000
    areas = _hashes(rows, 2)
    both = np.concatenate([areas, _flipped(areas, bits, 3)])
    ranks = np.arange(2 * rows, dtype=np.uint64)
    colours = np.zeros((2 * rows, 48), np.uint8)
    found: set[tuple[int, int]] = set()
    for table in table_bits(16):
        keys = table_keys(both, table)
        first, second, distance, _, capped = near_in_runs(keys, ranks, ranks, both, colours, 16, 288, 1000)
        assert capped == 0
        assert (distance == bits).all()
        found |= set(zip(first.tolist(), second.tolist(), strict=True))
    assert found <= {(row, row + rows) for row in range(rows)}
    assert len(found) >= least * rows


def test_colours_rank_and_long_runs() -> None:
    areas = np.repeat(_hashes(1, 4), 6, axis=0)
    ranks = np.array([5, 3, 1, 4, 0, 2], np.uint64)
    images = np.arange(6, dtype=np.uint64)
    colours = np.zeros((6, 48), np.uint8)
    keys = np.zeros(6, np.uint32)
    first, second, _, compared, capped = near_in_runs(keys, ranks, images, areas, colours, 16, 288, 1000)
    assert (len(first), compared, capped) == (15, 15, 0)
    assert (ranks[first] < ranks[second]).all()
    first, second, _, compared, capped = near_in_runs(keys, ranks, images, areas, colours, 16, 288, 3)
    assert (compared, capped) == (9, 6)
    assert (ranks[second] - ranks[first] <= 2).all()
    colours[4] = 7  # 7 of 255 away from all others
    first, second, _, _, _ = near_in_runs(keys, ranks, images, areas, colours, 16, 288, 1000)
    assert len(first) == 10
    assert 4 not in {*first.tolist(), *second.tolist()}


def test_a_list_is_searched_by_brute_force_and_by_tables(monkeypatch: pytest.MonkeyPatch) -> None:
    others, strangers = _hashes(300, 5), _hashes(100, 6)
    areas = np.concatenate([_flipped(others[:100], 20, 7), strangers])
    hashes = Hashes("list", 31, others, frozenset(), np.zeros(0, np.uint64))
    expected = [int(distances(area[None], others).min()) for area in areas]
    assert nearest(areas, hashes).tolist() == expected
    assert nearest(areas, Hashes("none", 31, others[:0], frozenset(), np.zeros(0, np.uint64))).min() == 256
    monkeypatch.setattr(near, "BRUTE_FORCE", 10)
    through_tables = nearest(areas, hashes)
    assert (through_tables >= expected).all()
    assert np.count_nonzero(through_tables[:100] == 20) >= 80
    assert nearest(_flipped(others, 7, 8), hashes).max() == 7


_Pairs = st.lists(
    st.tuples(st.integers(0, 14), st.integers(0, 14)).filter(lambda pair: pair[0] != pair[1]), max_size=40
)


@given(equal=_Pairs, near_pairs=_Pairs, seed=st.integers(0, 9))
def test_cover_is_that_of_the_definition(
    equal: list[tuple[int, int]], near_pairs: list[tuple[int, int]], seed: int
) -> None:
    """In the order of rank: a picture falls if one that stays equals it or is near it."""
    nodes = 15
    random = np.random.default_rng(seed)
    distance = {pair: int(random.integers(0, 17)) for pair in near_pairs}
    group = list(range(nodes))
    for _ in range(nodes):
        for one, other in equal:
            group[one] = group[other] = min(group[one], group[other])
    expected: dict[int, tuple[int, int]] = {}
    for node in range(nodes):
        if group[node] == node:
            of_stays = [
                (away, small)
                for (one, other), away in distance.items()
                for small, large in [sorted((group[one], group[other]))]
                if large == node and small != node and expected[small][0] == small
            ]
            away, keeper = min(of_stays, default=(0, node))
            expected[node] = (keeper, away)
        else:
            expected[node] = expected[group[node]]

    def columns(pairs: list[tuple[int, int]]) -> tuple[np.ndarray, np.ndarray]:
        array = np.array(pairs, np.int64).reshape(-1, 2)
        return array[:, 0], array[:, 1]

    order = random.permutation(len(near_pairs))
    shuffled = [near_pairs[place] for place in order]
    away = np.array([distance[pair] for pair in shuffled], np.int64)
    keeper, found, first = covered(nodes, columns(equal), (*columns(shuffled), away))
    assert list(zip(keeper.tolist(), found.tolist(), strict=True)) == [expected[node] for node in range(nodes)]
    assert first.tolist() == group


def test_a_chain_is_no_group() -> None:
    near_pairs = np.arange(9), np.arange(1, 10), np.full(9, 10)
    keeper, _, _ = covered(10, (np.zeros(0, np.int64), np.zeros(0, np.int64)), near_pairs)
    assert keeper.tolist() == [0, 0, 2, 2, 4, 4, 6, 6, 8, 8]
    assert [a for a, b in itertools.pairwise(sorted(set(keeper.tolist()))) if b - a == 1] == []
