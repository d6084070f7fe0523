"""Metrics of runs, from the store alone; the dashboard and the alerts ask for nothing else."""

import json
import os
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client import generate_latest
from prometheus_client.parser import text_string_to_metric_families

from metaclip.pool.metrics import STATES, RunMetrics
from metaclip.pool.run_log import run_log
from metaclip.processes.meter import Cost
from metaclip.store.store import Store
from tests.examples import ROOT

DASHBOARD = json.loads((ROOT / "deploy/grafana-dashboard.json").read_text())
ALERTS = yaml.safe_load((ROOT / "deploy/prometheus-alerts.yaml").read_text())


def _samples(metrics: RunMetrics) -> dict[str, float]:
    """Return what Prometheus reads: each sample by its name and its labels."""
    found = {}
    for family in text_string_to_metric_families(generate_latest(metrics.registry).decode()):
        for sample in family.samples:
            labels = ",".join(f"{name}={value}" for name, value in sorted(sample.labels.items()))
            found[f"{sample.name}{{{labels}}}"] = sample.value
    return found


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """A store with a run that is at work, and one run on a worker that it has."""
    return Store(str(tmp_path / "store"))


def test_a_run_at_work(store: Store) -> None:
    metrics = RunMetrics(store.root)
    with run_log(store, "pool", "a1", "curate") as log, run_log(store, "pool", "b1", "match-shards", parent="a1"):
        log.begin("extract", 10)
        log.count("extract", done=2, cached=2)
        log.count("extract", done=3, rows=600, seconds=30.0)
        log.spend("extract", Cost(core_seconds=25.0, bytes_read=3_000_000, requests=7))
        log.count("extract", failed=1)
        log.fail("extract x: gone", "TransportError")
        log.tell_failed_files({"not_found": 4})
        log.write()
        found = _samples(metrics)
        run, stage = "flow=curate,pool=pool", "flow=curate,pool=pool,stage=extract"
        assert found[f"metaclip_store_up{{storage={store.root}}}"] == 1
        assert found[f"metaclip_run_state{{{run},state=running}}"] == 1
        assert found[f"metaclip_run_state{{{run},state=lost}}"] == 0
        assert found[f"metaclip_run_on_workers{{{run}}}"] == 1
        assert found[f"metaclip_run_core_seconds_total{{{run}}}"] >= 25
        assert found[f"metaclip_run_requests_total{{{run}}}"] == 7
        assert found[f"metaclip_run_failed_outputs_total{{{run},reason=TransportError}}"] == 1
        assert found[f"metaclip_run_failed_files_total{{{run},reason=not_found}}"] == 4
        assert found[f"metaclip_stage_outputs_expected{{{stage}}}"] == 10
        outcomes = ("flow=curate,outcome=" + name + ",pool=pool,stage=extract" for name in ("made", "found", "failed"))
        assert [found[f"metaclip_stage_outputs_total{{{labels}}}"] for labels in outcomes] == [3, 2, 1]
        assert found[f"metaclip_stage_pairs_total{{{stage}}}"] == 600
        assert found[f"metaclip_stage_read_bytes_total{{{stage}}}"] == 3_000_000
        assert found[f"metaclip_stage_read_megabytes_per_second{{{stage}}}"] > 0
        assert found[f"metaclip_stage_worker_seconds_total{{{stage}}}"] == 30
        assert found[f"metaclip_stage_left_seconds{{{stage}}}"] >= 0
        assert not [name for name in found if "match-shards" in name]
    ended = _samples(metrics)
    assert ended[f"metaclip_run_state{{{run},state=completed}}"] == 1
    assert ended[f"metaclip_run_on_workers{{{run}}}"] == 0
    assert f"metaclip_stage_left_seconds{{{stage}}}" not in ended


