"""The titles stage: views of article titles in one hourly pageview file."""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa

from metaclip.kernels.ways import NEVER, Work
from metaclip.metadata.wikipedia.page_views import read_views
from metaclip.metadata.wikipedia.sorted_counts import Run, WordCounts
from metaclip.schemas import TEXT_COUNT
from metaclip.store.job import Job
from metaclip.store.manifest import Reference
from metaclip.store.store import Store
from metaclip.store.writer import OutputWriter

TITLES = "titles.parquet"


@dataclass(frozen=True)
class TitlesJob(Job):
    """Sum the views of titles in one file."""

    STAGE: ClassVar[str] = "titles"
    VERSION: ClassVar[int] = 2

    path: str
    fingerprint: str
    domains: tuple[str, ...]
    min_hourly_views: int
    bytes_read: int | None = None
    """Size of the file if it is known, for rates."""

    @property
    def label(self) -> str:
        """The file's name."""
        return self.path.rsplit("/", 1)[-1]

    def config(self) -> Mapping[str, Any]:
        """Return which rows are counted."""
        return {"domains": sorted(self.domains), "min_hourly_views": self.min_hourly_views}

    def inputs(self) -> list[str]:
        """Return the file's fingerprint."""
        return [self.fingerprint]

    def work(self) -> Work:
        """Return the kernels that read page views."""
        return Work(("titles",), NEVER)

    def compute(self, store: Store, output: OutputWriter) -> Mapping[str, Any]:
        """Write the titles sorted by code point."""
        counts: Counter[str] = Counter()
        views = read_views(self.path, sorted(self.domains), self.min_hourly_views, counts)
        counts["titles"] = output.parquet(TITLES, TEXT_COUNT, _tables(views))
        counts["bytes_read"] = self.bytes_read or 0
        return {"counts": dict(sorted(counts.items())), "path": self.path}


def _tables(views: dict[str, int]) -> Iterator[pa.Table]:
    texts = pa.array(list(views), pa.string())
    yield WordCounts(texts, np.array(list(views.values()), np.int64)).table()


def open_run(store: Store, titles: Reference) -> Run:
    """Return the views of an output as a sorted run."""
    return Run(lambda: store.open_parquet(titles, TITLES))
