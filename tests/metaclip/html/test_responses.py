"""Responses looked at together give the pages that each gives alone, and count alike."""

import os
from collections import Counter
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from metaclip.archive.batches import RecordBatch, read_batches
from metaclip.config.settings import Extract
from metaclip.html import responses
from metaclip.html.pages import Pages
from metaclip.html.responses import find_pages, read_response
from metaclip.html.scan_kernel import PADDING
from tests.metaclip.html import response_fuzz
from tests.shared import shared_data

FUZZED = int(os.environ.get("METACLIP_FUZZED_PAGES", "3000"))
LIMIT = 3000
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\n"

Found = list[tuple[str, bytes, list[str]]]


def batch(blocks: list[bytes]) -> RecordBatch:
    return RecordBatch.of((f"http://x.org/{number}", block) for number, block in enumerate(blocks))


def listed(pages: Pages) -> Found:
    return [(pages.url(page), bytes(pages.html(page)), list(pages.directives[page])) for page in range(len(pages))]


def one_by_one(records: RecordBatch, configuration: Extract, statistics: Counter[str]) -> Found:
    alone = (
        read_response(records.url(record), records.block(record), configuration, statistics)
        for record in range(len(records))
    )
    return [(page.url, bytes(page.html), list(page.directives)) for page in alone if page]


def check(records: RecordBatch, limit: int = LIMIT) -> Counter[str]:
    configuration = Extract(max_page_bytes=limit)
    expected: Counter[str] = Counter()
    statistics: Counter[str] = Counter()
    before = bytes(records.data)
    pages = find_pages(records, configuration, statistics)
    assert listed(pages) == one_by_one(records, configuration, expected)
    assert statistics == expected
    assert bytes(records.data) == before
    return statistics


@pytest.fixture
def left(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """Count the responses that `find_pages` hands to `read_response`."""
    count: Counter[str] = Counter()

    def counted(*arguments: Any) -> Any:
        count["left"] += 1
        return read_response(*arguments)

    monkeypatch.setattr(responses, "read_response", counted)
    return count


@pytest.mark.parametrize("seed", [0, 1])
def test_responses_of_any_kind(seed: int, left: Counter[str]) -> None:
    """METACLIP_FUZZED_PAGES=100000 compares more of them."""
    blocks = list(response_fuzz.responses(seed, FUZZED, LIMIT))
    statistics: Counter[str] = Counter()
    for start in range(0, len(blocks), 100):
        statistics += check(batch(blocks[start : start + 100]))
    assert statistics["responses"] == FUZZED
    for reason in ("bad_http", "not_html", "encoding", "too_large"):
        assert statistics["dropped.page." + reason] > 0.005 * FUZZED, reason
    assert left["left"] < 0.8 * FUZZED


@pytest.mark.slow
def test_real_responses(left: Counter[str]) -> None:
    statistics: Counter[str] = Counter()
    for folder in (shared_data("crawl", "warc"), shared_data("wild")):
        for path in sorted(folder.glob("*.warc.gz")):
            if "clipped" in path.name:  # ends in the middle of a record
                continue
            for records in read_batches(str(path), frozenset({"response"}), Counter(), 16 << 20):
                statistics += check(records, 4 << 20)
        if folder.name == "warc":
            assert left["left"] < 0.05 * statistics["responses"]
    assert statistics["responses"] > 1400


HEADS = st.lists(
    st.sampled_from([*response_fuzz.LINES, "HTTP/1.1 200 OK", "Content-Type: text/html; charset=utf-8"]), max_size=6
)
METAS = st.lists(
    st.sampled_from([*response_fuzz.METAS, *response_fuzz.PIECES])
    | st.text("<!->meta charset=utf8\"'/;\n", max_size=9),
    max_size=9,
).map("".join)


@settings(max_examples=150)
@given(st.lists(st.tuples(HEADS, METAS, st.sampled_from(["\r\n", "\n"])), min_size=1, max_size=4))
def test_any_heads_and_meta_tags(parts: list[tuple[list[str], str, str]]) -> None:
    check(
        batch(
            [
                end.join(["HTTP/1.1 200 OK", *lines]).encode("latin-1") + 2 * end.encode() + html.encode()
                for lines, html, end in parts
            ]
        )
    )


@pytest.mark.parametrize("gap", range(1000, 1030))
def test_where_the_prescan_ends(gap: int) -> None:
    check(batch([HEAD + (b"<!--" + b"x" * (gap - len(tag) - 7) + b"-->" + tag + b"caf\xe9") for tag in TAGS]))


TAGS = [b"<meta charset=utf-8>", b"<meta charset=latin1>", b"<meta charset=windows-1251>", b"<!--<meta charset=gbk>-->"]


def test_what_is_plain_is_not_copied(left: Counter[str]) -> None:
    plain = [
        HEAD + b"<p>plain ASCII",
        HEAD + "<p>Grüße".encode(),
        HEAD + b"<!-- a --><title>x</title><META CHARSET='UTF-8'>caf\xe9",
        HEAD + b'<meta http-equiv=content-type content="text/html; charset=utf-8">' + "é".encode(),
        HEAD.replace(b"html", b"html;charset=utf-8") + b"<meta charset=latin1>" + "é".encode(),
        HEAD.replace(b"\r\n", b"\n").replace(b"Content-Type", b"Server: x\ncontent-TYPE "),
        b"HTTP/1.1 200 OK\r\nContent-Type: image/gif\r\nContent-Type: text/html; charset=utf-8\r\n\r\n",
    ]
    records = batch(plain)
    pages = find_pages(records, Extract(), Counter())
    assert left["left"] == 0
    assert not pages.places[:, 2].any()
    assert len(pages) == len(plain)
    assert len(pages.added) == PADDING
    check(records)
