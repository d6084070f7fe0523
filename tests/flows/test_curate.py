"""The whole chain on the small crawl, under a real Prefect server."""

import json
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from prefect import get_client
from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterName

from flows.curate import curate
from flows.rebalance import rebalance
from metaclip.config import Config
from metaclip.errors import ConfigError, InputError, StageError
from metaclip.schemas import BALANCED, CURATED
from metaclip.store import Store
from metaclip.text import contains
from tests.conftest import MakeConfig, data_files, stage_files

pytestmark = pytest.mark.usefixtures("prefect_server")


def _computed(summary: dict[str, Any]) -> set[str]:
    return {stage["stage"] for stage in summary["stages"] if stage["cached"] < stage["tasks"]}


def _curated(summary: dict[str, Any]) -> pa.Table:
    return pq.read_table(sorted(Path(summary["curated"]).glob("*.parquet")))


def _record(config: Config) -> dict[str, Any]:
    record: dict[str, Any] = json.loads(Path(config.storage, "pools", f"{config.pool}.json").read_text())
    return record


def test_a_pool_from_pages_to_a_balanced_set(make_config: MakeConfig) -> None:
    config = make_config()
    summary = curate(config)
    funnel = summary["funnel"]
    assert funnel["files"] == 6
    steps = ["images", "texts", "pairs", "kept_by_language", "matched", "unique", "curated"]
    assert 0 < funnel["curated"] < funnel["unique"] < funnel["matched"] < funnel["kept_by_language"] < funnel["pairs"]
    assert all(funnel[step] > 0 for step in steps)

    curated = _curated(summary)
    assert curated.schema.equals(CURATED)
    assert curated.num_rows == funnel["curated"]
    assert set(curated.column("lang").to_pylist()) == {"en"}
    uids = curated.column("uid").to_pylist()
    assert len(set(uids)) == len(uids)
    assert all(len(uid) == 32 and uid == uid.lower() for uid in uids)
    assert np.all(curated.column("min_t").to_numpy() <= 20)
    entries = json.loads(Path(summary["report"]).read_text())["top_entries"]
    assert entries[0]["count"] > entries[0]["curated"] > 20

    record = _record(config)
    store = Store(config.storage)
    assert record["pool"] == "small"
    assert record["config"]["balance"]["t"] == 20
    for stage in ("metadata", "count", "report"):
        assert store.manifest(record["stages"][stage]).stage == stage
    for stage in ("extract", "match", "dedup", "balance"):
        assert {store.manifest(address).stage for address in record["stages"][stage]} == {stage}
    assert [store.manifest(address).rows for address in record["stages"]["curate"]["20"]] == [curated.num_rows]


def test_entry_ids_counts_and_min_t_are_those_of_the_definition(make_config: MakeConfig) -> None:
    config = make_config()
    curate(config)
    stages = _record(config)["stages"]
    root = Path(config.storage)
    entries = pq.read_table(root / stages["metadata"].replace("manifest.json", "entries.parquet"))
    names = entries.column("entry").to_pylist()
    balanced = pq.read_table(root / stages["balance"][0].replace("manifest.json", "pairs.parquet"))
    assert balanced.schema.equals(BALANCED)
    counted = Counter(entry_id for ids in balanced.column("entry_ids").to_pylist() for entry_id in ids)
    counts = pq.read_table(root / stages["count"].replace("manifest.json", "entry_counts.parquet"))
    assert {row["entry_id"]: row["count"] for row in counts.to_pylist() if row["count"]} == counted
    assert counts.num_rows == len(names)
    for row in balanced.slice(0, 40).to_pylist():
        found = [number for number, entry in enumerate(names) if contains(row["text"], entry)]
        assert row["entry_ids"] == found
        assert 0 <= row["min_t"] <= min(counted[entry_id] for entry_id in found)
    assert np.all(np.diff(balanced.column("min_t").to_numpy()) >= 0)


