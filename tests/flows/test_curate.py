"""The whole chain on the small crawl, under a real Prefect server."""

import json
import math
import time
from collections import Counter
from datetime import timedelta
from itertools import cycle
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from prefect import get_client
from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterName

from flows import subflows as parts
from flows.curate import curate
from flows.match import match_all_shards
from flows.rebalance import rebalance
from metaclip.config.loading import parse_config
from metaclip.config.settings import Config
from metaclip.errors import ConfigError, InputError, StageError
from metaclip.matching.definition import contains
from metaclip.pool.gc import collect
from metaclip.pool.status import pool_status
from metaclip.schemas import BALANCED, CURATED
from metaclip.store.manifest import Reference
from metaclip.store.store import Store
from tests.conftest import MakeConfig, config_tree, data_files, stage_files

pytestmark = pytest.mark.usefixtures("prefect_server")


STAGES = [
    *("metadata", "source", "extract", "match", "partition", "dedup", "count", "balance", "curate"),
    *("near", "curve", "survey", "report"),
]


def _computed(summary: dict[str, Any]) -> set[str]:
    return {stage["stage"] for stage in summary["stages"] if stage["cached"] < stage["tasks"]}


def _curated(summary: dict[str, Any]) -> pa.Table:
    return pq.read_table(sorted(Path(summary["curated"]).glob("*.parquet")))


def _record(config: Config) -> dict[str, Any]:
    record: dict[str, Any] = json.loads(Path(config.storage, "pools", f"{config.pool}.json").read_text())
    return record


@pytest.mark.slow
def test_a_pool_from_pages_to_a_balanced_set(make_config: MakeConfig) -> None:
    config = make_config()
    summary = curate(config)
    funnel = summary["funnel"]
    cost = summary["cost"]
    written = sum(path.stat().st_size for path in Path(config.storage).rglob("*") if path.is_file())
    assert cost["bytes_written"] >= 0.9 * written
    assert cost["bytes_read"] >= funnel["bytes_read"]
    assert cost["core_seconds"] > 0
    assert cost["requests"] == 0  # everything is in folders
    assert "dollars" not in cost
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


def test_entry_ids_counts_and_min_t_are_those_of_the_definition(finished: MakeConfig) -> None:
    config = finished()
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


@pytest.mark.long
def test_a_second_run_computes_nothing(finished: MakeConfig) -> None:
    config = finished(pool="twice")
    before = stage_files(Path(config.storage))
    summary = curate(config)
    assert _computed(summary) == set()
    assert stage_files(Path(config.storage)) == before

    with get_client(sync_client=True) as client:
        by_name = FlowRunFilter(name=FlowRunFilterName(like_="twice"))
        runs = client.read_flow_runs(flow_run_filter=by_name)
        assert [run.name for run in runs] == ["twice"]
        # One task for all shards, and one for each other task but those of `survey`, which are found by one as well,
        # and those of `near`: one look for its shards, and one for the sum.
        # Runs are recorded a moment after they end.
        tasks_of = {stage["stage"]: stage["tasks"] for stage in summary["stages"]}
        assert tasks_of.pop("extract") == tasks_of.pop("match") == 6
        expected = 1 + sum(tasks_of.values()) - tasks_of["survey"] + 1 - tasks_of["near"] + 2
        deadline = time.monotonic() + 30
        states: list[tuple[str, str | None]] = []
        while len(states) < expected and time.monotonic() < deadline:
            tasks = client.read_task_runs(flow_run_filter=by_name)
            states = [(task.name.split()[0].rstrip(":"), task.state_name) for task in tasks]
            states = [state for state in states if state[1] not in ("Pending", "Running")]
            time.sleep(0.2)
    assert len(states) == expected
    assert {state for _, state in states} == {"Cached"}
    assert {stage for stage, _ in states} == {"look", *STAGES} - {"extract", "match"}


@pytest.mark.slow
def test_another_t_redoes_only_curate_and_is_nested(finished: MakeConfig) -> None:
    small = curate(finished())
    large = curate(finished(balance__t=50))
    assert _computed(large) == {"curate", "survey", "report"}
    kept = set(_curated(small).column("uid").to_pylist())
    assert kept < set(_curated(large).column("uid").to_pylist())
    assert sorted(_record(finished())["stages"]["curate"]) == ["20", "50"]


