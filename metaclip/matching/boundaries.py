"""The definition of "a text contains an entry" for the rules `unicode`, `characters` and `words`.

The paper's rule is `metaclip.matching.definition`. These are for texts whose words do not stand between spaces and
seven marks. An entry matches where its tokens equal a run of the text's tokens, each after the first glued to the one
before it (no white space between) or not, alike. So it never begins or ends within a word of a script with spaces,
within a cluster of characters, or within a Tibetan syllable; and a space in the text is one that the entry must have.

`words` asks in addition that the run begins and ends where the words of the text do. They are the segmentation of least
cost: a word with a count costs the more the rarer it is, and any single token can stand by itself at UNKNOWN.

This is the definition; its fast way is `metaclip.matching.matcher`.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Literal, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

from metaclip.matching.characters import (
    BASE,
    EXTEND,
    FOLLOW,
    JOIN,
    LEAD,
    MARK,
    OTHER,
    SPACE,
    TIBETAN,
    character_kinds,
)

TokenRule = Literal["unicode", "characters", "words"]
"""The rules that are defined here."""

UNKNOWN = 1100
"""The cost of a token that stands by itself: that of a word with a share of 10^-11 of all words."""

NO_COST = 65_535
"""The cost of an entry without a count: it is no word of a segmentation."""

Costs: TypeAlias = npt.NDArray[np.uint16]
"""uint16[n_entries]: round(100 · log10(N / count)) for an entry that is counted as a word, else NO_COST."""


class Token(NamedTuple):
    """A part of a text that no entry may cut."""

    text: str
    glued: bool
    """Whether it follows the token before it without white space."""


def tokens(text: str, rule: TokenRule) -> list[Token]:
    """Return the tokens of a text."""
    kinds = character_kinds(rule != "unicode")
    found: list[Token] = []
    opened = MARK  # what the last token may go on with: BASE a cluster, OTHER and TIBETAN a run, MARK nothing
    takes = glued = False
    for character in text:
        kind = int(kinds[ord(character)])
        if kind == SPACE:
            opened, takes, glued = MARK, False, False
            continue
        if (
            (kind in (EXTEND, JOIN) and opened != MARK)
            or (kind == FOLLOW and opened == BASE)
            or (kind == BASE and opened == BASE and takes)
            or (kind in (OTHER, TIBETAN) and opened == kind)
        ):
            found[-1] = Token(found[-1].text + character, found[-1].glued)
        else:
            found.append(Token(character, glued))
            opened = {FOLLOW: BASE, LEAD: BASE, EXTEND: OTHER, JOIN: OTHER}.get(kind, kind)
        takes = opened == BASE and kind in (LEAD, JOIN)
        glued = True
    return found


def word_bounds(found: Sequence[Token], costs: Mapping[tuple[Token, ...], int]) -> set[int]:
    """Return the positions between tokens at which a word begins or ends, both ends of the text included.

    Args:
        found: the tokens of a text.
        costs: the cost of each word, by its tokens.
    """
    n = len(found)
    best, start = [0] + [2**62] * n, [0] * (n + 1)
    longest = max(map(len, costs), default=1)
    for begin in range(n):
        for end in range(begin + 1, min(n, begin + longest) + 1):
            cost = costs.get(as_entry(found[begin:end]), NO_COST)
            if end == begin + 1:
                cost = min(cost, UNKNOWN)
            if cost != NO_COST and best[begin] + cost < best[end]:  # of equal ones, the earlier start
                best[end], start[end] = best[begin] + cost, begin
    bounds = {n}
    while n:
        n = start[n]
        bounds.add(n)
    return bounds


def as_entry(run: Sequence[Token]) -> tuple[Token, ...]:
    """Return a run of a text's tokens as an entry has them: it does not matter what is before the first."""
    return (Token(run[0].text, False), *run[1:])


def match_tokens_by_definition(
    entries: Sequence[str], texts: Iterable[str], rule: TokenRule, costs: Costs | None = None
) -> list[list[int]]:
    """Return for each text the ids (positions) of the entries that it contains, ascending.

    Of entries with the same tokens, only the first ever matches. `costs` are for the rule `words`.
    """
    ids: dict[tuple[Token, ...], int] = {}
    for entry_id, entry in enumerate(entries):
        own = tokens(entry, rule)
        if own:
            ids.setdefault(as_entry(own), entry_id)
    words = {}
    if rule == "words" and costs is not None:
        words = {own: int(costs[entry_id]) for own, entry_id in ids.items() if costs[entry_id] != NO_COST}
    sizes = sorted({len(own) for own in ids})
    result = []
    for text in texts:
        found = tokens(text, rule)
        bounds = word_bounds(found, words) if rule == "words" else set(range(len(found) + 1))
        runs = ((begin, begin + size) for size in sizes for begin in range(len(found) - size + 1))
        contained = {
            ids.get(as_entry(found[begin:end]), -1) for begin, end in runs if begin in bounds and end in bounds
        }
        result.append(sorted(contained - {-1}))
    return result
