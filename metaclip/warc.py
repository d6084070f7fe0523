"""Image-text pairs of the HTML pages in a WARC file."""

import logging
from collections import Counter
from collections.abc import Iterator

from metaclip.archive import read_records
from metaclip.config import Extract
from metaclip.html import opts_out, parse_page
from metaclip.http_message import PageError, html_page, parse_message
from metaclip.images import PairBatch, PairCollector

_LOGGER = logging.getLogger(__name__)
_TYPES = frozenset({"response"})
_MAX_HEAD_BYTES = 1 << 20


def read_warc(path: str, settings: Extract, statistics: Counter[str]) -> Iterator[PairBatch]:
    """Yield the pairs of every HTML page of a WARC file, in the file's order, in batches.

    Adds to `statistics` what docs/extraction.md lists. A page that cannot be used, whatever is wrong
    with it, costs only itself.

    Raises:
        UnreadableFileError, TransportError: as `archive.read_records` does.
    """
    collector = PairCollector(settings, statistics)
    for record in read_records(path, _TYPES, statistics, settings.max_page_bytes + _MAX_HEAD_BYTES):
        add_response(record.url, record.body, settings, collector)
        if batch := collector.take_full():
            yield batch
    if batch := collector.take():
        yield batch


def add_response(page_url: str, block: bytes, settings: Extract, collector: PairCollector) -> None:
    """Add the pairs of one response (HTTP head and body as recorded), or count why it gives none."""
    statistics = collector.statistics
    statistics["responses"] += 1
    try:
        message = parse_message(block)
        page = parse_page(html_page(message, settings.max_page_bytes))
        directives = page.robots + message.headers.get("x-robots-tag", [])
        if settings.respect_opt_out and opts_out(directives):
            statistics["dropped.page.opt_out"] += 1
            return
        collector.add_page(page_url, page.base, page.images)
    except PageError as error:
        statistics["dropped.page." + error.reason] += 1
    except MemoryError:
        raise
    except Exception as error:
        reason = "dropped.page.error_" + type(error).__name__
        # The first of a kind is worth a line; the count says how many there were.
        level = logging.DEBUG if statistics[reason] else logging.WARNING
        statistics[reason] += 1
        _LOGGER.log(level, "%s: page skipped: %s", page_url, error, exc_info=True)
