"""Samples of pair files: an image address with its texts."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import get_args

import pyarrow as pa

from metaclip.config.settings import Extract, TextKey
from metaclip.pairs.batch import PairBatch
from metaclip.pairs.collector import BATCH_PAIRS
from metaclip.pairs.texts import clean_text
from metaclip.pairs.urls import Base, Fault, page_base, resolve
from metaclip.rows.columns import Row, is_failed
from metaclip.rows.kept import column_of

BATCH_BYTES = 64 << 20
"""A batch is also full when its addresses and texts have so many characters."""

_NOWHERE = Base("", "", "", "", "")
_HTML_KEYS = frozenset(get_args(TextKey))


class SampleCollector:
    """Collects samples (an address with its texts) into batches, and counts the results.

    Addresses and texts get the same form as in the crawl readers, so that a pair has one uid, whatever
    file it was read from. Counts: `images` (samples), `images_kept`, `texts`, `dropped.image.<reason>`,
    `dropped.text.not_wanted` (texts of an attribute that is not in `extract.text_keys`), `dropped.text.too_long`
    (it or its key has more than `extract.max_text_bytes`), `dropped.text.too_many`
    (of one sample, whose pairs would take more than `extract.max_pairs_bytes`), and
    `dropped.page_url.too_long` and `dropped.value.too_long` (the pair stays, without the page's address, or without
    the value of a column of its own).
    """

    def __init__(self, settings: Extract, statistics: Counter[str], keep: Sequence[pa.Field] = ()) -> None:
        self.statistics = statistics
        self._keep = keep
        self._kept: list[Mapping[str, object]] = []
        self._own: Mapping[str, object] = {}
        self._own_size = 0
        self._not_wanted = _HTML_KEYS.difference(settings.text_keys)
        self._max_address_bytes = settings.max_address_bytes
        self._max_pairs_bytes = settings.max_pairs_bytes
        self._max_text_bytes = settings.max_text_bytes
        self._rows: list[tuple[str, str, str, str]] = []
        self._size = 0

    def add_row(self, row: Row) -> None:
        """Add the sample of a row, with the columns that are kept of it."""
        self._own = {name: self._bounded(value) for name, value in row.kept.items()} if self._keep else {}
        self._own_size = sum(len(value) for value in self._own.values() if isinstance(value, str))
        self.add(row.url, row.texts, row.page_url, row.status)

    def add(
        self, url: object, texts: Iterable[tuple[str, object]], page_url: object = None, status: object = None
    ) -> None:
        """Add one sample; `texts` are (text key, text). A value that is not a string counts as missing."""
        statistics = self.statistics
        statistics["images"] += 1
        if is_failed(status):
            statistics["dropped.image.not_downloaded"] += 1
            return
        found: list[tuple[str, str]] = []
        for key, value in texts:
            if not isinstance(value, str) or not (text := clean_text(value)):
                continue
            if key in self._not_wanted:
                statistics["dropped.text.not_wanted"] += 1
            elif self._is_long(text) or self._is_long(key):
                statistics["dropped.text.too_long"] += 1
            else:
                found.append((key, text))
        if not found:
            statistics["dropped.image.no_text"] += 1
            return
        page = clean_text(page_url) if isinstance(page_url, str) else ""
        if len(page) > self._max_address_bytes or len(page.encode()) > self._max_address_bytes:
            statistics["dropped.page_url.too_long"] += 1
            page = ""
        address = _address(url, page)
        if isinstance(address, str) and len(address) > self._max_address_bytes:
            address = Fault.LONG
        if isinstance(address, str):
            statistics["images_kept"] += 1
            self._add(address, found, page)
        else:
            statistics["dropped.image." + address.value] += 1

    def _is_long(self, text: str) -> bool:
        return 4 * len(text) > self._max_text_bytes and len(text.encode("utf-8", "replace")) > self._max_text_bytes

    def _bounded(self, value: object) -> object:
        """Return a value of a column of its own; what is longer than a text may be is null."""
        if value is None or isinstance(value, int | float) or not self._is_long(str(value)):
            return value
        self.statistics["dropped.value.too_long"] += 1
        return None

    def _add(self, address: str, texts: list[tuple[str, str]], page: str) -> None:
        size = 0
        for number, (key, text) in enumerate(texts):
            size += len(address) + len(text) + len(page) + len(key) + self._own_size
            if number and size > self._max_pairs_bytes:
                self.statistics["dropped.text.too_many"] += len(texts) - number
                texts = texts[:number]
                break
            self._rows.append((address, text, key, page))
            if self._keep:
                self._kept.append(self._own)
        self._size += size
        self.statistics["texts"] += len(texts)

    def take_full(self) -> PairBatch | None:
        """Return the batch if it is full, else None."""
        return self.take() if len(self._rows) >= BATCH_PAIRS or self._size >= BATCH_BYTES else None

    def take(self) -> PairBatch | None:
        """Return the remaining batch, or None if it is empty."""
        rows, self._rows, self._size = self._rows, [], 0
        kept, self._kept = self._kept, []
        if not rows:
            return None
        batch = PairBatch.from_lists(*zip(*rows, strict=True))
        return batch.with_columns(
            [(field, column_of([row.get(field.name) for row in kept], field, self.statistics)) for field in self._keep]
        )


def _address(url: object, page: str) -> str | Fault:
    if not isinstance(url, str):
        return Fault.NONE
    address = resolve(url, _NOWHERE)
    if isinstance(address, Fault) or address.startswith("http"):
        return address
    base = page_base(page, None)
    return Fault.BAD if isinstance(base, Fault) else resolve(url, base)
