"""Estimates of distinct pairs over many shards."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from metaclip.tables.distinct_sketch import SIZE, DistinctSketch


@given(st.lists(st.integers(0, 2**64 - 1), max_size=600), st.integers(0, 600))
def test_sketches_merge_into_the_sketch_of_the_union(hashes: list[int], cut: int) -> None:
    def sketch(some: list[int]) -> DistinctSketch:
        made = DistinctSketch()
        made.add(np.array(some, np.uint64))
        return made

    merged = DistinctSketch.merged([sketch(hashes[:cut]).to_json(), sketch(hashes[cut:] + hashes[:5]).to_json()])
    assert merged.to_json() == sketch(hashes).to_json()
    if len(set(hashes)) < SIZE:
        assert merged.estimate == len(set(hashes))


def test_estimate_of_many() -> None:
    sketch = DistinctSketch()
    hashes = np.random.default_rng(1).integers(0, 2**64, 1_000_000, np.uint64)
    for part in np.array_split(hashes, 10):
        sketch.add(part)
    assert abs(sketch.estimate / 1_000_000 - 1) < 0.2
