"""Make the lists of the demo from WordNet 3.0: `python -m metaclip.demo.make_entries FOLDER`.

FOLDER is WordNet's database (Debian: `apt-get install wordnet-base`, /usr/share/wordnet). The lists
ship with the package, so run this only after a change of this file. The same database gives the same
bytes.
"""

import gzip
import json
import re
import sys
from collections import Counter
from pathlib import Path

DATA = Path(__file__).parents[1] / "data"
WORDNET_ENTRIES = 10_000

_MARKER = re.compile(r"\([a-z]+\)$")
# Lexicographer files of visible things: animals, artifacts, food, objects, plants.
_VISIBLE = ("1:05", "1:06", "1:13", "1:17", "1:20")
# Words of names that are never the subject of a picture, or do not belong in a demonstration.
_NOT_SHOWN = frozenset(
    """
    adjunct agent anode barbed bayonet bludgeon bomb bullet cathode cell coffin concentration constituent
    contraceptive device drug equipment etcetera firearm gas gun holder instrument layer louse maggot mine
    opium parasite piece pistol product psychoactive pseudophloem rifle subsection surface tangle
    tranquilizer virus weapon works
    """.split()  # noqa: SIM905
)
_NUMERALS = [str(number) for number in range(100)]
# What Wikipedia's unigrams add to WordNet in a full list: function words, and words of the web.
_FUNCTION_WORDS = """
a an and are as at be before between but by can do for from have here how if in into is it its like more
most my near new no not of off on one or our out over than that the their them there these they this to
two under up was we were what when where which who why will with without you your A About All An And At
Best Black Blue By Click Close Detail Download For Free From Green Home How I Image In Large Logo Map My
New Next Old On Open Our Photo Photos Picture Portrait Preview Product Red Sale Screenshot Small Stock
The Thumbnail Top View White With You Your avatar banner background click closeup download enlarge
gallery icon image images jpg logo photo photos picture pictures png preview product screenshot stock
thumbnail vector wallpaper
""".split()  # noqa: SIM905 (a list of literals would be one word a line)


def _synset_names(folder: Path) -> set[str]:
    """Return the names of all synsets: first word, lower case, up to a dot, without its marker."""
    names = set()
    for part in ("noun", "verb", "adj", "adv"):
        for line in (folder / f"data.{part}").read_text(encoding="utf-8").splitlines():
            if line.startswith("  "):
                continue  # the licence
            word = _MARKER.sub("", line.split(" ")[4]).lower().split(".")[0].replace("_", " ")
            if word and not (len(word) == 1 and not word.isalnum()):
                names.add(word)
    return names


def _tag_counts(folder: Path) -> tuple[Counter[str], Counter[str]]:
    """Return how often WordNet's authors tagged each lemma in a corpus: in all, and as a visible thing."""
    counts: Counter[str] = Counter()
    visible: Counter[str] = Counter()
    for line in (folder / "cntlist.rev").read_text(encoding="utf-8").splitlines():
        key, _, count = line.split(" ")
        lemma, _, sense = key.partition("%")
        name = lemma.replace("_", " ")
        counts[name] += int(count)
        if sense.startswith(_VISIBLE):
            visible[name] += int(count)
    return counts, visible


def make_entries(folder: Path) -> tuple[list[str], list[str]]:
    """Choose entries and nouns from WordNet's database.

    Returns:
        The entries: the most frequent names of synsets, in alphabetical order, then the numerals 0 to
        99 and the function words that are not among them. The nouns: entries that mostly name a
        visible thing, most frequent first.

    Raises:
        OSError: if the folder does not contain the database.
    """
    counts, visible = _tag_counts(folder)
    common = sorted(_synset_names(folder), key=lambda name: (-counts[name], name))[:WORDNET_ENTRIES]
    entries = list(dict.fromkeys([*sorted(common), *_NUMERALS, *_FUNCTION_WORDS]))
    nouns = [
        name
        for name in common
        if visible[name] > 0.6 * counts[name] and len(name) > 2 and _NOT_SHOWN.isdisjoint(name.split())
    ]
    return entries, sorted(nouns, key=lambda name: (-visible[name], name))


def main() -> None:
    """Write both lists to the package's data."""
    if len(sys.argv) != 2:
        sys.exit(f"usage: python -m {__spec__.name} FOLDER_OF_WORDNET")
    entries, nouns = make_entries(Path(sys.argv[1]))
    text = json.dumps(entries, ensure_ascii=False, indent=0) + "\n"
    (DATA / "demo_entries.json.gz").write_bytes(gzip.compress(text.encode(), mtime=0))
    (DATA / "demo_nouns.txt").write_text("\n".join(nouns) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
