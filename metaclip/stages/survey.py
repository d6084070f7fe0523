"""The survey stage: of one partition's pairs at a t, their hosts, images, languages and attributes."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa

from metaclip.config import format_t
from metaclip.manifest import Reference
from metaclip.output import OutputWriter
from metaclip.report.hosts import KEPT, HostCounts, count_hosts, hosts, merge_hosts
from metaclip.schemas import HOST_COUNT
from metaclip.stages.base import Job
from metaclip.stages.curate import balanced_prefix
from metaclip.stages.extract import PAIRS
from metaclip.store import Store

HOSTS = "hosts.parquet"
_COLUMNS = ["uid_hi", "url", "text_key", "lang", "min_t"]


@dataclass(frozen=True)
class SurveyJob(Job):
    """Survey one balanced partition at t; `inf` surveys all of it."""

    STAGE: ClassVar[str] = "survey"
    VERSION: ClassVar[int] = 2

    balanced: Reference
    t: float

    @property
    def label(self) -> str:
        """The t and the partition's key."""
        return f"t={format_t(self.t)} {self.balanced.key[:8]}"

    def config(self) -> Mapping[str, Any]:
        """Return t."""
        return {"t": format_t(self.t)}

    def inputs(self) -> list[str]:
        """Return the key of the balanced partition."""
        return [self.balanced.key]

    def compute(self, store: Store, output: OutputWriter) -> Mapping[str, Any]:
        """Count exactly in this partition; write its largest hosts, and say what the largest left out has."""
        counts: Counter[str] = Counter()
        languages: Counter[str] = Counter()
        text_keys: Counter[str] = Counter()
        images = [np.zeros(0, np.uint64)]

        def tables() -> Iterator[pa.Table]:
            for table in balanced_prefix(store.open_parquet(self.balanced, PAIRS), self.t, counts, _COLUMNS):
                counts["pairs"] += table.num_rows
                _count_values(languages, table.column("lang"))
                _count_values(text_keys, table.column("text_key"))
                images.append(table.column("uid_hi").to_numpy())
                found = hosts(table.column("url")).value_counts()
                yield pa.table([found.field("values"), found.field("counts")], names=HOST_COUNT.names).cast(HOST_COUNT)

        found = count_hosts(tables())
        output.parquet(HOSTS, HOST_COUNT, iter([found.slice(0, KEPT)]))
        # All texts of an image are in one partition, so images of partitions add up.
        counts["images"] = len(np.unique(np.concatenate(images)))
        return {
            "counts": dict(sorted(counts.items())),
            "languages": dict(sorted(languages.items())),
            "text_keys": dict(sorted(text_keys.items())),
            "hosts": found.num_rows,
            "largest_host_left_out": found.column("pairs")[KEPT].as_py() if found.num_rows > KEPT else 0,
        }


def _count_values(total: Counter[str], column: pa.ChunkedArray) -> None:
    total.update({found["values"]: found["counts"] for found in column.value_counts().to_pylist()})


@dataclass(frozen=True)
class Survey:
    """What the surveys of all partitions say together."""

    pairs: int
    images: int
    languages: Counter[str]
    text_keys: Counter[str]
    hosts: HostCounts


def read_surveys(store: Store, parts: Sequence[Reference]) -> Survey:
    """Add up the surveys of all partitions of a pool, a partition at a time."""
    counts: Counter[str] = Counter()
    languages: Counter[str] = Counter()
    text_keys: Counter[str] = Counter()

    def found() -> Iterator[tuple[pa.Table, int]]:
        for part in parts:
            statistics = store.manifest(part.manifest).statistics
            counts.update(statistics["counts"])
            languages.update(statistics["languages"])
            text_keys.update(statistics["text_keys"])
            yield store.open_parquet(part, HOSTS).read(), statistics["largest_host_left_out"]

    merged = merge_hosts(found())
    return Survey(counts["pairs"], counts["images"], languages, text_keys, merged)