def test_a_second_run_computes_nothing(make_config: MakeConfig) -> None:
    config = make_config(pool="twice")
    curate(config)
    before = stage_files(Path(config.storage))
    summary = curate(config)
    assert _computed(summary) == set()
    assert stage_files(Path(config.storage)) == before

    with get_client(sync_client=True) as client:
        runs = client.read_flow_runs(flow_run_filter=FlowRunFilter(name=FlowRunFilterName(any_=["twice"])))
        newest = max(runs, key=lambda run: run.start_time or run.created)
        children = client.read_flow_runs(flow_run_filter=FlowRunFilter(name=FlowRunFilterName(like_="twice shards")))
        states = set()
        for run in (newest, max(children, key=lambda run: run.start_time or run.created)):
            states |= {task.state_name for task in client.read_task_runs() if task.flow_run_id == run.id}
    # The one task run that stands for the nested flow is not a task of ours.
    assert states - {"Completed"} == {"Cached"}


def test_another_t_redoes_only_curate_and_is_nested(make_config: MakeConfig) -> None:
    small = curate(make_config())
    large = curate(make_config(balance__t=50))
    assert _computed(large) == {"curate", "report"}
    kept = set(_curated(small).column("uid").to_pylist())
    assert kept < set(_curated(large).column("uid").to_pylist())
    assert sorted(_record(make_config())["stages"]["curate"]) == ["20", "50"]


def test_other_entries_do_not_read_the_crawl_again(make_config: MakeConfig, tmp_path: Path) -> None:
    curate(make_config())
    other = tmp_path / "entries.txt"
    other.write_text("photo\nimage\nred\n")
    summary = curate(make_config(metadata__entries=str(other)))
    assert "extract" not in _computed(summary)
    assert {"metadata", "match", "dedup", "count", "balance", "curate"} <= _computed(summary)


@pytest.mark.parametrize(
    ("changes", "redone"),
    [
        ({"match__languages": ["en", "de"]}, "match"),
        ({"dedup__rows_per_partition": 700}, "dedup"),
        ({"balance__seed": 7}, "balance"),
        ({"curate__rows_per_file": 100}, "curate"),
    ],
)
def test_a_changed_setting_redoes_what_depends_on_it(
    make_config: MakeConfig, changes: dict[str, Any], redone: str
) -> None:
    order = ["extract", "match", "dedup", "count", "balance", "curate", "report"]
    curate(make_config())
    computed = _computed(curate(make_config(**changes)))
    first = min(order.index(stage) for stage in computed if stage in order)
    assert order[first] == redone


@pytest.mark.parametrize(
    "changes",
    [{"execution__processes": 1}, {"source__files_per_shard": 3}, {"source__files_per_shard": 6}],
)
@pytest.mark.parametrize("rows_per_partition", [4_000_000, 500])
def test_bytes_of_the_set_depend_on_neither_processes_nor_shards(
    make_config: MakeConfig, tmp_path: Path, changes: dict[str, Any], rows_per_partition: int
) -> None:
    fixed: dict[str, Any] = {"dedup__rows_per_partition": rows_per_partition, "curate__rows_per_file": 150}
    one = curate(make_config(**fixed))
    other = curate(make_config(storage=str(tmp_path / "other"), **fixed, **changes))
    files = data_files(one["curated"])
    assert len(files) > (3 if rows_per_partition == 500 else 1)
    assert files == data_files(other["curated"])
    assert all(pq.ParquetFile(Path(one["curated"], name)).metadata.num_rows <= 150 for name in files)


def test_the_order_of_the_source_does_not_show(make_config: MakeConfig, crawl: Path, tmp_path: Path) -> None:
    files = sorted(str(path) for path in crawl.glob("*/*.gz"))
    one = curate(make_config(source={"paths": files}))
    other = curate(make_config(source={"paths": files[::-1]}, storage=str(tmp_path / "other")))
    assert data_files(one["curated"]) == data_files(other["curated"])


