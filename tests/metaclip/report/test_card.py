"""The data card states what the run knows, and says what it does not know."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from metaclip.config.settings import Config
from metaclip.explore.pool import FinishedPool
from metaclip.report.card import size_category
from tests.pools import make_pool

OF_PAGES = ("web page", "noai", "opt out", "data-image-title", "Common Crawl", "attribute ", "attributes ")
"""What only somebody who read pages can state."""


def read(config: Config) -> tuple[str, str, dict[str, Any]]:
    """Return the card, the text of the report's page, and `report.json`."""
    pool = FinishedPool.open(config.storage, config.pool)
    folder = Path(pool.store.path(pool.one("report").folder))
    page = re.sub(r"<(style|script)>.*?</\\1>", "", (folder / "report.html").read_text(), flags=re.S)
    return (folder / "README.md").read_text(), page, json.loads((folder / "report.json").read_text())


def write_pairs(path: Path, rows: int = 60) -> Path:
    lines = [{"url": f"https://a.example/{row}.jpg", "text": f"a red house {row}"} for row in range(rows)]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path


@pytest.fixture(scope="module")
def entries(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("entries") / "entries.json"
    path.write_text(json.dumps(["red", "house", "a"]))
    return path


@pytest.fixture(scope="module")
def of_pairs(tmp_path_factory: pytest.TempPathFactory, entries: Path) -> Config:
    folder = tmp_path_factory.mktemp("pairs")
    sources = [{"name": "Some | pairs", "licence": "CC-BY-4.0"}, {"name": "A list", "address": "https://l.example"}]
    return make_pool(
        folder,
        folder / "pool",
        source={"paths": [str(write_pairs(folder / "a.jsonl"))]},
        metadata={"entries": str(entries)},
        card={"sources": sources},
    )


def test_of_pairs_nothing_is_stated_that_only_pages_tell(of_pairs: Config) -> None:
    card, page, content = read(of_pairs)
    for stated in OF_PAGES:
        known = card.replace("the pages that they", "").replace("attribute of the image, or", "")
        known = known.replace("opt-outs of these pages", "")
        assert stated not in known, stated
    assert "WordNet" not in card
    assert "Wikipedia" not in card
    assert "taken from files of pairs" in card
    assert "does not know" in card
    assert "alt, title" not in page
    assert "left out" not in page[page.index('id="settings"') :]
    assert "nothing is known of opt-outs" in page
    assert "pages" not in content["funnel"]
    assert content["input"]["pairs"] is True
    assert content["input"]["pages"] is False


def test_a_user_can_state_the_sources(of_pairs: Config) -> None:
    card, _, _ = read(of_pairs)
    assert "- Source, as stated by the publisher: Some \\| pairs; licence or terms: CC\\-BY\\-4\\.0." in card
    assert "- Source, as stated by the publisher: A list, https\\:\\/\\/l\\.example." in card


@pytest.mark.slow
def test_of_pages_it_is_said_what_was_done_with_opt_outs(crawl: Path, tmp_path: Path) -> None:
    card, page, content = read(make_pool(crawl, tmp_path / "pool"))
    assert "taken from web pages and balanced" in card
    assert "says `noai` or `noimageai` were left out" in card
    assert "the names of the files" in card  # no path of Common Crawl
    assert "files of pairs" not in card.replace("or the field of the file of pairs", "")
    assert "Pages that opt out (noai, noimageai): left out" in page
    assert content["funnel"]["pages"] > 0


@pytest.mark.slow
def test_a_pool_of_both_states_each_of_its_own(crawl: Path, entries: Path, tmp_path: Path) -> None:
    paths = [str(crawl / "demo.paths"), str(write_pairs(tmp_path / "b.jsonl"))]
    metadata = {"entries": str(entries)}
    card, page, _ = read(make_pool(crawl, tmp_path / "pool", source={"paths": paths}, metadata=metadata))
    assert "taken from web pages and files of pairs that were gathered before and balanced" in card
    assert "Some pairs were read from files" in card
    assert "Texts of pages are the attributes" in card
    assert "nothing is known of opt-outs" in page


@pytest.mark.parametrize(
    ("pairs", "category"),
    [(0, "n<1K"), (999, "n<1K"), (1000, "1K<n<10K"), (2_500_000_000, "1B<n<10B"), (10**13, "n>1T")],
)
def test_size_categories(pairs: int, category: str) -> None:
    assert size_category(pairs) == category
