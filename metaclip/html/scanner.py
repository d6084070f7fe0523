"""Many pages scanned at once for images, bases and robots directives, without building a tree.

Equals `metaclip.html.tree`; held by tests/metaclip/html/test_scanner.py.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from metaclip.html.scan_kernel import IMAGE_SLOTS, META_SLOTS, PADDING, scan
from metaclip.html.value_kernel import decode_values, may_mention_robots
from metaclip.kernels.jit import frozen
from metaclip.pairs.image_columns import ImageColumns, span_type
from metaclip.pairs.page_rules import is_robots_name

_LARGE_BYTES = 8 << 20


@dataclass(frozen=True, slots=True)
class Scan:
    """What a scan found; lists and arrays have an element for each page."""

    images: ImageColumns
    bases: list[str | None]
    """As `tree.Page.base`."""
    robots: list[list[str]]
    """As `tree.Page.robots`."""
    flags: npt.NDArray[np.bool_]
    """bool[pages]: only a tree gets the page right, and what is said of it here does not count."""


def scan_pages(pages: Sequence[bytes | memoryview]) -> Scan:
    """Find images, bases and robots directives in pages of UTF-8 bytes."""
    data = frozen(np.frombuffer(b"".join([*pages, bytes(PADDING)]), np.uint8), np.uint8)
    places = np.zeros((len(pages), 3), np.int64)
    np.cumsum(np.fromiter(map(len, pages), np.int64, len(pages)), out=places[:, 1])
    places[1:, 0] = places[:-1, 1]
    return scan_places(data, data, places)


def scan_places(data: npt.NDArray[np.uint8], added: npt.NDArray[np.uint8], places: npt.NDArray[np.int64]) -> Scan:
    """Find the same in pages that lie in two arrays, which stay as they are.

    Args:
        data: uint8, read-only, with PADDING bytes of whatever kind behind the last page.
        added: such another.
        places: int64[pages, 3], where each page starts and ends, and 0 for `data` or 1 for `added`.
    """
    count = len(places)
    size = int((places[:, 1] - places[:, 0]).sum())
    kind = span_type(size + len(data) + len(added))
    # Memory that is never written to costs nothing, but getting much of it again and again does.
    spans = np.empty((size // (512 if size < _LARGE_BYTES else 32) + 16, IMAGE_SLOTS, 2), kind)
    metas = np.empty((size // 2048 + 16, META_SLOTS, 2), kind)
    image_ends, meta_ends = np.zeros((2, count), np.int64)
    bases = np.empty((count, 1, 2), kind)
    flags = np.zeros(count, np.bool_)
    page = image = meta = 0
    while True:
        results = (spans, image_ends, metas, meta_ends, bases, flags)
        page, image, meta = scan(data, added, places, page, image, meta, results)
        if page == count:
            break
        spans, metas = _grown(spans), _grown(metas)
    spans, metas = spans[:image], metas[:meta]
    values = decode_values(data, added, places, image_ends, spans, flags)
    base_values = decode_values(data, added, places, np.arange(1, count + 1), bases, flags)
    robots = _robots(data, added, places, meta_ends, metas, flags)
    ends = np.concatenate((np.zeros(1, np.int64), image_ends))
    return Scan(ImageColumns(values, spans, ends), _texts(base_values, bases[:, 0]), robots, flags)


def _grown(array: npt.NDArray[Any]) -> npt.NDArray[Any]:
    larger = np.empty((2 * len(array), *array.shape[1:]), array.dtype)
    larger[: len(array)] = array
    return larger


def _texts(data: npt.NDArray[np.uint8], spans: npt.NDArray[Any]) -> list[str | None]:
    return [
        data[start:end].tobytes().decode("utf-8", "replace") if start >= 0 else None for start, end in spans.tolist()
    ]


def _robots(
    data: npt.NDArray[np.uint8],
    added: npt.NDArray[np.uint8],
    places: npt.NDArray[np.int64],
    ends: npt.NDArray[np.int64],
    metas: npt.NDArray[Any],
    flags: npt.NDArray[np.bool_],
) -> list[list[str]]:
    robots: list[list[str]] = [[] for _ in ends]
    picked = np.flatnonzero(may_mention_robots(data, added, places, ends, metas))
    pages = np.searchsorted(ends, picked, "right")
    metas = metas[picked]
    values = decode_values(data, added, places, np.searchsorted(picked, ends), metas, flags)
    for page, meta in zip(pages.tolist(), metas, strict=True):
        name, http_equiv, content = _texts(values, meta)
        if is_robots_name(name or http_equiv):
            robots[page].append(content or "")
    return robots
