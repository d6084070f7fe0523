"""What a character does to the tokens of a text, for the rules `unicode`, `characters` and `words`.

The kinds come from Unicode's general categories and from the ranges of the scripts that are written without spaces.
They are kept in a file, so that they do not depend on Python's version; `python -m metaclip.matching.characters` makes
it from `unicodedata`, and a test holds the two equal for the characters that both know.
"""

import sys
import unicodedata
from functools import cache
from itertools import groupby
from pathlib import Path

import numpy as np
import numpy.typing as npt

SHIPPED = Path(__file__).parents[1] / "data" / "character_kinds.txt"

CODES = 0x110000
"""Number of code points."""

OTHER, SPACE, MARK, BASE, FOLLOW, LEAD, JOIN, EXTEND, TIBETAN = range(9)
"""OTHER: part of a run of such characters. SPACE: between tokens. MARK: punctuation or a symbol, a token by itself.
BASE: a letter of a script without spaces, with which a cluster begins. FOLLOW: a vowel that belongs to the cluster
before it. LEAD: a vowel that is written before its base. JOIN: a mark that takes the next base too. EXTEND: a combining
mark, part of whatever it follows. TIBETAN: part of a run of such letters, which is a syllable, because the tsheg is a
MARK."""

ZERO_WIDTH_SPACE = 0x200B

_NO_SPACES = (
    *((0x3005, 0x3007), (0x3021, 0x3029), (0x3038, 0x303B), (0x3400, 0x4DBF), (0x4E00, 0x9FFF), (0xF900, 0xFAFF)),
    *((0x20000, 0x3FFFF), (0x16FF0, 0x16FF1)),  # Han
    *((0x3041, 0x3096), (0x309D, 0x309F), (0x30A1, 0x30FF), (0x31F0, 0x31FF), (0xFF66, 0xFF9F), (0x1AFF0, 0x1B16F)),
    *((0x3105, 0x312F), (0x31A0, 0x31BF)),  # Bopomofo, after the kana
    *((0x0E01, 0x0E4E), (0x0E81, 0x0EDF)),  # Thai, Lao
    *((0x1000, 0x109F), (0xA9E0, 0xA9FF), (0xAA60, 0xAA7F)),  # Burmese
    (0x1780, 0x17DC),  # Khmer
)
_FOLLOW = frozenset((0x0E30, 0x0E32, 0x0E33, 0x0E45, 0x0EB0, 0x0EB2, 0x0EB3))
_LEAD = frozenset((*range(0x0E40, 0x0E45), *range(0x0EC0, 0x0EC5)))
_JOIN = frozenset((0x1039, 0x17D2))
_TIBETAN = range(0x0F00, 0x1000)


def kind_of(code: int) -> int:
    """Return the kind of a character by this Python's Unicode database."""
    category = unicodedata.category(chr(code))
    if chr(code).isspace() or category[0] == "Z" or code == ZERO_WIDTH_SPACE:
        return SPACE
    if category[0] in "PS":
        return MARK
    if category[0] == "M":
        return JOIN if code in _JOIN else EXTEND
    if category[0] == "L" or category == "Nl":
        if code in _FOLLOW:
            return FOLLOW
        if code in _LEAD:
            return LEAD
        if any(first <= code <= last for first, last in _NO_SPACES):
            return BASE
        if code in _TIBETAN and category[0] == "L":
            return TIBETAN
    return OTHER


@cache
def character_kinds(scripts: bool = True) -> npt.NDArray[np.uint8]:
    """Return the kind of each code point, uint8[CODES], read-only.

    Args:
        scripts: False for the rule `unicode`, by which all that is neither SPACE nor MARK is OTHER.
    """
    kinds = np.zeros(CODES, np.uint8)
    for line in SHIPPED.read_text(encoding="ascii").splitlines():
        if not line.startswith("#"):
            first, last, kind = line.split()
            kinds[int(first, 16) : int(last, 16) + 1] = int(kind)
    if not scripts:
        kinds[kinds > MARK] = OTHER
    kinds.flags.writeable = False
    return kinds


def _main() -> None:
    lines = [f"# First and last code point and kind of `{__spec__.name}`, by Unicode {unicodedata.unidata_version}.\n"]
    for kind, run in groupby(range(CODES), kind_of):
        codes = list(run)
        if kind != OTHER:
            lines.append(f"{codes[0]:X} {codes[-1]:X} {kind}\n")
    SHIPPED.write_text("".join(lines), encoding="ascii")
    sys.stdout.write(f"{SHIPPED}: {len(lines) - 1} ranges\n")


if __name__ == "__main__":
    _main()
