from pathlib import Path

import pytest

from bench import crawl_files, pipeline, scaling, stages, yardsticks
from bench.stages import STAGES
from metaclip.demo import ENTRIES

pytestmark = pytest.mark.slow


@pytest.fixture(autouse=True)
def _without_shared_data(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(crawl_files, "SHARED", Path("/nowhere"))
    monkeypatch.setattr(stages, "SHARED", Path("/nowhere"))
    monkeypatch.delenv(yardsticks.CC2DATASET, raising=False)


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


def test_cost_is_measured_against_size() -> None:
    result = scaling.measure(repeats=1, pages_per_file=4, kinds=["warc"])
    sizes = result["warc"]
    assert list(sizes) == ["1", "4", "16"]
    assert sizes["1"]["to_1"] == 1
    assert sizes["16"]["gzipped_mb"] > 8 * sizes["1"]["gzipped_mb"]
    assert sizes["16"]["pairs"] > 8 * sizes["1"]["pairs"] > 0
    assert len(scaling.show(result).splitlines()) == 5
