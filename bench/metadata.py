"""Measure how words and pairs of a Wikipedia dump are counted: `python -m bench.metadata`.

Figures are the rates of each step on one core, and of other libraries for it; the rate of the whole with
one and with two processes; memory and time against the size of the input at a fixed budget; the merge of
the parts; and an estimate for English Wikipedia. Without the shared data, the dump has generated articles.
"""

import bz2
import gzip
import importlib
import itertools
import json
import math
import multiprocessing
import re
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import mwparserfromhell
import numpy as np

from bench.metadata_growth import memory, merging
from bench.timing import SHARED, report, table, timed
from metaclip.config.metadata import Metadata
from metaclip.metadata.ngrams_job import NgramsJob
from metaclip.metadata.wikipedia.bzip2 import read_blocks
from metaclip.metadata.wikipedia.dump import read_articles
from metaclip.metadata.wikipedia.ngrams import NgramCounter
from metaclip.metadata.wikipedia.page_views import read_views
from metaclip.metadata.wikipedia.sorted_counts import Merge
from metaclip.metadata.wikipedia.wikitext import strip_markup
from metaclip.store.job import run_job

COPIES = 12
ENWIKI_BYTES = 22e9
ENWIKI_WORDS = 4e9

_LONG_WORD = re.compile(rb"[a-z]{7,}")
_KEPT = frozenset((b"redirect", b"wikitext", b"mediawiki", b"revision", b"references", b"category"))


def real_or_made_up() -> tuple[Path, bool]:
    found = sorted((SHARED / "wikipedia").glob("*.bz2"))
    if found:
        return found[0], True
    rng = np.random.default_rng(0)
    words = np.array([f"w{i}" for i in range(50_000)])
    ranks = np.minimum(rng.pareto(0.9, (100, 4000)) * 3, 49_999).astype(int)
    articles = [" ".join(words[row]) for row in ranks]
    pages = "".join(f"<page><ns>0</ns><revision><text>{text}</text></revision></page>\n" for text in articles)
    path = Path(tempfile.mkdtemp(prefix="metaclip-")) / "made-up.xml.bz2"
    path.write_bytes(bz2.compress(f"<mediawiki>\n{pages}</mediawiki>\n".encode()))
    return path, False


def steps(dump: Path) -> dict[str, Any]:
    """Return MB of XML for each CPU second of one core: each step, and all of them."""
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
    """Return MB of XML for each CPU second of one core: this project's steps, and other libraries if installed.

    Only mwparserfromhell is a dependency: `pip install gensim wikitextparser indexed_bzip2 rapidgzip cramjam`.
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
    if rust := _installed("cramjam"):
        work["unpack: cramjam"] = lambda: rust.bzip2.decompress(dump.read_bytes())
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
    """Return the lowest CPU seconds of each; they take turns, because other programs may use the machine."""
    rounds = [[timed(call).cpu for call in work] for _ in range(3)]
    return [min(taken) for taken in zip(*rounds, strict=True)]


def scaling(dump: Path) -> dict[str, Any]:
    """Return MB of bz2 a second with one and with two processes.

    The dump is repeated in one file, with other long words in each copy, so that there are always new pairs.
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
    """Return hours for English Wikipedia by cores: parts are counted in parallel, and merged by one process."""
    step = Metadata.model_fields["bytes_per_task"].default
    parts = math.ceil(ENWIKI_BYTES / step)
    words = ENWIKI_WORDS / parts / 1e6
    # Pairs grow more slowly than words; to assume the share of the largest input is on the safe side.
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


def pageviews(lines: int = 1_000_000) -> dict[str, float]:
    """Return MB for each second of one core, for an hourly file of generated titles."""
    rng = np.random.default_rng(0)
    domains = np.array(["en", "en.m", "de", "fr", "ja.m", "commons.m", "ru", "es", "zh", "aa"])[
        rng.integers(10, size=lines)
    ]
    views = rng.pareto(1, lines).astype(int) + 1
    made = zip(domains.tolist(), rng.integers(1_000_000, size=lines).tolist(), views.tolist(), strict=True)
    text = "".join(f"{domain} Title_{title}_of_a_page {number} 0\n" for domain, title, number in made).encode()
    with tempfile.TemporaryDirectory(prefix="metaclip-") as folder:
        path = Path(folder) / "pageviews-20240101-000000.gz"
        path.write_bytes(gzip.compress(text, 6))
        (taken,) = _core_seconds(lambda: read_views(str(path), ["en"], 50, Counter()))
        return {"gzip_mb_per_second": path.stat().st_size / taken / 1e6, "text_mb_per_second": len(text) / taken / 1e6}


def measure() -> dict[str, Any]:
    dump, real = real_or_made_up()
    scaled, grown, merged = scaling(dump), memory(), merging()
    return {
        "data": "shared" if real else "made up (the shared data is not here)",
        "one_core": steps(dump),
        "alternatives": alternatives(dump),
        "pageviews": pageviews(),
        "processes": scaled,
        "memory_at_a_budget_of_64_mb": grown,
        "merging": merged,
        "english_wikipedia": projected(scaled, grown[-1], merged[-1]),
    }


def show(result: dict[str, Any]) -> str:
    """Return the figures as text."""
    core = {**result["one_core"], **result["pageviews"]}
    text = table("of one dump, one core", ("", "MB, or MB a second"), _rounded(core))
    text += table("what is there for each step, one core", ("", "MB of XML a second"), _rounded(result["alternatives"]))
    processes = result["processes"]
    for name in ("bz2_mb_per_second_by_processes", "bz2_mb_per_second_of_one_core"):
        text += table(name.replace("_", " "), ("processes", "MB of bz2"), _rounded(processes[name]))
    for title, name in (("counting at a budget of 64 MB", "memory_at_a_budget_of_64_mb"), ("merging", "merging")):
        columns = [column.replace("_", " ") for column in result[name][0]]
        text += table(title, columns, [[round(cell, 1) for cell in row.values()] for row in result[name]])
    hours = result["english_wikipedia"]["hours_by_cores"]
    return text + table("all of English Wikipedia", ("cores", "hours"), _rounded(hours))


def _rounded(figures: dict[Any, float]) -> list[list[object]]:
    return [[name, round(figure, 2)] for name, figure in figures.items()]


if __name__ == "__main__":
    report(measure, show)