@pytest.mark.slow
def test_other_entries_do_not_read_the_crawl_again(finished: MakeConfig, tmp_path: Path) -> None:
    other = tmp_path / "entries.txt"
    other.write_text("photo\nimage\nred\n")
    summary = curate(finished(metadata__entries=str(other)))
    assert "extract" not in _computed(summary)
    assert {"metadata", "match", "dedup", "count", "balance", "curate"} <= _computed(summary)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("changes", "redone"),
    [
        ({"match__languages": ["en", "de"]}, "match"),
        ({"dedup__rows_per_partition": 700}, "partition"),
        ({"balance__seed": 7}, "balance"),
        ({"curate__rows_per_file": 100}, "curate"),
    ],
)
def test_a_changed_setting_redoes_what_depends_on_it(
    finished: MakeConfig, changes: dict[str, Any], redone: str
) -> None:
    computed = _computed(curate(finished(**changes)))
    assert min(computed, key=STAGES.index) == redone


@pytest.mark.slow
@pytest.mark.parametrize(
    "changes",
    [
        {"execution__processes": 1},
        pytest.param({"source__files_per_shard": 3}, marks=pytest.mark.long),
        pytest.param({"source__files_per_shard": 6}, marks=pytest.mark.long),
    ],
)
def test_bytes_of_the_set_depend_on_neither_processes_nor_shards(
    make_config: MakeConfig, tmp_path: Path, partitioned: dict[str, bytes], changes: dict[str, Any]
) -> None:
    files = data_files(curate(make_config(**PARTITIONED, **changes))["curated"])
    assert files == partitioned
    assert all(pq.ParquetFile(pa.BufferReader(content)).metadata.num_rows <= 150 for content in files.values())


PARTITIONED = {"dedup__rows_per_partition": 1500, "curate__rows_per_file": 150}


@pytest.fixture(scope="module")
def partitioned(crawl: Path, tmp_path_factory: pytest.TempPathFactory, prefect_server: str) -> dict[str, bytes]:
    """The set of the small crawl in several partitions and many files, of two processes, a file to a shard."""
    storage = tmp_path_factory.mktemp("partitioned")
    files = data_files(curate(parse_config(config_tree(crawl, storage, **PARTITIONED)))["curated"])
    assert len({name.split("-")[1] for name in files}) >= 3
    assert len(files) >= 10
    return files


@pytest.mark.long
def test_shards_of_a_large_pool_are_gathered_first(
    make_config: MakeConfig, crawl: Path, partitioned: dict[str, bytes]
) -> None:
    files = [str(path) for path in sorted(crawl.glob("*/*.gz"))]
    settings = {"pool": "gathered", "dedup__shards_per_group": 2, **PARTITIONED}
    assert _tasks(curate(make_config(source={"paths": files[:4]}, **settings)), "gather") == (2, 0)
    config = make_config(source={"paths": files}, **settings)
    summary = curate(config)
    assert data_files(summary["curated"]) == partitioned
    assert _tasks(summary, "gather") == (3, 2)  # whole groups stand when shards join the pool
    report = json.loads(Path(summary["report"]).read_text())
    assert (
        report["duplicates"]["repeats_over_the_pool"] == summary["funnel"]["matched"] - summary["funnel"]["unique"] > 0
    )

    assert not _computed(rebalance(config.pool, config.storage, 20))
    assert len(_record(config)["stages"]["gather"]) == 3
    collected = collect(config.storage, grace=timedelta(), dry_run=True)
    kept, removed = ({one["stage"]: one["outputs"] for one in collected[name]} for name in ("kept", "removed"))
    assert kept["gather-v2"] == 3
    assert "gather-v2" not in removed


def _tasks(summary: dict[str, Any], stage: str) -> tuple[int, int]:
    """Return how many tasks a stage had, and how many of them found their output."""
    (found,) = [one for one in summary["stages"] if one["stage"] == stage]
    return found["tasks"], found["cached"]


