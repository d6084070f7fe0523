"""Which texts miss which entries, against the definition; other spellings of an entry."""

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from metaclip.matching.definition import contains
from metaclip.matching.matcher import Matcher
from metaclip.matching.spacing import can_match, space_entry
from metaclip.matching.variants import CAUSES, NearMatcher, case_variants, loose, plurals, respacings

WORDS = st.sampled_from(["dog", "Dog", "dogs", "teddy", "bear", "teddybear", "É", "é", "st.", "U.S.", "7", "日本", "."])
TEXTS = st.lists(st.tuples(WORDS, st.sampled_from([" ", "-", "(", ", ", "’s "])), min_size=1, max_size=6).map(
    lambda parts: "".join(word + mark for word, mark in parts)
)


def _loose(text: str, lower: bool = True) -> str:
    return str(loose(pa.array([text]), lower)[0])


def _within(part: str, whole: str) -> bool:
    return f" {part} " in f" {whole} "


def misses_by_definition(entries: list[str], text: str, spaced: bool) -> dict[int, str]:
    """The cause of each entry that the text misses, by id."""
    spelled = [space_entry(entry) if spaced else entry for entry in entries]
    firsts = [i for i, entry in enumerate(entries) if entries.index(entry) == i]
    forms = {_loose(entries[i]) for i in firsts if contains(text, spelled[i])}
    found: dict[int, str] = {}
    for i in firsts:
        form = _loose(entries[i])
        if not form or contains(text, spelled[i]):
            continue
        for cause, others in (("", [form]), ("spacing", respacings(form)), ("plural", plurals(form))):
            if any(_within(other, _loose(text)) and other not in forms for other in others):
                found[i] = cause
                break
        if found.get(i) == "":
            if contains(*pa.compute.utf8_lower(pa.array([text, spelled[i]])).to_pylist()):
                found[i] = "case"
            else:
                plain = _within(_loose(entries[i], lower=False), _loose(text, lower=False))
                found[i] = "punctuation" if plain else "case_and_punctuation"
        if i in found and not spaced and not can_match(entries[i]):
            found[i] = "never"
    return found


@pytest.mark.long
@settings(max_examples=60)
@given(st.lists(TEXTS, min_size=1, max_size=4), st.lists(TEXTS.map(str.strip).filter(bool), max_size=8), st.booleans())
def test_misses_are_as_defined(texts: list[str], entries: list[str], spaced: bool) -> None:
    exact = Matcher([space_entry(entry) if spaced else entry for entry in entries])
    text, entry, cause = NearMatcher(entries, spaced).find(pa.array(texts), *exact.match(texts))
    found: list[dict[int, str]] = [{} for _ in texts]
    for row, entry_id, why in zip(text.tolist(), entry.tolist(), cause.tolist(), strict=True):
        found[row][entry_id] = CAUSES[why]
    assert found == [misses_by_definition(entries, each, spaced) for each in texts]


@pytest.mark.parametrize(
    ("text", "cause"),
    [
        ("a bald eagle", None),
        ("Bald Eagle over a lake", "case"),
        ("(bald eagle)", "punctuation"),
        ("BALD-EAGLE", "case_and_punctuation"),
        ("baldeagle", "spacing"),
        ("two bald eagles", "plural"),
        ("bald eaglet", None),
    ],
)
def test_each_cause(text: str, cause: str | None) -> None:
    exact = Matcher(["bald eagle"])
    _, _, found = NearMatcher(["bald eagle"]).find(pa.array([text]), *exact.match([text]))
    assert [CAUSES[why] for why in found] == ([cause] if cause else [])


def test_a_text_with_a_spelling_that_the_list_has_misses_nothing() -> None:
    entries = ["bald eagle", "Bald Eagle", "bald eagles"]
    texts = ["Bald Eagle", "bald eagles", "BALD EAGLE"]
    text, entry, _ = NearMatcher(entries).find(pa.array(texts), *Matcher(entries).match(texts))
    # "bald eagles" is an entry of its own; capitals are missed by both spellings.
    assert [(row, entries[i]) for row, i in zip(text, entry, strict=True)] == [
        (2, "bald eagle"),
        (2, "Bald Eagle"),
        (2, "bald eagles"),  # its singular
    ]


def test_no_text_and_no_entry() -> None:
    for entries, texts in ((["dog"], []), ([], ["dog"]), (["?!"], ["dog"])):
        found = NearMatcher(entries).find(pa.array(texts, pa.string()), *Matcher(entries).match(texts))
        assert [len(part) for part in found] == [0, 0, 0]


def test_spellings() -> None:
    assert case_variants("bald eagle") == ["BALD EAGLE", "Bald eagle", "Bald Eagle"]
    assert case_variants("7") == []
    assert plurals("grey fox") == ["grey foxes"]
    assert plurals("butterflies") == ["butterfly"]
    assert plurals("a berry") == ["a berries"]
    assert plurals("glass") == ["glasses"]
    assert plurals("at 7") == []
    assert respacings("new york city") == ["newyork city", "new yorkcity", "newyorkcity"]
    assert respacings("teddybear") == ["ted dybear", "tedd ybear", "teddy bear", "teddyb ear"]
    assert respacings("dog") == []


def test_a_matcher_of_other_spellings_gives_the_ids_of_the_entries() -> None:
    matcher = Matcher(["dog", "cat", "Dog", "DOG"], ids=(np_ids := pa.array([0, 1, 0, 0], pa.uint32()).to_numpy()))
    assert matcher.n_entries == int(np_ids.max()) + 1
    offsets, ids = matcher.match(["Dog dog cat", "DOG", "dOG"])
    assert offsets.tolist() == [0, 2, 3, 3]
    assert ids.tolist() == [0, 1, 0]
