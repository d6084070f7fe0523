"""One axis for all languages: the t of the reference language, from which every other language's t follows.

Each group of languages g has its own list of entries, with counts c_g, and N_g matches in all. S_g(x) is the
share of N_g that belongs to entries with at most x matches: the tail share of x. At a threshold s of the
reference language, another group's is

    t_g(s) = the smallest of its counts c with S_g(c) >= S_ref(s), and 0 where S_ref(s) = 0.

It never falls as s rises. So for a pair that its own group keeps from m on (`algorithm.min_t`) there is one
smallest s with t_g(s) >= m. With c the smallest count of g that is at least m, and A the matches of all entries
of g with less than c, it is

    r(m) = the smallest count of the reference language whose S_ref exceeds A / N_g,

because t_g takes only counts of g: t_g(s) >= m if and only if no count below c reaches the share, A / N_g < S_ref(s).
In the reference language r(m) = m. The set for every s is then `r <= s` in all languages at once.

A rule may also have a floor f (entries with at most f matches are kept whole, from the smallest count of the
reference language on) and a ceiling k (t_g(s) is at most k s). Both keep t_g rising, so r exists as well.

Shares are compared as products of integers, A N_ref < B N_g, which pass 2^64: Python's integers are exact.

`own_t` and `reference_t` are the definition in rational numbers; `GroupThresholds` is the fast way, and
tests/metaclip/balance/test_reference_axis.py holds the two equal.

Source: MetaCLIP 2 (arXiv 2507.22062), Algorithm 1, where t_g is the count whose share is nearest and is 0 where
one entry has most matches; docs/worldwide.md has the differences.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Literal, NamedTuple

import numpy as np
import numpy.typing as npt

Across = Literal["tail_share", "same"]


@dataclass(frozen=True)
class Rule:
    """How a language other than the reference gets its t."""

    across: Across = "tail_share"
    """`tail_share`: t_g(s) as above; `same`: t_g(s) = s."""
    ceiling: float | None = None
    """The t of a language is at most this times the reference's; None: no limit."""
    floor: int = 0
    """Entries with at most this many matches are kept whole."""

    def __post_init__(self) -> None:
        if self.ceiling is not None and not 0 < self.ceiling < math.inf:
            raise ValueError(f"the ceiling must be above 0 and finite, got {self.ceiling}")
        if self.floor < 0:
            raise ValueError(f"the floor must be at least 0, got {self.floor}")


def own_t(counts: Sequence[int], reference: Sequence[int], s: float, rule: Rule = Rule()) -> float:
    """Return a language's t at the t of the reference language: the definition.

    Args:
        counts: how many texts contain each entry of the language; those of 0 do not matter.
        reference: the same of the reference language; one of them at least is above 0.
        s: the t of the reference language, at least 0.
        rule: how the language gets its t.
    """

    def share(of: Sequence[int], x: float) -> Fraction:
        return Fraction(sum(count for count in of if count <= x), sum(of))

    wanted = share(reference, s)
    reached = [count for count in counts if count and share(counts, count) >= wanted]
    t = float(min(reached)) if wanted else 0.0
    if rule.across == "same":
        t = s
    if wanted:
        t = max(t, float(rule.floor))
    return t if rule.ceiling is None else min(t, rule.ceiling * s)


def reference_t(counts: Sequence[int], reference: Sequence[int], own: float) -> float:
    """Return r, the smallest t of the reference language at which a pair is kept, without floor and ceiling.

    Args:
        counts: how many texts contain each entry of the pair's language.
        reference: the same of the reference language.
        own: the pair's `min_t` in its own language, at most the largest of `counts`.
    """
    if own == 0:
        return 0.0  # kept at every t, 0 included
    least = min(count for count in counts if count >= own)
    before = Fraction(sum(count for count in counts if count < least), sum(counts))
    held = [Fraction(sum(one for one in reference if one <= count), sum(reference)) for count in reference]
    return float(min(count for count, share in zip(reference, held, strict=True) if count and share > before))


class DistinctCounts(NamedTuple):
    """The distinct counts above 0 of a group's entries, uint64[k], ascending."""

    counts: npt.NDArray[np.uint64]
    held: npt.NDArray[np.uint64]
    """The matches of all entries with at most so many, uint64[k]."""


