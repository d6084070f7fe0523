"""The definition of "a text contains an entry".

Source: MetaCLIP paper (arXiv 2309.16671), substring matching. Matching is case-sensitive. The entry
itself is not spaced, so `st. louis` can never match, but `.` can.

This is the definition; its fast way is `metaclip.matching.matcher`.
"""

from collections.abc import Iterable, Sequence

ISOLATED = ",.;:?!`"
"""A space is put on both sides of each of these."""

BLANKS = "\t\n\r"
"""Each of these becomes a space. A no-break space does not."""

_SPACING = str.maketrans({**{mark: f" {mark} " for mark in ISOLATED}, **dict.fromkeys(BLANKS, " ")})


def space_text(text: str) -> str:
    """Return the text as it is searched: with a space at each end and on both sides of the marks."""
    return f" {text} ".translate(_SPACING)


def contains(text: str, entry: str) -> bool:
    """Return whether the text contains the entry."""
    return f" {entry} " in space_text(text)


def match_by_definition(entries: Sequence[str], texts: Iterable[str]) -> list[list[int]]:
    """Return for each text the ids (positions) of the entries that it contains, ascending.

    This is the reference for tests: it looks for every entry in every text. An entry that is listed
    twice appears under both ids.
    """
    padded = [f" {entry} " for entry in entries]
    return [[i for i, entry in enumerate(padded) if entry in spaced] for spaced in map(space_text, texts)]
