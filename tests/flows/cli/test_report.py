"""`metaclip report` as its users run it, and what a run shows of its report in Prefect."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import html5lib
import pytest
from markdown_it import MarkdownIt
from prefect import flow, get_client
from prefect.client.schemas.filters import ArtifactFilter, ArtifactFilterKey
from typer.testing import CliRunner

from flows.cli.main import app
from metaclip.config.loading import parse_config
from metaclip.report.words import visible
from tasks.report import publish
from tests.conftest import MakeConfig, config_tree, data_files, stage_files
from tests.metaclip.report.test_job import EVIL


@pytest.fixture
def pool(finished: MakeConfig, tmp_path: Path, prefect_server: str) -> Path:
    """A copy of the finished pool's store."""
    assert Path(finished().storage) == tmp_path / "pool"
    return tmp_path / "pool"


@pytest.mark.long
def test_a_report_is_found_or_made_again_and_copied_with_its_set(pool: Path, tmp_path: Path) -> None:
    before = stage_files(pool)
    record = (pool / "pools" / "small.json").read_text()
    command = ["report", "small", "--storage", str(pool), "--json", "--to", str(tmp_path / "card"), "--with-set"]
    done = CliRunner().invoke(app, command)
    assert done.exit_code == 0, done.output
    told = json.loads(done.stdout)
    assert not told["made"]
    assert stage_files(pool) == before
    assert data_files(tmp_path / "card" / "data") == data_files(told["set"])
    page = Path(told["report"]).read_bytes()
    copied = (tmp_path / "card" / "report.html").read_bytes()
    assert b"Pool <b><bdi>small</bdi></b>, t = 20, published 20" in copied
    assert len(copied) - len(page) < 120
    # What a version without reports of this kind left.
    for stage in ("curve", "survey", "report"):
        (folder,) = pool.glob(f"{stage}-v*")
        shutil.rmtree(folder)
    command = [sys.executable, "-m", "flows", "report", "small", "--storage", str(pool), "--json"]
    made = subprocess.run(command, capture_output=True, text=True, timeout=200, env=os.environ)
    assert made.returncode == 0, made.stderr
    told = json.loads(made.stdout)
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
def test_mistakes_are_told_with_the_way_out(finished_pool: Path, arguments: list[str], message: str) -> None:
    done = CliRunner().invoke(app, ["report", "small", "--storage", str(finished_pool), "--json", *arguments])
    assert done.exit_code == 2
    assert message in json.loads(done.stdout)["message"]


def _shown(*keys: str) -> dict[str, Any]:
    """Return artifacts, asked for one by one: the server of all tests has more than one answer holds."""
    shown = {}
    with get_client(sync_client=True) as client:
        for key in keys:
            wanted = ArtifactFilter(key=ArtifactFilterKey(any_=[key]))
            (found,) = client.read_artifacts(artifact_filter=wanted, limit=1)
            shown[key] = found.data
    return shown


def test_a_run_links_its_page_and_shows_funnel_and_top_entries(finished_pool: Path, prefect_server: str) -> None:
    shown = _shown("small-report", "small-funnel", "small-top-entries")
    assert next(finished_pool.glob("report-v*/*/report.html")).exists()
    assert "report.html" in shown["small-report"]
    assert "| in the set |" in shown["small-funnel"]
    top = json.loads(shown["small-top-entries"])
    assert top[0]["count"] >= top[0]["curated"] > 0


def test_entries_in_the_table_of_a_run_are_text_and_no_markup(crawl: Path, prefect_server: str) -> None:
    config = parse_config(config_tree(crawl, Path("nowhere"), pool="a-hostile"))
    # Prefect's page takes each cell of a table for Markdown.
    content = {
        "t": "20",
        "funnel": {"files": 1, "curated": 2},
        "dropped": {"pair.balanced": 3, "page.error_<b>": 1},
        "top_entries": [{"entry": evil, "count": 1, "curated": 1} for evil in EVIL],
    }
    flow(publish)(config, "s3://bucket/a](javascript:alert(1))/report.html", content)
    shown = _shown("a-hostile-top-entries", "a-hostile-funnel")
    markdown = MarkdownIt("commonmark").enable("table")
    for row, evil in zip(json.loads(shown["a-hostile-top-entries"]), EVIL, strict=True):
        tree = html5lib.parseFragment(markdown.renderInline(row["entry"]), namespaceHTMLElements=False)
        assert list(tree) == []
        assert tree.text == visible(evil)
    tree = html5lib.parseFragment(markdown.render(shown["a-hostile-funnel"]), namespaceHTMLElements=False)
    plain = {"DOCUMENT_FRAGMENT", "h1", "h2", "table", "thead", "tbody", "tr", "th", "td"}
    assert {each.tag for each in tree.iter()} <= plain
    cells = ["".join(each.itertext()) for each in tree.iter("td")]
    unforeseen = "a page at which something unforeseen was raised: <b>"
    assert cells == ["files", "1", "in the set", "2", "a pair that balancing left out", "3", unforeseen, "1"]
