"""The form of texts: white space, zero bytes and lone surrogates."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metaclip.pairs.texts import clean_text


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("  a\n\tdog \r\n here ", "a dog here"),
        ("hello\nworld", "hello world"),
        ("a\u00a0b\u2003c\u3000d\u2028e\x1cf\x85g", "a b c d e f g"),
        ("zero\u200bwidth\ufeff", "zero\u200bwidth\ufeff"),
        ("a\0b", "a\ufffdb"),
        ("a\ud83db \U0001f600", "a\ufffdb \U0001f600"),
        (" \n\u00a0", ""),
        ("", ""),
    ],
)
def test_clean_text(text: str, expected: str) -> None:
    assert clean_text(text) == expected


@given(st.text(alphabet=st.characters(exclude_categories=[])))
def test_clean_text_is_utf8_and_idempotent(text: str) -> None:
    cleaned = clean_text(text)
    cleaned.encode()
    assert "\0" not in cleaned
    assert cleaned.split() == cleaned.split(" ") or cleaned == ""
    assert clean_text(cleaned) == cleaned
