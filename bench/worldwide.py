"""Measure matching in languages without spaces, beside Aho-Corasick: `python -m bench.worldwide`.

Chinese, Japanese and Thai, each against pyahocorasick and, if it is installed, daachorse (`pip install daachorse`),
which search the text for the entries as they are, without a look at bounds: so they find more. All give the
sorted, distinct ids of every text. It needs the shared data: Chinese captions, Thai titles, word lists. Japanese texts
are put together from words of the list, drawn by their frequency. Figures are as in `bench.matching`.
"""

import gzip
import sys
import time
from typing import Any

import ahocorasick
import numpy as np
import pyarrow as pa

from bench.timing import SHARED, in_turn, peak_memory_mb, rate_table, rates, report
from metaclip.matching.matcher import Matcher
from metaclip.metadata.pmi import word_costs

try:
    import daachorse
except ImportError:
    daachorse = None

FOLDER = SHARED / "worldwide"
TEXTS = 20_000


def _lines(*parts: str) -> list[str]:
    return gzip.decompress(FOLDER.joinpath(*parts).read_bytes()).decode().splitlines()


def _words(language: str) -> tuple[list[str], np.ndarray[Any, Any]]:
    rows = [line.split("\t") for line in _lines("wordlists", f"{language}.tsv.gz")]
    counts = np.rint(10 ** (9 - np.array([int(row[0]) for row in rows]) / 100)).astype(np.int64)
    return [row[1] for row in rows], counts


def inputs() -> dict[str, tuple[list[str], np.ndarray[Any, Any], list[str]]]:
    """Return entries, counts and texts of each language."""
    rng = np.random.default_rng(0)
    zh, ja = _words("zh"), _words("ja")
    titles = _lines("titles", "wikipedia_titles_th_100k.txt.gz")
    captions = _lines("captions", "coco_cn_zh.txt.gz")
    drawn = rng.choice(len(ja[0]), (TEXTS, 8), p=ja[1] / ja[1].sum())
    return {
        "zh": (*zh, [captions[i % len(captions)] for i in range(TEXTS)]),
        "ja": (*ja, ["".join(ja[0][i] for i in row) for row in drawn]),
        "th": (titles[::2], np.ones(len(titles[::2]), np.int64), titles[1::2][:TEXTS]),
    }


def measure() -> dict[str, Any]:
    if not FOLDER.is_dir():
        sys.exit(f"{FOLDER} is not here: this needs real words and texts")
    Matcher(["编"], "words", word_costs(None, 1)).match(["编"])  # compiles
    return {
        "languages": {name: _compare(*given) for name, given in inputs().items()},
        "daachorse": daachorse is not None,
        "peak_memory_mb": peak_memory_mb(),
    }


def _compare(entries: list[str], counts: np.ndarray[Any, Any], texts: list[str]) -> dict[str, Any]:
    start = time.perf_counter()
    characters = Matcher(entries, "characters")
    build = {"matcher": time.perf_counter() - start}
    words = Matcher(entries, "words", word_costs(counts, len(entries)))
    start = time.perf_counter()
    automaton = ahocorasick.Automaton()
    for i, entry in enumerate(entries):
        automaton.add_word(entry, i)
    automaton.make_automaton()
    build["pyahocorasick"] = time.perf_counter() - start
    array = pa.array(texts)

    def with_automaton() -> list[list[int]]:
        return [sorted({i for _, i in automaton.iter(text)}) for text in texts]

    ways = {
        "words": lambda: words.match(array),
        "characters": lambda: characters.match(array),
        "pyahocorasick": with_automaton,
    }
    if daachorse is not None:
        start = time.perf_counter()
        double = daachorse.CharwiseDoubleArrayAhoCorasick(entries)
        build["daachorse"] = time.perf_counter() - start
        # It gives start, end and number of each occurrence.
        ways["daachorse"] = lambda: [sorted({found[2] for found in double.find_overlapping(text)}) for text in texts]
    offsets, ids = characters.match(array)
    everything = with_automaton()
    for i in range(len(texts)):
        if not set(ids[offsets[i] : offsets[i + 1]].tolist()) <= set(everything[i]):
            raise AssertionError(f"{texts[i]!r}: an entry that is not in the text")
    return {
        "entries": len(entries),
        "texts": len(texts),
        "characters_a_text": sum(map(len, texts)) / len(texts),
        "table_mb": characters.nbytes / 1e6,
        "build_seconds": build,
        "matches_a_text": {
            "words": len(words.match(array)[1]) / len(texts),
            "characters": len(ids) / len(texts),
            "everywhere": sum(map(len, everything)) / len(texts),
        },
        "rates": rates(in_turn(ways, repeats=5), len(texts), "words", 0),
    }


def show(result: dict[str, Any]) -> str:
    """Return the figures as text."""
    text = ""
    for name, found in result["languages"].items():
        title = f"{name}: texts/s, {found['entries']:,} entries, {found['texts']:,} texts"
        counts = ", ".join(f"{way} {count:.1f}" for way, count in found["matches_a_text"].items())
        text += rate_table(f"{title}; matches a text: {counts}", found["rates"], "words")
        built = ", ".join(f"{way} {seconds:.1f} s" for way, seconds in found["build_seconds"].items())
        text += f"table {found['table_mb']:.0f} MB; built: {built}\n"
    return text


if __name__ == "__main__":
    report(measure, show)
