"""Entries that no text can contain, because texts are spaced and entries are not."""

import re

from metaclip.matching.definition import BLANKS, ISOLATED, space_text

_MARK = f"[{re.escape(ISOLATED)}]"
# In a spaced text a mark is between spaces, and there are two spaces between two marks.
_UNMATCHABLE = re.compile(rf"[{BLANKS}]|(?<=[^ ]){_MARK}|{_MARK}(?=[^ ])|{_MARK} (?={_MARK})")


def can_match(entry: str) -> bool:
    """Return whether any text can contain the entry, by `metaclip.matching.definition.contains`."""
    return not _UNMATCHABLE.search(entry)


def space_entry(entry: str) -> str:
    """Return the entry as it occurs in a spaced text, if it could not match otherwise.

    `st. louis` becomes `st .  louis`, which every spaced text has that had `st. louis` between spaces.
    """
    return entry if can_match(entry) else space_text(entry)[1:-1]
