"""Measure how words and pairs of a Wikipedia dump are counted: `python -m bench.metadata`.

Rates of each step on one core, of the whole on one and on two processes, and memory and time against
the size of the input at a fixed budget. Without the shared data, the dump is one of made-up articles.
"""

import bz2
import itertools
import json
import multiprocessing
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import psutil

from bench.timing import SHARED, in_turn, report, spread, table
from metaclip.metadata.bzip2 import read_blocks
from metaclip.metadata.dump import read_articles
from metaclip.metadata.ngrams import NgramCounter
from metaclip.metadata.runs import Merge
from metaclip.metadata.wikitext import strip_markup
from metaclip.stages.base import run_job
from metaclip.stages.ngrams import NgramsJob

COPIES = 8
ENWIKI_BYTES = 22e9

PEAK = """
import sys
from bench.metadata import count_synthetic
count_synthetic(int(sys.argv[1]), int(sys.argv[2]))
"""


def real_or_made_up() -> tuple[Path, bool]:
    found = sorted((SHARED / "wikipedia").glob("*.bz2"))
    if found:
        return found[0], True
    rng = np.random.default_rng(0)
    words = np.array([f"w{i}" for i in range(50_000)])
    articles = [" ".join(words[_ranks(rng, 4000)]) for _ in range(100)]
    pages = "".join(f"<page><ns>0</ns><revision><text>{text}</text></revision></page>\n" for text in articles)
    path = Path(tempfile.mkdtemp(prefix="metaclip-")) / "made-up.xml.bz2"
    path.write_bytes(bz2.compress(f"<mediawiki>\n{pages}</mediawiki>\n".encode()))
    return path, False


def steps(dump: Path) -> dict[str, Any]:
    """Return MB of XML a second for each step on one core, and for all of them."""
    articles = list(read_articles(str(dump), Counter()))
    texts = [text for text in map(strip_markup, articles) if text is not None]

    def count() -> None:
        counter = NgramCounter()
        for text in texts:
            counter.add(text)
        merge = Merge(counter.runs())
        for part in (*merge.texts(), *merge.pairs()):
            assert len(part.counts)

    size = sum(len(block.data) for block in read_blocks(str(dump))) / 1e6
    clocks = in_turn(
        {
            "unpack": lambda: list(read_blocks(str(dump))),
            "unpack, as one stream by bz2": lambda: bz2.decompress(dump.read_bytes()),
            "read_articles": lambda: list(read_articles(str(dump), Counter())),
            "strip_markup": lambda: [strip_markup(article) for article in articles],
            "count": count,
        },
        repeats=3,
    )
    seconds = {step: statistics.median(clock.cpu for clock in turns) for step, turns in clocks.items()}
    whole = seconds["read_articles"] + seconds["strip_markup"] + seconds["count"]
    return {
        "xml_mb": size,
        "bz2_mb": dump.stat().st_size / 1e6,
        "xml_mb_per_second": {step: spread([size / one.cpu for one in turns], 2) for step, turns in clocks.items()},
        "all_xml_mb_per_second": size / whole,
        "all_to_bz2": whole / seconds["unpack, as one stream by bz2"],
    }


