"""What the references of many pages are resolved against, without an object for pages whose address is plain.

Equals `metaclip.pairs.urls`; held by tests/metaclip/pairs/test_page_bases.py.
"""

from collections.abc import Sequence

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


class PageBases:
    """Addresses of pages as they stand in pairs, and what `urls.page_base` gives for them."""

    def __init__(self, page_urls: pa.StringArray | Sequence[str], base_hrefs: Sequence[str | None]) -> None:
        """Look at n pages, given by their addresses and what their `<base>` says."""
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
            if isinstance(base, Base):
                start = len(data) + len(added)
                ends = (0, len(base.scheme) + 1, len(base.origin), len(base.folder))
                self.layout[page] = [start + end for end in ends]
                added += base.folder.encode("ascii")
            else:
                self.layout[page] = 0
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

    def base(self, page: int) -> Base | Fault:
        """Return one page's base."""
        if page not in self._odd:
            self._odd[page] = page_base(self._page_url(page), None)
        return self._odd[page]

    def _page_url(self, page: int) -> str:
        url = self._page_urls[page]
        return url if isinstance(url, str) else url.as_py()
