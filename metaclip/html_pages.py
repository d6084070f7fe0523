"""Many HTML pages together, most of them where the records that hold them lie."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from metaclip.html_kernel import PADDING
from metaclip.jit import frozen

NOTHING = frozen(np.zeros(0, np.uint8), np.uint8)


class HtmlPage(NamedTuple):
    """A response that is an HTML page."""

    url: str
    html: bytes | memoryview
    """In UTF-8, as `http_message.html_page` gives it."""
    directives: Sequence[str]
    """Its X-Robots-Tag headers."""


@dataclass(frozen=True, slots=True)
class Pages:
    """Some pages, in order; valid as long as the records in which they lie."""

    urls: list[str]
    directives: list[Sequence[str]]
    """Their X-Robots-Tag headers."""
    data: npt.NDArray[np.uint8]
    """uint8[n], read-only: what the records lie in, and `html_kernel.PADDING` bytes of whatever kind."""
    added: npt.NDArray[np.uint8]
    """uint8[m], read-only: other pages one behind the other, and as many bytes."""
    places: npt.NDArray[np.int64]
    """int64[pages, 3]: where each page starts and ends, and 1 if it is in `added`."""

    def __len__(self) -> int:
        return len(self.urls)

    def html(self, page: int) -> memoryview:
        """Return the bytes of a page, without a copy."""
        start, end, elsewhere = self.places[page].tolist()
        return (self.added if elsewhere else self.data)[start:end].data

    def without(self, left_out: set[int]) -> "Pages":
        """Leave out pages given by number."""
        kept = [page for page in range(len(self)) if page not in left_out]
        urls, directives = [self.urls[page] for page in kept], [self.directives[page] for page in kept]
        return Pages(urls, directives, self.data, self.added, self.places[kept])


class PageList:
    """Pages as they are found one by one."""

    def __init__(self, data: npt.NDArray[np.uint8] = NOTHING) -> None:
        """Take note of what the records lie in, as `Pages.data`."""
        self._data = data
        self._added: list[bytes | memoryview] = []
        self._end = 0
        self._urls: list[str] = []
        self._directives: list[Sequence[str]] = []
        self._places: list[tuple[int, int, int]] = []

    def add(self, url: str, directives: Sequence[str], start: int, end: int) -> None:
        """Add a page that is a part of `data`."""
        self._urls.append(url)
        self._directives.append(directives)
        self._places.append((start, end, 0))

    def add_page(self, page: HtmlPage) -> None:
        """Add a page that lies elsewhere."""
        self._urls.append(page.url)
        self._directives.append(page.directives)
        self._added.append(page.html)
        start, self._end = self._end, self._end + len(page.html)
        self._places.append((start, self._end, 1))

    def pages(self) -> Pages:
        """Return them together."""
        added = frozen(np.frombuffer(b"".join([*self._added, bytes(PADDING)]), np.uint8), np.uint8)
        places = np.array(self._places, np.int64).reshape(-1, 3)
        return Pages(self._urls, self._directives, self._data, added, places)
