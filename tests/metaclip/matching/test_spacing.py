"""Which entries can never match, and how spacing them lets them."""

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from metaclip.matching.definition import contains, space_text
from metaclip.matching.spacing import can_match, space_entry

ENTRIES = st.text(st.sampled_from("ab ,.`?\t"), min_size=1, max_size=8)


@pytest.mark.parametrize("entry", ["st. louis", "U.S.", "a\tb", ", ,", "x,", "..", "a . ,b"])
def test_entries_that_no_text_contains(entry: str) -> None:
    assert not can_match(entry)


@pytest.mark.parametrize("entry", [".", "a", "dog's", "a . b", "a .", ". a", ".  .", "(x)", " . a"])
def test_entries_that_some_text_contains(entry: str) -> None:
    assert can_match(entry)
    assert space_entry(entry) == entry


@pytest.mark.slow
@given(ENTRIES)
@settings(max_examples=1000)
def test_an_entry_that_can_match_has_a_text_that_contains_it(entry: str) -> None:
    if can_match(entry):
        assert contains(re.sub(r" ?([,.`?]) ?", r"\1", entry), entry)


@pytest.mark.slow
@given(ENTRIES, st.text(st.sampled_from("ab ,.`?\t"), max_size=30))
@settings(max_examples=2000)
def test_no_text_contains_an_entry_that_cannot_match(entry: str, text: str) -> None:
    if not can_match(entry):
        assert not contains(text, entry)
        assert not contains(f"{text} {entry} {text}", entry)
        assert not contains(re.sub(r" ?([,.`?]) ?", r"\1", entry), entry)


@pytest.mark.slow
@given(ENTRIES, st.text(st.sampled_from("ab ,."), max_size=5))
@settings(max_examples=1000)
def test_a_spaced_entry_is_in_every_text_that_holds_it_between_spaces(entry: str, around: str) -> None:
    if not can_match(entry):
        assert f" {space_entry(entry)} " in space_text(f"{around} {entry} {around}")
        assert f" {space_entry(entry)} " in space_text(entry)
