"""What extraction leaves out, and only counts: the files of a shard are read again, and what is dropped is shown.

The readers are those of extraction, with collectors that look after each image at what was counted.
"""

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import xxhash

from metaclip.config.settings import Extract
from metaclip.errors import UnreadableFileError
from metaclip.pairs.batch import PairBatch
from metaclip.pairs.collector import PairCollector
from metaclip.pairs.image_columns import Attributes, ImageColumns
from metaclip.pairs.uid_columns import uid_columns
from metaclip.sources.listing import SourceFile
from metaclip.sources.pair_files import read_pairs
from metaclip.sources.samples import SampleCollector
from metaclip.sources.warc import read_warc
from metaclip.sources.wat import read_wat
from metaclip.sources.webdataset import read_webdataset

SEEN_PARTS = ("image.", "text.", "pair.repeat", "page_url.")
"""Reasons whose rows are found again; of records, pages and files only the counts are kept."""

LONGEST = 500
"""Characters of a value that are shown."""


@dataclass
class Dropped:
    """Keeps some of the rows that are dropped for one reason: those with the smallest hashes of content and seed."""

    reason: str
    wanted: int
    seed: int
    found: int = 0
    _kept: dict[int, dict[str, Any]] = field(default_factory=dict)

    def add(self, row: dict[str, Any]) -> None:
        """Keep a row if it is one of those with the smallest hashes; equal rows are one."""
        self.found += 1
        place = xxhash.xxh3_64_intdigest(repr(sorted(row.items())).encode(errors="surrogatepass"), self.seed)
        if len(self._kept) < self.wanted or place < max(self._kept):
            self._kept[place] = row
            if len(self._kept) > self.wanted:
                del self._kept[max(self._kept)]

    @property
    def rows(self) -> list[dict[str, Any]]:
        """The rows, in the order of their hashes."""
        return [self._kept[place] for place in sorted(self._kept)]


class _WatchedImages(PairCollector):
    """Collects the pairs of pages one image at a time, by the definition."""

    def __init__(self, settings: Extract, statistics: Counter[str], dropped: Dropped) -> None:
        super().__init__(settings, statistics)
        self._keys = settings.text_keys
        self._dropped = dropped

    def add_pages(
        self, page_urls: pa.StringArray | Sequence[str], base_hrefs: Sequence[str | None], images: ImageColumns
    ) -> None:
        self._add_singly(page_urls, base_hrefs, images, 0, len(page_urls))

    def add_page(self, page_url: str, base_href: str | None, images: Iterable[Attributes]) -> None:
        name = f"dropped.{self._dropped.reason}"
        for attributes in images:
            before = self.statistics[name]
            super().add_page(page_url, base_href, [attributes])
            if self.statistics[name] > before:
                texts = [attributes.get(key) for key in self._keys]
                self._dropped.add(_row(attributes.get("src"), texts, page_url))


class _WatchedSamples(SampleCollector):
    """Collects the pairs of samples, and looks at what was counted after each."""

    def __init__(self, settings: Extract, statistics: Counter[str], dropped: Dropped) -> None:
        super().__init__(settings, statistics)
        self._dropped = dropped

    def add(
        self, url: object, texts: Iterable[tuple[str, object]], page_url: object = None, status: object = None
    ) -> None:
        name, texts = f"dropped.{self._dropped.reason}", list(texts)
        before = self.statistics[name]
        super().add(url, texts, page_url, status)
        if self.statistics[name] > before:
            self._dropped.add(_row(url, [text for _, text in texts], page_url))


def _row(url: object, texts: Iterable[object], page_url: object) -> dict[str, Any]:
    shown = [str(text)[:LONGEST] for text in texts if isinstance(text, str) and text.strip()]
    return {
        "url": None if url is None else str(url)[:LONGEST],
        "text": shown[0] if shown else None,
        "page_url": page_url[:LONGEST] if isinstance(page_url, str) else "",
    }


def look_again(
    files: Sequence[SourceFile],
    settings: Extract,
    columns: tuple[str | None, str | None],
    dropped: Dropped,
    failed: Collection[str] = (),
) -> None:
    """Read the files of a shard again, and give `dropped` what is dropped for its reason.

    Files that are named in `failed` could not be read as a whole when the pool was made either.

    Raises:
        UnreadableFileError, InputError, TransportError: another file is no longer there, or cannot be read.
    """
    repeats = _Repeats() if dropped.reason == "pair.repeat" else None
    for file in files:
        try:
            for batch in _read(file, settings, columns, dropped):
                if repeats is not None:
                    repeats.add(batch)
        except UnreadableFileError:
            if file.path not in failed:
                raise
    if repeats is not None:
        for row in repeats.rows():
            dropped.add(row)


def _read(
    file: SourceFile, settings: Extract, columns: tuple[str | None, str | None], dropped: Dropped
) -> Iterator[PairBatch]:
    counts: Counter[str] = Counter()
    if file.kind in ("warc", "wat"):
        images = _WatchedImages(settings, counts, dropped)
        read = read_warc if file.kind == "warc" else read_wat
        return read(file.path, settings, counts, images)
    samples = _WatchedSamples(settings, counts, dropped)
    if file.kind == "pairs":
        return read_pairs(file.path, settings, counts, url_column=columns[0], text_column=columns[1], collector=samples)
    return read_webdataset(file.path, settings, counts, samples)


class _Repeats:
    """Finds the pairs of a shard that come again, as `tables.unique` tells them apart."""

    def __init__(self) -> None:
        self._tables: list[pa.Table] = []

    def add(self, batch: PairBatch) -> None:
        self._tables.append(batch.table)

    def rows(self) -> Iterator[dict[str, Any]]:
        if not self._tables:
            return
        whole = pa.concat_tables(self._tables)
        high, low = uid_columns(whole.column("url"), whole.column("text"))
        ranked = whole.append_column("row", pa.array(np.arange(whole.num_rows)))
        ranked = ranked.append_column("uid_hi", pa.array(high)).append_column("uid_lo", pa.array(low))
        ranked = ranked.sort_by([(name, "ascending") for name in ("uid_hi", "uid_lo", "page_url", "text_key", "row")])
        high, low = ranked.column("uid_hi").to_numpy(), ranked.column("uid_lo").to_numpy()
        again: npt.NDArray[np.int64] = 1 + np.flatnonzero((high[1:] == high[:-1]) & (low[1:] == low[:-1]))
        for row in ranked.take(pa.array(again)).select(["url", "text", "page_url", "text_key"]).to_pylist():
            yield {name: value[:LONGEST] for name, value in row.items()}
