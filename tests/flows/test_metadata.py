"""Building metadata as a flow and by the command: checkpointed file by file, reused by key."""

import gzip
import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

from flows.cli.main import app
from flows.curate import curate
from flows.metadata import build_metadata
from metaclip.config.loading import parse_config
from metaclip.errors import InputError
from tests.conftest import MakeConfig, config_tree
from tests.metaclip.metadata.sources import write_sources

runner = CliRunner()


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    return write_sources(tmp_path_factory.mktemp("sources"))


def _stages(summary: dict[str, Any]) -> dict[str, tuple[int, int]]:
    return {stage["stage"]: (stage["tasks"], stage["cached"]) for stage in summary["stages"]}


def _digest(summary: dict[str, Any]) -> str:
    return hashlib.sha256(Path(summary["folder"], "entries.parquet").read_bytes()).hexdigest()


@pytest.mark.slow
def test_files_are_counted_once_and_the_list_is_reused(
    make_config: MakeConfig, settings: dict[str, Any], prefect_server: str
) -> None:
    config = make_config(metadata=settings)
    first = build_metadata(config)
    assert _stages(first) == {"ngrams": (2, 0), "titles": (3, 0), "metadata": (1, 0)}
    assert first["sources"]["pairs"] == 100
    assert _stages(build_metadata(config)) == {"metadata": (1, 1)}
    changed = make_config(metadata={**settings, "pairs": {**settings["pairs"], "min_pmi": 3}})
    assert _stages(build_metadata(changed)) == {"ngrams": (2, 2), "titles": (3, 3), "metadata": (1, 0)}


@pytest.mark.long
def test_one_process_or_two_give_the_same(
    crawl: Path, tmp_path: Path, settings: dict[str, Any], prefect_server: str
) -> None:
    parts = {**settings, "bytes_per_task": 1 << 20}
    digests = {
        _digest(
            build_metadata(
                parse_config(
                    config_tree(crawl, tmp_path / str(processes), metadata=parts, execution={"processes": processes})
                )
            )
        )
        for processes in (1, 2)
    }
    assert len(digests) == 1


@pytest.mark.long
def test_a_broken_file_is_named_and_what_worked_stands(
    make_config: MakeConfig, tmp_path: Path, prefect_server: str
) -> None:
    settings = write_sources(tmp_path / "sources")
    hour = tmp_path / "sources" / "views" / "pageviews-20240101-010000.gz"
    whole = hour.read_bytes()
    hour.write_bytes(whole[:-20])
    with pytest.raises(InputError, match=r"pageviews-20240101-010000\.gz.*in the middle of its data"):
        build_metadata(make_config(metadata=settings))
    hour.write_bytes(gzip.compress(b"<html>Too many requests</html>\n"))
    with pytest.raises(InputError, match=r"pageviews-20240101-010000\.gz.*error page"):
        build_metadata(make_config(metadata=settings))
    hour.write_bytes(whole)
    assert _stages(build_metadata(make_config(metadata=settings))) == {
        "ngrams": (2, 2),
        "titles": (3, 2),
        "metadata": (1, 0),
    }


@pytest.mark.long
def test_a_pool_builds_its_metadata_first(
    make_config: MakeConfig, settings: dict[str, Any], prefect_server: str
) -> None:
    built = {**settings, "wordnet": {"use": "synsets"}}
    summary = curate(make_config(metadata=built))
    stages = _stages(summary)
    assert stages["ngrams"] == (2, 0)
    assert stages["metadata"] == (1, 0)
    assert summary["funnel"]["curated"] > 0
    again = _stages(curate(make_config(metadata=built)))
    assert "ngrams" not in again
    assert all(tasks == cached for tasks, cached in again.values())


@pytest.mark.slow
def test_the_command_builds_and_shows(tmp_path: Path, settings: dict[str, Any], prefect_server: str) -> None:
    path = tmp_path / "config.yaml"
    path.write_text(yaml.safe_dump(config_tree(tmp_path, tmp_path / "pool", metadata=settings)))
    missing = runner.invoke(app, ["metadata", "show", str(path)])
    assert missing.exit_code == 4
    assert "metaclip metadata build" in missing.stderr
    done = runner.invoke(app, ["metadata", "build", str(path)])
    assert done.exit_code == 0, done.output
    assert "paper" in done.stdout
    assert "never match under the paper's spacing: 1 " in done.stdout
    assert "titles: left out 6 malformed lines" in done.stdout
    assert "500,000" in done.stdout
    built = json.loads(runner.invoke(app, ["metadata", "build", str(path), "--json"]).stdout)
    assert _stages(built) == {"metadata": (1, 1)}
    shown = runner.invoke(app, ["metadata", "show", str(path)])
    assert "wordnet" in shown.stdout
    one = json.loads(runner.invoke(app, ["metadata", "show", str(path), "--entry", "New Zealand", "--json"]).stdout)
    assert one["source"] == "pairs"
    unknown = runner.invoke(app, ["metadata", "show", str(path), "--entry", "nope"])
    assert unknown.exit_code == 3
