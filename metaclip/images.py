"""From the images of a page to image-text pairs: the rules that WARC and WAT share."""

import logging
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager

import numpy as np
import pyarrow as pa

from metaclip.clean_text import clean_text as clean_text  # readers take it from here
from metaclip.config import Extract
from metaclip.image_columns import ImageColumns
from metaclip.page_bases import PageBases
from metaclip.pair_batch import PairBatch as PairBatch  # readers take it from here
from metaclip.pair_columns import image_pairs
from metaclip.urls import Base, Fault, page_base, resolve

_LOGGER = logging.getLogger(__name__)

BATCH_PAIRS = 8192
"""A batch is handed on once it holds so many pairs; only pages of more than 65,536 images are split."""

Attributes = Mapping[str, str | None]
"""An `<img>`'s attributes by lower-case name; None or "" where the value is empty."""


@contextmanager
def one_page(page_url: str, statistics: Counter[str]) -> Iterator[None]:
    """Let whatever goes wrong within cost one page: it is counted by exception and logged."""
    try:
        yield
    except MemoryError:
        raise
    except Exception as error:
        reason = "dropped.page.error_" + type(error).__name__
        # The first of a kind is worth a line; the count says how many there were.
        level = logging.DEBUG if statistics[reason] else logging.WARNING
        statistics[reason] += 1
        _LOGGER.log(level, "%s: page skipped: %s", page_url, error, exc_info=True)


class PairCollector:
    """Gathers the pairs of pages into batches and counts what becomes of their images."""

    def __init__(self, settings: Extract, statistics: Counter[str]) -> None:
        self.statistics = statistics
        self._text_keys = tuple(settings.text_keys)
        self._lazy_attributes = tuple(settings.lazy_attributes)
        self._batches: list[PairBatch] = []
        self._pairs = 0

    def add_page(self, page_url: str, base_href: str | None, images: Iterable[Attributes]) -> None:
        """Add the pairs of one page, all of them or, where anything is raised, none.

        Counts the page under `pages`, or under `dropped.page.no_address` where the page has no http(s)
        address that references could be resolved against. `add_pages` is faster by far; this is the
        definition that it has to equal, and takes any attribute's value.
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
            # Three images in ten have no text; they need no address either.
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

        A page at which something unforeseen is raised costs only itself (see `one_page`).
        """
        try:
            bases = PageBases(page_urls, base_hrefs)
            found = image_pairs(bases, images, self._text_keys, self._lazy_attributes, self._address)
        except MemoryError:
            raise
        except Exception as error:
            _LOGGER.warning("%d pages are looked at one by one: %s", len(page_urls), error, exc_info=True)
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
        """Hand over a batch if one is full; of many pairs a part, so ask again."""
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
        """Hand over what there is, or None if there is nothing."""
        batches, self._batches, self._pairs = self._batches, [], 0
        return PairBatch.concatenate(batches) if batches else None


_SRCSET_URL = re.compile(r"[\s,]*([^\s,]\S*)")
_SRCSET_DESCRIPTORS = re.compile(r"(?:[^,(]|\([^)]*\)?)*")
_WIDTH = re.compile(r"[0-9]+w")
_HEIGHT = re.compile(r"[0-9]+h")
_DENSITY = re.compile(r"-?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?x")


def srcset_candidates(srcset: str) -> list[str]:
    """Return a srcset's references, the largest first, equals in the order of writing.

    Read as the HTML standard reads it (4.8.4.3.9, "Parsing a srcset attribute"); candidates with
    descriptors that it forbids are left out. The size is the width descriptor, or the density where
    there is none (1 if nothing is said). The largest is taken because a training set can shrink an
    image, never enlarge it.
    """
    candidates: list[tuple[float, str]] = []
    position = 0
    while match := _SRCSET_URL.match(srcset, position):
        reference = match[1]
        position = match.end()
        descriptors: list[str] = []
        if reference.endswith(","):
            reference = reference.rstrip(",")
        else:
            if tail := _SRCSET_DESCRIPTORS.match(srcset, position):
                position = tail.end()
                descriptors = tail[0].split()
        size = _size(descriptors)
        if reference and size is not None:
            candidates.append((size, reference))
    candidates.sort(key=lambda candidate: -candidate[0])
    return [reference for _, reference in candidates]


def _size(descriptors: list[str]) -> float | None:
    width: float | None = None
    density: float | None = None
    height = False
    for descriptor in descriptors:
        if _WIDTH.fullmatch(descriptor) and width is None and density is None:
            width = float(descriptor[:-1])
        elif _DENSITY.fullmatch(descriptor) and width is None and density is None and not height:
            density = float(descriptor[:-1])
        elif _HEIGHT.fullmatch(descriptor) and not height and density is None:
            height = True
        else:
            return None
    if width == 0 or (density is not None and density < 0) or (height and width is None):
        return None
    return width if width is not None else 1.0 if density is None else density
