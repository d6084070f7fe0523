"""Measure how words and pairs of a Wikipedia dump are counted: `python -m bench.metadata`.

Rates of each step on one core and of what others offer for it, of the whole with one and with two
processes, memory and time against the size of the input at a fixed budget, the merge of the parts, and
what all of that says of English Wikipedia. Without the shared data, the dump is one of made-up articles.
"""

import bz2
import importlib
import itertools
import json
import math
import multiprocessing
import re
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import mwparserfromhell
import numpy as np
import psutil
import pyarrow.parquet as pq

from bench.timing import SHARED, Clock, report, table, timed
from metaclip.metadata.bzip2 import read_blocks
from metaclip.metadata.dump import read_articles
from metaclip.metadata.ngrams import NgramCounter
from metaclip.metadata.runs import Merge, Run
from metaclip.metadata.select import Corpus
from metaclip.metadata.settings import Metadata
from metaclip.metadata.wikitext import strip_markup
from metaclip.output import write_parquet
from metaclip.schemas import PAIR_COUNT, TEXT_COUNT
from metaclip.stages.base import run_job
from metaclip.stages.ngrams import NgramsJob

COPIES = 12
ENWIKI_BYTES = 22e9
ENWIKI_WORDS = 4e9

_LONG_WORD = re.compile(rb"[a-z]{7,}")
_KEPT = frozenset((b"redirect", b"wikitext", b"mediawiki", b"revision", b"references", b"category"))

PEAK = """
import sys
from bench.metadata import count_synthetic
count_synthetic(int(sys.argv[1]), int(sys.argv[2]))
"""

