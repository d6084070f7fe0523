"""From the images of a page to image-text pairs: the rules for both WARC and WAT.

This is the definition; its fast way is `metaclip.pairs.assembly`.
"""

import logging
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import pyarrow as pa

from metaclip.config.settings import Extract
from metaclip.pairs.assembly import image_pairs
from metaclip.pairs.batch import PairBatch
from metaclip.pairs.image_columns import Attributes, ImageColumns
from metaclip.pairs.page_bases import PageBases
from metaclip.pairs.page_rules import one_page
from metaclip.pairs.srcset import srcset_candidates
from metaclip.pairs.texts import clean_text
from metaclip.pairs.urls import Base, Fault, page_base, resolve

logger = logging.getLogger(__name__)

BATCH_PAIRS = 8192
"""A batch is returned when it has this many pairs; only pages of more than 65,536 images are split."""


class PairCollector:
    """Collects the pairs of pages into batches, and counts the results for their images."""

    def __init__(self, settings: Extract, statistics: Counter[str]) -> None:
        self.statistics = statistics
        self._text_keys = tuple(settings.text_keys)
        self._lazy_attributes = tuple(settings.lazy_attributes)
        self._batches: list[PairBatch] = []
        self._pairs = 0

    def add_page(self, page_url: str, base_href: str | None, images: Iterable[Attributes]) -> None:
        """Add the pairs of one page: all of them, or none if an exception is raised.

        Counts the page under `pages`, or under `dropped.page.no_address` if the page has no http(s)
        address for its references to be resolved against. This is the definition; `add_pages` must give
        the same and is much faster. This method accepts any value of an attribute.
        """
        base = page_base(page_url, base_href)
        if isinstance(base, Fault):
            self.statistics["dropped.page.no_address"] += 1
            return
        urls: list[str] = []
        texts: list[str] = []
        keys: list[str] = []
        faults: Counter[str] = Counter()
        seen = kept = 0
        for attributes in images:
            seen += 1
            found = len(texts)
            for key in self._text_keys:
                value = attributes.get(key)
                if value and (text := clean_text(value)):
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
        batch = PairBatch.from_lists(urls, texts, keys, [clean_text(page_url)] * len(urls))
        self._add(batch, 1, seen, kept, faults)

    def add_pages(
        self, page_urls: pa.StringArray | Sequence[str], base_hrefs: Sequence[str | None], images: ImageColumns
    ) -> None:
        """Add the pairs of pages whose images are in columns, as `add_page` does for each.

        If there is an unexpected exception for a page, only this page is dropped (see `one_page`).
        """
        try:
            bases = PageBases(page_urls, base_hrefs)
            found = image_pairs(bases, images, self._text_keys, self._lazy_attributes, self._address)
        except MemoryError:
            raise
        except Exception as error:
            logger.warning("%d pages are looked at one by one: %s", len(page_urls), error, exc_info=True)
            urls = page_urls.to_pylist() if isinstance(page_urls, pa.Array) else page_urls
            for page, (page_url, base_href) in enumerate(zip(urls, base_hrefs, strict=True)):
                with one_page(page_url, self.statistics):
                    self.add_page(page_url, base_href, images.attributes(page))
            return
        pages = int(np.count_nonzero(bases.usable))
        if pages < len(bases):
            self.statistics["dropped.page.no_address"] += len(bases) - pages
        if pages:
            self._add(found.batch, pages, found.images, found.images_kept, found.faults)

    def _add(self, batch: PairBatch, pages: int, images: int, images_kept: int, faults: Mapping[str, int]) -> None:
        statistics = self.statistics
        statistics["pages"] += pages
        statistics["images"] += images
        statistics["images_kept"] += images_kept
        statistics["texts"] += len(batch)
        for reason, count in faults.items():
            statistics["dropped.image." + reason] += count
        if len(batch):
            self._batches += batch.pieces()
            self._pairs += len(batch)

    def _address(self, attributes: Attributes, base: Base) -> str | Fault:
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
        return PairBatch.concatenate(batches)

    def take(self) -> PairBatch | None:
        """Return the remaining batch, or None if it is empty."""
        batches, self._batches, self._pairs = self._batches, [], 0
        return PairBatch.concatenate(batches) if batches else None
