"""Counts of words and pairs from two packages, for a build without a download of Wikipedia.

`pip install wikiwords wordsegment`, then `python -m metaclip.metadata.offline FOLDER`. The packages
are not dependencies: wikiwords is under the GPL, and its counts are under Wikipedia's licence; it is
read as text, not run. wordsegment (Apache-2.0) contains an excerpt of Google's counts of the web.
"""

import ast
import gzip
import importlib.util
import sys
from collections.abc import Iterator
from pathlib import Path

from metaclip.errors import InputError

WORDS = "wikiwords.tsv.gz"
PAIRS = "wordsegment.tsv.gz"


def write_offline_counts(folder: Path) -> list[Path]:
    """Write `wikiwords.tsv.gz` (words) and `wordsegment.tsv.gz` (words and pairs) as files of counts.

    Raises:
        InputError: a package is not installed, or is not in the form of the known releases.
    """
    folder.mkdir(parents=True, exist_ok=True)
    return [_write(folder / WORDS, _wikiwords()), _write(folder / PAIRS, _wordsegment())]


def _write(path: Path, lines: Iterator[str]) -> Path:
    path.write_bytes(gzip.compress("".join(lines).encode(), 9, mtime=0))
    return path


def _package(name: str) -> Path:
    found = importlib.util.find_spec(name)
    if found is None or found.origin is None:
        raise InputError(f"the package {name} is not installed: pip install {name}")
    return Path(found.origin).parent


def _wikiwords() -> Iterator[str]:
    path = _package("wikiwords") / "occdb.py"
    try:
        counts = ast.literal_eval(path.read_text(encoding="utf-8").partition("=")[2].strip())
    except (OSError, SyntaxError, ValueError) as error:
        raise InputError(f"{path}: not the counts of wikiwords 0.5: {error}") from error
    for word in sorted(counts):
        yield f"{counts[word]}\t{word}\n"


def _wordsegment() -> Iterator[str]:
    for name in ("unigrams.txt", "bigrams.txt"):
        path = _package("wordsegment") / name
        try:
            lines = path.read_text(encoding="utf-8").splitlines()
        except OSError as error:
            raise InputError(f"{path}: not in this release of wordsegment; 1.3.1 has it: {error}") from error
        for line in filter(None, lines):
            words, _, count = line.partition("\t")
            if "<" not in words:  # marks of sentences
                yield f"{int(float(count))}\t{words.replace(' ', chr(9))}\n"


def _main() -> None:
    if len(sys.argv) != 2:
        sys.exit(f"usage: python -m {__spec__.name} FOLDER")
    for path in write_offline_counts(Path(sys.argv[1])):
        sys.stdout.write(f"{path}\n")


if __name__ == "__main__":
    _main()