def distinct_counts(counts: npt.NDArray[np.uint64]) -> DistinctCounts:
    """Return the distinct counts of uint64[n_entries]."""
    distinct, entries = np.unique(counts[counts > 0], return_counts=True)
    distinct = distinct.astype(np.uint64)
    return DistinctCounts(distinct, np.cumsum(distinct * entries.astype(np.uint64), dtype=np.uint64))


@dataclass(frozen=True)
class GroupThresholds:
    """The distinct counts of one group of languages, and the t of the reference language that reaches each.

    All arrays are uint64[k], ascending, k the number of distinct counts above 0.
    """

    counts: npt.NDArray[np.uint64]
    held: npt.NDArray[np.uint64]
    """The matches of all entries with at most so many."""
    reference_t: npt.NDArray[np.uint64]
    """The smallest t of the reference language at which the group's t is at least this count, by tail share."""
    first: int
    """The smallest count of the reference language."""
    is_reference: bool = False

    @classmethod
    def of(cls, own: DistinctCounts, reference: DistinctCounts, *, is_reference: bool = False) -> "GroupThresholds":
        """Compute them from the counts of the group, and of the reference language.

        Raises:
            ValueError: if no entry of the reference language has a match, but one of the group has.
        """
        if not len(reference.counts) and len(own.counts):
            raise ValueError("no entry of the reference language has a match")
        first = int(reference.counts[0]) if len(reference.counts) else 0
        if not len(own.counts):
            return cls(own.counts, own.held, own.counts, first, is_reference)
        # B / N_ref > A / N_g is, for an integer B, B > floor(A N_ref / N_g).
        total, of_all = int(own.held[-1]), int(reference.held[-1])
        before = [0, *own.held[:-1].tolist()]
        bounds = np.array([below * of_all // total for below in before], np.uint64)
        reached = reference.counts[np.searchsorted(reference.held, bounds, side="right")]
        return cls(own.counts, own.held, reached, first, is_reference)

    @property
    def matches(self) -> int:
        """All matches of the group."""
        return int(self.held[-1]) if len(self.held) else 0

    @property
    def largest(self) -> int:
        """The largest count of an entry."""
        return int(self.counts[-1]) if len(self.counts) else 0

    def t(self, s: float, rule: Rule = Rule()) -> float:
        """Return the group's t at s, the t of the reference language; 0 keeps nothing."""
        if self.is_reference:
            return s
        t = s
        if rule.across == "tail_share":
            reached = int(np.searchsorted(self.reference_t, s, side="right"))
            t = float(self.counts[reached - 1]) if reached else 0.0
        if s >= self.first:
            t = max(t, float(rule.floor))
        return t if rule.ceiling is None else min(t, rule.ceiling * s)

    def min_t(self, own: npt.NDArray[np.float64], rule: Rule = Rule()) -> npt.NDArray[np.float64]:
        """Return r for pairs of the group, float64[n]: {own <= t(s)} is {r <= s} for every s.

        Args:
            own: float64[n], the `min_t` of the pairs in their own language.
            rule: how the group gets its t.

        Raises:
            ValueError: if one is larger than every count, so that it belongs to other counts.
        """
        if self.is_reference:
            return own
        if len(own) and not (len(self.counts) and own.max() <= self.largest):
            raise ValueError(f"a pair with t = {own.max()}, where the largest count is {self.largest}: of other counts")
        r = own
        if rule.across == "tail_share" and len(own):
            r = self.reference_t[np.searchsorted(self.counts, own)].astype(np.float64)
            r[own == 0] = 0.0  # a draw of 0 is kept at every t
        if rule.floor:
            r = np.where(own <= rule.floor, np.minimum(r, float(self.first)), r)
        return r if rule.ceiling is None else np.maximum(r, _reaching(own, rule.ceiling))

    def tail_share(self, t: float) -> float:
        """Return the share of the matches that belongs to entries with at most t; 0 where there is no match."""
        reached = int(np.searchsorted(self.counts, t, side="right"))
        return int(self.held[reached - 1]) / self.matches if reached else 0.0


def _reaching(own: npt.NDArray[np.float64], ceiling: float) -> npt.NDArray[np.float64]:
    """Return for each value the smallest float64 s with ceiling * s >= value, as float64 rounds the product."""
    s = np.asarray(own / ceiling, np.float64)
    while len(low := np.flatnonzero(ceiling * s < own)):
        s[low] = np.nextafter(s[low], np.inf)
    while len(high := np.flatnonzero((own > 0) & (ceiling * np.nextafter(s, -np.inf) >= own))):
        s[high] = np.nextafter(s[high], -np.inf)
    return s
