"""Measure the matcher against Aho-Corasick on the same texts: `python -m bench.matching`.

Both give the sorted, distinct ids of every text. Aho-Corasick (pyahocorasick) searches the spaced text for
the padded entries, as MetaCLIP does. The definition looks for every entry in every text, and is timed on a
few texts. Figures are texts for each CPU second of one core, medians of a few turns with the lowest and
highest, and cost against size. Without the shared data, texts and entries consist of generated words, which
is less meaningful.
"""

import gzip
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import ahocorasick
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from bench.timing import SHARED, by_size, in_turn, peak_memory_mb, rate_table, rates, report, size_table, timed
from metaclip.matching.definition import match_by_definition, space_text
from metaclip.matching.matcher import Matcher
from metaclip.matching.variants import NearMatcher

BY_DEFINITION = 20
SHORT = 40_000
"""Entries of the list for which near misses are measured; by default they are counted for lists below 50,000."""
SIZES = (5_000, 20_000, 80_000)

START = """
import sys, time
start = time.perf_counter()
from metaclip.matching.matcher import Matcher
imported = time.perf_counter()
matcher = Matcher.load(sys.argv[1])
loaded = time.perf_counter()
matcher.match(["a text"])
print(imported - start, loaded - imported, time.perf_counter() - loaded)
"""


def real_input() -> tuple[list[str], dict[str, list[str]]]:
    entries = json.loads(gzip.decompress((SHARED / "metadata" / "standin_500k.json.gz").read_bytes()))
    captions = SHARED / "captions"
    alt = pq.read_table(captions / "web_alt_texts_10k.parquet")["TEXT"].to_pylist()
    lines = [gzip.decompress(path.read_bytes()).decode() for path in sorted(captions.glob("multi30k_en_*.txt.gz"))]
    return entries, {"alt_texts": alt, "captions": [line for text in lines for line in text.splitlines()]}


def made_up_input() -> tuple[list[str], dict[str, list[str]]]:
    rng = np.random.default_rng(0)
    words = np.array(["".join(rng.choice(list("etaoinshrdlu"), n)) for n in rng.integers(2, 12, 300_000)])
    pairs = [" ".join(words[np.minimum(rng.pareto(0.3, 2) * 5, 299_999).astype(int)]) for _ in range(250_000)]
    entries = list(dict.fromkeys([*words[:250_000].tolist(), *pairs]))
    picks = np.minimum(rng.pareto(0.3, (20_000, 10)) * 5, 299_999).astype(int)
    return entries, {"made_up": [" ".join(row) for row in words[picks]]}


def measure() -> dict[str, Any]:
    real = (SHARED / "metadata").is_dir()
    entries, pools = real_input() if real else made_up_input()
    Matcher(["compile"]).match(["compile"])
    start = time.perf_counter()
    built = Matcher(entries)
    result: dict[str, Any] = {
        "data": "shared" if real else "made up (the shared data is not here)",
        "entries": len(entries),
        "build_seconds": time.perf_counter() - start,
        "table_mb": built.nbytes / 1e6,
    }
    automaton = ahocorasick.Automaton()
    start = time.perf_counter()
    for i, entry in enumerate(entries):
        automaton.add_word(f" {entry} ", i)
    automaton.make_automaton()
    result["aho_corasick_build_seconds"] = time.perf_counter() - start
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "table"
        built.save(path)
        process = subprocess.run([sys.executable, "-c", START, str(path)], capture_output=True, text=True, check=True)
        names = ("import_seconds", "load_seconds", "first_match_seconds")
        result["new_process"] = dict(zip(names, map(float, process.stdout.split()), strict=True))
        matcher = Matcher.load(path)
        result["pools"] = {name: _compare(matcher, automaton, entries, texts) for name, texts in pools.items()}
        distinct = list(dict.fromkeys(next(iter(pools.values()))))

        def prepare(size: int) -> Callable[[], Any]:
            # Numbered, so that no text occurs twice.
            many = pa.array([f"{distinct[i % len(distinct)]} {i}" for i in range(size)])
            return lambda: matcher.match(many)

        result["by_size"] = by_size(SIZES, prepare)
    result["peak_memory_mb"] = peak_memory_mb()
    return result


def show(result: dict[str, Any]) -> str:
    """Return the figures as text."""
    text = ""
    for name, pool in result["pools"].items():
        title = f"{name}: texts/s, {pool['texts']:,} texts, {result['entries']:,} entries"
        text += rate_table(f"{title}, {pool['matches_per_text']:.1f} matches each", pool["rates"], "matcher")
    text += size_table("matching against the number of texts", result["by_size"])
    return text + f"table {result['table_mb']:.0f} MB; peak memory, automaton included, {result['peak_memory_mb']} MB\n"


def _compare(matcher: Matcher, automaton: Any, entries: list[str], texts: list[str]) -> dict[str, Any]:
    array = pa.array(texts)

    def with_automaton() -> list[list[int]]:
        return [sorted({i for _, i in automaton.iter(space_text(text))}) for text in texts]

    _, ids = matcher.match(array)
    if ids.tolist() != [i for found in with_automaton() for i in found]:
        raise AssertionError("the two do not agree")
    short, near = Matcher(entries[:SHORT]), NearMatcher(entries[:SHORT])
    clocks = in_turn(
        {
            "matcher": lambda: matcher.match(array),
            "matcher, from a list": lambda: matcher.match(texts),
            f"near misses, {SHORT:,} entries": lambda: near.find(array, *short.match(array)),
            "pyahocorasick": with_automaton,
        },
        repeats=3,
    )
    figures = rates(clocks, len(texts), "matcher", 0)
    few = texts[:BY_DEFINITION]
    slow = rates({"definition": [timed(lambda: match_by_definition(entries, few))]}, len(few), "definition", 2)
    slow["definition"]["ratio"] = round(figures["matcher"]["median"] / slow["definition"]["median"])
    return {"texts": len(texts), "matches_per_text": len(ids) / len(texts), "rates": figures | slow}


if __name__ == "__main__":
    report(measure, show)
