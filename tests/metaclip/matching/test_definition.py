import pytest

from metaclip.matching.definition import ISOLATED, contains, match_by_definition, space_text


def test_text_is_padded_marks_are_set_apart_and_blanks_become_spaces():
    assert space_text("") == "  "
    assert space_text("a,b.\tc\r\nd") == " a , b .  c  d "
    assert space_text("a  b\u00a0c") == " a  b\u00a0c "
    for mark in ",.;:?!`":
        assert space_text(f"a{mark}b") == f" a {mark} b "


def test_the_marks_are_the_seven_of_the_paper():
    assert sorted(ISOLATED) == sorted(",.;:?!`")


@pytest.mark.parametrize("text", ["a dog", "dog", "dog, cat", "the dog.", "one\tdog\nhere", "`dog`", "dog?!"])
def test_contained(text):
    assert contains(text, "dog")


@pytest.mark.parametrize(
    "text", ["Dog", "dogs", "(dog)", "dog's", "dog/cat", "hot\u00a0dog", "dog-house", '"dog"', "do g", ""]
)
def test_not_contained(text):
    assert not contains(text, "dog")


def test_spaces_count():
    assert contains("hot dog", "hot dog")
    assert not contains("hot  dog", "hot dog")
    assert contains("hot  dog", "hot  dog")
    assert contains("hot  dog", " dog")
    assert contains("hot  dog", "")
    assert not contains("hot dog", "")
    assert contains("", "")


def test_the_entry_is_not_spaced_out():
    assert not contains("st. louis", "st. louis")
    assert contains("st. louis", "st")
    assert contains("st. louis", ".")
    assert contains("a.b", "a . b")
    assert not contains("a\tb", "a\tb")


def test_ids_are_positions_and_overlapping_entries_all_match():
    entries = ["hot dog", "dog house", "dog", "cat", "dog"]
    assert match_by_definition(entries, ["hot dog house", "", "cat, dog dog"]) == [[0, 1, 2, 4], [], [2, 3, 4]]
