"""TODO: tests/metaclip/pairs/test_collector.py."""

from collections import Counter

import pytest

from metaclip.config.settings import Extract
from metaclip.pairs.batch import PairBatch
from metaclip.pairs.collector import BATCH_PAIRS, PairCollector
from metaclip.pairs.image_columns import Attributes

PAGE = "http://x.org/p/"


def collect(images: list[Attributes], **settings: object) -> tuple[PairBatch, Counter[str]]:
    collector = PairCollector(Extract.model_validate(settings), Counter())
    collector.add_page(PAGE, None, images)
    return collector.take() or PairBatch(), collector.statistics


def test_one_pair_for_each_text_key() -> None:
    image = {"src": "a.jpg", "alt": "dog", "title": "A dog", "data-image-title": "dog-1", "class": "x"}
    batch, statistics = collect([image, {"src": "b.jpg", "title": " t "}])
    assert batch.urls == ["http://x.org/p/a.jpg"] * 3 + ["http://x.org/p/b.jpg"]
    assert batch.texts == ["dog", "A dog", "dog-1", "t"]
    assert batch.text_keys == ["alt", "title", "data-image-title", "title"]
    assert batch.page_urls == [PAGE] * 4
    assert len(batch) == 4
    assert statistics == {"pages": 1, "images": 2, "images_kept": 2, "texts": 4}


def test_text_keys_are_a_setting() -> None:
    batch, statistics = collect([{"src": "a", "alt": "x", "title": "y"}, {"src": "b", "alt": "z"}], text_keys=["title"])
    assert batch.texts == ["y"]
    assert statistics["dropped.image.no_text"] == 1


@pytest.mark.parametrize("src", ["", None, "  ", "data:image/gif;base64,R0lGODlhAQAB", "#"])
def test_lazy_attributes_stand_in_for_a_placeholder(src: str | None) -> None:
    image = {"src": src, "alt": "x", "srcset": "s.jpg", "data-src": "data:,", "data-original": "o.jpg"}
    assert collect([image])[0].urls == ["http://x.org/p/o.jpg"]
    assert collect([image], lazy_attributes=["srcset", "data-src"])[0].urls == ["http://x.org/p/s.jpg"]
    assert collect([{**image, "data-src": "d.jpg"}])[0].urls == ["http://x.org/p/d.jpg"]
    assert not collect([image], lazy_attributes=["data-src"])[0]
    assert not collect([image], lazy_attributes=[])[0]


def test_an_image_without_src_is_lazy_too() -> None:
    assert collect([{"alt": "x", "data-src": "/d.jpg"}])[0].urls == ["http://x.org/d.jpg"]


@pytest.mark.parametrize("src", ["a.jpg", "javascript:0", "http://[", "about:blank"])
def test_lazy_attributes_do_not_replace_other_addresses(src: str) -> None:
    batch, _ = collect([{"src": src, "alt": "x", "data-src": "d.jpg"}])
    assert "http://x.org/p/d.jpg" not in batch.urls


def test_every_image_is_counted_once() -> None:
    images: list[Attributes] = [
        {"src": "a.jpg", "alt": "x"},
        {"src": "a.jpg", "alt": ""},
        {"src": "a.jpg"},
        {"src": "", "alt": "x"},
        {"alt": "x", "title": "y"},
        {"src": "data:,", "alt": "x"},
        {"src": "mailto:x", "alt": "x"},
        {"src": "http://[", "alt": "x"},
        {"src": "", "alt": ""},
    ]
    batch, statistics = collect(images)
    assert batch.texts == ["x"]
    assert statistics == {
        "pages": 1,
        "images": 9,
        "images_kept": 1,
        "texts": 1,
        "dropped.image.no_text": 3,
        "dropped.image.no_address": 2,
        "dropped.image.data_address": 1,
        "dropped.image.scheme": 1,
        "dropped.image.bad_address": 1,
    }


def test_page_without_address_gives_nothing() -> None:
    collector = PairCollector(Extract(), Counter())
    collector.add_page("dns:x.org", None, [{"src": "http://x.org/a.jpg", "alt": "x"}])
    assert collector.take() is None
    assert collector.statistics == {"dropped.page.no_address": 1}


def test_a_page_that_raises_leaves_no_trace() -> None:
    collector = PairCollector(Extract(), Counter())
    with pytest.raises(AttributeError):
        collector.add_page(PAGE, None, [{"src": "a", "alt": "x"}, {"src": "b", "alt": 5}])  # type: ignore[dict-item]
    assert collector.take() is None
    assert not +collector.statistics


def test_batches_are_full_and_pages_whole() -> None:
    collector = PairCollector(Extract(), Counter())
    page: list[Attributes] = [{"src": f"{i}.jpg", "alt": "x"} for i in range(BATCH_PAIRS - 1)]
    collector.add_page(PAGE, None, page)
    assert collector.take_full() is None
    collector.add_page(PAGE, None, page)
    full = collector.take_full()
    assert full is not None
    assert len(full) == 2 * (BATCH_PAIRS - 1)
    assert {len(column) for column in (full.urls, full.texts, full.text_keys, full.page_urls)} == {len(full)}
    assert collector.take() is None
