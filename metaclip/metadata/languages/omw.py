"""Lemmas of the Open Multilingual Wordnet: its files `wn-data-*.tab`, one for each wordnet.

A line is `synset<TAB>lang:lemma<TAB>word`; in some files (dan, nob, nno, por, fas) the second column is a bare `lemma`.
Definitions, examples and the consonant roots of Arabic (`lemma:root`) are no words. In Chinese `+` stands before a
particle that can be left out, and some wordnets mark words by `(…)`. Format: https://omwn.org. Which wordnets a group
has is in the shipped table of groups of languages, because their codes mislead: `als` is Albanian.
"""

import gzip
import hashlib
import re
import unicodedata
import zlib
from collections.abc import Sequence
from pathlib import Path

from metaclip.errors import ConfigError, InputError, UnreadableFileError
from metaclip.io.streams import open_stream, scheme

_KIND = re.compile(r"(?:[a-z]{3}:)?lemma(?::(?P<form>\w+))?")
_MARKER = re.compile(r"\s*\([^)]*\)")
_NO_WORDS = frozenset(("root",))
_CHINESE = frozenset(("cmn", "qcn"))


def omw_files(path: str, codes: Sequence[str]) -> list[str]:
    """Return the files of some wordnets.

    Args:
        path: one file, or its address; or a folder that holds `wn-data-<code>.tab`, plain or gzipped, anywhere.
        codes: of the wordnets in a folder.

    Raises:
        ConfigError: there is no code, or no file of one.
    """
    if scheme(path) or Path(path).expanduser().is_file():
        return [path]
    folder = Path(path).expanduser()
    if not codes:
        raise ConfigError(
            f"metadata.wordnet.path: {path}: this group has no wordnet in the shipped table; name a file"
            " wn-data-*.tab, or its codes in metadata.wordnet.codes"
        )
    found = []
    for code in codes:
        files = sorted(folder.rglob(f"wn-data-{code}.tab")) or sorted(folder.rglob(f"wn-data-{code}.tab.gz"))
        if not files:
            raise ConfigError(
                f"metadata.wordnet.path: {path}: no file wn-data-{code}.tab or wn-data-{code}.tab.gz there"
            )
        found.append(str(files[0]))
    return found


def omw_fingerprint(files: Sequence[str]) -> str:
    """Return size and SHA-256 of the content of files.

    Raises:
        InputError, TransportError: as `omw_lemmas`.
    """
    content = [_read(file) for file in files]
    digest = hashlib.sha256()
    for part in content:
        digest.update(hashlib.sha256(part).digest())
    return f"{sum(map(len, content))}-{digest.hexdigest()}"


def omw_lemmas(files: Sequence[str]) -> list[str]:
    """Return the distinct words and phrases of wordnets, NFC, with spaces for underscores, sorted by code point.

    Raises:
        InputError: a file is missing, damaged or not of this format.
        TransportError: a remote file cannot be fetched now.
    """
    return sorted({lemma for file in files for lemma in _lemmas(file)})


def _lemmas(file: str) -> set[str]:
    try:
        lines = _read(file).decode("utf-8").split("\n")
    except UnicodeDecodeError as error:
        raise InputError(f"{file}: is not UTF-8 ({error}); copy it again") from error
    head = lines[0].split("\t")
    if not lines[0].startswith("#") or len(head) < 3:
        raise InputError(f"{file}: does not begin with `# name<TAB>code<TAB>…`; is it a file wn-data-*.tab?")
    chinese = head[1].strip() in _CHINESE
    found = set()
    for line in lines[1:]:
        fields = line.rstrip("\r").split("\t")
        kind = _KIND.fullmatch(fields[1]) if len(fields) >= 3 else None
        if kind is None or kind["form"] in _NO_WORDS:
            continue
        word = _MARKER.sub("", fields[2]).replace("_", " ")
        if chinese:
            word = word.replace("+", "")
        found.add(unicodedata.normalize("NFC", " ".join(word.split())))
    found.discard("")
    if not found:
        raise InputError(f"{file}: holds no lemma; is it a file wn-data-*.tab?")
    return found


def _read(file: str) -> bytes:
    try:
        with open_stream(file if scheme(file) else str(Path(file).expanduser())) as stream:
            data = stream.read()
        return gzip.decompress(data) if data.startswith(b"\x1f\x8b") else data
    except UnreadableFileError as error:
        raise InputError(f"{error}; metadata.wordnet.path must name it") from error
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise InputError(f"{file}: damaged gzip file ({error}); copy it again") from error
