"""Image-text pairs of the HTML pages in a WARC file."""

import logging
from collections import Counter
from collections.abc import Iterator

import pyarrow as pa

from metaclip.archive.batches import read_batches
from metaclip.archive.wacz import archives_of, is_wacz
from metaclip.config.settings import Extract
from metaclip.errors import UnreadableFileError
from metaclip.html.pages import Pages
from metaclip.html.responses import find_pages
from metaclip.html.scanner import Scan, scan_places
from metaclip.html.tree import parse_page
from metaclip.kernels.jit import plain
from metaclip.pairs.batch import PairBatch
from metaclip.pairs.collector import PairCollector
from metaclip.pairs.page_rules import one_page, opts_out

logger = logging.getLogger(__name__)
_TYPES = frozenset({"response"})
_MAX_HEAD_BYTES = 1 << 20


def read_warc(
    path: str, settings: Extract, statistics: Counter[str], collector: PairCollector | None = None
) -> Iterator[PairBatch]:
    """Yield the pairs of every HTML page of a WARC file, or of the archives in a WACZ, in order, in batches.

    Adds to `statistics` the keys that docs/extraction.md lists. If a page cannot be used, for whatever
    reason, only this page is dropped.

    Raises:
        UnreadableFileError, TransportError: as in `metaclip.archive.batches.read_batches`.
    """
    if is_wacz(path):
        yield from _read_wacz(path, settings, statistics, collector)
        return
    collector = collector or PairCollector(settings, statistics)
    for records in read_batches(path, _TYPES, statistics, settings.max_page_bytes + _MAX_HEAD_BYTES):
        add_pages(find_pages(records, settings, statistics), settings, collector)
        while batch := collector.take_full():
            yield batch
    if batch := collector.take():
        yield batch


def _read_wacz(
    path: str, settings: Extract, statistics: Counter[str], collector: PairCollector | None
) -> Iterator[PairBatch]:
    """Read the archives in a WACZ file one by one; one that cannot be read costs itself, unless there is no other."""
    with archives_of(path) as archives:
        unreadable = 0
        for archive in archives:
            try:
                yield from read_warc(archive, settings, statistics, collector)
            except UnreadableFileError as error:
                unreadable += 1
                name = archive.partition("!/")[2]
                logger.warning("%s: %s: left out: %s", path, name, error.detail)
                statistics[f"dropped.file_part.{error.reason}"] += 1
                if unreadable == len(archives):
                    raise UnreadableFileError(path, error.reason, f"{name}: {error.detail}") from error


def add_pages(pages: Pages, settings: Extract, collector: PairCollector) -> None:
    """Add the pairs of pages, in their order, or count why they give none."""
    scan = _scan(pages) if settings.html_parser == "scanner" and not plain() else None
    ready: list[int] = []
    for page, directives in enumerate(pages.directives):
        if scan is None or scan.flags[page]:
            _add_scanned(pages, scan, ready, collector)
            ready = []
            with one_page(pages.url(page), collector.statistics):
                tree = parse_page(bytes(pages.html(page)))
                if not _is_opted_out([*tree.robots, *directives], settings, collector.statistics):
                    collector.add_page(pages.url(page), tree.base, tree.images)
        elif not _is_opted_out([*scan.robots[page], *directives], settings, collector.statistics):
            ready.append(page)
    _add_scanned(pages, scan, ready, collector)


def _scan(pages: Pages) -> Scan | None:
    try:
        return scan_places(pages.data, pages.added, pages.places)
    except MemoryError:
        raise
    except Exception as error:
        logger.warning("%d pages are not scanned but parsed: %s", len(pages), error, exc_info=True)
        return None


def _add_scanned(pages: Pages, scan: Scan | None, numbers: list[int], collector: PairCollector) -> None:
    if scan and numbers:
        urls = pages.urls if len(numbers) == len(pages) else pages.urls.take(pa.array(numbers, pa.int64()))
        collector.add_pages(urls, [scan.bases[number] for number in numbers], scan.images.select(numbers))


def _is_opted_out(robots: list[str], settings: Extract, statistics: Counter[str]) -> bool:
    """Return whether a page opts out and opt-outs are respected; count it."""
    if robots and settings.respect_opt_out and opts_out(robots):
        statistics["dropped.page.opt_out"] += 1
        return True
    return False
