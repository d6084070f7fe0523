"""Near misses: entries that a text contains up to letter case, punctuation and spacing.

The loose form of a string is its lower case (Unicode's, letter by letter), where each run of
characters that are not letters, marks or digits is replaced by one space, with no space at the ends.
An entry is a near miss of a text if the text does not contain it, and its loose form is not empty and
occurs in the loose form of the text between spaces or ends. So `dog` is a near miss of `(dog)`,
`dog's` and `Dog`, but not of `dogs`.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from metaclip.matching.definition import contains
from metaclip.matching.spacing import can_match, space_entry
from metaclip.matching.variants import loose

CHUNK = 1 << 20
"""Number of entries whose loose forms are in memory at a time."""


@dataclass(frozen=True, slots=True)
class NearMiss:
    """An entry that is a near miss of a text."""

    entry_id: int
    causes: tuple[str, ...]
    """Why it does not match: `case`, `punctuation` (spacing included), or both."""
    can_match: bool
    """Whether any text can contain it as it is spelled."""


@dataclass(frozen=True, slots=True)
class LooseEntries:
    """A part of a list, with the loose forms of its entries."""

    start: int
    """Id of the first."""
    entries: pa.StringArray
    forms: pa.StringArray
    most_words: int
    """Of a form."""


def loose_entries(entries: pa.ChunkedArray) -> Iterator[LooseEntries]:
    """Yield the loose forms of a list, part by part; whoever asks about many texts keeps them."""
    for start in range(0, len(entries), CHUNK):
        part = entries.slice(start, CHUNK).combine_chunks()
        forms = loose(part)
        yield LooseEntries(start, part, forms, (pc.max(pc.count_substring(forms, " ")).as_py() or 0) + 1)


def near_misses(text: str, parts: Iterable[LooseEntries], matched: Iterable[str], spaced: bool) -> list[NearMiss]:
    """Return the near misses of a text, by id.

    Args:
        text: any text.
        parts: all entries, see `loose_entries`.
        matched: the entries that it contains.
        spaced: whether entries are matched spaced out (`match.space_entries`).
    """
    have = set(matched)
    words = loose(pa.array([text]))[0].as_py().split(" ")
    found: list[NearMiss] = []
    for part in parts:
        lengths = range(1, min(part.most_words, len(words)) + 1)
        runs = {" ".join(words[i : i + n]) for n in lengths for i in range(len(words))}
        asked = pa.array(sorted(runs - {""}), pa.string())
        for at in np.flatnonzero(pc.is_in(part.forms, value_set=asked).to_numpy(False)).tolist():
            entry, start = part.entries[at].as_py(), part.start
            if entry not in have:
                have.add(entry)  # of equal entries only the first can match
                found.append(NearMiss(start + at, _causes(text, entry, spaced), spaced or can_match(entry)))
    return found


def _causes(text: str, entry: str, spaced: bool) -> tuple[str, ...]:
    """Return what must be ignored for the text to contain the entry."""
    lower = pc.utf8_lower(pa.array([text, space_entry(entry) if spaced else entry])).to_pylist()
    if contains(*lower):
        return ("case",)
    as_spelled = [f" {form} " for form in loose(pa.array([entry, text]), lower=False).to_pylist()]
    return ("punctuation",) if as_spelled[0] in as_spelled[1] else ("case", "punctuation")
