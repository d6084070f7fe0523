"""Measure the page of `metaclip browse` on a generated pool: `python -m bench.browse [PAIRS] [--keep FOLDER]`.

Ten million pairs go through all stages once (some ten minutes on two cores), are indexed, and the server is asked what
the page asks, each question with other words. With `--keep` the pool stays and is found again.
"""

import argparse
import json
import os
import tempfile
import threading
import time
import urllib.parse
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import psutil
import pyarrow as pa
import pyarrow.parquet as pq

from bench.timing import report, table
from metaclip.browse.pool_index import PoolIndex, index_jobs
from metaclip.browse.server import BrowseServer
from metaclip.config.loading import parse_config
from metaclip.config.settings import format_t
from metaclip.explore.pool import FinishedPool
from metaclip.metadata.jobs import metadata_plan
from metaclip.pool.record import write_record
from metaclip.prepare.jobs import check, extract_job
from metaclip.stages.balance import BalanceJob
from metaclip.stages.count import CountJob
from metaclip.stages.curate import CuratedSetJob
from metaclip.stages.dedup import DedupJob
from metaclip.stages.match import MatchJob
from metaclip.stages.partition import PartitionJob, read_members
from metaclip.store.job import Job, run_job
from metaclip.store.manifest import Reference
from metaclip.store.store import Store

PAIRS, A_FILE = 10_000_000, 500_000
WORDS, PHRASES, HOSTS = 100_000, 400_000, 300_000
T = 2_000.0
ASKED = 40
"""Questions of each kind."""


def measure(pairs: int, folder: Path) -> dict[str, Any]:
    """Make the pool where it is not there yet, its index, and ask."""
    if not (folder / "pool" / "pools" / "bench.json").exists():
        _make_pool(pairs, folder)
    pool = FinishedPool.open(str(folder / "pool"), "bench")
    start = time.perf_counter()
    outputs = _run_all(pool.store, index_jobs(pool))
    indexing = time.perf_counter() - start
    start = time.perf_counter()
    server = BrowseServer(pool, PoolIndex(pool, outputs), "token", 0)
    opening = time.perf_counter() - start
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    server.wait()
    answers = {kind: _ask(server.url, paths) for kind, paths in _questions(pool).items()}
    sizes = [file.bytes for output in outputs for file in pool.store.manifest(output.manifest).files]
    memory = psutil.Process().memory_full_info()
    server.stop()
    thread.join()
    return {
        "pairs": pool.pairs,
        "entries": len(pool.counts),
        "matches": int(pool.counts.sum()),
        "partitions": len(outputs),
        "balanced_mb": round(pool.balanced_bytes / 1e6),
        "index_mb": round(sum(sizes) / 1e6),
        "index_seconds": round(indexing, 1),
        "open_seconds": round(opening, 1),
        "resident_mb": round(memory.rss / 1e6),
        "own_mb": round(memory.uss / 1e6),
        "milliseconds": answers,
    }


def show(result: dict[str, Any]) -> str:
    """Return the figures as text."""
    rows = [
        [kind, *(times[name] for name in ("median", "p95", "highest"))]
        for kind, times in result["milliseconds"].items()
    ]
    title = (
        f"{result['pairs']:,} pairs, {result['entries']:,} entries: index {result['index_mb']:,} MB beside"
        f" {result['balanced_mb']:,} MB, made in {result['index_seconds']} s, opened in {result['open_seconds']} s"
    )
    return table(title, ["asked, ms", "median", "95 %", "highest"], rows)


def _make_pool(pairs: int, folder: Path) -> None:
    _write_source(pairs, folder)
    tree = {
        "pool": "bench",
        "storage": str(folder / "pool"),
        "source": {"paths": [str(folder / "pairs-*.parquet")]},
        "metadata": {"entries": str(folder / "entries.txt")},
        "match": {"languages": []},
        "balance": {"t": T},
    }
    config = parse_config(tree)
    store = Store(config.storage)
    listing = check(config)
    metadata = metadata_plan(config).job.run(store)
    extracted = _run_all(store, [extract_job(config, shard) for shard in listing.shards])
    matched = _run_all(store, [MatchJob(shard, metadata, config.match) for shard in extracted])
    members = PartitionJob(tuple(matched), config.dedup.rows_per_partition).run(store)
    _, partitions = read_members(store, members)
    unique = _run_all(store, [DedupJob(members, number, partitions) for number in range(partitions)])
    counts = CountJob(tuple(unique), metadata).run(store)
    balanced = _run_all(store, [BalanceJob(part, counts, config.balance.seed) for part in unique])
    whole = CuratedSetJob(tuple(balanced), T, config.curate.rows_per_file, config.balance.seed)
    _run_all(store, whole.parts())
    curated = whole.run(store)
    stages = {
        "metadata": metadata.manifest,
        "source": listing.run(store).manifest,
        "extract": [one.manifest for one in extracted],
        "match": [one.manifest for one in matched],
        "partition": members.manifest,
        "dedup": [one.manifest for one in unique],
        "count": counts.manifest,
        "balance": [one.manifest for one in balanced],
    }
    write_record(store, config, stages, format_t(T), [curated.manifest])


def _run_all(store: Store, jobs: list[Job] | tuple[Job, ...]) -> list[Reference]:
    """Run the jobs that have no output yet, two at a time."""
    with ProcessPoolExecutor(2) as processes:
        done = [job.find(store) or processes.submit(run_job, store.root, job) for job in jobs]
        return [one if isinstance(one, Reference) else one.result() for one in done]


