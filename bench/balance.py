"""Measure balancing against the same mathematics in plain numpy: `python -m bench.balance`.

The generated pool has the shape of the paper's: 400,000 entries with Zipf-like counts, 3.5 matched entries
for each pair. The numpy version solves sum(log(1 - t/c)) = log(1 - u) by 8 steps of Newton's method.
Counts are measured against numpy's bincount. Figures are pairs for each CPU second of one core, medians of
a few turns with the lowest and highest, and cost against size.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from bench.timing import by_size, in_turn, peak_memory_mb, rate_table, rates, report, size_table
from metaclip.balance.algorithm import draws, keep_probability, min_t
from metaclip.balance.counts import entry_counts

PAIRS, ENTRIES = 1_000_000, 400_000
SIZES = (PAIRS // 16, PAIRS // 4, PAIRS)
REPEATS = 3


def measure() -> dict[str, Any]:
    rng = np.random.default_rng(0)
    offsets = np.concatenate([[0], np.cumsum(rng.poisson(2.5, PAIRS) + 1)])
    entry_ids = np.minimum(rng.pareto(0.35, offsets[-1]) * 3, ENTRIES - 1).astype(np.uint32)
    counts = np.maximum(1.2e8 / np.arange(1, ENTRIES + 1) ** 1.1, 1).astype(np.uint64)
    uid_hi, uid_lo = rng.integers(0, 2**64, (2, PAIRS), dtype=np.uint64)
    uniform = draws(uid_hi, uid_lo, 0)

    def plain_numpy() -> np.ndarray:
        c = counts[entry_ids].astype(np.float64)
        lengths = np.diff(offsets)
        goal = np.log1p(-uniform)
        t = uniform * np.minimum.reduceat(c, offsets[:-1])
        for _ in range(8):
            wide = np.repeat(t, lengths)
            value = np.add.reduceat(np.log1p(-wide / c), offsets[:-1]) - goal
            t += value / np.add.reduceat(1 / (c - wide), offsets[:-1])
        return t

    smallest = min_t(counts, offsets, entry_ids, uniform)
    np.testing.assert_allclose(smallest, plain_numpy(), rtol=1e-9)
    clocks = in_turn(
        {
            "min_t": lambda: min_t(counts, offsets, entry_ids, uniform),
            "plain numpy": plain_numpy,
            "draws": lambda: draws(uid_hi, uid_lo, 0),
            "keep_probability": lambda: keep_probability(counts, offsets, entry_ids, 20_000),
        },
        REPEATS,
    )
    counting = {
        "entry_counts": lambda: entry_counts(entry_ids, ENTRIES),
        "numpy's bincount": lambda: np.bincount(entry_ids, minlength=ENTRIES),
    }

    def prepare(size: int) -> Callable[[], Any]:
        return lambda: min_t(counts, offsets[: size + 1], entry_ids[: offsets[size]], uniform[:size])

    return {
        "pairs": PAIRS,
        "entries_per_pair": len(entry_ids) / PAIRS,
        "balance": rates(clocks, PAIRS, "min_t", 0),
        "count": rates(in_turn(counting, REPEATS), PAIRS, "entry_counts", 0),
        "by_size": by_size(SIZES, prepare),
        "peak_memory_mb": peak_memory_mb(),
    }


def show(result: dict[str, Any]) -> str:
    """Return the figures as text."""
    title = f"pairs/s, {result['pairs']:,} pairs, {result['entries_per_pair']:.1f} entries each"
    return (
        rate_table(f"balance: {title}", result["balance"], "min_t")
        + rate_table(f"count: {title}", result["count"], "entry_counts")
        + size_table("min_t against the number of pairs", result["by_size"])
        + f"peak memory {result['peak_memory_mb']} MB\n"
    )


if __name__ == "__main__":
    report(measure, show)