@pytest.mark.long
def test_many_partitions_are_done_in_runs_of_a_few(
    make_config: MakeConfig, partitioned: dict[str, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parts, "DIRECT", 1)
    monkeypatch.setattr(parts, "TASKS_A_RUN", 2)
    config = make_config(pool="parts", **PARTITIONED)
    summary = curate(config)
    assert data_files(summary["curated"]) == partitioned
    partitions = next(stage["tasks"] for stage in summary["stages"] if stage["stage"] == "dedup")
    assert partitions >= 3
    with get_client(sync_client=True) as client:
        runs = client.read_flow_runs(flow_run_filter=FlowRunFilter(name=FlowRunFilterName(like_="parts dedup")))
    starts = range(0, partitions, 2)
    assert {run.name for run in runs} == {f"parts dedup {n} to {min(n + 2, partitions)}" for n in starts}
    (told,) = pool_status(config.storage, "parts")["runs"]
    (dedup,) = [stage for stage in told["stages"] if stage["stage"] == "dedup"]
    assert (dedup["done"], dedup["total"]) == (partitions, partitions)


def test_partitions_do_not_change_which_pairs_are_kept(finished_pool: Path, partitioned: dict[str, bytes]) -> None:
    whole = pq.read_table(sorted(finished_pool.glob("curate-v*/*/*.parquet")))
    parts = pa.concat_tables(pq.read_table(pa.BufferReader(content)) for content in partitioned.values())
    assert whole.sort_by("uid").equals(parts.sort_by("uid"))


@pytest.mark.slow
def test_the_order_of_the_source_does_not_show(make_config: MakeConfig, crawl: Path, finished_pool: Path) -> None:
    files = sorted((str(path) for path in crawl.glob("*/*.gz")), reverse=True)
    other = curate(make_config(source={"paths": files}))
    (whole,) = finished_pool.glob("curate-v*/*")
    assert data_files(other["curated"]) == data_files(whole)


@pytest.mark.slow
def test_t_of_infinity_keeps_every_matched_pair(finished: MakeConfig) -> None:
    summary = curate(finished(balance__t="inf"))
    assert summary["funnel"]["curated"] == summary["funnel"]["unique"]
    assert sorted(_record(finished())["stages"]["curate"]) == ["20", "inf"]


@pytest.mark.slow
def test_rebalance_starts_from_the_finished_pool(finished: MakeConfig) -> None:
    config = finished()
    with pytest.raises(ConfigError, match=r"no finished pool 'other' .* there: small"):
        rebalance("other", config.storage, 50)
    summary = rebalance("small", config.storage, 50)
    assert _computed(summary) == {"curate", "survey", "report"}
    assert _computed(curate(finished(balance__t=50))) == set()
    other = rebalance("small", config.storage, 50, seed=3)
    assert _computed(other) == {"balance", "curate", "curve", "survey", "report"}
    assert data_files(other["curated"]) != data_files(summary["curated"])


@pytest.mark.long
def test_rebalance_takes_a_size_or_a_tail_share_for_t(finished: MakeConfig) -> None:
    storage = finished().storage
    matched = curate(finished(balance__t="inf"))["funnel"]["unique"]
    for wanted in (1, matched // 2, matched):
        summary = rebalance("small", storage, target_pairs=wanted)
        # Each t keeps what it must, so a size is met to the pair unless several share one min_t.
        assert wanted <= summary["funnel"]["curated"] <= wanted + (matched - wanted) // 20
        least = rebalance("small", storage, math.nextafter(float(summary["t"]), 0))["funnel"]["curated"]
        assert least < wanted
    summary = rebalance("small", storage, tail_share=0.25)
    assert summary["entries"]["tail_share"] >= 0.25
    assert rebalance("small", storage, float(summary["t"]) - 1)["entries"]["tail_share"] < 0.25
    with pytest.raises(ConfigError, match=f"the pool has {matched:,}"):
        rebalance("small", storage, target_pairs=matched + 1)
    for wrong in ({}, {"t": 50, "tail_share": 0.5}):
        with pytest.raises(ConfigError, match="exactly one of t, target_pairs and tail_share"):
            rebalance("small", storage, **wrong)


@pytest.mark.slow
def test_many_shards_are_done_in_runs_of_a_few(make_config: MakeConfig, finished_pool: Path) -> None:
    summary = curate(make_config(execution={"processes": 2, "shards_per_run": 4}))
    assert [stage["tasks"] for stage in summary["stages"] if stage["stage"] in ("extract", "match")] == [6, 6]
    (whole,) = finished_pool.glob("curate-v*/*")
    assert data_files(summary["curated"]) == data_files(whole)
    with pytest.raises(ConfigError, match="shards_per_run"):
        match_all_shards(make_config(execution__shards_per_run=1), "", 501, Reference("", "", 0), "match")


@pytest.mark.long
def test_the_store_alone_tells_of_runs(make_config: MakeConfig, tmp_path: Path) -> None:
    (tmp_path / "rubbish.warc.gz").write_text("<html>503 Slow down</html>")
    paths = [*make_config().source.paths, str(tmp_path / "rubbish.warc.gz")]
    config = make_config(source={"paths": paths}, extract__max_failed_files=0)
    with pytest.raises(StageError):
        curate(config)
    status = pool_status(config.storage, "small")
    assert not status["finished"]
    (run,) = status["runs"]
    assert (run["flow"], run["state"]) == ("curate", "failed")
    assert "extract.max_failed_files" in run["message"]
    (extract,) = [stage for stage in run["stages"] if stage["stage"] == "extract"]
    assert (extract["total"], extract["done"], extract["failed"]) == (7, 7, 0)
    assert extract["rows_per_second"] > 0
    # What a killed run leaves: a file that says `running`, and no more signs.
    (file,) = (tmp_path / "pool" / "runs" / "small").glob("*.json")
    lost = json.loads(file.read_text()) | {"state": "running", "updated": "2026-01-01T00:00:00Z"}
    file.write_text(json.dumps(lost))
    assert [run["state"] for run in pool_status(config.storage, "small")["runs"]] == ["lost"]
    curate(make_config())
    status = pool_status(config.storage, "small")
    assert status["finished"]
    assert [run["state"] for run in status["runs"]] == ["lost", "completed"]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("stage", "damage"),
    [*zip(STAGES, cycle(["delete", "truncate", "replace"]), strict=False), ("extract", "delete"), ("curate", "delete")],
)
def test_damage_under_a_standing_manifest_is_mended(finished: MakeConfig, stage: str, damage: str) -> None:
    config = finished(execution={"processes": 2, "verify": "full" if damage == "replace" else "size"})
    root = Path(config.storage)
    files = (path for path in root.glob(f"{stage}-v*/*/*") if "manifest" not in path.name)
    path = max(files, key=lambda path: path.stat().st_size)
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


@pytest.mark.long
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


@pytest.mark.slow
def test_a_crawl_file_replaced_by_another_is_refused(make_config: MakeConfig, tmp_path: Path, crawl: Path) -> None:
    path = tmp_path / "mine.warc.gz"
    path.write_bytes((crawl / "warc" / "demo-00000.warc.gz").read_bytes())
    config = make_config(source={"paths": [str(path)]})
    curate(config)
    path.write_bytes((crawl / "warc" / "demo-00001.warc.gz").read_bytes())
    with pytest.raises(InputError, match="known by their path"):
        curate(config)


@pytest.mark.slow
def test_a_pool_in_which_nothing_matches(finished: MakeConfig, tmp_path: Path) -> None:
    other = tmp_path / "entries.txt"
    other.write_text("no such entry anywhere\n")
    summary = curate(finished(metadata__entries=str(other)))
    assert summary["funnel"]["curated"] == 0
    assert summary["funnel"]["kept_by_language"] > 0


@pytest.mark.slow
@pytest.mark.parametrize("until", ["metadata", "extract", "dedup", "curate"])
def test_until_stops_after_a_stage(make_config: MakeConfig, until: Any) -> None:
    summary = curate(make_config(), until=until)
    done = [stage["stage"] for stage in summary["stages"]]
    assert until in done
    assert all(STAGES.index(stage) <= STAGES.index(until) for stage in done)
    assert not Path(summary["storage"], "pools").exists()
