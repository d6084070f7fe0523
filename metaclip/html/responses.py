"""HTML pages of HTTP responses: of one response, and of many that lie together.

Equals `metaclip.html.message`; held by tests/metaclip/html/test_responses.py.
"""

from collections import Counter
from functools import lru_cache

import numpy as np
import numpy.typing as npt
import webencodings

from metaclip.archive.batches import RecordBatch
from metaclip.config.settings import Extract
from metaclip.html.charset import header_encoding, is_utf8, meta_label_encoding
from metaclip.html.complexity import check_complexity, find_suspects
from metaclip.html.head_kernel import ASCII, BEYOND_ASCII, BODY, find_heads, look_inside
from metaclip.html.message import PageError, html_page, parse_message
from metaclip.html.pages import HtmlPage, PageList, Pages
from metaclip.kernels.jit import frozen, plain
from metaclip.pairs.page_rules import is_html, one_page


def read_response(
    page_url: str, block: bytes | memoryview, settings: Extract, statistics: Counter[str]
) -> HtmlPage | None:
    """Return the page in a response (HTTP head and body as recorded), or count why there is none."""
    statistics["responses"] += 1
    with one_page(page_url, statistics):
        try:
            message = parse_message(block)
            html = html_page(message, settings.max_page_bytes)
            check_complexity(html)
        except PageError as error:
            statistics["dropped.page." + error.reason] += 1
        else:
            return HtmlPage(page_url, html, message.headers.get("x-robots-tag", []))
    return None


def find_pages(records: RecordBatch, settings: Extract, statistics: Counter[str]) -> Pages:
    """Return the pages in responses as `read_response` does for each, and count why others have none."""
    data = frozen(np.frombuffer(records.data, np.uint8), np.uint8)
    heads = np.full((len(records), 6), -1, np.int64)
    if not plain():
        find_heads(data, np.ascontiguousarray(records.blocks), heads)
    found = PageList(data)
    numbers: list[int] = []
    others = 0
    for record, head in enumerate(heads.tolist()):
        body, end = head[BODY], int(records.blocks[record, 1])
        form = _form(data, head, end) if body >= 0 else _LEFT
        if form == _NOT_HTML:
            statistics["dropped.page.not_html"] += 1
            continue
        if form == _IN_UTF8 and end - body <= settings.max_page_bytes:
            found.add(body, end, ())
        else:
            others += 1
            page = read_response(records.url(record), records.block(record), settings, statistics)
            if page is None:
                continue
            if isinstance(page.html, memoryview):
                # What is no copy is the last part of the block.
                found.add(end - len(page.html), end, page.directives)
            else:
                found.add_elsewhere(page.html, page.directives)
        numbers.append(record)
    statistics["responses"] += len(records) - others
    return _without_too_complex(found.pages(records.urls(np.array(numbers, np.int64))), statistics)


def _without_too_complex(pages: Pages, statistics: Counter[str]) -> Pages:
    left_out = set[int]()
    for page in find_suspects(pages.data, pages.added, pages.places).tolist():
        left_out.add(page)
        with one_page(pages.url(page), statistics):
            try:
                check_complexity(pages.html(page))
            except PageError as error:
                statistics["dropped.page." + error.reason] += 1
            else:
                left_out.remove(page)
    return pages.without(left_out) if left_out else pages


_IN_UTF8, _NOT_HTML, _NOT_SAID, _LEFT = range(4)
"""What `find_pages` knows of a response; _LEFT is for `read_response` to tell."""
_LONGEST = 256  # what is kept of values stays small


def _form(data: npt.NDArray[np.uint8], head: list[int], end: int) -> int:
    """Tell what a response is by what `find_heads` gives for it."""
    body, start, stop, types, label, label_end = head
    if max(stop - start, label_end - label) > _LONGEST:
        return _LEFT
    said = _said_by_type(data[start:stop].tobytes())
    if said != _NOT_SAID:
        return said
    if types > 1:  # an earlier one may name the character set
        return _LEFT
    if label >= 0:
        return _said_by_label(data[label:label_end].tobytes())
    inside = look_inside(data, body, end)
    return _IN_UTF8 if inside == ASCII or (inside == BEYOND_ASCII and is_utf8(data[body:end].data)) else _LEFT


@lru_cache(maxsize=1024)
def _said_by_type(value: bytes) -> int:
    content_type = str(value, "latin-1").strip()
    typed = is_html(content_type)
    if typed is None:
        return _LEFT
    if not typed:
        return _NOT_HTML
    encoding = header_encoding(content_type)
    return _NOT_SAID if encoding is None else _IN_UTF8 if encoding is webencodings.UTF8 else _LEFT


@lru_cache(maxsize=1024)
def _said_by_label(label: bytes) -> int:
    return _IN_UTF8 if meta_label_encoding(label) is webencodings.UTF8 else _LEFT
