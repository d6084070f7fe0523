"""Columns give the uids that lists give."""

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

import metaclip
from metaclip.pairs.uid_columns import uid_columns
from metaclip.pairs.uids import uids

STRINGS = st.lists(st.tuples(st.text(max_size=300), st.text(max_size=300)), max_size=20)


@given(STRINGS, st.integers(0, 5), st.booleans())
def test_columns_equal_uids(pairs: list[tuple[str, str]], skipped: int, chunked: bool) -> None:
    urls, texts = [url for url, _ in pairs], [text for _, text in pairs]
    url_column, text_column = pa.array(urls, pa.string())[skipped:], pa.array(texts, pa.string())[skipped:]
    if chunked:
        url_column, text_column = pa.chunked_array([url_column]), pa.chunked_array([text_column[:1], text_column[1:]])
    expected = uids(urls[skipped:], texts[skipped:])
    for found, column in zip(uid_columns(url_column, text_column), expected, strict=True):
        assert found.dtype == np.uint64
        assert found.tolist() == column.tolist()


@pytest.mark.parametrize("clean", [False, True])
@pytest.mark.parametrize("urls", [["a"], ["a", "b", "c"], ["a"] * 5000])
def test_there_are_as_many_addresses_as_texts(urls: list[str], clean: bool) -> None:
    with pytest.raises(ValueError, match=f"{len(urls)} addresses and 2 texts: there must be as many"):
        metaclip.uids(urls, ["b", "c"], clean=clean)


def test_columns_that_are_no_pairs_are_refused() -> None:
    with pytest.raises(ValueError, match="1 addresses and 2 texts"):
        uid_columns(pa.array(["a"]), pa.array(["b", "c"]))
    with pytest.raises(ValueError, match="null"):
        uid_columns(pa.array(["a"]), pa.array([None], pa.string()))
    with pytest.raises(TypeError, match="int64"):
        uid_columns(pa.array([1]), pa.array(["b"]))
