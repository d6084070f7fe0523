"""A pool with 27 million entries in 300 lists, from its lists to its set: `python -m bench.worldwide_whole`.

Lists and texts are invented, everything else is done as in a pool: each list becomes a table that is mapped; four
shards with texts of all languages and one with texts of one language are matched, deduplicated, counted, balanced and
cut. Language identification is left out: labels are given. Every tenth list is of Han characters, with counts, and is
matched by the rule `words`.

Each step is a process of its own, so that its memory is its own: `peak` is the most that was resident, files that are
mapped included, which all processes of a machine share; `own` is what is its own at its end; `tables` are the lists
whose table it has mapped then. It needs 4 GB of disk in `TMPDIR` and some three minutes. With numbers it runs a
smaller pool, here of 2.7 million entries and 400,000 texts: `python -m bench.worldwide_whole 2700000 400000`.
"""

import multiprocessing
import re
import sys
import tempfile
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from bench.timing import Clock, peak_memory_mb, report, table
from metaclip.balance.reference_axis import Rule as AxisRule
from metaclip.config.groups import Groups, Rule
from metaclip.config.settings import Match
from metaclip.metadata.given_list import fingerprint
from metaclip.metadata.list_job import TABLE, MetadataJob, open_matcher
from metaclip.schemas import PAIR, PAIRS
from metaclip.stages.balance import BalanceJob
from metaclip.stages.count import CountByLanguageJob
from metaclip.stages.curate import CuratedSetJob
from metaclip.stages.dedup import DedupJob
from metaclip.stages.group_counts import ByLanguage, GroupCounts
from metaclip.stages.match_groups import MatchGroupsJob
from metaclip.stages.partition import PartitionJob
from metaclip.store.job import Job
from metaclip.store.manifest import Reference, stage_key
from metaclip.store.store import Store

ENTRIES, TEXTS, GROUPS, SHARDS = 27_000_000, 2_000_000, 300, 4
WORDS_IN_A_TEXT = 8
NAMES = tuple(f"g{number:03d}" for number in range(GROUPS))
RULES: dict[str, Rule] = {name: "words" if number % 10 == 5 else "paper" for number, name in enumerate(NAMES)}
ALL = Groups(NAMES, NAMES[0], {name: name for name in NAMES}, RULES)
BY_LANGUAGE = ByLanguage(ALL, AxisRule())
HAN = np.arange(0x4E00, 0x4E00 + 3000)


def _weights() -> npt.NDArray[np.float64]:
    falling = 1 / np.arange(1, GROUPS + 1) ** 0.5
    shares: npt.NDArray[np.float64] = falling / falling.sum()
    return shares


def _entries(number: int, size: int) -> pa.Array:
    """Return the words of a list: 6 to 14 letters, or 2 to 5 Han characters; hardly any twice."""
    rng = np.random.default_rng(number)
    han = RULES[NAMES[number]] == "words"
    lengths = rng.integers(2, 6, size) if han else rng.integers(6, 15, size)
    offsets = np.concatenate([[0], np.cumsum(lengths)])
    if not han:
        data = rng.integers(ord("a"), ord("z") + 1, offsets[-1], dtype=np.uint8)
        return pa.StringArray.from_buffers(size, pa.py_buffer(offsets.astype(np.int32)), pa.py_buffer(data))
    code = HAN[rng.integers(0, len(HAN), offsets[-1])]
    data = np.stack([0xE0 | code >> 12, 0x80 | code >> 6 & 0x3F, 0x80 | code & 0x3F], 1).astype(np.uint8)
    return pa.StringArray.from_buffers(size, pa.py_buffer((3 * offsets).astype(np.int32)), pa.py_buffer(data.ravel()))


def make_lists(folder: Path, entries: int) -> list[str]:
    """Write the lists; return their files."""
    files = []
    for number, share in enumerate(_weights()):
        size = int(share * entries)
        counts = (1e9 / np.arange(1, size + 1)).astype(np.int64) + 1
        files.append(str(folder / f"{NAMES[number]}.parquet"))
        pq.write_table(pa.table({"entry": _entries(number, size), "count": counts}), files[-1])
    return files


