"""Measure the matcher against Aho-Corasick on the same texts: `python -m bench.matching`.

Both give the sorted, distinct ids of every text; Aho-Corasick (pyahocorasick) searches the spaced
text for the padded entries, as MetaCLIP does. One core, times are the best of a few turns. Without
the shared data, texts and entries are drawn from made-up words, which says less.
"""

import gzip
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import ahocorasick
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from bench.timing import SHARED, best_seconds
from metaclip.matching import Matcher
from metaclip.text import space_text

START = """
import sys, time
start = time.perf_counter()
from metaclip.matching import Matcher
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
        for name, texts in pools.items():
            result[name] = _compare(matcher, automaton, texts)
    return result


def _compare(matcher: Matcher, automaton: Any, texts: list[str]) -> dict[str, Any]:
    array = pa.array(texts)

    def with_automaton() -> list[list[int]]:
        return [sorted({i for _, i in automaton.iter(space_text(text))}) for text in texts]

    _, ids = matcher.match(array)
    if ids.tolist() != [i for found in with_automaton() for i in found]:
        raise AssertionError("the two do not agree")
    ours, from_list, theirs = best_seconds(
        lambda: matcher.match(array), lambda: matcher.match(texts), with_automaton, repeats=3
    )
    return {
        "texts": len(texts),
        "matches_per_text": len(ids) / len(texts),
        "texts_per_second": len(texts) / ours,
        "texts_per_second_from_list": len(texts) / from_list,
        "aho_corasick_texts_per_second": len(texts) / theirs,
        "ratio": theirs / ours,
    }


if __name__ == "__main__":
    print(json.dumps(measure(), indent=2))
