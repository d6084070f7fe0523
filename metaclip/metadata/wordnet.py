"""The names of WordNet's synsets as entries, from the shipped file or from any copy of the database.

Source: MetaCLIP paper (arXiv 2309.16671), Table 1, row WordNet; file format: WordNet's wndb(5WN).
`python -m metaclip.metadata.wordnet FOLDER` makes the shipped file from the database.
"""

import hashlib
import io
import lzma
import re
import sys
import tarfile
import zipfile
import zlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from metaclip.errors import InputError, UnreadableFileError
from metaclip.io.streams import open_stream, scheme

SHIPPED = Path(__file__).parents[1] / "data" / "wordnet_names.txt.xz"
PARTS = ("data.noun", "data.verb", "data.adj", "data.adv")
NUMERALS = tuple(str(number) for number in range(100))

_MARKER = re.compile(r"\((?:a|p|ip)\)$")  # position of an adjective in a phrase
_SYNSET = re.compile(r"\d{8} \d\d [nvasr] ([0-9a-f]{2}) ")


@dataclass(frozen=True)
class WordNet:
    """Distinct lemmas of the database, lower case, with spaces, in the order of their code points."""

    lemmas: tuple[str, ...]
    synsets: frozenset[str]
    """Those that name a synset: its first lemma."""

    def entries(self, *, lemmas: bool = False, cut_at_dot: bool = True) -> list[str]:
        """Return entries, sorted and distinct, without the empty one.

        Args:
            lemmas: return all lemmas instead of the names of synsets.
            cut_at_dot: apply the paper's rule, by which `st. louis` becomes `st`; else keep whole names.
        """
        names: Iterable[str] = self.lemmas if lemmas else self.synsets
        if cut_at_dot:
            names = (name.partition(".")[0] for name in names)
        return sorted({name for name in names if name})


def load_wordnet(address: str | None = None) -> WordNet:
    """Read the shipped names, or a database.

    Args:
        address: a folder, its http(s) or store address, or a tar or zip archive, with the files
            `data.noun`, `data.verb`, `data.adj` and `data.adv`; None for the shipped names.

    Raises:
        InputError: if a file is missing, truncated or not in this format.
        TransportError: if a remote file cannot be fetched now.
    """
    if address is None:
        return _shipped()
    return _parse(address, _read_database(address))


def wordnet_fingerprint(address: str | None = None) -> str:
    """Return size and SHA-256 of what `load_wordnet` reads.

    Raises:
        InputError, TransportError: as `load_wordnet`.
    """
    content = [SHIPPED.read_bytes()] if address is None else list(_read_database(address).values())
    digest = hashlib.sha256()
    for part in content:
        digest.update(hashlib.sha256(part).digest())
    return f"{sum(map(len, content))}-{digest.hexdigest()}"


def _shipped() -> WordNet:
    lines = lzma.decompress(SHIPPED.read_bytes()).decode("utf-8").splitlines()
    return WordNet(
        tuple(line.removeprefix("*") for line in lines),
        frozenset(line[1:] for line in lines if line.startswith("*")),
    )


def _read_database(address: str) -> dict[str, bytes]:
    if not scheme(address):
        address = str(Path(address).expanduser())
    if (not scheme(address) and Path(address).is_dir()) or address.endswith("/"):
        return {part: _read(f"{address.rstrip('/')}/{part}") for part in PARTS}
    data = _read(address)
    try:
        members = _zip_members(data) if zipfile.is_zipfile(io.BytesIO(data)) else _tar_members(data)
    except (tarfile.TarError, zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, OSError) as error:
        raise InputError(
            f"{address}: neither a folder nor a whole tar or zip archive ({error}); name what holds {PARTS[0]}"
        ) from error
    missing = [part for part in PARTS if part not in members]
    if missing:
        raise InputError(f"{address}: the archive holds no {', '.join(missing)}; is it WordNet's database?")
    return {part: members[part] for part in PARTS}


def _read(address: str) -> bytes:
    try:
        with open_stream(address) as stream:
            return stream.read()
    except UnreadableFileError as error:
        raise InputError(f"{error}; metadata.wordnet.path must name a folder or archive that holds it") from error


def _zip_members(data: bytes) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        names = {PurePosixPath(name).name: name for name in sorted(archive.namelist())}
        return {part: archive.read(names[part]) for part in PARTS if part in names}


def _tar_members(data: bytes) -> dict[str, bytes]:
    found = {}
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        for member in archive:
            name = PurePosixPath(member.name).name
            content = archive.extractfile(member) if name in PARTS else None
            if content is not None:
                found[name] = content.read()
    return found


def _parse(address: str, database: dict[str, bytes]) -> WordNet:
    lemmas: set[str] = set()
    synsets: set[str] = set()
    for part, content in database.items():
        if not content.endswith(b"\n"):
            raise InputError(f"{address}: {part} is cut short within a line; copy the database again")
        try:
            lines = content.decode("utf-8").split("\n")[:-1]
        except UnicodeDecodeError as error:
            raise InputError(f"{address}: {part} is not text ({error}); copy the database again") from error
        for number, line in enumerate(lines, start=1):
            if line.startswith("  "):
                continue  # the licence
            found = _SYNSET.match(line)
            fields = line.split(" ")
            words = int(found[1], 16) if found else 0
            if not words or len(fields) < 4 + 2 * words:
                raise InputError(f"{address}: {part}, line {number} is no synset ({line[:40]!r}); copy it again")
            names = [_MARKER.sub("", word).lower().replace("_", " ") for word in fields[4 : 4 + 2 * words : 2]]
            synsets.add(names[0])
            lemmas.update(names)
    if not synsets:
        raise InputError(f"{address}: holds no synset; is it WordNet's database?")
    return WordNet(tuple(sorted(lemmas)), frozenset(synsets))


def _main() -> None:
    if len(sys.argv) != 2:
        sys.exit(f"usage: python -m {__spec__.name} FOLDER_OF_WORDNET")
    found = load_wordnet(sys.argv[1])
    lines = [f"*{name}\n" if name in found.synsets else f"{name}\n" for name in found.lemmas]
    filters = [{"id": lzma.FILTER_LZMA2, "preset": 9 | lzma.PRESET_EXTREME}]
    SHIPPED.write_bytes(lzma.compress("".join(lines).encode(), filters=filters))


if __name__ == "__main__":
    _main()