def scaling(dump: Path) -> dict[str, Any]:
    """Return MB of bz2 a second with one and with two processes, on copies of the dump in one file."""
    xml = bz2.decompress(dump.read_bytes())
    head, pages = xml.split(b"<page>", 1)
    body, tail = pages.rsplit(b"</page>", 1)
    unit = bz2.compress(b"<page>" + body + b"</page>\n")
    with tempfile.TemporaryDirectory(prefix="metaclip-") as folder:
        path = Path(folder) / "copies-pages-articles.xml.bz2"
        path.write_bytes(bz2.compress(head) + unit * COPIES + bz2.compress(tail))
        size = path.stat().st_size
        cuts = [size * i // 8 for i in range(9)]
        seconds = {}
        for processes in (1, 2):
            root = str(Path(folder) / f"store{processes}")
            jobs = [
                NgramsJob(str(path), "bench", "dump", a, b if b < size else None) for a, b in itertools.pairwise(cuts)
            ]
            with ProcessPoolExecutor(processes, multiprocessing.get_context("spawn")) as pool:
                list(pool.map(_warm, range(2 * processes)))
                start = time.perf_counter()
                list(pool.map(run_job, [root] * len(jobs), jobs))
                seconds[processes] = time.perf_counter() - start
    rates = {processes: size / taken / 1e6 for processes, taken in seconds.items()}
    return {
        "bz2_mb": size / 1e6,
        "bz2_mb_per_second_by_processes": rates,
        "speed_up": seconds[1] / seconds[2],
        "enwiki_hours_by_cores": {cores: ENWIKI_BYTES / 1e6 / (rates[2] / 2 * cores) / 3600 for cores in (2, 64)},
    }


def _warm(_: int) -> None:
    strip_markup("'''a''' b")
    NgramCounter(1 << 20).add("a b")
    time.sleep(0.2)


def _ranks(rng: np.random.Generator, number: int) -> Any:
    return np.minimum(rng.pareto(0.9, number) * 3, 49_999).astype(int)


def _peak_bytes() -> int:
    """Return the most that this process ever had in memory (Linux; getrusage tells of its parent too)."""
    found = re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())
    assert found is not None
    return int(found[1]) * 1024


def count_synthetic(million_words: int, budget_mb: int) -> None:
    """Count made-up text whose words and pairs never end; print seconds, peak memory and sizes."""
    rng = np.random.default_rng(0)
    counter = NgramCounter(budget_mb << 20)
    counter.add("a b")
    base = psutil.Process().memory_info().rss
    made, size = 0.0, 0
    start = time.perf_counter()
    for _ in range(million_words * 4):
        begin = time.perf_counter()
        ranks = np.minimum(rng.pareto(0.45, 250_000) * 50, 4e9).astype(np.int64)
        text = " ".join(np.char.mod("w%x", ranks).tolist())
        made += time.perf_counter() - begin
        counter.add(text)
        size += len(text)
    counted = time.perf_counter() - start - made
    begin = time.perf_counter()
    merge = Merge(counter.runs())
    words = sum(len(part.counts) for part in merge.texts())
    pairs = sum(len(part.counts) for part in merge.pairs())
    result = {
        "million_words": million_words,
        "distinct_words": words,
        "distinct_pairs": pairs,
        "spills": counter.spills,
        "count_seconds": counted,
        "merge_seconds": time.perf_counter() - begin,
        "text_mb": size / 1e6,
        "start_mb": base / 1e6,
        "peak_mb": _peak_bytes() / 1e6,
    }
    print(json.dumps(result))


def memory(sizes: tuple[int, ...] = (2, 8, 32), budget_mb: int = 64) -> list[dict[str, Any]]:
    """Return peak memory and time of growing input, each in a process of its own."""
    return [
        json.loads(
            subprocess.run(
                [sys.executable, "-c", PEAK, str(size), str(budget_mb)], capture_output=True, text=True, check=True
            ).stdout
        )
        for size in sizes
    ]


def measure() -> dict[str, Any]:
    dump, real = real_or_made_up()
    return {
        "data": "shared" if real else "made up (the shared data is not here)",
        "one_core": steps(dump),
        "processes": scaling(dump),
        "memory_at_a_budget_of_64_mb": memory(),
    }


def show(result: dict[str, Any]) -> str:
    """Return the figures as text."""
    core, processes = result["one_core"], result["processes"]
    rows = [[step, *one.values()] for step, one in core["xml_mb_per_second"].items()]
    text = table("MB of XML a second, one core", ("", "median", "lowest", "highest"), rows)
    text += f"read, strip and count: {core['all_xml_mb_per_second']:.2f} MB/s,"
    text += f" {core['all_to_bz2']:.2f} times what bz2 alone takes\n"
    text += f"two processes give {processes['speed_up']:.2f} times what one gives\n"
    names = ("million_words", "count_seconds", "merge_seconds", "spills", "peak_mb")
    sizes = [[round(one[name], 1) for name in names] for one in result["memory_at_a_budget_of_64_mb"]]
    return text + table("counting at a budget of 64 MB", [name.replace("_", " ") for name in names], sizes)


if __name__ == "__main__":
    report(measure, show)
