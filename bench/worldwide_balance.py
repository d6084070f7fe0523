"""Measure counting and balancing 27 million entries in many languages: `python -m bench.worldwide_balance`.

Lists are generated: 300 groups whose sizes fall like 1 / rank, 27 million entries in all, counts by Zipf's law, and one
partition of pairs with 3.5 matched entries each. Nothing is matched here; `bench.worldwide` measures that.
"""

import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from bench.timing import peak_memory_mb, report
from metaclip.balance.algorithm import KeepProbability, min_t
from metaclip.balance.reference_axis import Rule
from metaclip.balance.tally import Tally
from metaclip.config.groups import Groups
from metaclip.matching.matcher import Matcher
from metaclip.schemas import MATCHED, PAIRS
from metaclip.stages.balance import BalanceJob
from metaclip.stages.count import CountByLanguageJob
from metaclip.stages.dedup import TALLY
from metaclip.stages.group_counts import ByLanguage
from metaclip.store.manifest import Reference
from metaclip.store.store import Store
from metaclip.tables.csr import id_lists

ENTRIES, GROUPS, PAIRS_MADE, ROWS = 27_000_000, 300, 1_000_000, 65_536
SAMPLE = 500_000


def measure() -> dict[str, Any]:
    rng = np.random.default_rng(0)
    names = tuple(f"g{number:03d}" for number in range(GROUPS))
    weights = 1 / np.arange(1, GROUPS + 1) ** 0.5
    sizes = dict(zip(names, (weights / weights.sum() * ENTRIES).astype(int).tolist(), strict=True))
    by_language = ByLanguage(Groups(names, names[0], {name: name for name in names}, {}), Rule())
    seconds: dict[str, float] = {}
    with tempfile.TemporaryDirectory(prefix="metaclip-") as folder:
        store = Store(folder)
        lists = tuple((name, _listed(store, name, size)) for name, size in sizes.items())
        tables = [_pairs(rng, names, weights, sizes) for _ in range(-(-PAIRS_MADE // ROWS))]
        tally = Tally(by_language.groups)
        started = time.process_time()
        for _ in tally.counting(iter(tables)):
            pass
        seconds["tally"] = time.process_time() - started
        with store.create("dedup", 2, {}, [], "dedup-v2/pairs/manifest.json") as output:
            output.parquet(PAIRS, MATCHED, iter(tables))
            tally.write(output, TALLY)
            partition = output.commit({"counts": {}})
        del tables
        started = time.process_time()
        counts = CountByLanguageJob((partition,), lists, names[0]).run(store)
        seconds["count"] = time.process_time() - started
        after_count = peak_memory_mb()
        started = time.process_time()
        BalanceJob(partition, counts, 0, by_language).run(store)
        seconds["balance"] = time.process_time() - started
        after_balance = peak_memory_mb()
    return {
        "entries": ENTRIES,
        "groups": GROUPS,
        "pairs": PAIRS_MADE,
        "seconds": {name: round(value, 3) for name, value in seconds.items()},
        "call_ms": _calls(rng),
        "one_list": _one_list(rng),
        "peak_memory_mb": {"count": after_count, "balance": after_balance},
    }


def _listed(store: Store, name: str, entries: int) -> Reference:
    with store.create("metadata", 2, {"name": name}, [], f"metadata-v2/{name}/manifest.json") as output:
        output.json("none.json", {}, 0)
        return output.commit({"entries": entries})


def _pairs(rng: np.random.Generator, names: tuple[str, ...], weights: Any, sizes: dict[str, int]) -> pa.Table:
    """Return a row group of matched pairs of all groups."""
    group = rng.choice(len(names), ROWS, p=weights / weights.sum())
    lengths = rng.poisson(2.5, ROWS) + 1
    offsets = np.concatenate([[0], np.cumsum(lengths)])
    of = np.array([sizes[name] for name in names])[np.repeat(group, lengths)]
    ids = np.minimum(rng.pareto(0.35, offsets[-1]) * 3, of - 1).astype(np.uint32)
    high, low = rng.integers(0, 2**64, (2, ROWS), dtype=np.uint64)
    text = pa.array(["a text"]).take(pa.array(np.zeros(ROWS, np.int64)))
    lang = pa.array(names).take(pa.array(group))
    score = pa.array(np.ones(ROWS, np.float32))
    columns = [pa.array(high), pa.array(low), text, text, text, text, lang, score, id_lists(offsets, ids)]
    return pa.table(columns, schema=MATCHED)


def _calls(rng: np.random.Generator) -> dict[str, float]:
    """Return the milliseconds of one call for one pair with all entries in one list: it must not grow with the list."""
    counts = rng.integers(1, 1000, ENTRIES).astype(np.uint64)
    offsets, ids, draw = np.array([0, 2]), np.array([5, ENTRIES - 1], np.uint32), np.array([0.5])
    keep = KeepProbability(counts, 20.0)
    found = {}
    for name, call in (("min_t", lambda: min_t(counts, offsets, ids, draw)), ("keep", lambda: keep(offsets, ids))):
        call()
        started = time.perf_counter()
        for _ in range(20):
            call()
        found[name] = round((time.perf_counter() - started) / 20 * 1e3, 4)
    return found


def _one_list(rng: np.random.Generator) -> dict[str, Any]:
    """Build, map and use the table of one list of invented words: all others cost in proportion."""
    letters = rng.integers(ord("a"), ord("z") + 1, (SAMPLE, 12), dtype=np.uint8)
    lengths = rng.integers(4, 13, SAMPLE)
    words = list(dict.fromkeys(bytes(row[:n]).decode() for row, n in zip(letters, lengths.tolist(), strict=True)))
    started = time.process_time()
    matcher = Matcher(words)
    build = time.process_time() - started
    with tempfile.TemporaryDirectory(prefix="metaclip-") as folder:
        path = Path(folder) / "table"
        matcher.save(path)
        started = time.perf_counter()
        mapped = Matcher.load(path)
        map_ms = (time.perf_counter() - started) * 1e3
    texts = [" ".join(words[at] for at in row) for row in rng.integers(0, len(words), (50_000, 8)).tolist()]
    mapped.match(texts[:10])
    started = time.process_time()
    mapped.match(texts)
    return {
        "entries": len(words),
        "build_s": round(build, 3),
        "bytes_per_entry": round(matcher.nbytes / len(words), 1),
        "map_ms": round(map_ms, 3),
        "texts_per_s": round(len(texts) / (time.process_time() - started)),
    }


def show(result: dict[str, Any]) -> str:
    """Return the figures as text."""
    seconds = ", ".join(f"{name} {value:.2f} s" for name, value in result["seconds"].items())
    lists = f"{result['entries']:,} entries in {result['groups']} lists, {result['pairs']:,} pairs"
    return (
        f"{lists}: {seconds}; peak memory {result['peak_memory_mb']} MB\n"
        f"one call for one pair, ms: {result['call_ms']}\n"
        f"one list: {result['one_list']}\n"
    )


if __name__ == "__main__":
    report(measure, show)