def test_a_run_that_waits_and_one_that_is_lost(store: Store) -> None:
    with run_log(store, "one", "a1", "curate") as waiting, run_log(store, "two", "a2", "curate"):
        waiting.wait_for("a0")
        before = time.time() - 600
        os.utime(store.path("runs/two/a2.json"), (before, before))
        found = _samples(RunMetrics(store.root))
    assert found["metaclip_run_state{flow=curate,pool=one,state=waiting}"] == 1
    assert found["metaclip_run_state{flow=curate,pool=two,state=lost}"] == 1
    assert found["metaclip_run_state{flow=curate,pool=two,state=running}"] == 0


def test_the_newest_run_of_each_flow_is_told(store: Store) -> None:
    for run in ("z1", "a2"):  # in the order of time, not of names
        with run_log(store, "pool", run, "curate"):
            pass
    with run_log(store, "other", "b1", "rebalance"):
        pass
    found = [name for name in _samples(RunMetrics(store.root)) if name.startswith("metaclip_run_info")]
    assert [re.findall("run=(..)", name) for name in found] == [["b1"], ["a2"]]
    chosen = _samples(RunMetrics(store.root, ["other"]))
    assert {re.findall(r"pool=(\w+)", name)[0] for name in chosen if "pool=" in name} == {"other"}


def test_what_has_not_changed_is_not_read_again(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    with run_log(store, "pool", "a1", "curate"):
        pass
    metrics = RunMetrics(store.root)
    first = _samples(metrics)
    monkeypatch.setattr(Store, "read", lambda *_: pytest.fail("was read again"))
    assert _samples(metrics) == first


@pytest.mark.slow
def test_a_store_that_cannot_be_read_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", "http://127.0.0.1:9")
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    assert _samples(RunMetrics("s3://user:secret@nowhere/pool")) == {"metaclip_store_up{storage=s3://nowhere/pool}": 0}


def _expressions() -> Iterator[str]:
    for panel in DASHBOARD["panels"]:
        for target in panel["targets"]:
            yield target["expr"]
    for variable in DASHBOARD["templating"]["list"]:
        yield variable.get("definition", "")
    for group in ALERTS["groups"]:
        for rule in group["rules"]:
            yield rule["expr"]


def _known(store: Store) -> dict[str, set[str]]:
    """Return the names of all metrics that there can be, and their labels."""
    with run_log(store, "pool", "a1", "curate") as log:
        log.begin("extract", 3)
        log.count("extract", done=1, rows=1, seconds=1.0)
        log.fail("x", "InputError")
        log.tell_failed_files({"not_found": 1})
        log.write()
        families = list(text_string_to_metric_families(generate_latest(RunMetrics(store.root).registry).decode()))
    return {sample.name: set(sample.labels) for family in families for sample in family.samples}


def test_dashboard_and_alerts_ask_for_metrics_that_exist(store: Store) -> None:
    known, asked = _known(store), set()
    for expression in _expressions():
        for name, selector in re.findall(r"(metaclip_\w+)(?:\{([^}]*)\})?", expression):
            asked.add(name)
            assert name in known, expression
            assert set(re.findall(r"(\w+)\s*[=!]~?", selector)) <= known[name], expression
        legends = {label for labels in known.values() for label in labels}
        for grouped in re.findall(r"(?:by|on) \(([^)]*)\)", expression):
            assert set(grouped.replace(" ", "").split(",")) <= legends, expression
    assert asked == known.keys(), "a metric that nobody looks at"


def test_the_dashboard_is_one() -> None:
    panels: list[dict[str, Any]] = DASHBOARD["panels"]
    assert len({panel["id"] for panel in panels}) == len({panel["title"] for panel in panels}) == len(panels)
    taken: set[tuple[int, int]] = set()
    for panel in panels:
        place = panel["gridPos"]
        cells = {(place["x"] + x, place["y"] + y) for x in range(place["w"]) for y in range(place["h"])}
        assert place["x"] + place["w"] <= 24
        assert not taken & cells, panel["title"]
        taken |= cells
        assert panel["targets"]
        assert {target["datasource"]["uid"] for target in panel["targets"]} == {"${datasource}"}


def test_the_run_states_of_alerts_exist() -> None:
    asked = {state for expression in _expressions() for state in re.findall(r'state="(\w+)"', expression)}
    assert asked <= set(STATES)
