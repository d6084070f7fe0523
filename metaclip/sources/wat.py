"""Image-text pairs of the HTML pages that a WAT file (Common Crawl's metadata of a WARC) describes."""

from collections import Counter
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from metaclip.archive.batches import RecordBatch, read_batches
from metaclip.config.settings import Extract
from metaclip.kernels.jit import plain
from metaclip.pairs.batch import PairBatch
from metaclip.pairs.collector import PairCollector
from metaclip.pairs.page_rules import may_opt_out, one_page, opts_out
from metaclip.wat.definition import add_metadata, may_be_html
from metaclip.wat.scan_kernel import CONTENT_TYPE, LEFT, PAGE
from metaclip.wat.scanner import ScannedRecords, scan

_TYPES = frozenset({"metadata"})


def read_wat(
    path: str, settings: Extract, statistics: Counter[str], collector: PairCollector | None = None
) -> Iterator[PairBatch]:
    """Yield the pairs of every HTML page of a WAT file, in the file's order, in batches.

    Adds to `statistics` the keys that docs/extraction.md lists. If a record cannot be used, for whatever
    reason, only this record is dropped; if a part has the wrong type, only this part.

    Raises:
        UnreadableFileError, TransportError: as in `metaclip.archive.batches.read_batches`.
    """
    collector = collector or PairCollector(settings, statistics)
    # The metadata of a page is rarely larger than the page, but it may be a few times as large.
    for records in read_batches(path, _TYPES, statistics, 4 * settings.max_page_bytes):
        add_records(records, settings, collector)
        while batch := collector.take_full():
            yield batch
    if batch := collector.take():
        yield batch


def add_records(records: RecordBatch, settings: Extract, collector: PairCollector) -> None:
    """Add the pairs of WAT records as `add_metadata` does for each."""
    if plain():
        for number in range(len(records)):
            add_metadata(records.url(number), bytes(records.block(number)), settings, collector)
        return
    scanned = scan(records)
    pages = _wanted_pages(records, scanned, settings, collector.statistics)
    done = 0
    for number in np.flatnonzero(scanned.kinds == LEFT).tolist():
        before = int(np.searchsorted(pages, number))
        _add_scanned(pages[done:before], records, scanned, collector)
        done = before
        add_metadata(records.url(number), bytes(records.block(number)), settings, collector)
    _add_scanned(pages[done:], records, scanned, collector)


def _add_scanned(
    pages: npt.NDArray[np.int64], records: RecordBatch, scanned: ScannedRecords, collector: PairCollector
) -> None:
    if len(pages):
        collector.add_pages(records.urls(pages), scanned.bases(pages), scanned.images.select(pages.tolist()))


def _wanted_pages(
    records: RecordBatch, scanned: ScannedRecords, settings: Extract, statistics: Counter[str]
) -> npt.NDArray[np.int64]:
    """Return the records of pages that can give pairs, and count the others by reason."""
    pages = np.flatnonzero(scanned.kinds == PAGE)
    if not len(pages):
        return pages
    statistics["responses"] += len(pages)
    starts, ends = scanned.strings[pages, CONTENT_TYPE].T.tolist()
    data = memoryview(records.data)
    is_html = np.array(
        [start < 0 or may_be_html(bytes(data[start:end])) for start, end in zip(starts, ends, strict=True)], np.bool_
    )
    if not is_html.all():
        statistics["dropped.page.not_html"] += int(np.count_nonzero(~is_html))
        pages = pages[is_html]
    if settings.respect_opt_out and may_opt_out(scanned.all_directives(pages)):
        wants = [_stays(records, page, scanned, statistics) for page in pages.tolist()]
        pages = pages[np.array(wants, np.bool_)]
    return pages


def _stays(records: RecordBatch, page: int, scanned: ScannedRecords, statistics: Counter[str]) -> bool:
    """Return whether a page does not opt out; count it if it does."""
    with one_page(records.url(page), statistics):
        if not opts_out(scanned.directives(page)):
            return True
        statistics["dropped.page.opt_out"] += 1
    return False
