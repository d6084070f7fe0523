"""Samples of pair files: an image address with its texts, for all usual column names."""

import json
from collections import Counter
from collections.abc import Iterable
from typing import get_args

import msgspec

from metaclip.config.settings import Extract, TextKey
from metaclip.pairs.batch import PairBatch
from metaclip.pairs.collector import BATCH_PAIRS
from metaclip.pairs.texts import clean_text
from metaclip.pairs.urls import Base, Fault, page_base, resolve

URL_COLUMNS = ("url", "URL")
TEXT_COLUMNS = ("text", "TEXT", "caption", "alt")
PAGE_COLUMNS = ("page_url", "referrer")


_NOWHERE = Base("", "", "", "", "")
_HTML_KEYS = frozenset(get_args(TextKey))


class SampleCollector:
    """Collects samples (an address with its texts) into batches, and counts the results.

    Addresses and texts get the same form as in the crawl readers, so that a pair has one uid, whatever
    file it was read from. Counts: `images` (samples), `images_kept`, `texts`, `dropped.image.<reason>`
    and `dropped.text.not_wanted` (texts of an attribute that is not in `extract.text_keys`).
    """

    def __init__(self, settings: Extract, statistics: Counter[str]) -> None:
        self.statistics = statistics
        self._not_wanted = _HTML_KEYS.difference(settings.text_keys)
        self._rows: list[tuple[str, str, str, str]] = []

    def add(self, url: object, texts: Iterable[tuple[str, object]], page_url: object = None) -> None:
        """Add one sample; `texts` are (text key, text). A value that is not a string counts as missing."""
        statistics = self.statistics
        statistics["images"] += 1
        found: list[tuple[str, str]] = []
        for key, value in texts:
            if not isinstance(value, str) or not (text := clean_text(value)):
                continue
            if key in self._not_wanted:
                statistics["dropped.text.not_wanted"] += 1
            else:
                found.append((key, text))
        if not found:
            statistics["dropped.image.no_text"] += 1
            return
        page = clean_text(page_url) if isinstance(page_url, str) else ""
        address = _address(url, page)
        if isinstance(address, str):
            statistics["images_kept"] += 1
            statistics["texts"] += len(found)
            self._rows += [(address, text, key, page) for key, text in found]
        else:
            statistics["dropped.image." + address.value] += 1

    def take_full(self) -> PairBatch | None:
        """Return the batch if it is full, else None."""
        return self.take() if len(self._rows) >= BATCH_PAIRS else None

    def take(self) -> PairBatch | None:
        """Return the remaining batch, or None if it is empty."""
        rows, self._rows = self._rows, []
        return PairBatch.from_lists(*zip(*rows, strict=True)) if rows else None


def _address(url: object, page: str) -> str | Fault:
    if not isinstance(url, str):
        return Fault.NONE
    address = resolve(url, _NOWHERE)
    if isinstance(address, Fault) or address.startswith("http"):
        return address
    base = page_base(page, None)
    return Fault.BAD if isinstance(base, Fault) else resolve(url, base)


def parse_json(data: bytes) -> object:
    """Return the value of a JSON text, or None if it is not JSON.

    Bytes that are not UTF-8, control characters and lone surrogates in strings are accepted.
    """
    try:
        return msgspec.json.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        try:
            return json.loads(data.decode("utf-8", "replace"), strict=False)
        except (ValueError, RecursionError):
            return None
