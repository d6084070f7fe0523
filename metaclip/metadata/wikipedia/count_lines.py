"""Files with one row on each line: up to how many malformed lines a file is accepted."""

from collections import Counter

from metaclip.errors import InputError

MAX_MALFORMED = 0.01
"""The share of lines that may be malformed; they are skipped and counted."""


def describe_line(number: int, line: bytes) -> str:
    """Describe the position of a line and its beginning, for people."""
    return f"line {number:,} is {line[:40].decode('utf-8', 'backslashreplace')!r}"


def check_malformed(path: str, counts: Counter[str], form: str, first: str) -> None:
    """Check that the share of malformed lines is acceptable.

    `first` describes the first malformed line, as `describe_line` does.

    Raises:
        InputError: there is no line, or more than 1 % of them are malformed.
    """
    if not counts["lines"]:
        raise InputError(f"{path}: is empty; expected lines of {form}")
    if counts["malformed_lines"] > MAX_MALFORMED * counts["lines"]:
        raise InputError(
            f"{path}: {counts['malformed_lines']:,} of {counts['lines']:,} lines are not {form}, more than"
            f" {MAX_MALFORMED:.0%} ({first}): is it such a file, or an error page? Fetch it again, or leave it out"
        )
