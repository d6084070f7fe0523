"""Algorithm 1 as one number for each pair: `min_t`, the smallest t at which the pair is kept.

Algorithm 1 keeps a pair whose entries have counts c with probability
F(t) = 1 - prod(1 - min(1, t / c)). Here the uniform draw u is a hash of the pair and a seed, and the
pair is kept if F(t) >= u. F rises continuously to 1 at t = min(c), so there is a smallest t at which
the pair is kept: min_t. The set for any t is then `min_t <= t`, and sets for growing t are nested.

All arithmetic is +, -, *, / and comparisons of float64 in a fixed order. IEEE 754 fixes their results
to the last bit, so every machine writes the same bytes. Logarithms differ between libraries.

Source: MetaCLIP paper (arXiv 2309.16671), Algorithm 1.
"""

from typing import Any

import numpy as np
import numpy.typing as npt

from metaclip.kernels.jit import frozen, kernel
from metaclip.kernels.types import EntryIds, Float, Floats, Int, Offsets, Words

_OK, _EMPTY, _UNKNOWN, _UNCOUNTED = 0, 1, 2, 3
_GAMMA, _MIX_1, _MIX_2 = 0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9, 0x94D049BB133111EB
_LOW_64 = (1 << 64) - 1
_SHUFFLE = 0xD1B54A32D192ED03
"""Separates the keys of `shuffle_keys` from draws of the same seed."""


def draws(uid_hi: npt.NDArray[np.uint64], uid_lo: npt.NDArray[np.uint64], seed: int) -> npt.NDArray[np.float64]:
    """Return the uniform draw of each pair, float64[n] in [0, 1), which depends only on its uid and the seed.

    Let mix be the finalizer of splitmix64 (Steele, Lea and Flood 2014), and g = 0x9E3779B97F4A7C15.
    With arithmetic modulo 2^64 the draw is the upper 53 bits of
    mix((mix(mix(seed + g) ^ uid_hi) + g) ^ uid_lo), divided by 2^53.

    Args:
        uid_hi: uint64[n].
        uid_lo: uint64[n].
        seed: 0 to 2^64 - 1.

    Raises:
        ValueError: if the seed is out of range or the two halves differ in length.
    """
    return (_hash(uid_hi, uid_lo, seed, 0) >> np.uint64(11)).astype(np.float64) * 2.0**-53


def shuffle_keys(uid_hi: npt.NDArray[np.uint64], uid_lo: npt.NDArray[np.uint64], seed: int) -> npt.NDArray[np.uint64]:
    """Return each pair's key, uint64[n], in an order that depends on its uid and the seed alone.

    The keys are independent of `draws`: in a set, low draws are more frequent among pairs of head
    entries, so an order by draw would be an order by content.

    Args:
        uid_hi: uint64[n].
        uid_lo: uint64[n].
        seed: 0 to 2^64 - 1.

    Raises:
        ValueError: where the seed is out of range or the two halves differ in length.
    """
    return _hash(uid_hi, uid_lo, seed, _SHUFFLE)


def _hash(
    uid_hi: npt.NDArray[np.uint64], uid_lo: npt.NDArray[np.uint64], seed: int, stream: int
) -> npt.NDArray[np.uint64]:
    if not 0 <= seed <= _LOW_64:
        raise ValueError(f"the seed must be 0 to 2^64 - 1, got {seed}")
    high, low = frozen(uid_hi, np.uint64), frozen(uid_lo, np.uint64)
    if high.shape != low.shape:
        raise ValueError(f"{len(high)} upper and {len(low)} lower halves of uids")
    start = _mix(np.array([((seed ^ stream) + _GAMMA) & _LOW_64], np.uint64))
    return _mix((_mix(start ^ high) + np.uint64(_GAMMA)) ^ low)


def _mix(z: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]:
    z = (z ^ (z >> np.uint64(30))) * np.uint64(_MIX_1)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(_MIX_2)
    return z ^ (z >> np.uint64(31))


@kernel
def _gather_counts(counts: Words, offsets: Offsets, entry_ids: EntryIds, row: Int, row_counts: Floats) -> Int:
    """Copy the counts of a row's entries and return whether they can be used."""
    begin, end = offsets[row], offsets[row + 1]
    if begin == end:
        return _EMPTY
    for i in range(end - begin):
        entry = entry_ids[begin + i]
        if entry >= counts.size:
            return _UNKNOWN
        count = counts[entry]
        if count == 0:
            return _UNCOUNTED
        row_counts[i] = float(count)
    return _OK


@kernel
def _keep_chance(row_counts: Floats, k: Int, t: Float) -> Float:
    """Return F(t) with its rounding: this defines the equation that `min_t` solves."""
    kept = 0.0
    for i in range(k):
        kept += min(t / row_counts[i], 1.0) * (1.0 - kept)
    return kept


