"""Entries that a text nearly contains: up to letter case, punctuation and spacing.

The loose form of a string is its lower case (Unicode's, letter by letter), in which each run of
characters that are neither letters, marks nor digits is one space, and none at the ends. A text
nearly contains an entry that it does not contain where the entry's loose form, which must not be
empty, stands in the text's between spaces or ends. So `(dog)`, `dog's` and `Dog` nearly contain
`dog`, and `dogs` does not.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from metaclip.matching.definition import contains
from metaclip.matching.spacing import can_match, space_entry

_NEITHER = r"[^\p{L}\p{M}\p{N}]+"

CHUNK = 1 << 20
"""Entries whose loose forms are held at once."""


@dataclass(frozen=True, slots=True)
class NearMiss:
    """An entry that a text nearly contains."""

    entry_id: int
    causes: tuple[str, ...]
    """What keeps it from matching: `case`, `punctuation` (spacing included), or both."""
    can_match: bool
    """Whether any text contains it as it is spelled."""


def loose(texts: pa.Array, lower: bool = True) -> pa.Array:
    """Return the loose forms of strings, without a change of case where `lower` is false."""
    return pc.utf8_trim(pc.replace_substring_regex(pc.utf8_lower(texts) if lower else texts, _NEITHER, " "), " ")


def near_misses(text: str, entries: pa.ChunkedArray, matched: Sequence[int], spaced: bool) -> list[NearMiss]:
    """Find the entries that a text nearly contains, by id.

    Args:
        text: any.
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
                have.add(entry)  # of equal entries only the first ever matches
                found.append(NearMiss(start + at, _causes(text, entry, spaced), spaced or can_match(entry)))
    return found


def _causes(text: str, entry: str, spaced: bool) -> tuple[str, ...]:
    """Say what must be forgiven for the text to contain the entry."""
    lower = pc.utf8_lower(pa.array([text, space_entry(entry) if spaced else entry])).to_pylist()
    if contains(*lower):
        return ("case",)
    as_spelled = [f" {form} " for form in loose(pa.array([entry, text]), lower=False).to_pylist()]
    return ("punctuation",) if as_spelled[0] in as_spelled[1] else ("case", "punctuation")
