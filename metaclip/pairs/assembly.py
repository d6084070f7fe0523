"""From the images of many pages to their pairs, with Python for what is odd alone.

Equals `metaclip.pairs.collector`; held by tests/metaclip/pairs/test_assembly.py.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from metaclip.kernels.jit import frozen
from metaclip.pairs.assembly_kernel import (
    ABSOLUTE,
    DATA,
    DROPPED,
    EMPTY,
    LONG_TEXT,
    NO_TEXT,
    ODD,
    Columns,
    Found,
    Rules,
    fill,
    gather,
    measure,
)
from metaclip.pairs.batch import COLUMNS, PairBatch
from metaclip.pairs.image_columns import ATTRIBUTES, ImageColumns
from metaclip.pairs.page_bases import PageBases
from metaclip.pairs.urls import CHARACTERS, Base, Fault

_REASONS = {EMPTY: Fault.NONE.value, DATA: Fault.DATA.value, NO_TEXT: "no_text"}
_REFERENCES = [ATTRIBUTES.index(name) for name in ("src", "data-src", "data-original", "srcset")]
# An Arrow string column holds 2 GB.
_MOST_BYTES = 1 << 30
# More are done in pieces, so that what is held beside the images and their pairs stays small.
_MOST_IMAGES = 1 << 16

Address = Callable[[dict[str, str], Base], str | Fault]


class Limits(NamedTuple):
    """How many bytes the longest address and text may have, and all pairs of a page: addresses, texts, its address."""

    address: int
    text: int
    pairs: int


@dataclass(frozen=True, slots=True)
class FoundPairs:
    """The pairs of some pages, and what became of their images."""

    batch: PairBatch
    images: int
    images_kept: int
    faults: Counter[str]
    """Images without pairs by reason."""
    long_texts: int
    """Texts that were left out, because they are too long."""

    @property
    def size(self) -> int:
        """The bytes of addresses, texts and addresses of pages over all pairs."""
        columns = (self.batch.table.column(name) for name in ("url", "text", "page_url"))
        return sum(pc.sum(pc.binary_length(column)).as_py() or 0 for column in columns)

    @classmethod
    def joined(cls, parts: Sequence["FoundPairs"]) -> "FoundPairs":
        """Return what was found in parts, in their order."""
        return cls(
            PairBatch(pa.concat_tables([part.batch.table for part in parts])),
            sum(part.images for part in parts),
            sum(part.images_kept for part in parts),
            sum((part.faults for part in parts), Counter[str]()),
            sum(part.long_texts for part in parts),
        )


def image_pairs(
    bases: PageBases,
    images: ImageColumns,
    text_keys: Sequence[str],
    lazy_attributes: Sequence[str],
    address: Address,
    limits: Limits,
) -> FoundPairs:
    """Return the pairs of pages; those whose base is a Fault are passed over.

    Args:
        bases: the pages' addresses, and what their references are resolved against.
        images: their images.
        text_keys: the attributes whose texts are taken.
        lazy_attributes: those that stand in for `src`.
        address: gives an image's address, asked only where a reference is not plain.
        limits: of addresses and texts.
    """
    if len(images.spans) > _MOST_IMAGES:
        return _in_halves(bases, images, text_keys, lazy_attributes, address, limits)
    data, spans = frozen(images.data, np.uint8), frozen(images.spans, images.spans.dtype)
    pages = frozen(images.pages, np.int64)
    layout, base_data = bases.layout, bases.data
    keys = np.array([ATTRIBUTES.index(key) for key in text_keys], np.int64)
    lazy = np.array([ATTRIBUTES.index(name) for name in lazy_attributes], np.int64)
    widths = spans[:, :, 1] - spans[:, :, 0]
    text_bytes = 3 * int(widths[:, keys].sum())
    most = text_bytes + len(keys) * int(widths[:, 0].sum() + np.diff(pages) @ (layout[:, 3] - layout[:, 0]))
    if most > _MOST_BYTES and len(spans) > 1:
        return _in_halves(bases, images, text_keys, lazy_attributes, address, limits)
    found = _room(len(spans), len(keys), text_bytes)
    counts = np.zeros(LONG_TEXT + 1, np.int64)
    seen, count, rows = gather(
        data, spans, pages, bases.usable, Rules(keys, lazy, _CHARACTERS, limits.text), found, counts
    )
    faults = Counter({reason: int(counts[code]) for code, reason in _REASONS.items() if counts[code]})
    found = _resolve_odd(found, count, images, bases, address, faults)
    url_offsets, text_offsets = np.empty(rows + 1, np.int64), np.empty(rows + 1, np.int64)
    stay, too_long = measure(rows, found, layout, base_data, limits.address, url_offsets, text_offsets)
    if too_long:
        faults[Fault.LONG.value] += too_long
    kept = count - int(np.count_nonzero(found.forms[:count] == DROPPED))
    columns = Columns(
        np.empty(url_offsets[stay], np.uint8),
        np.empty(text_offsets[stay], np.uint8),
        np.empty(stay, np.uint8),
        np.empty(stay, np.int64),
    )
    fill(rows, found, layout, base_data, data, url_offsets, text_offsets, columns)
    table = [
        _strings(url_offsets[: stay + 1], columns.urls),
        _strings(text_offsets[: stay + 1], columns.texts),
        pa.array(text_keys, pa.string()).take(pa.array(columns.keys)),
        bases.addresses.take(pa.array(columns.pages)),
    ]
    return FoundPairs(PairBatch(pa.table(table, schema=COLUMNS)), seen, kept, faults, int(counts[LONG_TEXT]))


def parts_of(
    bases: PageBases, images: ImageColumns, text_keys: Sequence[str], limits: Limits
) -> Iterator[tuple[int, int, bool]]:
    """Divide pages into parts whose pairs surely take no more than `limits.pairs` bytes.

    Args:
        bases: the pages' addresses, none longer than `limits.address`.
        images: their images.
        text_keys: the attributes whose texts are taken.
        limits: of addresses, and of all pairs of a part.

    Yields:
        First page, page after the last, and False for pages of which each alone may take more.
    """
    keys = [ATTRIBUTES.index(key) for key in text_keys]
    most = 2 * limits.address * len(keys) * len(images.spans) + 3 * len(keys) * len(images.data)
    if most <= limits.pairs:
        yield 0, len(bases), True
        return
    sizes = _most_bytes(bases, images, keys, limits).tolist()
    first = held = 0
    for page, size in enumerate(sizes):
        if held + size > limits.pairs and first < page:
            yield first, page, True
            first, held = page, 0
        if size > limits.pairs:
            yield page, page + 1, False
            first, held = page + 1, 0
        else:
            held += size
    if first < len(sizes):
        yield first, len(sizes), True


def _most_bytes(bases: PageBases, images: ImageColumns, keys: Sequence[int], limits: Limits) -> npt.NDArray[np.int64]:
    """Return for each page, int64[pages], what its pairs take at most; many images are looked at in pieces."""
    page_bytes = np.asarray(pc.binary_length(bases.addresses), np.int64)
    sizes = np.zeros(len(bases), np.int64)
    for start in range(0, len(images.spans), _MOST_IMAGES):
        spans = images.spans[start : start + _MOST_IMAGES]
        widths = np.maximum(spans[:, :, 1] - spans[:, :, 0], 0)
        texts = widths[:, keys]
        pages = np.searchsorted(images.pages, np.arange(start, start + len(spans)), "right") - 1
        # Of one byte may become nine (what is no UTF-8, percent-encoded); of a label in a host, 64 of four.
        reference = 16 * widths[:, _REFERENCES].max(axis=1).astype(np.int64) + 64
        address = np.minimum(bases.reach[pages] + reference, limits.address)
        each = np.count_nonzero(texts, axis=1) * (address + page_bytes[pages]) + 3 * texts.sum(axis=1, dtype=np.int64)
        np.add.at(sizes, pages, each)
    return np.where(bases.usable, sizes, 0)


def _in_halves(
    bases: PageBases,
    images: ImageColumns,
    text_keys: Sequence[str],
    lazy_attributes: Sequence[str],
    address: Address,
    limits: Limits,
) -> FoundPairs:
    halves = _halves(images)
    return FoundPairs.joined([image_pairs(bases, half, text_keys, lazy_attributes, address, limits) for half in halves])


def _room(images: int, keys: int, text_bytes: int) -> Found:
    rows = images * keys
    return Found(
        text_data=np.empty(text_bytes, np.uint8),
        text_ends=np.empty(rows, np.int64),
        row_keys=np.empty(rows, np.uint8),
        row_images=np.empty(rows, np.int64),
        pages=np.empty(images, np.int64),
        places=np.empty(images, np.int64),
        forms=np.empty(images, np.uint8),
        starts=np.empty(images, np.int64),
        ends=np.empty(images, np.int64),
        ups=np.zeros(images, np.int64),
        is_extra=np.zeros(images, np.bool_),
        extra=_NOTHING,
    )


def _resolve_odd(
    found: Found,
    count: int,
    images: ImageColumns,
    bases: PageBases,
    address: Address,
    faults: Counter[str],
) -> Found:
    """Ask `address` for each of the first `count` images whose form is ODD."""
    extra = bytearray()
    for image in np.flatnonzero(found.forms[:count] == ODD).tolist():
        base = bases.base(int(found.pages[image]))
        resolved = base if isinstance(base, Fault) else address(images.image(found.places[image]), base)
        if isinstance(resolved, Fault):
            found.forms[image] = DROPPED
            faults[resolved.value] += 1
        else:
            found.forms[image], found.is_extra[image] = ABSOLUTE, True
            found.starts[image] = len(extra)
            extra += resolved.encode("ascii")
            found.ends[image] = len(extra)
    return found._replace(extra=frozen(np.frombuffer(extra, np.uint8), np.uint8)) if extra else found


_CHARACTERS = frozen(CHARACTERS, np.uint8)
_NOTHING = frozen(np.zeros(0, np.uint8), np.uint8)


def _halves(images: ImageColumns) -> tuple[ImageColumns, ImageColumns]:
    """Cut at the image in the middle; both halves have all pages."""
    middle = len(images.spans) // 2
    first, second = np.minimum(images.pages, middle), np.maximum(images.pages, middle) - middle
    return (
        ImageColumns(images.data, images.spans[:middle], first),
        ImageColumns(images.data, images.spans[middle:], second),
    )


def _strings(offsets: npt.NDArray[np.int64], data: npt.NDArray[np.uint8]) -> Any:
    return pa.StringArray.from_buffers(len(offsets) - 1, pa.py_buffer(offsets.astype(np.int32)), pa.py_buffer(data))