MERGE = """
import sys
from bench.metadata import merge_parts
merge_parts(sys.argv[1])
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
    """Return MB of XML for a second of computing by one core: each step, and all of them."""
    articles = list(read_articles(str(dump), Counter()))
    texts = [text for text in map(strip_markup, articles) if text is not None]

    def count() -> None:
        counter = NgramCounter(64 << 20)
        for text in texts:
            counter.add(text)
        merge = Merge(counter.runs())
        for part in (*merge.texts(), *merge.pairs()):
            assert len(part.counts)

    unpack, read, strip, counted = _core_seconds(
        lambda: list(read_blocks(str(dump))),
        lambda: list(read_articles(str(dump), Counter())),
        lambda: [strip_markup(article) for article in articles],
        count,
    )
    size = _xml_bytes(dump)
    return {
        "xml_mb": size / 1e6,
        "bz2_mb": dump.stat().st_size / 1e6,
        "unpack_xml_mb_per_second": size / unpack / 1e6,
        "read_articles_xml_mb_per_second": size / read / 1e6,
        "strip_markup_xml_mb_per_second": size / strip / 1e6,
        "count_xml_mb_per_second": size / counted / 1e6,
        "all_xml_mb_per_second": size / (read + strip + counted) / 1e6,
    }


def alternatives(dump: Path) -> dict[str, float]:
    """Return MB of XML a second of one core: this project's steps, and others that are installed.

    None but mwparserfromhell is a dependency: `pip install gensim wikitextparser indexed_bzip2 rapidgzip`.
    """
    articles = list(read_articles(str(dump), Counter()))
    work: dict[str, Callable[[], Any]] = {
        "unpack: bz2 of Python": lambda: bz2.decompress(dump.read_bytes()),
        "unpack: metaclip": lambda: list(read_blocks(str(dump))),
        "markup: metaclip": lambda: [strip_markup(article) for article in articles],
        "markup: mwparserfromhell": lambda: [mwparserfromhell.parse(article).strip_code() for article in articles],
    }
    for name in ("indexed_bzip2", "rapidgzip"):
        if library := _installed(name):
            work[f"unpack: {name}"] = lambda library=library: library.open(str(dump), parallelization=1).read()  # type: ignore[misc]
    if gensim := _installed("gensim.corpora.wikicorpus"):
        work["markup: gensim"] = lambda: [gensim.filter_wiki(article) for article in articles]
    if other := _installed("wikitextparser"):
        work["markup: wikitextparser"] = lambda: [other.parse(article).plain_text() for article in articles]
    size = _xml_bytes(dump)
    return {name: size / taken / 1e6 for name, taken in zip(work, _core_seconds(*work.values()), strict=True)}


def _installed(name: str) -> Any:
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError:
        return None


def _xml_bytes(dump: Path) -> int:
    return sum(len(block.data) for block in read_blocks(str(dump)))


def _core_seconds(*work: Callable[[], Any]) -> list[float]:
    """Return the least seconds of computing of each; others may use the machine meanwhile."""
    return [min(timed(call).cpu for _ in range(3)) for call in work]


def scaling(dump: Path) -> dict[str, Any]:
    """Return MB of bz2 a second with one and with two processes.

    The dump is repeated in one file, with other long words in each copy, so that new pairs never end.
    """
    xml = bz2.decompress(dump.read_bytes())
    head, pages = xml.split(b"<page>", 1)
    body, tail = pages.rsplit(b"</page>", 1)
    copies = [bz2.compress(_reworded(b"<page>" + body + b"</page>\n", number)) for number in range(COPIES)]
    with tempfile.TemporaryDirectory(prefix="metaclip-") as folder:
        path = Path(folder) / "copies-pages-articles.xml.bz2"
        path.write_bytes(b"".join([bz2.compress(head), *copies, bz2.compress(tail)]))
        size = path.stat().st_size
        cuts = [size * i // 8 for i in range(9)]
        seconds = {}
        for processes in (1, 2):
            root = str(Path(folder) / f"store{processes}")
            jobs = [
                NgramsJob(str(path), "bench", "dump", a, b if b < size else None, memory_bytes=64 << 20)
                for a, b in itertools.pairwise(cuts)
            ]
            with ProcessPoolExecutor(processes, multiprocessing.get_context("spawn")) as pool:
                list(pool.map(_warm, range(2 * processes)))
                start = time.perf_counter()
                cpu = sum(pool.map(_run, [root] * len(jobs), jobs))
                seconds[processes] = (time.perf_counter() - start, cpu)
        counts = [json.loads(file.read_text())["statistics"]["counts"] for file in Path(root).rglob("manifest.json")]
    return {
        "bz2_mb": size / 1e6,
        "million_words": sum(each["tokens"] for each in counts) / 1e6,
        "million_pairs_of_parts": sum(each["pairs"] for each in counts) / 1e6,
        "bz2_mb_per_second_by_processes": {n: size / wall / 1e6 for n, (wall, _) in seconds.items()},
        "bz2_mb_per_second_of_one_core": {n: size / cpu / 1e6 for n, (_, cpu) in seconds.items()},
    }


def _reworded(xml: bytes, number: int) -> bytes:
    small = bytes(range(97, 123))
    turn = bytes.maketrans(small, small[number:] + small[:number])
    return _LONG_WORD.sub(lambda word: word[0] if word[0] in _KEPT else word[0].translate(turn), xml)


def _warm(_: int) -> None:
    strip_markup("''a'' [b]")
    NgramCounter(1 << 20).add("a b")
    time.sleep(0.2)


def _run(root: str, job: NgramsJob) -> float:
    start = time.process_time()
    run_job(root, job)
    return time.process_time() - start


def projected(scaled: dict[str, Any], grown: dict[str, Any], merged: dict[str, Any]) -> dict[str, Any]:
    """Return hours for English Wikipedia by cores: parts are counted side by side, and merged by one process."""
    step = Metadata.model_fields["bytes_per_task"].default
    parts = math.ceil(ENWIKI_BYTES / step)
    words = ENWIKI_WORDS / parts / 1e6
    # Pairs grow slower than words do; that the largest input's share goes on is on the safe side.
    rows = parts * words * grown["distinct_pairs"] / grown["million_words"]
    merging = rows / merged["rows_per_second_of_one_core"] / 3600
    rate = scaled["bz2_mb_per_second_of_one_core"][2]
    counting = {
        cores: max(ENWIKI_BYTES / cores, step * math.ceil(parts / cores)) / 1e6 / rate / 3600 for cores in (2, 64)
    }
    return {
        "parts": parts,
        "million_rows_to_merge": rows / 1e6,
        "merging_hours": merging,
        "hours_by_cores": {cores: hours + merging for cores, hours in counting.items()},
    }


def _ranks(rng: np.random.Generator, number: int) -> Any:
    return np.minimum(rng.pareto(0.9, number) * 3, 49_999).astype(int)


def _text(rng: np.random.Generator) -> str:
    """Make up 250,000 words, among which new ones never end."""
    ranks = np.minimum(rng.pareto(0.45, 250_000) * 50, 4e9).astype(np.int64)
    return " ".join(np.char.mod("w%x", ranks).tolist())


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
        text = _text(rng)
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


def memory(sizes: tuple[int, ...] = (4, 16, 64), budget_mb: int = 64) -> list[dict[str, Any]]:
    """Return peak memory and time of growing input, each in a process of its own."""
    return [
        json.loads(
            subprocess.run(
                [sys.executable, "-c", PEAK, str(size), str(budget_mb)], capture_output=True, text=True, check=True
            ).stdout
        )
        for size in sizes
    ]


def write_part(folder: str, number: int, texts: int) -> None:
    """Count made-up text and write the counts as a task of a dump does."""
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
    base = psutil.Process().memory_info().rss
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
        "start_mb": base / 1e6,
        "peak_mb": _peak_bytes() / 1e6,
    }
    print(json.dumps(result))


def merging(sizes: tuple[tuple[int, int], ...] = ((16, 2), (60, 2), (60, 6))) -> list[dict[str, Any]]:
    """Return time and peak memory of merging so many parts of so many texts, each in a process of its own."""
    found = []
    for parts, texts in sizes:
        with tempfile.TemporaryDirectory(prefix="metaclip-") as folder:
            with ProcessPoolExecutor(2, multiprocessing.get_context("spawn")) as pool:
                list(pool.map(write_part, [folder] * parts, range(parts), [texts] * parts))
            command = [sys.executable, "-c", MERGE, folder]
            found.append(json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout))
    return found


def measure() -> dict[str, Any]:
    dump, real = real_or_made_up()
    scaled, grown, merged = scaling(dump), memory(), merging()
    return {
        "data": "shared" if real else "made up (the shared data is not here)",
        "one_core": steps(dump),
        "alternatives": alternatives(dump),
        "processes": scaled,
        "memory_at_a_budget_of_64_mb": grown,
        "merging": merged,
        "english_wikipedia": projected(scaled, grown[-1], merged[-1]),
    }


def show(result: dict[str, Any]) -> str:
    """Return the figures as text."""
    core = {name: round(rate, 2) for name, rate in result["one_core"].items()}
    others = {name: round(rate, 2) for name, rate in result["alternatives"].items()}
    text = table("of one dump, one core", ("", "MB, or MB of XML a second"), list(core.items()))
    text += table("what is there for each step", ("", "MB of XML a second"), list(others.items()))
    sizes = result["memory_at_a_budget_of_64_mb"]
    names = ("million_words", "count_seconds", "merge_seconds", "spills", "peak_mb")
    rows = [[round(one[name], 1) for name in names] for one in sizes]
    return text + table("counting at a budget of 64 MB", [name.replace("_", " ") for name in names], rows)


if __name__ == "__main__":
    report(measure, show)
