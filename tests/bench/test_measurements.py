from pathlib import Path

import pytest

from bench import crawl_files, extraction, pipeline, scale, scaling, stages, yardsticks
from bench.stages import STAGES
from metaclip.demo import ENTRIES

pytestmark = pytest.mark.slow


@pytest.fixture(autouse=True)
def _without_shared_data(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(crawl_files, "SHARED", Path("/nowhere"))
    monkeypatch.setattr(stages, "SHARED", Path("/nowhere"))
    monkeypatch.setattr(extraction, "SHARED", Path("/nowhere"))
    monkeypatch.delenv(yardsticks.CC2DATASET, raising=False)


@pytest.mark.long
def test_the_stages_are_measured_on_the_demo_where_there_is_nothing_else() -> None:
    result = pipeline.measure(repeats=1, kinds=["wat"])
    found = result["wat"]
    assert result["entries"] == ENTRIES.name
    assert found["pairs"] >= found["unique"] >= found["curated"] > 0
    assert {*STAGES, "all stages"} <= set(found["seconds_per_mb"])
    parts = sum(found["seconds_per_mb"][stage]["median"] for stage in STAGES)
    assert parts == pytest.approx(found["seconds_per_mb"]["all stages"]["median"], rel=0.01)
    assert found["times_as_fast"]["isal"]["shards"] < 1  # nothing is faster than to decompress and do no more
    assert found["times_as_fast"][pipeline.PLAIN]["shards"] > 0
    assert set(found["processes_mb_per_second"]) == {"1", "2"}
    assert "peak memory" in pipeline.show(result)


@pytest.mark.long
def test_cost_is_measured_against_size() -> None:
    result = scaling.measure(repeats=1, pages_per_file=4, kinds=["warc"])
    sizes = result["warc"]
    assert list(sizes) == ["1", "4", "16"]
    assert sizes["1"]["to_first"] == 1
    assert sizes["16"]["gzipped_mb"] > 8 * sizes["1"]["gzipped_mb"]
    assert sizes["16"]["pairs"] > 8 * sizes["1"]["pairs"] > 0
    assert len(scaling.show(result).splitlines()) == 5


def test_parts_of_extraction_are_measured_beside_libraries() -> None:
    result = extraction.measure(repeats=1)
    parts = [part for part in result.values() if isinstance(part, dict)]
    assert len(parts) == 5
    for part in parts:
        first, *others = part["rates"].values()
        assert first["ratio"] == 1
        assert others
        assert all(other["median"] > 0 for other in others)
    assert "selectolax" in extraction.show(result)


def test_a_crawl_is_reckoned_from_rates() -> None:
    measured = {
        "gzipped_mb": 10.0,
        "pairs": 1000,
        "matched": 100,
        "unique": 80,
        "curated": 40,
        "stored_bytes": {"extract": 100_000, "match": 20_000, "dedup": 16_000, "balance": 16_000, "curate": 8_000},
        "seconds_per_mb": {"shards, cpu": {"median": 0.036}},
        "yardsticks_seconds_per_mb": {},
    }
    rates = {name: {"median": 1.0} for name in ("gather", "dedup", "balance", "curate", "read a row again")}
    found = scale.estimate(scale.Case("a crawl", "wat", 90_000, 1), measured, rates)
    assert found["core_hours_extract_and_match"] == pytest.approx(90_000 * 350 * 0.036 / 3600)
    assert found["pairs_matched"] == pytest.approx(90_000 * 350 * 10)
    assert found["partitions"] == 79  # 315 million pairs
    assert found["match_shards_runs"] == 450
    # A group of 100 shards is 350,000 pairs in 22 row groups: sizes and footers, then a 79th of them and one more.
    assert found["files_that_dedup_reads"] == 900
    assert found["of_these_dedup"] == pytest.approx(79 * 900 * (1 + 1))
    assert found["terabytes_that_dedup_reads"] == pytest.approx(79 * 900 * (22 / 79 + 1) * 16_384 * 200 / 1e12)
    fewer = scale.estimate(scale.Case("less dense", "wat", 90_000, 100, 350.0), measured, rates)
    assert fewer["pairs_extracted"] == pytest.approx(found["pairs_extracted"] / 10)
    assert fewer["shards"] == 900
    assert fewer["files_that_dedup_reads"] == 9
