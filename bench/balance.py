"""Measure balancing against the same mathematics in plain numpy: `python -m bench.balance`.

The pool is drawn to the paper's shape: 400,000 entries with Zipf-like counts, 3.5 matched entries a
pair. The numpy version solves sum(log(1 - t/c)) = log(1 - u) by 8 steps of Newton's method. One
core, times are the best of a few turns.
"""

import json
from typing import Any

import numpy as np

from bench.timing import best_seconds
from metaclip.balance import draws, keep_probability, min_t
from metaclip.counts import entry_counts

PAIRS, ENTRIES = 1_000_000, 400_000


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
    entry_counts(entry_ids, ENTRIES)
    keep_probability(counts, offsets, entry_ids, 20_000)
    ours, theirs, drawing, probability, counting, bincount = best_seconds(
        lambda: min_t(counts, offsets, entry_ids, uniform),
        plain_numpy,
        lambda: draws(uid_hi, uid_lo, 0),
        lambda: keep_probability(counts, offsets, entry_ids, 20_000),
        lambda: entry_counts(entry_ids, ENTRIES),
        lambda: np.bincount(entry_ids, minlength=ENTRIES),
    )
    return {
        "pairs": PAIRS,
        "entries_per_pair": len(entry_ids) / PAIRS,
        "min_t_pairs_per_second": PAIRS / ours,
        "plain_numpy_pairs_per_second": PAIRS / theirs,
        "ratio": theirs / ours,
        "draws_per_second": PAIRS / drawing,
        "keep_probability_pairs_per_second": PAIRS / probability,
        "counts_pairs_per_second": PAIRS / counting,
        "counts_ratio_to_bincount": bincount / counting,
    }


if __name__ == "__main__":
    print(json.dumps(measure(), indent=2))
