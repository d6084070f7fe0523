"""Pointwise mutual information of word pairs, in bits.

PMI = log2(c(a, b) · N / (c(a) · c(b))) for N words in all. It cannot exceed log2(N), which is the PMI of
a pair whose words occur once each, together. docs/metadata.md explains what a threshold means.
"""

from typing import TypeAlias

import numpy as np
import numpy.typing as npt

Floats: TypeAlias = npt.NDArray[np.float64]

DECIMALS = 6
"""Decimals of scores. They are rounded, so that they are equal on every machine and rank alike."""

_TERMS = 12


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
