"""The main job on real crawl files with half a million entries."""

from pathlib import Path
from typing import Any

import pytest

from flows.curate import curate
from metaclip.config.loading import parse_config
from tests.conftest import data_files
from tests.shared import shared_data

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("prefect_server")]


@pytest.mark.parametrize(("kind", "pages"), [("wat", 1285), pytest.param("warc", 1285, marks=pytest.mark.long)])
def test_real_shards_with_half_a_million_entries(tmp_path: Path, kind: str, pages: int) -> None:
    tree: dict[str, Any] = {
        "pool": kind,
        "storage": str(tmp_path / "pool"),
        "source": {"paths": [str(shared_data("crawl", kind))]},
        "metadata": {"entries": str(shared_data("metadata", "standin_500k.json.gz"))},
        "balance": {"t": 20},
        "execution": {"processes": 2},
    }
    summary = curate(parse_config(tree))
    funnel = summary["funnel"]
    assert (funnel["files"], funnel["failed_files"], funnel["pages"]) == (6, 0, pages)
    assert 10_000 < funnel["pairs"] <= funnel["texts"] <= 2 * funnel["images"]
    assert 1_500 < funnel["curated"] < funnel["unique"] <= funnel["matched"] < funnel["kept_by_language"]
    assert summary["entries"]["entries"] == 499_999

    tree["storage"], tree["source"]["files_per_shard"] = str(tmp_path / "other"), 3
    assert data_files(curate(parse_config(tree))["curated"]) == data_files(summary["curated"])


def test_real_pairs_without_a_crawl(tmp_path: Path) -> None:
    tree = {
        "pool": "captions",
        "storage": str(tmp_path / "pool"),
        "source": {"paths": [str(shared_data("captions", "web_alt_texts_10k.parquet"))]},
        "metadata": {"entries": str(shared_data("metadata", "standin_500k.json.gz"))},
        "balance": {"t": 20},
        "execution": {"processes": 2},
    }
    funnel = curate(parse_config(tree))["funnel"]
    assert funnel["records"] == 10_000
    assert 0 < funnel["curated"] < funnel["unique"]
