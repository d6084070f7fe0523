"""Measure language identification against fastText on the same texts: `python -m bench.language`.

The yardsticks are fastText's own `predict`, through its Python binding, and fasttext-langdetect's `detect`;
each is called once for every text. Figures are CPU time on one core; all programs take turns, so that they
run under the same conditions; medians, and the range from the slowest turn to the fastest. Without the
shared data, texts are generated from the words that the model knows, which is less meaningful.
"""

import gzip
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from typing import Any

import fasttext
import ftlangdetect
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from bench.timing import SHARED, by_size, in_turn, peak_memory_mb, rate_table, rates, report, size_table
from metaclip.config.settings import Extract
from metaclip.language.fasttext_model import read_model
from metaclip.language.identifier import LanguageIdentifier
from metaclip.language.model_file import find_model
from metaclip.sources.wat import read_wat

TURNS = 5
TEXTS = 8192
START = """
import sys, time
from pathlib import Path
start = time.perf_counter()
from metaclip.language.fasttext_model import read_model
from metaclip.language.identifier import LanguageIdentifier
imported = time.perf_counter()
identifier = LanguageIdentifier(Path(sys.argv[1]))
loaded = time.perf_counter()
identifier.identify(["a text"])
first = time.perf_counter()
LanguageIdentifier(Path(sys.argv[1]))
print(imported - start, loaded - imported, first - loaded, time.perf_counter() - first)
"""


def real_texts() -> dict[str, list[str]]:
    captions = SHARED / "captions"
    crawl: list[str] = []
    for path in sorted((SHARED / "crawl" / "wat").glob("*.gz")):
        for batch in read_wat(str(path), Extract(), Counter()):
            crawl += batch.texts
    lines = gzip.decompress((captions / "multi30k_en_1.txt.gz").read_bytes()).decode().splitlines()
    alt = [text for text in pq.read_table(captions / "web_alt_texts_10k.parquet")["TEXT"].to_pylist() if text]
    return {
        "crawl": crawl[:TEXTS],
        "crawl_distinct": list(dict.fromkeys(crawl))[:TEXTS],
        "crawl_not_latin": [text for text in dict.fromkeys(crawl) if max(text) > "\u0370"][:TEXTS],
        "alt_texts": alt[:TEXTS],
        "captions": lines[:TEXTS],
    }


def made_up_texts() -> dict[str, list[str]]:
    tables = read_model(find_model()).tables
    words = [
        tables.word_data[start:end].tobytes().decode("utf-8", "replace")
        for start, end in zip(tables.word_bounds[:-1], tables.word_bounds[1:], strict=True)
    ]
    picks = np.random.default_rng(0).integers(1, len(words), (TEXTS, 6))
    return {"made_up": [" ".join(words[i] for i in row) for row in picks.tolist()]}


def measure() -> dict[str, Any]:
    real = (SHARED / "captions").is_dir()
    pools = real_texts() if real else made_up_texts()
    path = find_model()
    os.environ["FTLANG_CACHE"] = str(path.parent)
    predict = fasttext.load_model(str(path)).f.predict
    identifier = LanguageIdentifier(path)
    process = subprocess.run([sys.executable, "-c", START, str(path)], capture_output=True, text=True, check=True)
    names = ("import_seconds", "load_seconds", "first_call_seconds", "load_again_seconds")
    result: dict[str, Any] = {
        "data": "shared" if real else "made up (the shared data is not here)",
        "model_mb": sum(array.nbytes for array in read_model(path).tables) / 1e6,
        "new_process": dict(zip(names, map(float, process.stdout.split()), strict=True)),
    }
    result["pools"] = {name: _compare(identifier, predict, texts) for name, texts in pools.items()}
    distinct = list(dict.fromkeys(next(iter(pools.values()))))

    def prepare(size: int) -> Callable[[], Any]:
        # Numbered, so that no text occurs twice.
        many = pa.array([f"{distinct[i % len(distinct)]} {i}" for i in range(size)])
        return lambda: identifier.identify_array(many)

    result["by_size"] = by_size([times * len(distinct) for times in (1, 4, 16)], prepare)
    result["peak_memory_mb"] = peak_memory_mb()
    return result


def show(result: dict[str, Any]) -> str:
    """Return the figures as text."""
    text = "".join(
        rate_table(f"{name}: texts/s, {pool['texts']:,} texts, {pool['distinct']:,} distinct", pool["rates"], "kernel")
        for name, pool in result["pools"].items()
    )
    text += size_table("language id against the number of texts", result["by_size"])
    return text + f"model {result['model_mb']:.1f} MB; peak memory {result['peak_memory_mb']} MB\n"


def _compare(identifier: LanguageIdentifier, predict: Callable[..., Any], texts: list[str]) -> dict[str, Any]:
    array = pa.array(texts)
    work: dict[str, Callable[[], Any]] = {
        "kernel": lambda: identifier.identify_array(array),
        "kernel, from a list": lambda: identifier.identify(texts),
        "fastText's predict": lambda: [predict(text + "\n", 1, 0.0, "strict")[0] for text in texts],
        "fasttext-langdetect": lambda: [
            ftlangdetect.detect(text.replace("\n", " "), low_memory=True) for text in texts
        ],
    }
    labels, scores = work["kernel"]()
    expected = work["fastText's predict"]()
    if [f"__label__{label}" for label in labels.to_pylist()] != [label for _, label in expected]:
        raise AssertionError("the labels are not fastText's")
    worst = np.abs(scores - np.minimum(np.array([score for score, _ in expected], np.float32), 1)).max()
    return {
        "texts": len(texts),
        "distinct": len(set(texts)),
        "bytes_per_text": array.nbytes / len(texts),
        "largest_difference_of_scores": float(worst),
        "rates": rates(in_turn(work, TURNS), len(texts), "kernel", 0),
    }


if __name__ == "__main__":
    report(measure, show)
