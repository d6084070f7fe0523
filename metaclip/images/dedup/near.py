"""Hashes of 256 bits that differ in few bits, found by tables of 32 of the bits.

The first eight tables are a partition of the bits, so that two hashes that differ in at most seven bits are equal in
one of them (the pigeonhole principle). The next eight are another partition, and so on.
"""

from functools import lru_cache

import numpy as np
import numpy.typing as npt
import xxhash

from metaclip.images.hash_lists import Hashes
from metaclip.images.perceptual import colour_distances, distances

BITS = 256
KEY_BITS = 32
BRUTE_FORCE = 50_000
"""A list with at most so many hashes is compared with every picture, which finds all; a larger one through tables."""
LIST_TABLES = 32

_ROWS, _COLUMNS = 2048, 8192

Words = npt.NDArray[np.uint64]
Rows = npt.NDArray[np.int64]


@lru_cache(maxsize=8)
def table_bits(tables: int) -> npt.NDArray[np.int64]:
    """Return which bits each table looks at, int64[tables, 32]."""
    groups = []
    for number in range(-(-tables * KEY_BITS // BITS)):
        order = sorted(range(BITS), key=lambda bit: xxhash.xxh3_64_intdigest(b"%d:%d" % (number, bit)))
        groups.append(np.array(order, np.int64).reshape(-1, KEY_BITS))
    return np.concatenate(groups)[:tables]


def table_keys(areas: Words, bits: npt.NDArray[np.int64]) -> npt.NDArray[np.uint32]:
    """Return 32 of the bits of hashes, uint64[n, 4], as uint32[n]."""
    found = np.empty(len(areas), np.uint32)
    for start in range(0, len(areas), 1 << 16):
        some = np.ascontiguousarray(areas[start : start + (1 << 16)])
        spread = np.unpackbits(some.view(np.uint8).reshape(len(some), 32), axis=1)[:, bits]
        found[start : start + len(some)] = np.ascontiguousarray(np.packbits(spread, axis=1)).view(">u4")[:, 0]
    return found


def near_in_runs(
    keys: npt.NDArray[np.uint32],
    ranks: Words,
    images: Words,
    areas: Words,
    colours: npt.NDArray[np.uint8],
    radius: int,
    most_colour: int,
    max_run: int,
) -> tuple[Rows, Rows, Rows, int, int]:
    """Find pairs of rows with equal keys that are near.

    Args:
        keys: uint32[n], in any order.
        ranks: uint64[n].
        images: uint64[n], tells rows of one rank apart.
        areas: uint64[n, 4].
        colours: uint8[n, 48].
        radius: the most bits that may differ.
        most_colour: the largest sum of differences of the 48 means.
        max_run: a row is compared with so many before it in the order of rank, less one.

    Returns:
        The rows of the pairs (int64[m] each; the first has the smaller rank), their distances, the number of
        comparisons, and of those that were left out because a run was too long.
    """
    order = np.argsort(keys, kind="stable")
    same = keys[order[1:]] == keys[order[:-1]]
    in_run = np.zeros(len(keys), np.bool_)
    in_run[1:] |= same
    in_run[:-1] |= same
    rows = order[in_run]
    rows = rows[np.lexsort((images[rows], ranks[rows], keys[rows]))]
    starts = np.ones(len(rows), np.bool_)
    starts[1:] = keys[rows[1:]] != keys[rows[:-1]]
    place = np.arange(len(rows)) - np.maximum.accumulate(np.where(starts, np.arange(len(rows)), 0))
    firsts: list[Rows] = []
    seconds: list[Rows] = []
    bits: list[Rows] = []
    compared = 0
    later = np.flatnonzero(place >= 1)
    for step in range(1, max_run):
        later = later[place[later] >= step]
        if not len(later):
            break
        compared += len(later)
        first, second = rows[later - step], rows[later]
        distance = distances(areas[first], areas[second])
        near = (distance <= radius) & (images[first] != images[second])
        first, second, distance = first[near], second[near], distance[near]
        alike = colour_distances(colours[first], colours[second]) <= most_colour
        firsts.append(first[alike])
        seconds.append(second[alike])
        bits.append(distance[alike])
    capped = int(np.maximum(place - (max_run - 1), 0).sum())
    nothing = [np.zeros(0, np.int64)]
    return (
        np.concatenate(firsts or nothing),
        np.concatenate(seconds or nothing),
        np.concatenate(bits or nothing),
        compared,
        capped,
    )


def nearest(areas: Words, hashes: Hashes) -> npt.NDArray[np.int64]:
    """Return the distance of each hash, uint64[n, 4], to the nearest of a list, int64[n]; 256 where none is found."""
    if len(hashes.areas) <= BRUTE_FORCE:
        return _nearest_of_all(areas, hashes.areas)
    found = np.full(len(areas), BITS, np.int64)
    for bits in table_bits(LIST_TABLES):
        keys = table_keys(hashes.areas, bits)
        order = np.argsort(keys, kind="stable")
        ordered, wanted = keys[order], table_keys(areas, bits)
        place, end = (np.searchsorted(ordered, wanted, side) for side in ("left", "right"))
        rows = np.flatnonzero(place < end)
        while len(rows):
            found[rows] = np.minimum(found[rows], distances(areas[rows], hashes.areas[order[place[rows]]]))
            place[rows] += 1
            rows = rows[place[rows] < end[rows]]
    return found


def _nearest_of_all(areas: Words, others: Words) -> npt.NDArray[np.int64]:
    """Compare every hash with every other one: as products of -1 and 1, whose sums are exact in float32."""
    found = np.full(len(areas), BITS, np.int64)
    for column in range(0, len(others), _COLUMNS):
        right = _signs(others[column : column + _COLUMNS]).T
        for row in range(0, len(areas), _ROWS):
            products = _signs(areas[row : row + _ROWS]) @ right
            least = (BITS - products.max(axis=1).astype(np.int64)) // 2
            found[row : row + _ROWS] = np.minimum(found[row : row + _ROWS], least)
    return found


def _signs(areas: Words) -> npt.NDArray[np.float32]:
    bits = np.unpackbits(np.ascontiguousarray(areas).view(np.uint8).reshape(len(areas), 32), axis=1)
    return bits.astype(np.float32) * 2 - 1


def covered(
    nodes: int, equal: tuple[Rows, Rows], near: tuple[Rows, Rows, Rows]
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], Rows]:
    """Decide which of some pictures stay. Nodes are numbered in the order of rank: a smaller one stays rather.

    Those that are equal are one: the first of them. In the order of rank, a picture falls if one that stays is near
    it. So whatever falls is near what stays, and no two that stay are known to be near.

    Args:
        nodes: number of pictures.
        equal: two nodes of each pair that is equal, int64[m] each.
        near: two nodes of each pair that is near, and their distance.

    Returns:
        The node that stays for each node (its own where it stays itself), int64[nodes]; the distance to it; the
        first of those that it equals.
    """
    first = np.arange(nodes)
    while len(equal[0]):
        least = np.minimum(first[equal[0]], first[equal[1]])
        before = first.copy()
        for side in equal:
            np.minimum.at(first, side, least)
        first = first[first]
        if (first == before).all():
            break
    one, other = first[near[0]], first[near[1]]
    small, large, distance = np.minimum(one, other), np.maximum(one, other), near[2]
    differ = small != large
    small, large, distance = small[differ], large[differ], distance[differ]
    order = np.lexsort((small, distance, large))
    small, large, distance = small[order], large[order], distance[order]
    keeper = np.full(nodes, -1, np.int64)
    away = np.zeros(nodes, np.int64)
    waiting = np.zeros(nodes, np.bool_)
    waiting[large] = True
    keeper[~waiting] = np.flatnonzero(~waiting)
    while len(small):
        stays = keeper[small] == small
        # The nearest that stays comes first among the pairs of a node, but one before it may be undecided still.
        decided = ~waiting[small]
        is_open = np.zeros(nodes, np.bool_)
        is_open[large[~decided]] = True
        falls = np.zeros(nodes, np.bool_)
        falls[large[stays]] = True
        done = falls & ~is_open
        rows = np.flatnonzero(stays & done[large])
        _, starts = np.unique(large[rows], return_index=True)
        chosen = rows[starts]
        keeper[large[chosen]], away[large[chosen]] = small[chosen], distance[chosen]
        alone = waiting & ~falls & ~is_open
        keeper[alone] = np.flatnonzero(alone)
        waiting &= ~(done | alone)
        rest = waiting[large]
        small, large, distance = small[rest], large[rest], distance[rest]
    return keeper[first], away[first], first
