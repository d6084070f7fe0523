"""The trees of WordNet's nouns and verbs: the words of everything that is a kind or an instance of a synset.

File format: WordNet's wndb(5WN). A synset is named as NLTK names it: one of its words, its part of speech, and the
number of the sense of the word, as `bird.n.01`. `python -m metaclip.metadata.taxonomy.wordnet_tree FOLDER` makes the
shipped file from the database. A line is a synset: `n` or `v`, the lines of its parents, counted from 0, and its words
with the numbers of their senses, as `bird#1`.
"""

import hashlib
import lzma
import sys
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from metaclip.errors import ConfigError, InputError, UnreadableFileError
from metaclip.io.streams import open_stream, scheme

SHIPPED = Path(__file__).parents[2] / "data" / "wordnet_tree.txt.xz"
_PARTS = {"n": "noun", "v": "verb"}
_PARENTS = ("@", "@i")
"""Pointers to what a synset is a kind or an instance of."""


@dataclass(frozen=True)
class Tree:
    """Synsets of nouns and verbs."""

    words: tuple[tuple[str, ...], ...]
    """The words of each synset, lower case, with spaces; the first names it."""
    children: dict[int, tuple[int, ...]]
    senses: dict[tuple[str, str, int], int]
    """Synset by word, part of speech and number of the sense."""

    def find(self, name: str) -> int:
        """Return the number of a synset.

        Raises:
            ConfigError: there is none of this name; the message tells the senses of the word.
        """
        word, part, sense = name.rsplit(".", 2)
        word = word.lower().replace("_", " ")
        found = self.senses.get((word, part, int(sense)))
        if found is None:
            known = sorted(key for key in self.senses if key[0] == word)
            told = "; ".join(
                f"{'_'.join(key[0].split())}.{key[1]}.{key[2]:02d} ({', '.join(self.words[self.senses[key]][:4])})"
                for key in known[:12]
            )
            raise ConfigError(
                f"metadata.wordnet.under: WordNet has no synset {name!r}; senses of {word!r}: {told or 'none'}"
            )
        return found

    def under(self, names: Sequence[str]) -> list[int]:
        """Return the synsets of these names and all below them, each once, ascending."""
        waiting = [self.find(name) for name in names]
        found = set(waiting)
        while waiting:
            for child in self.children.get(waiting.pop(), ()):
                if child not in found:
                    found.add(child)
                    waiting.append(child)
        return sorted(found)


def entries_under(
    names: Sequence[str], path: str | None = None, *, lemmas: bool = True, cut_at_dot: bool = True
) -> list[str]:
    """Return the words of what is under synsets, sorted and distinct.

    Args:
        names: synsets, such as `bird.n.01`.
        path: the folder or address of a database; None for the shipped one.
        lemmas: all words of a synset, else its name only.
        cut_at_dot: cut words at their first dot, as the paper does.

    Raises:
        ConfigError: WordNet has no such synset.
        InputError: the database cannot be read.
    """
    tree = load_tree(path)
    words = (word for synset in tree.under(names) for word in tree.words[synset][: None if lemmas else 1])
    return sorted({word for each in words if (word := each.partition(".")[0] if cut_at_dot else each)})


def tree_fingerprint(path: str | None = None) -> str:
    """Return size and SHA-256 of the tree that `entries_under` reads."""
    content = SHIPPED.read_bytes() if path is None else "\n".join(_lines_of(path)).encode()
    return f"{len(content)}-{hashlib.sha256(content).hexdigest()}"


@lru_cache(maxsize=1)
def load_tree(path: str | None = None) -> Tree:
    """Read the shipped tree, or that of a database."""
    lines = lzma.decompress(SHIPPED.read_bytes()).decode().splitlines() if path is None else _lines_of(path)
    words: list[tuple[str, ...]] = []
    children: dict[int, list[int]] = defaultdict(list)
    senses: dict[tuple[str, str, int], int] = {}
    for number, line in enumerate(lines):
        part, parents, listed = line.split("\t")
        for parent in parents.split():
            children[int(parent)].append(number)
        own = []
        for word in listed.split("|"):
            spelled, _, sense = word.rpartition("#")
            own.append(spelled)
            senses.setdefault((spelled, part, int(sense)), number)
        words.append(tuple(own))
    return Tree(tuple(words), {parent: tuple(below) for parent, below in children.items()}, senses)


def _lines_of(path: str) -> list[str]:
    """Return the lines of the shipped form for a database."""
    lines: list[str] = []
    for part, name in _PARTS.items():
        index = _read(path, f"index.{name}")
        sense: dict[tuple[str, str], int] = {}
        for line in index:
            fields = line.split()
            if line.startswith("  ") or len(fields) < 4:
                continue
            for number, offset in enumerate(fields[-int(fields[2]) :], start=1):
                sense[fields[0], offset] = number
        synsets = [line for line in _read(path, f"data.{name}") if line and not line.startswith("  ")]
        try:
            lines += _synsets(part, synsets, sense, len(lines))
        except (ValueError, IndexError, KeyError) as error:
            raise InputError(f"{path}: data.{name} is not in WordNet's format ({error!r}); copy it again") from error
    return lines


def _synsets(part: str, synsets: Sequence[str], sense: dict[tuple[str, str], int], first: int) -> list[str]:
    places = {line[:8]: first + number for number, line in enumerate(synsets)}
    lines = []
    for line in synsets:
        fields = line.split(" ")
        count = int(fields[3], 16)
        words = [word.lower() for word in fields[4 : 4 + 2 * count : 2]]
        at = 4 + 2 * count
        pointers = [fields[at + 1 + 4 * n : at + 5 + 4 * n] for n in range(int(fields[at]))]
        parents = [str(places[offset]) for symbol, offset, of, _ in pointers if symbol in _PARENTS and of == part]
        named = [f"{word.replace('_', ' ')}#{sense[word, fields[0]]}" for word in words]
        lines.append(f"{part}\t{' '.join(parents)}\t{'|'.join(named)}")
    return lines


def _read(path: str, name: str) -> list[str]:
    folder = path if scheme(path) else str(Path(path).expanduser())
    address = f"{folder.rstrip('/')}/{name}"
    try:
        with open_stream(address) as stream:
            return stream.read().decode("utf-8").split("\n")
    except UnreadableFileError as error:
        raise InputError(
            f"{error}; with metadata.wordnet.under, metadata.wordnet.path must name a folder that holds it"
        ) from error
    except UnicodeDecodeError as error:
        raise InputError(f"{address}: is not text ({error}); copy the database again") from error


def _main() -> None:
    if len(sys.argv) != 2:
        sys.exit(f"usage: python -m {__spec__.name} FOLDER_OF_WORDNET")
    content = "".join(f"{line}\n" for line in _lines_of(sys.argv[1]))
    filters = [{"id": lzma.FILTER_LZMA2, "preset": 9 | lzma.PRESET_EXTREME}]
    SHIPPED.write_bytes(lzma.compress(content.encode(), filters=filters))


if __name__ == "__main__":
    _main()
