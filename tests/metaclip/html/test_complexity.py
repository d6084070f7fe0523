"""Which pages are refused, and that none of these is overlooked when many are looked at together."""

import random
from collections import Counter
from collections.abc import Iterator

import numpy as np
import pyarrow as pa
import pytest

from metaclip.archive.batches import read_batches
from metaclip.config.settings import Extract
from metaclip.html import complexity
from metaclip.html.complexity import check_complexity, find_suspects
from metaclip.html.message import PageError
from metaclip.html.pages import PageList, Pages
from metaclip.html.responses import find_pages
from tests.shared import shared_data

MANY_TAGS = 54_772
WORDS = 30_000


def together(htmls: list[bytes]) -> Pages:
    pages = PageList()
    for html in htmls:
        pages.add_elsewhere(html, ())
    return pages.pages(pa.array(["http://x.org/"] * len(htmls), pa.string()))


def suspects(htmls: list[bytes]) -> list[bool]:
    pages = together(htmls)
    found = np.zeros(len(htmls), np.bool_)
    found[find_suspects(pages.data, pages.added, pages.places)] = True
    return found.tolist()


def is_refused(html: bytes) -> bool:
    """Tell without what is faster, which decides whether the definition is asked."""
    return len(html) > 100_000 and complexity._is_too_complex(html)


def at_the_limits() -> Iterator[bytes]:
    for tags in (MANY_TAGS, MANY_TAGS + 1, 2 * MANY_TAGS):
        yield b"<b>" * tags + b"x" * 5
        yield b"<p>" * tags + b"x" * 5
    for words in (WORDS, WORDS + 1):
        for before in (b"", b"<p>" + b"x" * 29_000, b">" * 29_999, b"y" * 70_000 + b">", b"y " * 40_000 + b">"):
            yield before + b"<a " + b"w\t" * words + b">" + b"<p>" * 20_000
            yield before + b"</a\n" + b"w " * words + b"y" * 50_000
        yield b"< " + b"w " * words + b"y" * 50_000
    for size in (99_999, 100_000, 100_001):
        yield (b"<a " + b"w " * 40_000).ljust(size, b"x")


def at_random(rng: random.Random) -> bytes:
    pieces = (b"x", b"w ", b"<b>", b"<b ", b">", b"<", b"< ", b"</b>", b"<p>", b"\n")
    return b"".join(rng.choice(pieces) * rng.choice((1, 10, 29_990, 30_001)) for _ in range(rng.randrange(1, 9)))


def test_no_page_is_overlooked() -> None:
    rng = random.Random(0)
    htmls = [*at_the_limits(), *(at_random(rng) for _ in range(60))]
    refused = list(map(is_refused, htmls))
    found = suspects(htmls)
    assert [html[:50] for html, is_one, seen in zip(htmls, refused, found, strict=True) if is_one and not seen] == []
    assert 15 < sum(refused) <= sum(found) < len(htmls) - 20
    with pytest.raises(PageError, match="too_complex"):
        check_complexity(htmls[refused.index(True)])
    check_complexity(memoryview(htmls[refused.index(False)]))


def test_hardly_a_real_page_is_suspected() -> None:
    found = Counter[bool]()
    path = shared_data("crawl", "warc", "CC-MAIN-PUBLIC-00000.warc.gz")
    for records in read_batches(str(path), frozenset({"response"}), Counter(), 16 << 20):
        pages = find_pages(records, Extract(), Counter())
        found += Counter(suspects([bytes(pages.html(page)) for page in range(len(pages))]))
    assert found[False] > 200
    assert found[True] < 0.01 * found[False]
