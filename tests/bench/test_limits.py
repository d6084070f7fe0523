import gzip
import os
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bench import crawl_files, growth, large_pool, limits, peers, s3_reading, stages, worker_memory, yardsticks
from bench.made_pairs import MadePairs
from bench.make_crawl import make_crawl
from bench.peer_programs import PROGRAMS
from bench.timing import Clock, ratios
from bench.watched import Peak, Worker
from metaclip.archive.decompress import Inflater
from metaclip.demo import write_demo_crawl
from metaclip.schemas import MATCHED
from metaclip.tables.csr import csr


@pytest.fixture
def _without_other_programs(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (crawl_files, stages, worker_memory):
        monkeypatch.setattr(module, "SHARED", Path("/nowhere"))
    monkeypatch.delenv(yardsticks.CC2DATASET, raising=False)
    monkeypatch.delenv(yardsticks.PEERS, raising=False)


def test_ratios_are_those_of_turns() -> None:
    over, under = [Clock(9, 2), Clock(9, 3), Clock(9, 8)], [Clock(1, 1), Clock(1, 2), Clock(1, 2)]
    assert ratios(over, under) == {"median": 2, "low": 1.5, "high": 4}


@pytest.mark.parametrize(
    ("more_is_better", "median", "reached"),
    [(False, 2.0, True), (False, 2.1, False), (True, 2.0, True), (True, 1.9, False)],
)
def test_a_limit_is_reached_by_the_median(more_is_better: bool, median: float, reached: bool) -> None:
    limit = limits.Limit("a", "script", 2.0, lambda found: found["a"], more_is_better)
    row = limit.row({"script": {"a": {"median": median, "low": 0, "high": 9}}})
    assert row["reached"] is reached
    assert row["target"] == ("at least 2" if more_is_better else "at most 2")


def test_what_was_not_measured_is_said() -> None:
    found: dict[str, Any] = {"programs": {large_pool.SAME: {}, large_pool.ALL: {"resident_mb": 1}}}
    beside = [limit for limit in limits.LIMITS if limit.script == "large_pool"]
    rows = [limit.row({"large_pool": found}) for limit in beside]
    assert [row["now"] for row in rows] == 4 * [None]
    assert limits.show({"rows": rows, "tables": []}).count("not measured") == 4


def test_memory_is_watched_from_outside() -> None:
    with Worker() as worker:
        _, before = worker.call(_fill, 1)
        size, peak = worker.call(_fill, 200)
    assert size == 200 << 20
    assert 180 < peak.anonymous - before.anonymous < 220
    assert peak.resident >= peak.anonymous
    assert peak.highest(Peak(1e9, 0, 0)).resident == 1e9


def _fill(megabytes: int) -> int:
    return len(bytearray(os.urandom(1)) * (megabytes << 20))


def test_the_yardstick_decompresses_every_byte(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_demo_crawl(tmp_path)
    files = sorted(tmp_path.rglob("*.warc.gz"))[:1]
    filled: list[int] = []
    fill = Inflater.fill

    def counted(self: Inflater, buffer: Any, begin: int, end: int) -> int:
        filled.append(fill(self, buffer, begin, end))
        return filled[-1]

    monkeypatch.setattr(Inflater, "fill", counted)
    yardsticks.decompress_libdeflate(files)
    assert sum(filled) == sum(len(gzip.decompress(path.read_bytes())) for path in files)


def test_made_up_pairs_have_repeats_on_other_pages() -> None:
    tables = list(MadePairs(4000, entries=1000).shards(1000))
    assert [table.schema for table in tables] == 4 * [MATCHED]
    rows = [row for table in tables for row in table.to_pylist()]
    by_uid: dict[tuple[int, int], set[tuple[str, str]]] = {}
    for row in rows:
        by_uid.setdefault((row["uid_hi"], row["uid_lo"]), set()).add((row["url"], row["text"]))
    assert all(len(found) == 1 for found in by_uid.values())
    assert 0.7 < len(by_uid) / len(rows) < 0.9
    for table in tables:
        high, low = (table.column(name).to_numpy() for name in ("uid_hi", "uid_lo"))
        np.testing.assert_array_equal(np.lexsort((low, high)), np.arange(len(high)))
        offsets, entry_ids = csr(table.column("entry_ids"))
        assert (np.diff(offsets) > 0).all()
        assert entry_ids.max() < 1000
        assert all(row == sorted(set(row)) for row in table.column("entry_ids").to_pylist())
    again = list(MadePairs(4000, entries=1000).shards(1000))
    assert all(one.equals(other) for one, other in zip(tables, again, strict=True))


@pytest.mark.slow
@pytest.mark.usefixtures("_without_other_programs")
def test_a_large_pool_is_measured() -> None:
    result = large_pool.measure(rows=20_000, turns=1)
    assert result["unique"] < result["pairs"] < 20_001
    assert result["partitions"] == 1
    assert set(result["programs"]) == {large_pool.SAME, large_pool.ALL}
    assert result["programs"][large_pool.ALL]["slower_by"]["median"] > 1
    assert "peak MB" in large_pool.show(result)


@pytest.mark.slow
def test_a_program_that_fails_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(yardsticks.PEERS, sys.executable)  # which has neither of them
    result = large_pool.measure(rows=2_000, turns=1)
    assert set(result["failed"]) == set(large_pool.OTHERS.values())
    assert large_pool.show(result).count("ModuleNotFoundError") == 2
    assert large_pool._reason("memory allocation of 9 bytes failed\nskipping the backtrace\n").startswith("memory")


@pytest.mark.slow
@pytest.mark.usefixtures("_without_other_programs")
def test_reading_from_s3_is_measured() -> None:
    result = s3_reading.measure(megabytes=20, turns=1)
    assert {s3_reading.OURS, s3_reading.RANGED} <= set(result["readers"])
    assert result["readers"][s3_reading.OURS]["ours_to_this"]["median"] == 1
    assert "MB/s" in s3_reading.show(result)


@pytest.mark.long
@pytest.mark.usefixtures("_without_other_programs")
def test_growth_is_measured() -> None:
    result = growth.measure((1, 2), (100, 2_000), rows=2_000, list_rows=2_000, turns=1)
    for cases in ("partitions", "match", "balance"):
        first, second = result[cases].values()
        assert first["to_first"] == 1
        assert second["microseconds"]["median"] > 0
    assert len(growth.show(result).splitlines()) == 12


@pytest.mark.long
@pytest.mark.usefixtures("_without_other_programs")
def test_programs_find_the_same_images(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = make_crawl(tmp_path, 12, pages_per_file=6)
    monkeypatch.setattr(peers, "crawl_files", lambda *_: {"wat": made.wat_files, "warc": made.warc_files})
    result = peers.measure(repeats=1)
    for kind in ("wat", "warc"):
        assert set(result[kind]["programs"]) == set(peers.DOES[kind]) - {"cc2dataset"} - _with("datatrove")
        pairs = {what: one["pairs"] for what, one in result[kind]["programs"].items() if what in peers.OTHERS}
        assert len(set(pairs.values())) == 1, pairs
    assert set(peers.OTHERS.values()) == set(PROGRAMS)
    assert "what each does" in peers.show(result)


def _with(word: str) -> set[str]:
    return {what for what in peers.OTHERS if word in what}


@pytest.mark.long
@pytest.mark.usefixtures("_without_other_programs")
def test_the_memory_of_workers_is_measured() -> None:
    result = worker_memory.measure(pages=4, page_bytes=1 << 20)
    assert result["highest"]["of"] in result["workers"]
    large = next(one for what, one in result["workers"].items() if "1 page of" in what)
    assert large["matched"] > 0
    assert all(one["resident_mb"] > one["own_mb"] > 20 for one in result["workers"].values())


@pytest.mark.parametrize("number", [10, 20_000])
def test_lists_of_any_length_are_made(number: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stages, "SHARED", Path("/nowhere"))
    entries = growth.entries_of(number)
    assert len(entries) == len(set(entries)) == number
