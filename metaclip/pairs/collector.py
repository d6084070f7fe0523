"""From the images of a page to image-text pairs: the rules for both WARC and WAT.

This is the definition; its fast way is `metaclip.pairs.assembly`.
"""

import logging
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import pyarrow as pa

from metaclip.config.settings import Extract
from metaclip.pairs.assembly import FoundPairs, Limits, image_pairs, parts_of
from metaclip.pairs.batch import PackedBatch, PairBatch
from metaclip.pairs.image_columns import Attributes, ImageColumns
from metaclip.pairs.page_bases import PageBases, is_too_long
from metaclip.pairs.page_rules import one_page
from metaclip.pairs.srcset import srcset_candidates
from metaclip.pairs.texts import clean_text
from metaclip.pairs.urls import Base, Fault, page_base, resolve

logger = logging.getLogger(__name__)

BATCH_PAIRS = 8192
"""A batch is returned when it has this many pairs; only pages of more than 65,536 images are split."""

HELD_BYTES = 256 << 20
"""Beyond that, batches that wait are compressed: addresses that were made long repeat themselves."""


class PairCollector:
    """Collects the pairs of pages into batches, and counts the results for their images."""

    def __init__(self, settings: Extract, statistics: Counter[str]) -> None:
        self.statistics = statistics
        self._text_keys = tuple(settings.text_keys)
        self._lazy_attributes = tuple(settings.lazy_attributes)
        self._limits = Limits(settings.max_address_bytes, settings.max_text_bytes, settings.max_pairs_bytes)
        self._batches: list[PairBatch | PackedBatch] = []
        self._pairs = 0
        self._held_bytes = 0

    def add_page(self, page_url: str, base_href: str | None, images: Iterable[Attributes]) -> None:
        """Add the pairs of one page: all of them, or none if an exception is raised.

        Counts the page under `pages`, or under `dropped.page.<reason>`: `no_address` if the page has no http(s)
        address for its references to be resolved against, `address_too_long` if this or its base is longer than
        `extract.max_address_bytes`, `pairs_too_large` if its pairs take more than `extract.max_pairs_bytes`. This
        is the definition; `add_pages` must give the same and is much faster. This method accepts any value of an
        attribute.
        """
        base = page_base(page_url, base_href)
        if isinstance(base, Fault):
            self.statistics["dropped.page.no_address"] += 1
            return
        page = clean_text(page_url)
        if is_too_long(page, base, self._limits.address):
            self.statistics["dropped.page.address_too_long"] += 1
            return
        urls: list[str] = []
        texts: list[str] = []
        keys: list[str] = []
        faults: Counter[str] = Counter()
        seen = kept = size = long_texts = 0
        page_bytes = _size(page)
        for attributes in images:
            seen += 1
            found = len(texts)
            for key in self._text_keys:
                value = attributes.get(key)
                if value and (text := clean_text(value)):
                    if _size(text) > self._limits.text:
                        long_texts += 1
                        continue
                    texts.append(text)
                    keys.append(key)
            count = len(texts) - found
            # Three images in ten have no text, so their address is not needed.
            if not count:
                faults["no_text"] += 1
                continue
            address = self._address(attributes, base)
            if isinstance(address, Fault):
                faults[address.value] += 1
                del texts[found:], keys[found:]
                continue
            kept += 1
            urls.extend([address] * count)
            size += count * (len(address) + page_bytes) + sum(map(_size, texts[found:]))
            if size > self._limits.pairs:
                self.statistics["dropped.page.pairs_too_large"] += 1
                return
        batch = PairBatch.from_lists(urls, texts, keys, [page] * len(urls))
        self._add(batch, 1, seen, kept, faults, long_texts)

    def add_pages(
        self, page_urls: pa.StringArray | Sequence[str], base_hrefs: Sequence[str | None], images: ImageColumns
    ) -> None:
        """Add the pairs of pages whose images are in columns, as `add_page` does for each.

        If there is an unexpected exception for a page, only this page is dropped (see `one_page`).
        """
        done = 0
        try:
            bases = PageBases(page_urls, base_hrefs, self._limits.address)
            # A small page can be made to give very much: so many pages are taken together that this stays bounded,
            # and one that alone may give too much is taken in pieces, as long as they are not too much.
            for first, last, is_small in parts_of(bases, images, self._text_keys, self._limits):
                if is_small:
                    self._add_part(bases.slice(first, last), images.select(range(first, last)))
                else:
                    self._add_large(bases.slice(first, last), images.select(range(first, last)))
                done = last
        except MemoryError:
            raise
        except Exception as error:
            logger.warning("%d pages are looked at one by one: %s", len(page_urls) - done, error, exc_info=True)
            self._add_singly(page_urls, base_hrefs, images, done, len(page_urls))

    def _add_large(self, page: PageBases, images: ImageColumns) -> None:
        """Add the pairs of one page, unless they take too much."""
        step = max(1, self._limits.pairs // (2 * self._limits.address * len(self._text_keys)))
        parts: list[FoundPairs] = []
        size = 0
        for first in range(0, len(images.spans), step):
            spans = images.spans[first : first + step]
            part = self._found(page, ImageColumns(images.data, spans, np.array([0, len(spans)], np.int64)))
            parts.append(part)
            size += part.size
            if size > self._limits.pairs:
                self.statistics["dropped.page.pairs_too_large"] += 1
                return
        self._count(page, FoundPairs.joined(parts))

    def _found(self, bases: PageBases, images: ImageColumns) -> FoundPairs:
        return image_pairs(bases, images, self._text_keys, self._lazy_attributes, self._address, self._limits)

    def _add_part(self, bases: PageBases, images: ImageColumns) -> None:
        self._count(bases, self._found(bases, images))

    def _count(self, bases: PageBases, found: FoundPairs) -> None:
        pages, too_long = int(np.count_nonzero(bases.usable)), int(np.count_nonzero(bases.too_long))
        if pages + too_long < len(bases):
            self.statistics["dropped.page.no_address"] += len(bases) - pages - too_long
        if too_long:
            self.statistics["dropped.page.address_too_long"] += too_long
        if pages:
            self._add(found.batch, pages, found.images, found.images_kept, found.faults, found.long_texts)

    def _add_singly(
        self,
        page_urls: pa.StringArray | Sequence[str],
        base_hrefs: Sequence[str | None],
        images: ImageColumns,
        first: int,
        last: int,
    ) -> None:
        for page in range(first, last):
            url = page_urls[page]
            page_url: str = url if isinstance(url, str) else url.as_py()
            with one_page(page_url, self.statistics):
                numbers = range(images.pages[page], images.pages[page + 1])
                self.add_page(page_url, base_hrefs[page], (images.image(number) for number in numbers))

    def _add(
        self, batch: PairBatch, pages: int, images: int, images_kept: int, faults: Mapping[str, int], long_texts: int
    ) -> None:
        statistics = self.statistics
        statistics["pages"] += pages
        statistics["images"] += images
        statistics["images_kept"] += images_kept
        statistics["texts"] += len(batch)
        for reason, count in faults.items():
            statistics["dropped.image." + reason] += count
        if long_texts:
            statistics["dropped.text.too_long"] += long_texts
        if len(batch):
            self._batches += batch.pieces()
            self._pairs += len(batch)
            self._held_bytes += batch.table.nbytes
            if self._held_bytes > HELD_BYTES:
                self._batches = [one.pack() if isinstance(one, PairBatch) else one for one in self._batches]
                self._held_bytes = 0

    def _address(self, attributes: Attributes, base: Base) -> str | Fault:
        address = self._resolved(attributes, base)
        return Fault.LONG if isinstance(address, str) and len(address) > self._limits.address else address

    def _resolved(self, attributes: Attributes, base: Base) -> str | Fault:
        address = resolve(attributes.get("src") or "", base)
        if address is Fault.NONE or address is Fault.DATA:
            for name in self._lazy_attributes:
                value = attributes.get(name)
                if not value:
                    continue
                candidates = srcset_candidates(value) if name == "srcset" else (value,)
                for candidate in candidates:
                    lazy = resolve(candidate, base)
                    if isinstance(lazy, str):
                        return lazy
        return address

    def take_full(self) -> PairBatch | None:
        """Return a batch if one is full, else None; many pairs take several calls."""
        if self._pairs < BATCH_PAIRS:
            return None
        count = size = 0
        while size < BATCH_PAIRS:
            size += len(self._batches[count])
            count += 1
        if count == len(self._batches):
            return self.take()
        batches, self._batches = self._batches[:count], self._batches[count:]
        self._pairs -= size
        self._held_bytes = sum(one.table.nbytes for one in self._batches if isinstance(one, PairBatch))
        return PairBatch.concatenate(batches)

    def take(self) -> PairBatch | None:
        """Return the remaining batch, or None if it is empty."""
        batches, self._batches, self._pairs, self._held_bytes = self._batches, [], 0, 0
        return PairBatch.concatenate(batches) if batches else None


def _size(text: str) -> int:
    return len(text) if text.isascii() else len(text.encode("utf-8", "surrogatepass"))
