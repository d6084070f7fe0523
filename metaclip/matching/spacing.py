"""Entries that no text can contain, because texts are spaced out and entries are not."""

import re

from metaclip.matching.definition import BLANKS, ISOLATED, space_text

_MARK = f"[{re.escape(ISOLATED)}]"
# A mark of a spaced text stands between spaces, two of them between two marks.
_UNMATCHABLE = re.compile(rf"[{BLANKS}]|(?<=[^ ]){_MARK}|{_MARK}(?=[^ ])|{_MARK} (?={_MARK})")


def can_match(entry: str) -> bool:
    """Return whether some text contains the entry, as `metaclip.matching.definition.contains` has it."""
    return not _UNMATCHABLE.search(entry)


def space_entry(entry: str) -> str:
    """Return the entry as it stands in a spaced text, if it could not match otherwise.

    `st. louis` becomes `st .  louis`, which every text has that holds `st. louis` between spaces.
    """
    return entry if can_match(entry) else space_text(entry)[1:-1]
