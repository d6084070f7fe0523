"""Words of running text in languages that do not put spaces between them: segmenters, which are packages of others.

They are asked when words of a Wikipedia are counted, and never for the texts of a pool. None of them is installed with
this package; each is imported by name when it is first used.
"""

import hashlib
import importlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any

from metaclip.errors import ConfigError
from metaclip.matching.characters import EXTEND, JOIN, MARK, OTHER, SPACE, character_kinds

Segment = Callable[[str], Iterable[str]]


@dataclass(frozen=True)
class _Segmenter:
    packages: tuple[str, ...]
    """What `pip install` must install, the first of which is the segmenter."""
    module: str
    make: Callable[[Any], Segment]
    """Return the function that segments a line, from the imported module."""
    dictionary: Callable[[], str] | None = None
    """Return a digest of the words it knows, where they are not part of the package."""


def _fugashi(module: Any) -> Segment:
    tagger = module.Tagger()
    return lambda line: [word.surface for word in tagger(line)]


def _pyidaungsu(module: Any) -> Segment:
    # It takes white space out before it looks for words, so words of other scripts would be joined.
    return lambda line: [word for part in line.split() for word in module.tokenize(part, form="word")]


def _botok(module: Any) -> Segment:
    config = module.Config(base_path=_botok_pack().parent)
    # Built anew: the one that botok keeps may be of an older dictionary.
    tokenizer = module.WordTokenizer(config, build_trie=True)
    return lambda line: [token.text.strip("་ ") for token in tokenizer.tokenize(line)]


def _botok_pack() -> Path:
    """Return the folder of botok's dictionary, which is no part of its package.

    Raises:
        ConfigError: it is not on this machine. botok would download the newest one, whose words the key does not tell.
    """
    folder = Path.home() / "Documents" / "pybo" / "dialect_packs" / "general"
    if not (folder / "dictionary").is_dir():
        raise ConfigError(
            "metadata.words.segmenter: botok: its dictionary is not on this machine: put the folder `general` of a"
            f" release of github.com/Esukhia/botok-data to {folder}"
        )
    return folder


def _botok_dictionary() -> str:
    """Return a digest of the dictionary of botok."""
    pack = _botok_pack()
    digest = hashlib.sha256()
    for file in sorted(pack.rglob("*.tsv")):
        content = file.read_bytes()
        digest.update(f"{file.relative_to(pack).as_posix()} {len(content)} ".encode() + content)
    return digest.hexdigest()[:16]


_KNOWN = {
    "jieba": _Segmenter(("jieba",), "jieba", lambda module: lambda line: module.cut(line, HMM=False)),
    "fugashi": _Segmenter(("fugashi", "unidic-lite"), "fugashi", _fugashi),
    "pythainlp": _Segmenter(("pythainlp",), "pythainlp.tokenize", lambda module: module.word_tokenize),
    "laonlp": _Segmenter(("laonlp",), "laonlp.tokenize", lambda module: module.word_tokenize),
    "khmernltk": _Segmenter(("khmer-nltk",), "khmernltk", lambda module: module.word_tokenize),
    "pyidaungsu": _Segmenter(("pyidaungsu",), "pyidaungsu", _pyidaungsu),
    "botok": _Segmenter(("botok",), "botok", _botok, _botok_dictionary),
}

NAMES = tuple(_KNOWN)
"""Those that are known by name: for zh, ja, th, lo, km, my, and bo."""


def segmenter_version(name: str) -> str:
    """Return the version of a segmenter's package, and of its dictionary; its words may differ from one to another.

    Raises:
        ConfigError: it is not installed; the message says how to install it.
    """
    known = _KNOWN[name]
    versions = [_version(name, package) for package in known.packages]
    return "-".join(versions if known.dictionary is None else [*versions, known.dictionary()])


def _version(name: str, package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError as error:
        raise ConfigError(_missing(name, f"the package {package} is not installed")) from error


def _missing(name: str, why: str) -> str:
    return f"metadata.words.segmenter: {name}: {why}: pip install {' '.join(_KNOWN[name].packages)}"


@cache
def load_segmenter(name: str) -> Segment:
    """Return a function that gives the words of a line.

    Raises:
        ConfigError: the segmenter cannot be imported; the message says how to install it.
    """
    known = _KNOWN[name]
    try:
        return known.make(importlib.import_module(known.module))
    except ImportError as error:
        raise ConfigError(_missing(name, f"{known.module} cannot be imported ({error})")) from error


def segmented(text: str, segment: Segment) -> str:
    """Return a text with a space between the words of each of its lines; the line ends stay."""
    return "\n".join(" ".join(segment(line)) if line else "" for line in text.split("\n"))


def join_words(first: str, second: str) -> str:
    """Join two neighbouring words: without a space if both sides are of a script without spaces."""
    return f"{first}{second}" if _ends_without(first[::-1]) and _ends_without(second) else f"{first} {second}"


def _ends_without(word: str) -> bool:
    """Tell whether the first letter, marks that combine left out, is of a script without spaces."""
    kinds = character_kinds()
    for character in word:
        kind = int(kinds[ord(character)])
        if kind not in (EXTEND, JOIN):
            return kind not in (OTHER, MARK, SPACE)
    return False
