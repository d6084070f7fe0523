"""Near misses, against their definition."""

import unicodedata

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from metaclip.explore import near
from metaclip.explore.near import loose_entries, near_misses
from metaclip.matching.definition import contains
from metaclip.matching.spacing import can_match, space_entry

WORDS = st.sampled_from(["dog", "Dog", "cat", "é", "É", "st", "st.", "7", "日本", ".", "'s", "ß", ""])
TEXTS = st.lists(WORDS, min_size=1, max_size=7).flatmap(
    lambda words: st.lists(st.sampled_from([" ", "  ", "-", "(", ",", "\xa0", "’"]), min_size=len(words)).map(
        lambda marks: "".join(word + mark for word, mark in zip(words, marks, strict=False))
    )
)


def _loose(text: str) -> str:
    return "".join(c if unicodedata.category(c)[0] in "LMN" else " " for c in text)


def _within(entry: str, text: str) -> bool:
    return f" {' '.join(entry.split())} " in f" {' '.join(text.split())} "


@pytest.mark.long
@settings(max_examples=300)
@given(TEXTS, st.lists(TEXTS.filter(bool), min_size=1, max_size=8), st.booleans())
def test_near_misses_are_as_defined(text: str, entries: list[str], spaced: bool) -> None:
    matchable = [space_entry(entry) if spaced else entry for entry in entries]
    firsts = [i for i, entry in enumerate(entries) if entries.index(entry) == i]
    matched = [i for i in firsts if contains(text, matchable[i])]
    expected = [
        i
        for i in firsts
        if i not in matched and _loose(entries[i]).split() and _within(_loose(entries[i].lower()), _loose(text.lower()))
    ]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(near, "CHUNK", 3)
        found = near_misses(text, loose_entries(pa.chunked_array([entries])), [entries[i] for i in matched], spaced)
    assert [miss.entry_id for miss in found] == expected
    for miss in found:
        entry = entries[miss.entry_id]
        assert miss.can_match == (spaced or can_match(entry))
        if contains(text.lower(), matchable[miss.entry_id].lower()):
            assert miss.causes == ("case",)
        elif _within(_loose(entry), _loose(text)):
            assert miss.causes == ("punctuation",)
        else:
            assert miss.causes == ("case", "punctuation")


def test_an_entry_with_a_mark_is_near_and_spacing_it_lets_it_match() -> None:
    entries = pa.chunked_array([["st. louis", "U.S."]])
    (miss,) = near_misses("in st. louis today", loose_entries(entries), [], spaced=False)
    assert (miss.entry_id, miss.causes, miss.can_match) == (0, ("punctuation",), False)
    (miss,) = near_misses("in St. Louis today", loose_entries(entries), [], spaced=True)
    assert (miss.entry_id, miss.causes, miss.can_match) == (0, ("case",), True)
