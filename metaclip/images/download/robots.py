"""The rules of a robots.txt for one crawler.

Source: RFC 9309, sections 2.2 and 2.5.
"""

import re
import string
from dataclasses import dataclass
from urllib.parse import quote_from_bytes

MOST_BYTES = 500 << 10
"""What is read of a robots.txt; the rest is not looked at (section 2.5)."""

_TOKEN = re.compile(r"[\w.-]+")
_ENCODED = re.compile(r"%([0-9A-Fa-f]{2})")
_UNRESERVED = frozenset(string.ascii_letters + string.digits + "-._~")
_PLAIN = "".join(map(chr, range(0x21, 0x7F)))


@dataclass(frozen=True)
class Rule:
    """One line: which paths it is about, and whether they may be fetched."""

    pattern: str
    """Normalised; `*` stands for anything, and `$` at its end for the end of the path."""
    allows: bool

    def matches(self, path: str) -> bool:
        """Return whether a normalised path begins as the pattern says."""
        pattern, is_whole = (self.pattern[:-1], True) if self.pattern.endswith("$") else (self.pattern, False)
        first, *others = pattern.split("*")
        if not path.startswith(first):
            return False
        place = len(first)
        for number, piece in enumerate(others):
            if is_whole and number == len(others) - 1:
                return path.endswith(piece) and len(path) - len(piece) >= place
            found = path.find(piece, place)
            if found < 0:
                return False
            place = found + len(piece)
        return not is_whole or place == len(path)


@dataclass(frozen=True)
class Rules:
    """All rules for one crawler."""

    rules: tuple[Rule, ...] = ()

    def allow(self, path: str) -> bool:
        """Return whether a path with its query may be fetched: the longest pattern decides, and `allow` at a tie."""
        wanted = normal(path or "/")
        found = [(len(rule.pattern), rule.allows) for rule in self.rules if rule.matches(wanted)]
        return max(found)[1] if found else True


def parse_robots(content: bytes, token: str) -> Rules:
    """Return the rules for a product token: of all groups that name it, else of those for `*`."""
    own: list[Rule] = []
    others: list[Rule] = []
    named = False
    groups: list[list[Rule]] = []
    begun = False
    text = content[:MOST_BYTES].decode("utf-8-sig", "replace")
    for line in re.split(r"\r\n|\r|\n", text):
        name, colon, value = line.partition("#")[0].partition(":")
        name, value = name.strip().lower(), value.strip()
        if not colon:
            continue
        if name == "user-agent":
            if not begun:
                groups, begun = [], True
            if value.startswith("*"):
                groups.append(others)
            elif (found := _TOKEN.match(value)) and found[0].lower() == token.lower():
                groups.append(own)
                named = True
        elif name in ("allow", "disallow"):
            begun = False
            if value:
                for group in groups:
                    group.append(Rule(normal(value), name == "allow"))
    return Rules(tuple(own if named else others))


def normal(path: str) -> str:
    """Return a path or pattern with all that can be written in two ways in one: section 2.2.2."""
    if path.isascii() and path.isprintable():
        quoted = path
    else:
        quoted = quote_from_bytes(path.encode("utf-8", "replace"), _PLAIN)
    return _ENCODED.sub(_decoded, quoted) if "%" in quoted else quoted


def _decoded(found: re.Match[str]) -> str:
    character = chr(int(found[1], 16))
    return character if character in _UNRESERVED else found[0].upper()
