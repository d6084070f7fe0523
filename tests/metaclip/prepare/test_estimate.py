"""What a run will take, against what one took."""

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from metaclip.config.loading import parse_config
from metaclip.errors import ConfigError, InputError
from metaclip.explore.pool import FinishedPool
from metaclip.prepare.estimate import estimate
from tests.conftest import config_tree
from tests.pools import make_pool


@pytest.mark.slow
def test_of_whole_files_the_estimate_is_what_the_stages_write(crawl: Path, tmp_path: Path) -> None:
    config = make_pool(crawl, tmp_path / "pool", source={"paths": [str(crawl / "warc" / "demo-00000.warc.gz")]})
    found = estimate(config)
    pool = FinishedPool.open(config.storage, "small")
    extracted, matched = (sum(one.rows for one in pool.manifests(stage)) for stage in ("extract", "match"))
    assert (found["files"], found["shards"], found["pairs"], found["matched"]) == (1, 1, extracted, matched)
    for stage in ("extract", "match"):
        size = sum(file.bytes for manifest in pool.manifests(stage) for file in manifest.files)
        assert found["stored_gigabytes"][stage] == pytest.approx(size / 1e9, rel=0.02)
    hours = dict(found["core_hours"])
    assert hours.pop("total") == pytest.approx(sum(hours.values()))
    assert set(hours) == {"extract", "match", "near", "dedup", "balance", "curate"}
    assert found["hours"] == pytest.approx(found["core_hours"]["total"] / 2)
    assert found["requests"] == {"read": 0, "written": 0}
    assert found["dollars"] == {"computing": None, "storage_a_month": None, "requests": None, "total": None}


def _parquet(folder: Path, rows: int) -> str:
    urls = [f"https://a.example/{row:05}.jpg" for row in range(rows)]
    table = pa.table({"url": urls, "caption": [f"a photo of a dog {row % 7919}" for row in range(rows)]})
    pq.write_table(table, folder / "pairs.parquet", row_group_size=rows // 4, compression="none", use_dictionary=False)
    return str(folder / "pairs.parquet")


def test_a_part_stands_for_the_whole_and_prices_make_dollars(tmp_path: Path) -> None:
    tree = config_tree(
        tmp_path, tmp_path / "pool", source={"paths": [_parquet(tmp_path, 40_000)]}, match={"languages": []}
    )
    prices = {"core_hour": 1.0, "gigabyte_month": 2.0, "thousand_requests": 3.0}
    found = estimate(parse_config({**tree, "prices": prices, "storage": "s3://no-such-bucket/pool"}), 500_000)
    assert found["measured"][0]["megabytes"] < 1
    assert found["pairs"] == pytest.approx(40_000, rel=0.1)
    dollars, stored = found["dollars"], found["stored_gigabytes"]["total"]
    assert dollars["computing"] == pytest.approx(found["core_hours"]["total"])
    assert dollars["storage_a_month"] == pytest.approx(2 * stored)
    assert dollars["requests"] == pytest.approx(3 * sum(found["requests"].values()) / 1000) != 0
    assert dollars["total"] == pytest.approx(sum(value for name, value in dollars.items() if name != "total"))
    assert not (tmp_path / "pool").exists()


@pytest.mark.parametrize(
    ("changes", "error", "told"),
    [
        ({"source": {"paths": ["/nowhere/at-all.parquet"]}}, InputError, "at-all.parquet"),
        ({"metadata": {"entries": "/nowhere/list.txt"}}, (ConfigError, InputError), "list.txt"),
    ],
)
def test_what_is_missing_is_told_in_a_line(
    crawl: Path, tmp_path: Path, changes: dict[str, Any], error: Any, told: str
) -> None:
    with pytest.raises(error, match=told):
        estimate(parse_config(config_tree(crawl, tmp_path / "pool", **changes)))


def test_a_sample_without_a_pair_is_told(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text('{"url": "", "text": "x"}\n' * 10)
    tree = config_tree(tmp_path, tmp_path / "pool", source={"paths": [str(tmp_path / "a.jsonl")]})
    with pytest.raises(InputError, match=r"a\.jsonl: no pair in its first 0\.0 MB"):
        estimate(parse_config(tree))


def test_the_command_prints_a_table(tmp_path: Path) -> None:
    from flows.cli.main import app

    _parquet(tmp_path, 4_000)
    (tmp_path / "entries.txt").write_text("dog\nphoto\n")
    (tmp_path / "c.yaml").write_text(
        f"pool: x\nstorage: {tmp_path}/pool\nsource: {{paths: [{tmp_path}/pairs.parquet]}}\n"
        f"metadata: {{entries: {tmp_path}/entries.txt}}\nmatch: {{languages: []}}\n"
    )
    shown = CliRunner().invoke(app, ["estimate", str(tmp_path / "c.yaml")], env={"COLUMNS": "80"})
    assert shown.exit_code == 0, shown.output
    assert "pairs: 4,000, 4,000 of them with an entry" in shown.output
    assert "dollars: give `prices`" in shown.output
    wrong = CliRunner().invoke(app, ["estimate", str(tmp_path / "c.yaml"), "--set", "prices.core_hour=-1"])
    assert wrong.exit_code == 2
    assert "prices.core_hour" in wrong.output