def _write_source(pairs: int, folder: Path) -> None:
    """Write pairs of 2 to 14 words after Zipf's law, and a list of their words and of pairs of words."""
    folder.mkdir(parents=True, exist_ok=True)
    draw = np.random.default_rng(0)
    vocabulary = _vocabulary(draw)
    firsts, seconds = (_zipf(draw, WORDS, PHRASES * 2) for _ in range(2))
    phrases = dict.fromkeys(f"{vocabulary[a]} {vocabulary[b]}" for a, b in zip(firsts, seconds, strict=True))
    listed = [*vocabulary, *list(phrases)[:PHRASES]]
    (folder / "entries.txt").write_text("\n".join(listed) + "\n", encoding="utf-8")
    words = pa.array(vocabulary)
    for number in range(0, pairs, A_FILE):
        rows = min(A_FILE, pairs - number)
        sizes = draw.integers(2, 15, rows)
        ends = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int32)
        chosen = words.take(pa.array(_zipf(draw, WORDS, int(ends[-1]))))
        texts = pa.compute.binary_join(pa.ListArray.from_arrays(pa.array(ends), chosen), " ")
        hosts = _zipf(draw, HOSTS, rows)
        urls = [f"https://host-{host}.example/pictures/{number + row:x}.jpg" for row, host in enumerate(hosts)]
        pq.write_table(pa.table({"url": urls, "caption": texts}), folder / f"pairs-{number // A_FILE:03}.parquet")


def _vocabulary(draw: np.random.Generator) -> list[str]:
    syllables = [first + second for first in "bcdfghjklmnprstvwz" for second in ("a", "e", "i", "o", "u", "an", "er")]
    found: dict[str, None] = {}
    while len(found) < WORDS:
        found["".join(syllables[at] for at in draw.integers(len(syllables), size=draw.integers(1, 5)))] = None
    return list(found)


def _zipf(draw: np.random.Generator, most: int, n: int) -> npt.NDArray[np.int64]:
    """Return n ranks below most, rank r with a probability of about 1 / (r + 3)."""
    ranks = np.floor(3 * ((most + 3) / 3) ** draw.random(n) - 3)
    return np.clip(ranks, 0, most - 1).astype(np.int64)


def _questions(pool: FinishedPool) -> dict[str, list[str]]:
    draw = np.random.default_rng(1)
    entries = pool.entries.column("entry")
    words = [entries[int(at)].as_py() for at in _zipf(draw, WORDS, 3 * ASKED)]
    largest = np.argsort(-pool.counts.astype(np.int64))
    ids = [int(largest[at]) for at in _zipf(draw, 50_000, ASKED)]
    ts = np.exp(draw.uniform(np.log(2), np.log(float(pool.counts.max())), 2 * ASKED)).round(1).tolist()

    def paths(path: str, *parameters: dict[str, Any]) -> list[str]:
        return [f"{path}?{urllib.parse.urlencode(one)}" for one in parameters]

    return {
        "search entries": paths("/api/entries", *({"q": word[:3]} for word in words[:ASKED])),
        "an entry": paths("/api/entry", *({"id": one, "t": t} for one, t in zip(ids, ts, strict=False))),
        "the largest entry": paths("/api/entry", *({"id": int(largest[0]), "t": t} for t in ts[:ASKED])),
        "texts with a word": paths("/api/texts", *({"q": word} for word in words[:ASKED])),
        "texts with three words": paths(
            "/api/texts", *({"q": " ".join(words[at : at + 3])} for at in range(0, 3 * ASKED, 3))
        ),
        "texts with two of the most frequent words": paths(
            "/api/texts", *({"q": f"{entries[at]} {entries[at + 1]}"} for at in range(ASKED))
        ),
        "explain a text": paths("/api/explain", *({"text": " ".join(words[at : at + 8])} for at in range(ASKED))),
        "size at t": paths("/api/size", *({"t": t} for t in ts)),
        "languages": paths("/api/names", *({"kind": "languages", "t": t} for t in ts[:ASKED])),
        "hosts": paths("/api/names", *({"kind": "hosts", "t": t} for t in ts[:ASKED])),
        "compare two t": paths(
            "/api/compare", *({"t": a, "other_t": b} for a, b in zip(ts[:ASKED], ts[ASKED:], strict=True))
        ),
        "samples, kept": paths("/api/reason", *({"why": "kept", "seed": seed} for seed in range(ASKED))),
        "samples, balanced": paths("/api/reason", *({"why": "balanced", "seed": seed} for seed in range(ASKED))),
    }


def _ask(address: str, paths: list[str]) -> dict[str, float]:
    base, _, token = address.partition("/?token=")
    times = sorted(_times(base, token, paths))
    return {
        "median": round(times[len(times) // 2], 1),
        "p95": round(times[int(0.95 * (len(times) - 1))], 1),
        "highest": round(times[-1], 1),
    }


def _times(base: str, token: str, paths: list[str]) -> Iterator[float]:
    for path in paths:
        request = urllib.request.Request(base + path, headers={"Authorization": f"Bearer {token}"})
        start = time.perf_counter()
        with urllib.request.urlopen(request) as answer:
            json.load(answer)
        yield 1000 * (time.perf_counter() - start)


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("pairs", type=int, nargs="?", default=PAIRS)
    parser.add_argument("--keep", type=Path)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=os.environ.get("TMPDIR")) as name:
        report(lambda: measure(given.pairs, given.keep or Path(name)), show)