def make_shards(root: str, entries: int, texts: int) -> tuple[Reference, ...]:
    """Write extracted shards: texts of all languages, and as the last one texts of the third language alone."""
    rng = np.random.default_rng(GROUPS)
    numbers = rng.multinomial(texts, _weights())
    parts = [_texts(number, int(_weights()[number] * entries), n, rng) for number, n in enumerate(numbers.tolist())]
    whole = pa.concat_tables(parts).take(pa.array(rng.permutation(texts)))
    size = -(-texts // SHARDS)
    slices = [whole.slice(start, size) for start in range(0, texts, size)]
    alone = _texts(2, int(_weights()[2] * entries), size, rng)
    return tuple(_shard(Store(root), number, one) for number, one in enumerate([*slices, alone]))


def _texts(number: int, size: int, n: int, rng: np.random.Generator) -> pa.Table:
    """Return texts of words that are drawn by Zipf's law, two of every three in the list."""
    words = _entries(number, size).to_pylist()
    drawn = np.minimum(rng.pareto(0.35, n * WORDS_IN_A_TEXT) * 3, size - 1).astype(np.int64)
    unknown = rng.random(len(drawn)) < 1 / 3
    space = "" if RULES[NAMES[number]] == "words" else " "
    chosen = [
        "未知" if not space and no else "unknown" if no else words[at] for at, no in zip(drawn, unknown, strict=True)
    ]
    made = [space.join(chosen[start : start + WORDS_IN_A_TEXT]) for start in range(0, len(chosen), WORDS_IN_A_TEXT)]
    return pa.table({"text": pa.array(made, pa.string()), "lang": pa.array([NAMES[number]] * n, pa.string())})


def _shard(store: Store, number: int, texts: pa.Table) -> Reference:
    rng = np.random.default_rng(1000 + number)
    n = texts.num_rows
    high, low = np.sort(rng.integers(0, 2**64, n, dtype=np.uint64)), rng.integers(0, 2**64, n, dtype=np.uint64)
    url = pa.array([f"https://images.example/{number}/{row}.jpg" for row in range(n)])
    key, page = (pa.repeat(value, n) for value in ("alt", "https://pages.example/"))
    columns = [pa.array(high), pa.array(low), url, texts["text"], key, page, texts["lang"], np.ones(n, np.float32)]
    key = stage_key("extract", 3, {"invented": number}, [])
    with store.create("extract", 3, {"invented": number}, [], f"extract-v3/{key}/manifest.json") as output:
        output.parquet(PAIRS, PAIR, iter([pa.table(columns, schema=PAIR)]))
        languages = dict(zip(*np.unique(texts["lang"].to_numpy(zero_copy_only=False), return_counts=True), strict=True))
        return output.commit({"languages": {name: int(count) for name, count in languages.items()}})


# Steps: each is called in a process of its own.


def build(root: str, files: list[str]) -> tuple[Reference, ...]:
    """Make the table of every list."""
    store = Store(root)
    jobs = (
        MetadataJob(path, fingerprint(path), rule=RULES[name], group=name)
        for name, path in zip(NAMES, files, strict=True)
    )
    return tuple(job.run(store) for job in jobs)


def map_tables(root: str, lists: tuple[Reference, ...]) -> int:
    """Open the tables of all lists, which reads them once; return their bytes."""
    store = Store(root)
    return sum(open_matcher(store, one).nbytes for one in lists)


def match(root: str, lists: tuple[Reference, ...], shards: tuple[Reference, ...]) -> tuple[Reference, ...]:
    """Match shards."""
    store, named = Store(root), dict(zip(NAMES, lists, strict=True))
    settings = Match(languages=[])
    return tuple(MatchGroupsJob.of(store, shard, named, settings, ALL).run(store) for shard in shards)


def dedup(root: str, matched: tuple[Reference, ...]) -> tuple[Reference, ...]:
    """Bring the pairs of two partitions together."""
    store = Store(root)
    rows = sum(one.rows for one in matched)
    members = PartitionJob(matched, rows // 2 + rows // 10).run(store)
    return tuple(DedupJob(members, number, 2, ALL).run(store) for number in range(2))


def run_all(root: str, jobs: Sequence[Job]) -> tuple[Reference, ...]:
    """Run some jobs."""
    return tuple(job.run(Store(root)) for job in jobs)


def _measured(step: Callable[..., Any], arguments: tuple[Any, ...]) -> tuple[Any, dict[str, float]]:
    started = Clock.now()
    found = step(*arguments)
    used = started.since()
    own = int(re.findall(r"RssAnon:\s+(\d+)", Path("/proc/self/status").read_text())[0]) >> 10
    tables = len({line.split()[-1] for line in Path("/proc/self/maps").read_text().splitlines() if TABLE in line})
    figures = {"cpu_s": round(used.cpu, 1), "wall_s": round(used.wall, 1)}
    return found, {**figures, "peak_mb": peak_memory_mb(), "own_mb": own, "tables": tables}


def measure(entries: int = ENTRIES, texts: int = TEXTS) -> dict[str, Any]:
    steps: dict[str, dict[str, float]] = {}

    def alone(name: str, step: Callable[..., Any], *arguments: Any) -> Any:
        with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
            found, steps[name] = pool.submit(_measured, step, arguments).result()
        sys.stderr.write(f"{name}: {steps[name]}\n")
        return found

    with tempfile.TemporaryDirectory(prefix="metaclip-") as folder:
        root = str(Path(folder) / "store")
        store = Store(root)
        files = alone("invent lists", make_lists, Path(folder), entries)
        shards = alone("invent texts", make_shards, root, entries, texts)
        lists = alone("build", build, root, files)
        size = alone("map", map_tables, root, lists)
        matched = alone("match", match, root, lists, shards[:SHARDS])
        alone("match one language", match, root, lists, shards[SHARDS:])
        parts = alone("dedup", dedup, root, matched)
        (counts,) = alone(
            "count", run_all, root, [CountByLanguageJob(parts, tuple(zip(NAMES, lists, strict=True)), NAMES[0])]
        )
        balanced = alone("balance", run_all, root, [BalanceJob(part, counts, 0, BY_LANGUAGE) for part in parts])
        thresholds = GroupCounts(store, counts, BY_LANGUAGE)
        t = float(np.quantile(thresholds.counts(NAMES[0])[thresholds.counts(NAMES[0]) > 0], 0.99))
        whole = CuratedSetJob(balanced, t, 1_000_000, 0, ALL)
        alone("cut", run_all, root, [*whole.parts(), whole])
        statistics = store.manifest(counts.manifest).statistics
        curated = store.manifest(whole.manifest).statistics["counts"]["curated"]
        return {
            "entries": statistics["entries"],
            "lists": GROUPS,
            "texts": texts,
            "matched": sum(one.rows for one in matched),
            "matches": statistics["matches"],
            "entries_with_matches": statistics["entries_with_matches"],
            "t": t,
            "set": curated,
            "tables_mb": round(size / 1e6),
            "store_mb": round(sum(path.stat().st_size for path in Path(root).rglob("*") if path.is_file()) / 1e6),
            "steps": steps,
        }


def show(result: dict[str, Any]) -> str:
    """Return the figures as text."""
    rows = [[name, *(f"{value:,}" for value in figures.values())] for name, figures in result["steps"].items()]
    said = ", ".join(f"{name} {value:,}" for name, value in result.items() if name != "steps")
    return table(said, ("", "CPU s", "seconds", "peak MB", "own MB", "tables"), rows)


if __name__ == "__main__":
    report(lambda: measure(*map(int, sys.argv[1:])), show)
