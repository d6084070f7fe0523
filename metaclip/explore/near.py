"""Near misses: entries that a text contains up to letter case, punctuation and spacing.

The loose form of a string is its lower case (Unicode's, letter by letter), where each run of
characters that are not letters, marks or digits is replaced by one space, with no space at the ends.
An entry is a near miss of a text if the text does not contain it, and its loose form is not empty and
occurs in the loose form of the text between spaces or ends. So `dog` is a near miss of `(dog)`,
`dog's` and `Dog`, but not of `dogs`.
"""

from collections.abc import Sequence
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


def near_misses(text: str, entries: pa.ChunkedArray, matched: Sequence[int], spaced: bool) -> list[NearMiss]:
    """Return the near misses of a text, by id.

    Args:
        text: any text.
        entries: all entries, string[n].
        matched: ids of the entries that it contains.
        spaced: whether entries are matched spaced out (`match.space_entries`).
    """
    have = {str(entries[entry_id]) for entry_id in matched}
    words = loose(pa.array([text]))[0].as_py().split(" ")
    found: list[NearMiss] = []
    for start in range(0, len(entries), CHUNK):
        part = entries.slice(start, CHUNK).combine_chunks()
        forms = loose(part)
        longest = (pc.max(pc.count_substring(forms, " ")).as_py() or 0) + 1
        runs = {" ".join(words[i : i + n]) for n in range(1, min(longest, len(words)) + 1) for i in range(len(words))}
        candidates = np.flatnonzero(
            pc.is_in(forms, value_set=pa.array(sorted(runs - {""}), pa.string())).to_numpy(False)
        )
        for at in candidates.tolist():
            entry = part[at].as_py()
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
