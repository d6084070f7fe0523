"""How counting and merging grow with their input: time, and memory above a fixed budget.

The text is generated, and always has new words and pairs. Each size has its own process. `bench.metadata`
runs it.
"""

import json
import multiprocessing
import subprocess
import sys
import tempfile
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pyarrow.parquet as pq

from bench.timing import Clock, peak_memory_mb
from metaclip.metadata.select import Corpus
from metaclip.metadata.wikipedia.ngrams import NgramCounter
from metaclip.metadata.wikipedia.sorted_counts import Merge, Run
from metaclip.schemas import PAIR_COUNT, TEXT_COUNT
from metaclip.tables.parquet import write_parquet

PEAK = """
import sys
from bench.metadata_growth import count_synthetic
count_synthetic(int(sys.argv[1]), int(sys.argv[2]))
"""

MERGE = """
import sys
from bench.metadata_growth import merge_parts
merge_parts(sys.argv[1])
"""


def _text(rng: np.random.Generator) -> str:
    """Generate 250,000 words, with new ones throughout."""
    ranks = np.minimum(rng.pareto(0.45, 250_000) * 50, 4e9).astype(np.int64)
    return " ".join(np.char.mod("w%x", ranks).tolist())


def count_synthetic(million_words: int, budget_mb: int) -> None:
    """Count generated text that always has new words and pairs; print CPU seconds, peak memory and sizes."""
    rng = np.random.default_rng(0)
    counter = NgramCounter(budget_mb << 20)
    counter.add("a b")
    base = psutil.Process().memory_info().rss >> 20
    counted, size = 0.0, 0
    for _ in range(million_words * 4):
        text = _text(rng)
        begin = Clock.now()
        counter.add(text)
        counted += begin.since().cpu
        size += len(text)
    begin = Clock.now()
    merge = Merge(counter.runs())
    words = sum(len(part.counts) for part in merge.texts())
    pairs = sum(len(part.counts) for part in merge.pairs())
    result = {
        "million_words": million_words,
        "distinct_words": words,
        "distinct_pairs": pairs,
        "spills": counter.spills,
        "count_seconds": counted,
        "merge_seconds": begin.since().cpu,
        "text_mb": size / 1e6,
        "start_mb": base,
        "peak_mb": peak_memory_mb(),
    }
    print(json.dumps(result))


def memory(sizes: tuple[int, ...] = (4, 16, 64), budget_mb: int = 64) -> list[dict[str, Any]]:
    """Return peak memory and time of growing input, each in its own process."""
    return [
        json.loads(
            subprocess.run(
                [sys.executable, "-c", PEAK, str(size), str(budget_mb)], capture_output=True, text=True, check=True
            ).stdout
        )
        for size in sizes
    ]


def write_part(folder: str, number: int, texts: int) -> None:
    """Count generated text and write the counts as a task of a dump does."""
    rng = np.random.default_rng(number)
    counter = NgramCounter(64 << 20)
    for _ in range(texts):
        counter.add(_text(rng))
    merge = Merge(counter.runs())
    for name, schema, parts in (("words", TEXT_COUNT, merge.texts()), ("pairs", PAIR_COUNT, merge.pairs())):
        with Path(folder, f"{name}{number}.parquet").open("wb") as sink:
            write_parquet(sink, schema, (part.table() for part in parts))


def merge_parts(folder: str) -> None:
    """Merge what `write_part` wrote into ranked words and pairs, as the build does; print time and peak memory."""
    base = psutil.Process().memory_info().rss >> 20
    files = [(path, path.with_name(path.name.replace("words", "pairs"))) for path in Path(folder).glob("words*")]
    rows = sum(pq.ParquetFile(path).metadata.num_rows for pair in files for path in pair)
    start = Clock.now()
    corpus = Corpus([Run(partial(pq.ParquetFile, words), partial(pq.ParquetFile, pairs)) for words, pairs in files])
    corpus.most_counted(100, 300_000)
    corpus.most_associated(10, 2, 400_000)
    taken = start.since()
    result = {
        "parts": len(files),
        "million_rows": rows / 1e6,
        "distinct_words": len(corpus.counts),
        "seconds": taken.wall,
        "rows_per_second_of_one_core": rows / taken.cpu,
        "start_mb": base,
        "peak_mb": peak_memory_mb(),
    }
    print(json.dumps(result))


def merging(sizes: tuple[tuple[int, int], ...] = ((16, 2), (60, 2), (60, 6))) -> list[dict[str, Any]]:
    """Return time and peak memory of merging this many parts of this many texts, each in its own process."""
    found = []
    for parts, texts in sizes:
        with tempfile.TemporaryDirectory(prefix="metaclip-") as folder:
            with ProcessPoolExecutor(2, multiprocessing.get_context("spawn")) as pool:
                list(pool.map(write_part, [folder] * parts, range(parts), [texts] * parts))
            command = [sys.executable, "-c", MERGE, folder]
            found.append(json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout))
    return found
