"""WAT and WARC of the same real pages: which pairs they agree on, and why not on the others.

docs/extraction.md ("Where WARC and WAT differ") explains the classes that are asserted here.
"""

import json
from collections import Counter
from collections.abc import Callable, Iterator
from itertools import chain
from pathlib import Path

import pytest

from metaclip.archive.records import read_records
from metaclip.config.settings import Extract
from metaclip.html.charset import to_utf8
from metaclip.html.message import parse_message
from metaclip.html.tree import parse_page
from metaclip.pairs.batch import PairBatch
from metaclip.pairs.collector import PairCollector
from metaclip.sources.warc import read_warc
from metaclip.sources.wat import read_wat
from metaclip.wat.references import unescape
from tests.metaclip.sources.test_warc import PAGE, write_warc
from tests.shared import shared_data

SETTINGS = Extract(text_keys=["alt", "title"])
NOT_LAZY = Extract(text_keys=["alt", "title"], lazy_attributes=[])
Pair = tuple[str, str, str, str]


def files(kind: str) -> list[Path]:
    return sorted(shared_data("crawl", kind).iterdir())


def read(
    read: Callable[[str, Extract, Counter[str]], Iterator[PairBatch]], kind: str, settings: Extract
) -> Counter[Pair]:
    return count(chain.from_iterable(read(str(path), settings, Counter()) for path in files(kind)))


def count(batches: Iterator[PairBatch] | chain[PairBatch]) -> Counter[Pair]:
    counts: Counter[Pair] = Counter()
    for batch in batches:
        counts.update(zip(batch.page_urls, batch.urls, batch.texts, batch.text_keys, strict=True))
    return counts


@pytest.fixture(scope="module")
def wat() -> Counter[Pair]:
    return read(read_wat, "wat", SETTINGS)


@pytest.fixture(scope="module")
def not_lazy() -> Counter[Pair]:
    return read(read_warc, "warc", NOT_LAZY)


def test_lazy_images_are_only_in_the_warc(wat: Counter[Pair], not_lazy: Counter[Pair]) -> None:
    """A WAT has `src` alone; what the other attributes add is all that the settings add."""
    everything = read(read_warc, "warc", SETTINGS)
    assert not not_lazy - everything
    assert (everything - not_lazy).total() == 1852
    assert not (everything - not_lazy) & (wat - not_lazy)


@pytest.mark.slow
def test_the_rest_are_character_sets_and_double_escapes(wat: Counter[Pair], not_lazy: Counter[Pair]) -> None:
    assert wat.total() == not_lazy.total() == 16906
    assert (wat & not_lazy).total() == 16780

    # Read each page as the writer of these WAT files did, and its texts as WAT files are read:
    # nothing is left.
    as_utf8 = PairCollector(NOT_LAZY, Counter())
    as_wat = PairCollector(NOT_LAZY, Counter())
    other_charset: set[str] = set()
    for path in files("warc"):
        for record in read_records(str(path), frozenset({"response"}), Counter()):
            message = parse_message(record.body)
            page = parse_page(message.body)
            if to_utf8(message.body, ",".join(message.headers.get("content-type", ()))) != message.body:
                other_charset.add(record.url)
            as_utf8.add_page(record.url, page.base, page.images)
            images = [{name: unescape(value) for name, value in image.items()} for image in page.images]
            as_wat.add_page(record.url, unescape(page.base), images)
    transcoded = count(iter([as_utf8.take() or PairBatch()]))
    assert count(iter([as_wat.take() or PairBatch()])) == wat

    # Class 1: pages in another character set than UTF-8, which these WAT files garble.
    garbled = not_lazy - transcoded
    assert garbled.total() == (transcoded - not_lazy).total() == 102
    pages = {page for page, *_ in garbled}
    assert len(pages) == 14
    assert pages <= other_charset
    # Class 2: what the author escaped twice, the WAT's way decodes once more.
    double = transcoded - wat
    assert double.total() == (wat - transcoded).total() == 24
    for _, url, text, _ in double:
        assert unescape(text) != text or unescape(url) != url


ODD_TYPES = [
    "text/html,text/html; charset=utf-8",
    "text/html, text/html",
    "text/html, charset=utf-8",
    "text/html charset=utf-8",
    "text/html: charset=utf-8",
    '"text/html"',
    "text/",
    "*/*",
    "unknown/unknown",
    "application/unknown",
    "",
]
"""What servers write as Content-Type of HTML pages."""


@pytest.mark.parametrize("content_type", ODD_TYPES)
def test_pages_with_an_odd_content_type_are_pages_in_both(content_type: str, tmp_path: Path) -> None:
    html = b"<!doctype html><img src=/a.jpg alt='a dog'>"
    head = f"HTTP/1.1 200 OK\r\nContent-Type: {content_type}\r\n\r\n".encode()
    warc = write_warc(tmp_path / "x.warc.gz", [(PAGE, head + html)])
    link = {"path": "IMG@/src", "url": "/a.jpg", "alt": "a dog"}
    response = {"Headers": {"Content-Type": content_type}, "HTML-Metadata": {"Links": [link]}}
    payload = {"HTTP-Response-Metadata": response}
    envelope = {"WARC-Header-Metadata": {"WARC-Type": "response", "WARC-Target-URI": PAGE}, "Payload-Metadata": payload}
    body = json.dumps({"Envelope": envelope}).encode()
    wat = write_warc(tmp_path / "x.warc.wat.gz", [(PAGE, body)], ("metadata",))
    for found in (read_warc(warc, Extract(), Counter()), read_wat(wat, Extract(), Counter())):
        assert [(batch.urls, batch.texts) for batch in found] == [(["http://x.org/a.jpg"], ["a dog"])]
