"""`metaclip gc` and `metaclip doctor`, as their users run them."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from prefect.settings import PREFECT_API_URL, temporary_settings
from typer.testing import CliRunner, Result

from flows.cli import prefect_check
from flows.cli.main import app
from metaclip.pool.status import pool_status
from metaclip.prepare import doctor
from metaclip.stages.match import MatchJob
from tests.conftest import config_tree
from tests.s3 import free_ports


@pytest.fixture
def no_prefect_api() -> Iterator[None]:
    """Hide the server that other tests may have started."""
    with temporary_settings(restore_defaults={PREFECT_API_URL}):
        yield


def _metaclip(*arguments: str | Path) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def _checks(result: Result) -> dict[str, dict[str, Any]]:
    checks: list[dict[str, Any]] = json.loads(result.stdout)["checks"]
    return {check["check"]: check for check in reversed(checks)}


def test_a_pool_is_whole_after_gc(finished_pool: Path, tmp_path: Path) -> None:
    root = tmp_path / "pool"
    shutil.copytree(finished_pool, root)
    orphan = root / f"match-v{MatchJob.VERSION}" / ("0" * 32)
    shutil.copytree(next(root.glob("match-v*/*")), orphan)
    young = _metaclip("gc", "--storage", root)
    assert young.exit_code == 0, young.output
    assert "nothing to remove" in young.stdout
    assert "1 others are younger than 24h" in young.stdout
    tried = _metaclip("gc", "--storage", root, "--grace", "0", "--dry-run")
    assert tried.exit_code == 0
    assert "would go from" in tried.stdout
    assert orphan.exists()
    done = _metaclip("gc", "--storage", root, "--grace", "0", "--json")
    assert done.exit_code == 0
    removed = json.loads(done.stdout)["removed"]
    assert [(each["stage"], each["outputs"]) for each in removed] == [(orphan.parent.name, 1)]
    assert not orphan.exists()
    status = pool_status(str(root), "small", "full")
    assert (status["finished"], status["missing"]) == (True, 0)


def test_gc_says_where_no_store_is(tmp_path: Path) -> None:
    done = _metaclip("gc", "--storage", tmp_path / "mistyped")
    assert done.exit_code == 0
    assert "mistyped holds no outputs at all: is this the root of the store?" in done.stdout


def test_gc_refuses_what_it_cannot_read(tmp_path: Path) -> None:
    (tmp_path / "pools").mkdir()
    (tmp_path / "pools" / "mine.json").write_text("{")
    refused = _metaclip("gc", "--storage", tmp_path, "--json")
    assert refused.exit_code == 4
    assert "mine.json" in json.loads(refused.stdout)["message"]
    assert _metaclip("gc", "--storage", tmp_path, "--grace", "soon").exit_code == 2


def test_doctor_finds_nothing_wrong(crawl: Path, tmp_path: Path, no_prefect_api: None) -> None:
    config = tmp_path / "c.yaml"
    config.write_text(yaml.safe_dump(config_tree(crawl, tmp_path / "pool")))
    result = _metaclip("doctor", config, "--json")
    assert result.exit_code == 0, result.stdout
    checks = _checks(result)
    assert {check["state"] for check in checks.values()} <= {"ok", "warn"}
    assert {"python", "libraries", "language model", "storage", "disk space", "configuration", "prefect"} <= set(checks)
    assert "6 files in 6 shards" in json.loads(result.stdout)["checks"][-2]["message"]
    # What was written to try the store is gone.
    assert [path.name for path in (tmp_path / "pool").iterdir()] == ["layout.json"]


@pytest.mark.slow
def test_doctor_on_s3(bucket: str, monkeypatch: pytest.MonkeyPatch) -> None:
    result = _metaclip("doctor", "--storage", f"{bucket}/base", "--json")
    assert result.exit_code == 0, result.stdout
    assert "32 MB in parts" in _checks(result)["storage"]["message"]
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wrong")
    result = _metaclip("doctor", "--storage", f"{bucket}/base")
    assert result.exit_code == 4
    assert "check AWS_SECRET_ACCESS_KEY" in result.stdout


@pytest.mark.parametrize(
    ("changes", "code", "message"),
    [
        ({"metadata__entries": "nowhere.json"}, 2, "nowhere.json"),
        ({"source__paths": ["nowhere.warc.gz"]}, 3, "nowhere.warc.gz"),
        ({"colour": "red"}, 2, "colour"),
        ({"storage": "/proc/nowhere"}, 4, "/proc/nowhere"),
        ({"extract__language_model": "nowhere.ftz"}, 2, "nowhere.ftz"),
        ({"execution__deployment": "a/b"}, 2, "set PREFECT_API_URL"),
    ],
)
def test_doctor_names_what_is_wrong(
    crawl: Path, tmp_path: Path, no_prefect_api: None, changes: Any, code: int, message: str
) -> None:
    config = tmp_path / "c.yaml"
    config.write_text(yaml.safe_dump(config_tree(crawl, tmp_path / "pool", **changes)))
    result = _metaclip("doctor", config)
    assert result.exit_code == code, result.stdout
    assert message in result.stdout
    assert "fail " in result.stdout


def test_doctor_looks_at_the_prefect_api(prefect_server: str) -> None:
    found = {finding.check: finding for finding in prefect_check.prefect_api(None)}
    assert (found["prefect"].state, found["deployments"].state) == ("ok", "warn")
    assert "deploy --all" in found["deployments"].mend


@pytest.mark.slow
def test_doctor_without_an_answer_of_the_prefect_api() -> None:
    with temporary_settings({PREFECT_API_URL: f"http://127.0.0.1:{free_ports(1)[0]}/api"}):
        (found,) = prefect_check.prefect_api(None)
    assert found.state == "fail"
    assert "prefect server start" in found.mend


def test_versions_that_do_not_fit_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    installed = {"prefect": "3.9.0", "fastapi": "0.155.0"}
    real = doctor.version
    monkeypatch.setattr(doctor, "version", lambda name: installed.get(name) or real(name))
    found = [finding for finding in doctor.versions() if finding.state != "ok"]
    assert sorted((finding.state, finding.message.split()[0]) for finding in found) == [
        ("fail", "fastapi"),
        ("fail", "prefect"),
    ]
    assert all(finding.mend.startswith("pip install") for finding in found)


def test_a_full_disk_and_a_cache_that_cannot_be_written(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(doctor, "NO_BYTES", 1 << 60)
    assert [finding.state for finding in doctor.disk_space(str(tmp_path))] == ["fail", "fail"]
    monkeypatch.setenv("NUMBA_CACHE_DIR", "/proc/none/such")
    assert [finding.state for finding in doctor.numba_cache()] == ["warn"]
