"""What the references of many pages are resolved against, without an object for pages whose address is plain.

Equals `metaclip.pairs.urls`; held by tests/metaclip/pairs/test_page_bases.py.
"""

import sys
from collections.abc import Sequence
from copy import copy

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from metaclip.kernels.jit import frozen
from metaclip.kernels.utf8 import chunks, encode
from metaclip.pairs.assembly_kernel import plain_pages
from metaclip.pairs.texts import clean_text
from metaclip.pairs.urls import CHARACTERS, Base, Fault, page_base

_CHARACTERS = frozen(CHARACTERS, np.uint8)
_NONE = (frozen(np.zeros(0, np.uint8), np.uint8), frozen(np.zeros(1, np.int64), np.int64))


def is_too_long(page_url: str, base: Base, most_bytes: int) -> bool:
    """Return whether a page's address, as it stands in pairs, or its base is longer than it may be."""
    longest = max(len(page_url), len(base.origin) + len(base.path))
    return longest > most_bytes or len(page_url.encode("utf-8", "surrogatepass")) > most_bytes


class PageBases:
    """Addresses of pages as they stand in pairs, and what `urls.page_base` gives for them."""

    def __init__(
        self,
        page_urls: pa.StringArray | Sequence[str],
        base_hrefs: Sequence[str | None],
        most_bytes: int = sys.maxsize,
    ) -> None:
        """Look at n pages, given by their addresses and what their `<base>` says.

        Neither may be longer than `most_bytes`.
        """
        self._page_urls = page_urls
        self._odd: dict[int, Base | Fault] = {}
        data, offsets = (
            next(chunks(page_urls), _NONE) if isinstance(page_urls, pa.Array) else encode(page_urls, "page_urls")
        )
        self.layout: npt.NDArray[np.int64] = np.zeros((len(page_urls), 4), np.int64)
        """int64[n, 4]: where in `data` a page's base starts, and where its scheme with the colon, its
        origin and its folder end; all the same where it has none."""
        self.usable: npt.NDArray[np.bool_] = np.empty(len(page_urls), np.bool_)
        """bool[n]: whether a page has an http(s) address."""
        plain_pages(data, offsets, _CHARACTERS, self.layout, self.usable)
        self.too_long: npt.NDArray[np.bool_] = self.usable & (np.diff(offsets) > most_bytes)
        """bool[n]: whether a page would be usable, but its address or base is too long."""
        cleaned: dict[int, str] = {}
        added = bytearray()
        odd = ~self.usable
        odd[[page for page, href in enumerate(base_hrefs) if href]] = True
        for page in np.flatnonzero(odd).tolist():
            url = self._page_url(page)
            if (clean := clean_text(url)) != url:
                cleaned[page] = clean
            base = self._odd[page] = page_base(url, base_hrefs[page])
            self.usable[page] = isinstance(base, Base)
            self.too_long[page] = isinstance(base, Base) and is_too_long(clean, base, most_bytes)
            if isinstance(base, Base) and not self.too_long[page]:
                start = len(data) + len(added)
                ends = (0, len(base.scheme) + 1, len(base.origin), len(base.folder))
                self.layout[page] = [start + end for end in ends]
                added += base.folder.encode("ascii")
            else:
                self.layout[page] = 0
        self.reach: npt.NDArray[np.int64] = np.diff(offsets)
        """int64[n]: the most bytes that an address of a page may have from its base."""
        for page, found in self._odd.items():
            self.reach[page] = len(found.origin) + len(found.path) if isinstance(found, Base) else 0
        self.usable &= ~self.too_long
        self.data: npt.NDArray[np.uint8] = data
        """uint8: the bytes of bases, up to the ends of their folders."""
        if added:
            self.data = frozen(np.concatenate([data, np.frombuffer(added, np.uint8)]), np.uint8)
        self.addresses: pa.StringArray = page_urls
        """The pages' addresses as they are to stand in pairs."""
        if cleaned or not isinstance(page_urls, pa.Array):
            urls = page_urls.to_pylist() if isinstance(page_urls, pa.Array) else page_urls
            self.addresses = pa.array([cleaned.get(page, url) for page, url in enumerate(urls)], pa.string())

    def __len__(self) -> int:
        return len(self._page_urls)

    def slice(self, first: int, last: int) -> "PageBases":
        """Return some of the pages, by number."""
        if last - first == len(self):
            return self
        part = copy(self)
        part._page_urls, part.addresses = self._page_urls[first:last], self.addresses[first:last]
        part._odd = {page - first: base for page, base in self._odd.items() if first <= page < last}
        part.layout, part.usable = self.layout[first:last], self.usable[first:last]
        part.too_long, part.reach = self.too_long[first:last], self.reach[first:last]
        return part

    def base(self, page: int) -> Base | Fault:
        """Return one page's base."""
        if page not in self._odd:
            self._odd[page] = page_base(self._page_url(page), None)
        return self._odd[page]

    def _page_url(self, page: int) -> str:
        url = self._page_urls[page]
        return url if isinstance(url, str) else url.as_py()
