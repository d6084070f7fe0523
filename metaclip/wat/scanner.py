"""What extraction needs of many WAT records at once.

Equals `metaclip.wat.definition`; held by tests/metaclip/wat/test_scanner.py.
"""

import threading
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from metaclip.archive.batches import BATCH_BYTES, RecordBatch
from metaclip.kernels.utf8 import encode
from metaclip.pairs.image_columns import ATTRIBUTES, ImageColumns, span_type
from metaclip.pairs.page_rules import ROBOTS_NAMES
from metaclip.wat.references import unescape
from metaclip.wat.scan_kernel import BASE, DIRECTIVES, MOST_DIRECTIVES, Scan, scan_records
from metaclip.wat.string_kernel import LANES, decode_strings, find_quotes

_LETTER = np.array([chr(byte).isalpha() and byte < 128 for byte in range(256)])
# `{"path":"IMG@/src"},` at the least
_LEAST_IMAGE_BYTES = 20
# As many quotes as there can be in a batch as it usually is.
_MOST_KEPT = 3 * BATCH_BYTES
_THREAD = threading.local()
_ROBOTS, _ROBOTS_BOUNDS = encode(sorted(ROBOTS_NAMES), "names")


@dataclass(frozen=True, slots=True)
class ScannedRecords:
    """Records as far as they were in order."""

    kinds: npt.NDArray[np.uint8]
    """uint8[records]: `scan_kernel.LEFT`, PASSED_OVER or PAGE."""
    images: ImageColumns
    """The images of each record as of a page; those that are no PAGE have none."""
    strings: npt.NDArray[np.int64]
    """See `scan_kernel.Scan`; they lie in the data of `images`."""

    def bases(self, records: npt.NDArray[np.int64]) -> list[str | None]:
        """Return `Head.Base` of some records, its character references decoded."""
        found: list[str | None] = [None] * len(records)
        for place in np.flatnonzero(self.strings[records, BASE, 0] >= 0).tolist():
            found[place] = unescape(self._string(records[place], BASE))
        return found

    def all_directives(self, records: npt.NDArray[np.int64]) -> list[bytes]:
        """Return what some records say to robots, of all of them together, as it is written."""
        spans = self.strings[records, DIRECTIVES:].reshape(-1, 2)
        starts, ends = spans[spans[:, 0] >= 0].T.tolist()
        data = memoryview(self.images.data.data)
        return [bytes(data[start:end]) for start, end in zip(starts, ends, strict=True)]

    def directives(self, record: int) -> list[str]:
        """Return what headers and meta tags say to robots."""
        places = range(DIRECTIVES, DIRECTIVES + MOST_DIRECTIVES)
        return [text for place in places if (text := self._string(record, place)) is not None]

    def _string(self, record: int, place: int) -> str | None:
        start, end = self.strings[record, place].tolist()
        return self.images.data[start:end].tobytes().decode("utf-8", "replace") if start >= 0 else None


def scan(batch: RecordBatch) -> ScannedRecords:
    """Scan the bodies of records, in place; see `metaclip.wat.scan_kernel` for which are left to others."""
    data = np.frombuffer(batch.data, np.uint8)
    bounds = np.ascontiguousarray(batch.blocks)
    records, size = len(batch), int((bounds[:, 1] - bounds[:, 0]).sum())
    # Memory that is never written to costs nothing, so there is room for the most that there can be.
    most_images = size // _LEAST_IMAGE_BYTES + 1
    quotes = _room(size + LANES + 1, span_type(len(data)))
    starts = np.empty(records, np.int64)
    found = Scan(
        kinds=np.zeros(records, np.uint8),
        strings=np.empty((records, DIRECTIVES + MOST_DIRECTIVES, 2), np.int64),
        images=np.empty(records + 1, np.int64),
        spans=np.empty((most_images, len(ATTRIBUTES), 2), span_type(len(data))),
    )
    # Where an address begins oddly, it may be none.
    addressed = (batch.addresses[:, 1] > batch.addresses[:, 0]) & _LETTER[data[batch.addresses[:, 0]]]
    find_quotes(data, bounds, quotes, starts)
    images = scan_records(data, bounds, quotes, starts, addressed, _ROBOTS, _ROBOTS_BOUNDS, found)
    spans = found.spans[:images]
    _decode_strings(data, found.strings)
    data = _unescape(data, spans, _decode_strings(data, spans))
    return ScannedRecords(found.kinds, ImageColumns(data, spans, found.images), found.strings)


def _room(size: int, dtype: npt.DTypeLike) -> npt.NDArray[Any]:
    """Return an array to be written over, a thread's own: getting new memory takes longer than filling it."""
    if size > _MOST_KEPT:
        return np.empty(size, dtype)
    kept: npt.NDArray[Any] | None = getattr(_THREAD, "room", None)
    if kept is None or kept.dtype != dtype:
        kept = _THREAD.room = np.empty(_MOST_KEPT, dtype)
    return kept


def _decode_strings(data: npt.NDArray[np.uint8], spans: npt.NDArray[Any]) -> npt.NDArray[np.int64]:
    """Decode the escapes of some strings in place; return which of them may hold references."""
    places = spans.reshape(-1, 2)
    references = np.empty(len(places), np.int64)
    return references[: decode_strings(data, places, references)]


def _unescape(
    data: npt.NDArray[np.uint8], spans: npt.NDArray[Any], references: npt.NDArray[np.int64]
) -> npt.NDArray[np.uint8]:
    """Decode the references of some strings, in place or, where one gets longer, behind the data."""
    added = bytearray()
    places = spans.reshape(-1, 2)
    for place in references.tolist():
        start, end = places[place].tolist()
        value = data[start:end].tobytes().decode("utf-8", "replace")
        decoded = unescape(value)
        if not decoded or decoded == value:
            continue
        encoded = decoded.encode()
        if len(encoded) <= end - start:
            data[start : start + len(encoded)] = np.frombuffer(encoded, np.uint8)
        else:
            start = len(data) + len(added)
            added += encoded
        places[place] = start, start + len(encoded)
    return np.concatenate([data, np.frombuffer(added, np.uint8)]) if added else data
