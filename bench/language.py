"""Measure language id against fastText on the same texts: `python -m bench.language`.

The yardsticks are fastText's own `predict`, as its binding gives it, and fasttext-langdetect's
`detect`, each asked once for every text. One core, processor time; all take turns, so that all meet the same
machine; medians, and the spread from the slowest turn to the fastest. Without the shared data, texts
are drawn from the words that the model knows, which says less.
"""

import gzip
import json
import os
import statistics
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from typing import Any

import fasttext
import ftlangdetect
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from bench.timing import SHARED
from metaclip.config import Extract
from metaclip.fasttext_model import read_model
from metaclip.language import LanguageIdentifier, find_model
from metaclip.wat import read_wat

TURNS = 7
TEXTS = 8192
START = """
import sys, time
from pathlib import Path
start = time.perf_counter()
from metaclip.fasttext_model import read_model
from metaclip.language import LanguageIdentifier
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
    for name, texts in pools.items():
        result[name] = _compare(identifier, predict, texts)
    distinct = pa.array(next(iter(pools.values()))).unique()
    result["seconds_by_size"] = {}
    for times in (1, 4, 16):
        # Numbered, so that no text repeats.
        many = pa.array([f"{text} {i}" for i in range(times) for text in distinct.to_pylist()])
        turns = [_seconds(lambda many=many: identifier.identify_array(many)) for _ in range(TURNS)]
        result["seconds_by_size"][f"{times}x"] = statistics.median(turns)
    return result


def _compare(identifier: LanguageIdentifier, predict: Callable[..., Any], texts: list[str]) -> dict[str, Any]:
    array = pa.array(texts)
    work: dict[str, Callable[[], Any]] = {
        "kernel": lambda: identifier.identify_array(array),
        "from_list": lambda: identifier.identify(texts),
        "predict": lambda: [predict(text + "\n", 1, 0.0, "strict")[0] for text in texts],
        "detect": lambda: [ftlangdetect.detect(text.replace("\n", " "), low_memory=True) for text in texts],
    }
    labels, scores = work["kernel"]()
    expected = work["predict"]()
    if [f"__label__{label}" for label in labels.to_pylist()] != [label for _, label in expected]:
        raise AssertionError("the labels are not fastText's")
    worst = np.abs(scores - np.minimum(np.array([score for score, _ in expected], np.float32), 1)).max()
    seconds: dict[str, list[float]] = {name: [] for name in work}
    for _ in range(TURNS):
        for name, call in work.items():
            seconds[name].append(_seconds(call))
    ours = statistics.median(seconds["kernel"])
    rates = {
        name: {
            "texts_per_second": round(len(texts) / statistics.median(turns)),
            "slowest_and_fastest": [round(len(texts) / max(turns)), round(len(texts) / min(turns))],
            "kernel_is_faster_by": round(statistics.median(turns) / ours, 2),
        }
        for name, turns in seconds.items()
    }
    sizes = {"texts": len(texts), "distinct": len(set(texts)), "bytes_per_text": array.nbytes / len(texts)}
    return {**sizes, "largest_difference_of_scores": float(worst), **rates}


def _seconds(call: Callable[[], Any]) -> float:
    start = time.process_time()
    call()
    return time.process_time() - start


def table(result: dict[str, Any]) -> str:
    lines = [f"{'texts/s, medians':<18}{'kernel':>12}{'from a list':>12}{'predict':>12}{'detect':>12}"]
    for name, pool in result.items():
        if isinstance(pool, dict) and "kernel" in pool:
            rates = [pool[one] for one in ("kernel", "from_list", "predict", "detect")]
            lines.append(f"{name:<18}" + "".join(f"{rate['texts_per_second']:>12,}" for rate in rates))
            lines.append(f"{'':<18}" + "".join(f"{'1/' + str(rate['kernel_is_faster_by']):>12}" for rate in rates))
    return "\n".join(lines)


if __name__ == "__main__":
    measured = measure()
    print(json.dumps(measured, indent=2))
    print(table(measured))
