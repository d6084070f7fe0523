from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from metaclip.config.settings import Extract
from metaclip.pairs.batch import PairBatch
from metaclip.pairs.collector import BATCH_PAIRS, PairCollector
from metaclip.pairs.image_columns import Attributes
from metaclip.pairs.srcset import srcset_candidates
from metaclip.pairs.texts import clean_text

PAGE = "http://x.org/p/"


def collect(images: list[Attributes], **settings: object) -> tuple[PairBatch, Counter[str]]:
    collector = PairCollector(Extract.model_validate(settings), Counter())
    collector.add_page(PAGE, None, images)
    return collector.take() or PairBatch(), collector.statistics


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("  a\n\tdog \r\n here ", "a dog here"),
        ("hello\nworld", "hello world"),
        ("a\u00a0b\u2003c\u3000d\u2028e\x1cf\x85g", "a b c d e f g"),
        ("zero\u200bwidth\ufeff", "zero\u200bwidth\ufeff"),
        ("a\0b", "a\ufffdb"),
        ("a\ud83db \U0001f600", "a\ufffdb \U0001f600"),
        (" \n\u00a0", ""),
        ("", ""),
    ],
)
def test_clean_text(text: str, expected: str) -> None:
    assert clean_text(text) == expected


@settings(deadline=None)
@given(st.text(alphabet=st.characters(exclude_categories=[])))
def test_clean_text_is_utf8_and_idempotent(text: str) -> None:
    cleaned = clean_text(text)
    cleaned.encode()
    assert "\0" not in cleaned
    assert cleaned.split() == cleaned.split(" ") or cleaned == ""
    assert clean_text(cleaned) == cleaned


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


def test_srcset_skips_what_cannot_be_used() -> None:
    image = {"src": "", "alt": "x", "srcset": "data:image/png;base64,x 2000w, ok.jpg 100w"}
    assert collect([image])[0].urls == ["http://x.org/p/ok.jpg"]


@pytest.mark.parametrize(
    ("srcset", "expected"),
    [
        ("", []),
        (" , ,", []),
        ("a.jpg", ["a.jpg"]),
        ("a.jpg 1x, b.jpg 2x", ["b.jpg", "a.jpg"]),
        ("a.jpg, b.jpg 1.5x, c.jpg .5x", ["b.jpg", "a.jpg", "c.jpg"]),
        ("a.jpg 480w,b.jpg 1080w, c.jpg 800w", ["b.jpg", "c.jpg", "a.jpg"]),
        ("a.jpg 480w 320h, b.jpg 1080w 720h", ["b.jpg", "a.jpg"]),
        ("a,b.jpg 1x,c.jpg,", ["a,b.jpg", "c.jpg"]),
        ("a.jpg,, b.jpg", ["a.jpg", "b.jpg"]),
        ("data:image/gif;base64,R0lGOD 1x, b.jpg 2x", ["b.jpg", "data:image/gif;base64,R0lGOD"]),
        ("a.jpg 0w, b.jpg -1x, c.jpg 1x 2x, d.jpg 1w 1x, e.jpg big, f.jpg 100h, g.jpg 1x", ["g.jpg"]),
        ("a.jpg (1x, 2x), b.jpg 1x", ["b.jpg"]),
        ("a.jpg\n\t2x\n,\nb.jpg\f3x", ["b.jpg", "a.jpg"]),
        ("a.jpg 1e2x, b.jpg 99x", ["a.jpg", "b.jpg"]),
    ],
)
def test_srcset(srcset: str, expected: list[str]) -> None:
    assert srcset_candidates(srcset) == expected


@settings(deadline=None)
@given(st.text(alphabet="ab.,()x w12 \n\0-"))
def test_srcset_never_raises(srcset: str) -> None:
    for candidate in srcset_candidates(srcset):
        assert candidate in srcset


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
