"""Logarithms of counts: pointwise mutual information of word pairs, in bits, and the costs of words.

PMI = log2(c(a, b) · N / (c(a) · c(b))) for N words in all. It cannot exceed log2(N), which is the PMI of
a pair whose words occur once each, together. docs/metadata.md explains what a threshold means.
"""

from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from metaclip.matching.boundaries import NO_COST, Costs

Floats: TypeAlias = npt.NDArray[np.float64]

DECIMALS = 6
"""Decimals of scores. They are rounded, so that they are equal on every machine and rank alike."""

_TERMS = 12

_LOG10_OF_2 = 0.3010299956639812


def pmi(pairs: npt.ArrayLike, first: npt.ArrayLike, second: npt.ArrayLike, total: float) -> Floats:
    """Return the PMI of pairs in bits, rounded to six decimals.

    Args:
        pairs: counts of the pairs, > 0.
        first: counts of their first words, > 0.
        second: counts of their second words, > 0.
        total: words in all, > 0.
    """
    expected = np.asarray(first, np.float64) * np.asarray(second, np.float64)
    ratio = np.asarray(pairs, np.float64) / expected * float(total)
    rounded: Floats = np.rint(log2(ratio) * 10**DECIMALS) / 10**DECIMALS
    return rounded


def word_costs(counts: npt.NDArray[np.int64] | None, entries: int, total: int | None = None) -> Costs:
    """Return the cost of each entry, uint16[entries]: round(100 · log10(total / count)), or NO_COST without a count.

    In a list in which no entry has a count, each is taken to occur once, so that the fewest words win.

    Args:
        counts: int64[entries], how often each was counted as a word, 0 for one that was not; or None.
        entries: number of entries.
        total: words counted in all; default: the sum of the counts.
    """
    if counts is None or not counts.any():
        counts, total = np.ones(entries, np.int64), None
    counted = np.flatnonzero(counts)
    costs = np.full(entries, NO_COST, np.uint16)
    shares = float(total or int(counts.sum())) / counts[counted].astype(np.float64)
    # Rounded twice, so that a cost is the same on every machine: the logarithm is exact to the last bits.
    found = np.rint(np.rint(log2(shares) * _LOG10_OF_2 * 1e8) / 1e6)
    costs[counted] = np.clip(found, 0, NO_COST - 1).astype(np.uint16)
    return costs


def log2(values: Floats) -> Floats:
    """Return log2 of positive numbers by additions, multiplications and divisions only.

    Those are exact to the last bit on every machine; the C library's logarithm is not.
    """
    mantissa, exponent = np.frexp(values)
    low = mantissa < np.sqrt(0.5)
    mantissa, exponent = np.where(low, mantissa * 2, mantissa), exponent - low
    # ln(m) = 2 artanh((m - 1) / (m + 1)), and |(m - 1) / (m + 1)| < 0.172.
    z = (mantissa - 1) / (mantissa + 1)
    square = z * z
    series = np.zeros_like(z)
    for term in range(_TERMS, -1, -1):
        series = series * square + 1 / (2 * term + 1)
    result: Floats = exponent + 2 * z * series * 1.4426950408889634
    return result
