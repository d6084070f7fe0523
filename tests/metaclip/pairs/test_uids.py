"""Uids: hashes of address and text, the same however they are computed and written."""

import numpy as np
import pyarrow as pa
import pytest
import xxhash
from hypothesis import given
from hypothesis import strategies as st

from metaclip.pairs.uids import UIDS, format_uids, parse_uid, parse_uids, uids


def test_uids_are_hashes_of_address_and_text() -> None:
    hi, lo = uids(["http://x.org/a", "http://x.org/a", "http://x.org/ü"], ["one", "two", "ü"])
    assert hi.dtype == lo.dtype == np.uint64
    assert hi[0] == hi[1] == xxhash.xxh3_64_intdigest(b"http://x.org/a")
    assert lo[0] != lo[1]
    assert lo[2] == xxhash.xxh3_64_intdigest("http://x.org/ü\0ü".encode())
    assert [column.shape for column in uids([], [])] == [(0,), (0,)]
    with pytest.raises(ValueError, match="shorter"):
        uids(["a", "b"], ["c"])


def test_uids_tell_where_the_address_ends() -> None:
    _, lo = uids(["http://x.org/a", "http://x.org/ab"], ["bc", "c"])
    assert lo[0] != lo[1]


HALVES = st.lists(st.tuples(st.integers(0, 2**64 - 1), st.integers(0, 2**64 - 1)), max_size=20)


@given(HALVES)
def test_what_is_written_is_read_again(halves: list[tuple[int, int]]) -> None:
    high, low = (np.array([pair[half] for pair in halves], np.uint64) for half in (0, 1))
    written = format_uids(high, low)
    assert written.to_pylist() == [f"{one:016x}{other:016x}" for one, other in halves]
    assert [parse_uid(uid) for uid in written.to_pylist()] == halves
    assert [parse_uid(uid.upper()) for uid in written.to_pylist()] == halves
    found = parse_uids(pa.chunked_array([written[:3], written[3:]]))
    assert found.dtype == UIDS
    assert found.tolist() == halves


@pytest.mark.parametrize("text", ["", "0" * 31, "0" * 33, "g" * 32, " " + "0" * 31, "0" * 32 + "\n", "é" * 32])
def test_what_is_no_uid_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is not a uid: 32 hex digits"):
        parse_uid(text)
