"""Hosts of image addresses, and the bound on what partitions leave out."""

from collections import Counter

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from metaclip.report.survey import count_hosts, hosts, merge_hosts
from metaclip.schemas import HOST_COUNT


@pytest.mark.parametrize(
    ("address", "host"),
    [
        ("https://a.example/x.jpg", "a.example"),
        ("http://a.example:8080/x@y.jpg", "a.example"),
        ("https://me:secret@a.example/x", "a.example"),
        ("https://[2001:db8::1]:8/x", "[2001:db8::1]"),
        ("https://a.example?x=//b.example/", "a.example"),
        ("https://<script>alert(1)</script>/", "<script>alert(1)<"),
        ("nonsense", "?"),
        ("", "?"),
    ],
)
def test_host_of_an_address(address: str, host: str) -> None:
    assert hosts(pa.chunked_array([[address]])).to_pylist() == [host]


def _table(counts: dict[str, int]) -> pa.Table:
    return pa.table([list(counts), list(counts.values())], names=HOST_COUNT.names).cast(HOST_COUNT)


@given(st.lists(st.dictionaries(st.sampled_from("abcdefgh"), st.integers(1, 20)), max_size=5), st.integers(1, 4))
def test_a_merged_count_is_never_too_large_and_too_small_by_the_stated_error_at_most(
    parts: list[dict[str, int]], kept: int
) -> None:
    truth: Counter[str] = Counter()
    given_parts = []
    for part in parts:
        truth.update(part)
        whole = count_hosts([_table(part)])
        assert whole.num_rows == len(part)
        left_out = whole.column("pairs")[kept].as_py() if whole.num_rows > kept else 0
        given_parts.append((whole.slice(0, kept), left_out))
    merged = merge_hosts(given_parts)
    found = dict(zip(*merged.table.to_pydict().values(), strict=True))
    for host, pairs in truth.items():
        assert pairs - merged.error <= found.get(host, 0) <= pairs
    assert merge_hosts(reversed(given_parts)).table.equals(merged.table)
    falling = [(-pairs, host) for host, pairs in found.items()]
    assert falling == sorted(falling)