def test_t_of_infinity_keeps_every_matched_pair(make_config: MakeConfig) -> None:
    summary = curate(make_config(balance__t="inf"))
    assert summary["funnel"]["curated"] == summary["funnel"]["unique"]
    assert sorted(_record(make_config())["stages"]["curate"]) == ["inf"]


def test_rebalance_starts_from_the_finished_pool(make_config: MakeConfig) -> None:
    config = make_config()
    with pytest.raises(ConfigError, match="no finished pool 'small'"):
        rebalance("small", config.storage, 50)
    curate(config)
    summary = rebalance("small", config.storage, 50)
    assert _computed(summary) == {"curate", "report"}
    assert data_files(summary["curated"]) == data_files(curate(make_config(balance__t=50))["curated"])
    other = rebalance("small", config.storage, 50, seed=3)
    assert _computed(other) == {"balance", "curate", "report"}
    assert data_files(other["curated"]) != data_files(summary["curated"])


@pytest.mark.parametrize("damage", ["delete", "truncate", "replace"])
@pytest.mark.parametrize(
    "stage", ["metadata", "source", "extract", "match", "partition", "dedup", "count", "balance", "curate", "report"]
)
def test_damage_under_a_standing_manifest_is_mended(make_config: MakeConfig, stage: str, damage: str) -> None:
    verify = "full" if damage == "replace" else "size"
    config = make_config(execution={"processes": 2, "verify": verify})
    root = Path(config.storage)
    whole = data_files(curate(config)["curated"])
    path = max(
        (path for path in root.glob(f"{stage}-v*/*/*") if "manifest" not in path.name), key=lambda p: p.stat().st_size
    )
    content = path.read_bytes()
    match damage:
        case "delete":
            path.unlink()
        case "truncate":
            path.write_bytes(content[:-7])
        case "replace":
            path.write_bytes(bytes(byte ^ 1 for byte in content))
    summary = curate(config)
    assert _computed(summary) == {stage}
    assert path.read_bytes() == content
    assert data_files(summary["curated"]) == whole


def test_too_many_failed_files_fail_the_stage_and_are_named(
    make_config: MakeConfig, tmp_path: Path, crawl: Path
) -> None:
    rubbish = tmp_path / "rubbish.warc.gz"
    rubbish.write_text("<html>503 Slow down</html>")
    paths = [str(crawl / "demo.paths"), str(rubbish)]
    with pytest.raises(StageError, match=r"1 of 7 files .*\n.*rubbish\.warc\.gz"):
        curate(make_config(source={"paths": paths}, extract={"max_failed_files": 0.1}))
    summary = curate(make_config(source={"paths": paths}, extract={"max_failed_files": 0.2}))
    assert summary["funnel"]["failed_files"] == 1
    report = json.loads(Path(summary["report"]).read_text())
    assert [file["path"] for file in report["failed_files"]] == [str(rubbish)]


def test_a_crawl_file_replaced_by_another_is_refused(make_config: MakeConfig, tmp_path: Path, crawl: Path) -> None:
    path = tmp_path / "mine.warc.gz"
    path.write_bytes((crawl / "warc" / "demo-00000.warc.gz").read_bytes())
    config = make_config(source={"paths": [str(path)]})
    curate(config)
    path.write_bytes((crawl / "warc" / "demo-00001.warc.gz").read_bytes())
    with pytest.raises(InputError, match="known by their path"):
        curate(config)


def test_a_pool_in_which_nothing_matches(make_config: MakeConfig, tmp_path: Path) -> None:
    other = tmp_path / "entries.txt"
    other.write_text("no such entry anywhere\n")
    summary = curate(make_config(metadata__entries=str(other)))
    assert summary["funnel"]["curated"] == 0
    assert summary["funnel"]["kept_by_language"] > 0


def test_until_stops_after_a_stage(make_config: MakeConfig) -> None:
    seen = []
    for until in ("metadata", "extract", "match", "dedup", "count", "balance", "curate", "report"):
        summary = curate(make_config(), until=until)
        assert until in _computed(summary)
        seen += [stage for stage in sorted(_computed(summary)) if stage in seen]
    assert seen == []
