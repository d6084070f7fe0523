"""`metaclip report` as its users run it, and what a run shows of its report in Prefect."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from prefect import get_client

from tests.conftest import MakeConfig, data_files, stage_files


def _report(storage: Path, *arguments: str | Path) -> tuple[int, Any, str]:
    command = [sys.executable, "-m", "flows", "report", "small", "--storage", storage, "--json", *arguments]
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, timeout=200, env=os.environ)
    return done.returncode, json.loads(done.stdout), done.stderr


@pytest.fixture
def pool(finished: MakeConfig, tmp_path: Path, prefect_server: str) -> Path:
    """A copy of the finished pool's store."""
    assert Path(finished().storage) == tmp_path / "pool"
    return tmp_path / "pool"


def test_a_report_is_found_or_made_again_and_copied_with_its_set(pool: Path, tmp_path: Path) -> None:
    before = stage_files(pool)
    record = (pool / "pools" / "small.json").read_text()
    code, told, errors = _report(pool, "--to", tmp_path / "card", "--with-set")
    assert code == 0, errors
    assert not told["made"]
    assert stage_files(pool) == before
    assert data_files(tmp_path / "card" / "data") == data_files(told["set"])
    page = (tmp_path / "card" / "report.html").read_bytes()
    assert page == Path(told["report"]).read_bytes()
    # What a version without reports of this kind left.
    for stage in ("curve", "survey", "report"):
        (folder,) = pool.glob(f"{stage}-v*")
        shutil.rmtree(folder)
    code, told, errors = _report(pool)
    assert code == 0, errors
    assert told["made"]
    assert Path(told["report"]).read_bytes() == page
    assert (pool / "pools" / "small.json").read_text() == record


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--t", "33"], "no set at t = 33; there: 20."),
        (["--with-set"], "name the folder to copy to with --to"),
        (["--t", "-1"], "--t -1"),
    ],
)
def test_mistakes_are_told_with_the_way_out(pool: Path, arguments: list[str], message: str) -> None:
    code, told, _ = _report(pool, *arguments)
    assert code == 2
    assert message in told["message"]


def test_a_run_links_its_page_and_shows_funnel_and_top_entries(finished_pool: Path, prefect_server: str) -> None:
    with get_client(sync_client=True) as client:
        shown = {each.key: each.data for each in client.read_artifacts(limit=200)}
    assert next(finished_pool.glob("report-v*/*/report.html")).exists()
    assert "report.html" in shown["small-report"]
    assert "| curated |" in shown["small-funnel"]
    top = json.loads(shown["small-top-entries"])
    assert top[0]["count"] >= top[0]["curated"] > 0
