"""Many HTML pages together, most of them where the records that hold them lie."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from metaclip.html.scan_kernel import PADDING
from metaclip.kernels.jit import frozen

NOTHING = frozen(np.zeros(0, np.uint8), np.uint8)


class HtmlPage(NamedTuple):
    """A response that is an HTML page."""

    url: str
    html: bytes | memoryview
    """In UTF-8, as `message.html_page` gives it."""
    directives: Sequence[str]
    """Its X-Robots-Tag headers."""


@dataclass(frozen=True, slots=True)
class Pages:
    """Some pages, in order; valid as long as the records in which they lie."""

    urls: pa.StringArray
    directives: list[Sequence[str]]
    """Their X-Robots-Tag headers."""
    data: npt.NDArray[np.uint8]
    """uint8[n], read-only: what the records lie in, and `scan_kernel.PADDING` bytes of whatever kind."""
    added: npt.NDArray[np.uint8]
    """uint8[m], read-only: other pages one behind the other, and as many bytes."""
    places: npt.NDArray[np.int64]
    """int64[pages, 3]: where each page starts and ends, and 1 if it is in `added`."""

    def __len__(self) -> int:
        return len(self.directives)

    def url(self, page: int) -> str:
        """Return the address of a page."""
        url: str = self.urls[page].as_py()
        return url

    def html(self, page: int) -> memoryview:
        """Return the bytes of a page, without a copy."""
        start, end, elsewhere = self.places[page].tolist()
        return (self.added if elsewhere else self.data)[start:end].data

    def without(self, left_out: set[int]) -> "Pages":
        """Leave out pages given by number."""
        kept = [page for page in range(len(self)) if page not in left_out]
        directives = [self.directives[page] for page in kept]
        return Pages(self.urls.take(pa.array(kept, pa.int64())), directives, self.data, self.added, self.places[kept])


class PageList:
    """Pages as they are found one by one."""

    def __init__(self, data: npt.NDArray[np.uint8] = NOTHING) -> None:
        """Take note of what the records lie in, as `Pages.data`."""
        self._data = data
        self._added: list[bytes | memoryview] = []
        self._end = 0
        self._directives: list[Sequence[str]] = []
        self._places: list[tuple[int, int, int]] = []

    def add(self, start: int, end: int, directives: Sequence[str]) -> None:
        """Add a page that is a part of `data`."""
        self._places.append((start, end, 0))
        self._directives.append(directives)

    def add_elsewhere(self, html: bytes | memoryview, directives: Sequence[str]) -> None:
        """Add a page that is not."""
        start, self._end = self._end, self._end + len(html)
        self._added.append(html)
        self._places.append((start, self._end, 1))
        self._directives.append(directives)

    def pages(self, urls: pa.StringArray) -> Pages:
        """Return them together, given their addresses."""
        added = frozen(np.frombuffer(b"".join([*self._added, bytes(PADDING)]), np.uint8), np.uint8)
        places = np.array(self._places, np.int64).reshape(-1, 3)
        return Pages(urls, self._directives, self._data, added, places)
