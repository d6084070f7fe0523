"""The images of many pages in columns: the result of the scanners of HTML and WAT, for the rules of extraction."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

ATTRIBUTES = ("src", "alt", "title", "data-image-title", "data-src", "data-original", "srcset")
"""The attributes of an image that extraction uses, in the order of `ImageColumns.spans`."""

_NARROW_BYTES = 1 << 30


def span_type(size: int) -> type[np.int32 | np.int64]:
    """Return the integer type for positions in a buffer of this many bytes and some additions at its end."""
    return np.int32 if size < _NARROW_BYTES else np.int64


@dataclass(frozen=True, slots=True)
class ImageColumns:
    """Attributes of images as spans of one buffer, page after page, in document order."""

    data: npt.NDArray[np.uint8]
    """uint8[n]: values in UTF-8, with character references decoded; there may be unused bytes between them."""
    spans: npt.NDArray[np.int32 | np.int64]
    """int[images, len(ATTRIBUTES), 2]: start and end in `data`; both -1 if an image lacks the attribute.
    The type is `span_type`, because this is most of the memory for a page of a million images."""
    pages: npt.NDArray[np.int64]
    """int64[pages + 1]: the images of page p are `spans[pages[p]:pages[p + 1]]`."""

    def select(self, pages: Sequence[int]) -> "ImageColumns":
        """Return the images of some pages, given in ascending order."""
        starts, ends = self.pages[np.asarray(pages, np.int64)], self.pages[np.asarray(pages, np.int64) + 1]
        bounds = np.concatenate([np.zeros(1, np.int64), np.cumsum(ends - starts)])
        if len(pages) and ends[-1] - starts[0] == bounds[-1]:
            return ImageColumns(self.data, self.spans[starts[0] : ends[-1]], bounds)
        rows = np.arange(bounds[-1]) + np.repeat(starts - bounds[:-1], ends - starts)
        return ImageColumns(self.data, self.spans[rows], bounds)

    def attributes(self, page: int) -> list[dict[str, str]]:
        """Return the attributes of a page's images as text; bytes that are not UTF-8 become U+FFFD."""
        return [self.image(image) for image in range(self.pages[page], self.pages[page + 1])]

    def image(self, image: int) -> dict[str, str]:
        """Return the attributes of one image as text, by its position in `spans`."""
        return {
            name: self.data[start:end].tobytes().decode("utf-8", "replace")
            for name, (start, end) in zip(ATTRIBUTES, self.spans[image].tolist(), strict=True)
            if start >= 0
        }


Attributes = Mapping[str, str | None]
"""The attributes of an `<img>` by lower-case name; None or "" if the value is empty."""