@kernel
def _solve(row_counts: Floats, k: Int, draw: Float) -> Float:
    """Return the smallest t with F(t) >= draw, up to rounding."""
    if draw == 0.0:
        return 0.0
    largest, slope = row_counts[0], 0.0
    for i in range(k):
        largest = min(largest, row_counts[i])
        slope += 1.0 / row_counts[i]
    # F is concave and F(t) <= t * slope: so the start and all of Newton's steps are left of the root.
    t = min(draw / slope if k > 1 else draw * largest, largest)
    for _ in range(100):
        kept, rise = 0.0, 0.0
        for i in range(k):
            share = t / row_counts[i]
            rise = rise * (1.0 - share) + (1.0 - kept) / row_counts[i]
            kept += share * (1.0 - kept)
        if kept >= draw:
            return t
        following = min(t + (draw - kept) / rise, largest)
        if not following > t:
            break
        t = following
    # Rounding stopped Newton's method just left of the root. Step over the root, then approach it.
    gap = t * 2.0**-52
    above = min(t + gap, largest)
    while _keep_chance(row_counts, k, above) < draw:
        t = above
        gap *= 2.0
        above = min(t + gap, largest)
    while True:
        middle = t + (above - t) * 0.5
        if middle <= t or middle >= above:
            return above
        if _keep_chance(row_counts, k, middle) < draw:
            t = middle
        else:
            above = middle


@kernel
def _min_t(
    counts: Words, offsets: Offsets, entry_ids: EntryIds, uniform: Floats, row_counts: Floats, result: Floats
) -> tuple[Int, Int]:
    for row in range(offsets.size - 1):
        state = _gather_counts(counts, offsets, entry_ids, row, row_counts)
        if state != _OK:
            return row, state
        result[row] = _solve(row_counts, offsets[row + 1] - offsets[row], uniform[row])
    return 0, _OK


@kernel
def _keep_probability(
    counts: Words, offsets: Offsets, entry_ids: EntryIds, t: Float, row_counts: Floats, result: Floats
) -> tuple[Int, Int]:
    for row in range(offsets.size - 1):
        state = _gather_counts(counts, offsets, entry_ids, row, row_counts)
        if state != _OK:
            return row, state
        result[row] = _keep_chance(row_counts, offsets[row + 1] - offsets[row], t)
    return 0, _OK


def min_t(
    entry_counts: npt.NDArray[np.uint64],
    offsets: npt.NDArray[np.int64],
    entry_ids: npt.NDArray[np.uint32],
    draws: npt.NDArray[np.float64],
) -> npt.NDArray[np.float64]:
    """Return for each pair the smallest t at which Algorithm 1 keeps it, float64[n].

    At the returned t, `keep_probability` is at least the draw, exactly. At a slightly smaller t (by a
    few units in the last place of the probability) it is less. The result is 0 for a draw of 0, and at
    most the smallest count of the pair's entries.

    Args:
        entry_counts: uint64[n_entries], over the whole pool.
        offsets: int64[n + 1]; pair i has entry_ids[offsets[i] : offsets[i + 1]].
        entry_ids: uint32[m], in ascending order within a pair.
        draws: float64[n] in [0, 1).

    Raises:
        ValueError: if a pair has no entry, an entry no count, or a draw is out of range.
        TypeError: if an array is of another type.
    """
    uniform = frozen(draws, np.float64)
    if len(uniform) != len(offsets) - 1:
        raise ValueError(f"{len(uniform)} draws for {len(offsets) - 1} pairs")
    if len(uniform) and not (uniform.min() >= 0.0 and uniform.max() < 1.0):
        raise ValueError(f"draws must be at least 0 and below 1, got {uniform.min()} to {uniform.max()}")
    rows = _Rows(entry_counts, offsets, entry_ids)
    return rows.checked(_min_t, uniform)


def keep_probability(
    entry_counts: npt.NDArray[np.uint64],
    offsets: npt.NDArray[np.int64],
    entry_ids: npt.NDArray[np.uint32],
    t: float,
) -> npt.NDArray[np.float64]:
    """Return the probability that Algorithm 1 keeps each pair, float64[n].

    Args:
        entry_counts: uint64[n_entries], over the whole pool.
        offsets: int64[n + 1].
        entry_ids: uint32[m].
        t: at least 0; `inf` gives ones.

    Raises:
        ValueError: if t is negative, a pair has no entry, or an entry no count.
        TypeError: if an array is of another type.
    """
    if not t >= 0:
        raise ValueError(f"t must be at least 0, got {t}")
    return _Rows(entry_counts, offsets, entry_ids).checked(_keep_probability, float(t))


