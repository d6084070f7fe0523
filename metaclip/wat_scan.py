"""What extraction needs of many WAT records at once, found by `metaclip.wat_kernel`."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from metaclip.html import ROBOTS_NAMES
from metaclip.image_columns import ATTRIBUTES, ImageColumns
from metaclip.references import unescape
from metaclip.utf8 import encode
from metaclip.wat_kernel import BASE, CONTENT_TYPE, DIRECTIVES, MOST_DIRECTIVES, PADDING, Scan, scan_records

_ROBOTS, _ROBOTS_BOUNDS = encode(sorted(ROBOTS_NAMES), "names")


@dataclass(frozen=True, slots=True)
class ScannedRecords:
    """Records as far as they were in order."""

    kinds: npt.NDArray[np.uint8]
    """uint8[records]: `wat_kernel.LEFT`, PASSED_OVER or PAGE."""
    images: ImageColumns
    """The images of each record as of a page; those that are no PAGE have none."""
    strings: npt.NDArray[np.int64]
    """See `wat_kernel.Scan`; they lie in the data of `images`."""

    def base(self, record: int) -> str | None:
        """Return `Head.Base`, its character references decoded."""
        return unescape(self._string(record, BASE))

    def content_type(self, record: int) -> str:
        """Return the media type that the page's headers state, empty where they state none."""
        return self._string(record, CONTENT_TYPE) or ""

    def directives(self, record: int) -> list[str]:
        """Return what headers and meta tags say to robots."""
        places = range(DIRECTIVES, DIRECTIVES + MOST_DIRECTIVES)
        return [text for place in places if (text := self._string(record, place)) is not None]

    def _string(self, record: int, place: int) -> str | None:
        start, end = self.strings[record, place].tolist()
        return self.images.data[start:end].tobytes().decode("utf-8", "replace") if start >= 0 else None


def scan(bodies: Sequence[bytes]) -> ScannedRecords:
    """Scan the bodies of records; see `wat_kernel` for which are left to others."""
    joined = bytearray(b"\0".join(bodies))
    most_images = joined.count(b"IMG@/src")
    joined += bytes(1 + PADDING)
    data = np.frombuffer(joined, np.uint8)
    lengths = np.fromiter(map(len, bodies), np.int64, len(bodies))
    ends = np.cumsum(lengths + 1) - 1
    found = Scan(
        kinds=np.zeros(len(bodies), np.uint8),
        strings=np.empty((len(bodies), DIRECTIVES + MOST_DIRECTIVES, 2), np.int64),
        images=np.empty(len(bodies) + 1, np.int64),
        spans=np.empty((most_images, len(ATTRIBUTES), 2), np.int64),
        references=np.empty((4 * most_images, 2), np.int64),
    )
    images, references = scan_records(data, np.column_stack([ends - lengths, ends]), _ROBOTS, _ROBOTS_BOUNDS, found)
    data = _unescape(data, found.spans, found.references[:references])
    return ScannedRecords(found.kinds, ImageColumns(data, found.spans[:images], found.images), found.strings)


def _unescape(
    data: npt.NDArray[np.uint8], spans: npt.NDArray[np.int64], references: npt.NDArray[np.int64]
) -> npt.NDArray[np.uint8]:
    """Decode the references of some strings, which then stand behind the data."""
    added = bytearray()
    for image, attribute in references.tolist():
        start, end = spans[image, attribute].tolist()
        value = data[start:end].tobytes().decode("utf-8", "replace")
        decoded = unescape(value)
        if decoded and decoded != value:
            spans[image, attribute, 0] = len(data) + len(added)
            added += decoded.encode()
            spans[image, attribute, 1] = len(data) + len(added)
    return np.concatenate([data, np.frombuffer(added, np.uint8)]) if added else data
