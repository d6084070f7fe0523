"""Many pages scanned at once: what `html.parse_page` finds in each, without building a tree."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from metaclip.html import is_robots_name
from metaclip.html_kernel import IMAGE_SLOTS, META_SLOTS, PADDING, scan
from metaclip.html_values import decode, mention_robots
from metaclip.image_columns import ImageColumns, span_type

_LARGE_BYTES = 8 << 20


@dataclass(frozen=True, slots=True)
class Scan:
    """What a scan found; lists and arrays have an element for each page."""

    images: ImageColumns
    bases: list[str | None]
    """As `html.Page.base`."""
    robots: list[list[str]]
    """As `html.Page.robots`."""
    flags: npt.NDArray[np.bool_]
    """bool[pages]: only a tree gets the page right, and what is said of it here does not count."""


def scan_pages(pages: Sequence[bytes | memoryview]) -> Scan:
    """Find images, bases and robots directives in pages of UTF-8 bytes."""
    data = np.frombuffer(bytearray().join([*pages, bytes(PADDING)]), np.uint8)
    count = len(pages)
    bounds = np.zeros((count, 2), np.int64)
    np.cumsum(np.fromiter(map(len, pages), np.int64, count), out=bounds[:, 1])
    bounds[1:, 0] = bounds[:-1, 1]
    places = span_type(len(data))
    # Memory that is never written to costs nothing, but getting much of it again and again does.
    spans = np.empty((len(data) // (512 if len(data) < _LARGE_BYTES else 32) + 16, IMAGE_SLOTS, 2), places)
    metas = np.empty((len(data) // 2048 + 16, META_SLOTS, 2), places)
    image_ends, meta_ends = np.zeros((2, count), np.int64)
    bases = np.empty((count, 2), places)
    flags = np.zeros(count, np.bool_)
    page = image = meta = 0
    while True:
        results = (spans, image_ends, metas, meta_ends, bases, flags)
        page, image, meta = scan(data, bounds, page, image, meta, results)
        if page == count:
            break
        spans, metas = _grown(spans), _grown(metas)
    spans, metas = spans[:image], metas[:meta]
    ends = np.concatenate((np.zeros(1, np.int64), image_ends))
    spoilt_images = decode(data, spans.reshape(-1, 2)) // IMAGE_SLOTS
    spoilt_metas = decode(data, metas.reshape(-1, 2)) // META_SLOTS
    flags[np.searchsorted(image_ends, spoilt_images, "right")] = True
    flags[np.searchsorted(meta_ends, spoilt_metas, "right")] = True
    flags[decode(data, bases)] = True
    return Scan(ImageColumns(data, spans, ends), _texts(data, bases), _robots(data, metas, meta_ends), flags)


def _grown(array: npt.NDArray[Any]) -> npt.NDArray[Any]:
    larger = np.empty((2 * len(array), *array.shape[1:]), array.dtype)
    larger[: len(array)] = array
    return larger


def _texts(data: npt.NDArray[np.uint8], spans: npt.NDArray[Any]) -> list[str | None]:
    return [
        data[start:end].tobytes().decode("utf-8", "replace") if start >= 0 else None for start, end in spans.tolist()
    ]


def _robots(data: npt.NDArray[np.uint8], metas: npt.NDArray[Any], ends: npt.NDArray[np.int64]) -> list[list[str]]:
    robots: list[list[str]] = [[] for _ in ends]
    picked = np.flatnonzero(mention_robots(data, metas))
    pages = np.searchsorted(ends, picked, "right")
    for page, meta in zip(pages.tolist(), metas[picked], strict=True):
        name, http_equiv, content = _texts(data, meta)
        if is_robots_name(name or http_equiv):
            robots[page].append(content or "")
    return robots