class KeepProbability:
    """The probability that Algorithm 1 keeps a pair, for pairs that arrive while a model trains.

    Args:
        entry_counts: uint64[n_entries], over the whole pool. An entry without a match in the pool
            counts as matched once, because the given pair contains it.
        t: positive; `inf` gives ones.

    Raises:
        ValueError: if t is not positive.
        TypeError: if the counts are not integers.
    """

    def __init__(self, entry_counts: npt.NDArray[np.uint64], t: float) -> None:
        if not t > 0:
            raise ValueError(f"t must be above 0, got {t}")
        counts = np.asarray(entry_counts)
        if counts.dtype.kind not in "ui":
            raise TypeError(f"entry counts must be integers, got {counts.dtype}")
        self.t = float(t)
        self._counts: npt.NDArray[np.uint64] = np.maximum(counts, 1).astype(np.uint64)

    def __call__(self, offsets: npt.NDArray[np.int64], entry_ids: npt.NDArray[np.uint32]) -> npt.NDArray[np.float64]:
        """Return the probability of each pair, float64[n]; 0 for a pair without an entry.

        Args:
            offsets: int64[n + 1]; pair i has entry_ids[offsets[i] : offsets[i + 1]].
            entry_ids: uint32[m].

        Raises:
            ValueError: if an id is of no entry.
        """
        matched = np.diff(offsets) > 0
        probability = np.zeros(len(matched))
        probability[matched] = keep_probability(self._counts, *_without_empty(offsets, entry_ids), self.t)
        return probability

    def keeps(
        self,
        offsets: npt.NDArray[np.int64],
        entry_ids: npt.NDArray[np.uint32],
        draws: npt.NDArray[np.float64],
    ) -> npt.NDArray[np.bool_]:
        """Return whether each pair is kept for its draw, bool[n]: the same as whether its `min_t` is at most t.

        Args:
            offsets: int64[n + 1].
            entry_ids: uint32[m], in ascending order within a pair.
            draws: float64[n], from the function `draws`.

        Raises:
            ValueError: if an id is of no entry, or a draw out of range.
        """
        matched = np.diff(offsets) > 0
        kept = np.zeros(len(matched), np.bool_)
        thresholds = min_t(self._counts, *_without_empty(offsets, entry_ids), draws[matched])
        kept[matched] = thresholds <= self.t
        return kept


def _without_empty(
    offsets: npt.NDArray[np.int64], entry_ids: npt.NDArray[np.uint32]
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.uint32]]:
    """Remove pairs without an entry; they have no ids, so the ids do not change."""
    return np.append(offsets[:-1][np.diff(offsets) > 0], offsets[-1]), entry_ids


class _Rows:
    """The arrays of a set of pairs, checked once, in the form that the kernels need."""

    def __init__(self, entry_counts: Any, offsets: Any, entry_ids: Any) -> None:
        given = np.asarray(entry_counts)
        if given.dtype.kind not in "ui":
            raise TypeError(f"entry counts must be integers, got {given.dtype}")
        # No copy where they are uint64 already: a list of millions of entries would be copied for every few pairs.
        self.counts = frozen(given if given.dtype.kind == "u" else np.maximum(given, 0).astype(np.uint64), np.uint64)
        self.offsets = frozen(offsets, np.int64)
        self.entry_ids = frozen(entry_ids, np.uint32)
        lengths = np.diff(self.offsets)
        if (
            not len(self.offsets)
            or self.offsets[0] < 0
            or self.offsets[-1] > len(self.entry_ids)
            or lengths.min(initial=0) < 0
        ):
            raise ValueError(f"offsets must rise from 0 to {len(self.entry_ids)}, the number of entry ids")
        self.longest = int(lengths.max(initial=0))

    def checked(self, compute: Any, argument: Any) -> npt.NDArray[np.float64]:
        """Run a kernel over all pairs and raise an error if it found one."""
        result = np.empty(len(self.offsets) - 1)
        row, state = compute(self.counts, self.offsets, self.entry_ids, argument, np.empty(self.longest), result)
        if state == _OK:
            return result
        ids = self.entry_ids[self.offsets[row] : self.offsets[row + 1]].tolist()
        problem = {
            _EMPTY: "it has no entry, so balancing says nothing about it; leave it out",
            _UNKNOWN: f"an id of {ids} is not below {len(self.counts)}, the number of entries counted",
            _UNCOUNTED: f"an id of {ids} has a count of 0: these counts belong to other pairs",
        }
        raise ValueError(f"pair {row}: {problem[state]}")


def algorithm1(
    entry_counts: npt.NDArray[np.uint64],
    offsets: npt.NDArray[np.int64],
    entry_ids: npt.NDArray[np.uint32],
    t: float,
    rng: np.random.Generator,
) -> npt.NDArray[np.bool_]:
    """Run the paper's Algorithm 1 literally, with one draw for each matched entry: the reference for tests.

    Args:
        entry_counts: uint64[n_entries].
        offsets: int64[n + 1].
        entry_ids: uint32[m].
        t: the threshold, positive.
        rng: the source of the draws.

    Returns:
        bool[n], whether each pair is kept.
    """
    kept = np.zeros(len(offsets) - 1, np.bool_)
    for pair in range(len(kept)):
        for entry in entry_ids[offsets[pair] : offsets[pair + 1]]:
            if rng.random() < t / max(float(entry_counts[entry]), t):
                kept[pair] = True
                break
    return kept
