"""Image-text pairs of the HTML pages in a WARC file."""

import logging
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from metaclip.config import Extract
from metaclip.html import check_complexity, opts_out, parse_page
from metaclip.html_scan import Scan, scan_pages
from metaclip.http_message import PageError, html_page, parse_message
from metaclip.images import PairBatch, PairCollector, one_page
from metaclip.record_batches import read_batches

_LOGGER = logging.getLogger(__name__)
_TYPES = frozenset({"response"})
_MAX_HEAD_BYTES = 1 << 20


class HtmlPage(NamedTuple):
    """A response that is an HTML page."""

    url: str
    html: bytes | memoryview
    """In UTF-8, as `http_message.html_page` gives it."""
    directives: list[str]
    """Its X-Robots-Tag headers."""


def read_warc(path: str, settings: Extract, statistics: Counter[str]) -> Iterator[PairBatch]:
    """Yield the pairs of every HTML page of a WARC file, in the file's order, in batches.

    Adds to `statistics` what docs/extraction.md lists. A page that cannot be used, whatever is wrong
    with it, costs only itself.

    Raises:
        UnreadableFileError, TransportError: as `record_batches.read_batches` does.
    """
    collector = PairCollector(settings, statistics)
    for records in read_batches(path, _TYPES, statistics, settings.max_page_bytes + _MAX_HEAD_BYTES):
        found = (
            read_response(records.url(record), records.block(record), settings, statistics)
            for record in range(len(records))
        )
        add_pages([page for page in found if page is not None], settings, collector)
        while batch := collector.take_full():
            yield batch
    if batch := collector.take():
        yield batch


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


def add_pages(pages: Sequence[HtmlPage], settings: Extract, collector: PairCollector) -> None:
    """Add the pairs of pages, in their order, or count why they give none."""
    scan = _scan(pages) if settings.html_parser == "scanner" else None
    ready: list[int] = []
    for number, page in enumerate(pages):
        if scan is None or scan.flags[number]:
            _add_scanned(pages, scan, ready, collector)
            ready = []
            with one_page(page.url, collector.statistics):
                tree = parse_page(bytes(page.html))
                if not _is_opted_out(page, tree.robots, settings, collector.statistics):
                    collector.add_page(page.url, tree.base, tree.images)
        elif not _is_opted_out(page, scan.robots[number], settings, collector.statistics):
            ready.append(number)
    _add_scanned(pages, scan, ready, collector)


def _scan(pages: Sequence[HtmlPage]) -> Scan | None:
    try:
        return scan_pages([page.html for page in pages])
    except MemoryError:
        raise
    except Exception as error:
        _LOGGER.warning("%d pages are not scanned but parsed: %s", len(pages), error, exc_info=True)
        return None


def _add_scanned(pages: Sequence[HtmlPage], scan: Scan | None, numbers: list[int], collector: PairCollector) -> None:
    if scan and numbers:
        urls, bases = [pages[number].url for number in numbers], [scan.bases[number] for number in numbers]
        collector.add_pages(urls, bases, scan.images.select(numbers))


def _is_opted_out(page: HtmlPage, robots: list[str], settings: Extract, statistics: Counter[str]) -> bool:
    """Tell whether the page asks to be left out and that is respected; count it."""
    if settings.respect_opt_out and opts_out(robots + page.directives):
        statistics["dropped.page.opt_out"] += 1
        return True
    return False
