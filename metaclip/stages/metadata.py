"""The metadata stage: a list of entries, with ids, and the matcher's table beside it."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa

from metaclip.entries import load_entries
from metaclip.manifest import Reference
from metaclip.matching import Matcher
from metaclip.output import OutputWriter
from metaclip.schemas import ENTRY
from metaclip.stages.base import Job
from metaclip.store import Store

ENTRIES = "entries.parquet"
TABLE = "matcher.bin"


@dataclass(frozen=True)
class MetadataJob(Job):
    """Take over a given list of entries."""

    STAGE: ClassVar[str] = "metadata"
    VERSION: ClassVar[int] = 1

    address: str
    fingerprint: str

    def config(self) -> Mapping[str, Any]:
        """Return nothing: a given list has no settings."""
        return {"kind": "list"}

    def inputs(self) -> list[str]:
        """Return the list's fingerprint."""
        return [self.fingerprint]

    def compute(self, store: Store, output: OutputWriter) -> Mapping[str, Any]:
        """Write the entries, an id being a position, and the table that all processes map."""
        loaded = load_entries(self.address)
        entries = pa.array(loaded.entries, pa.string())
        table = pa.table(
            [
                pa.array(np.arange(len(entries), dtype=np.uint32)),
                entries,
                pa.array(loaded.sources, pa.string()),
            ],
            schema=ENTRY,
        )
        output.parquet(ENTRIES, ENTRY, iter([table]))
        matcher = Matcher(loaded.entries)
        with TemporaryDirectory(prefix="metaclip-") as folder:
            path = Path(folder) / TABLE
            matcher.save(path)
            with output.file(TABLE) as sink:
                sink.write(path.read_bytes())
        return {
            "entries": len(entries),
            "duplicates": matcher.duplicates,
            "blank_lines": loaded.blank_lines,
            "sources": dict(sorted(Counter(loaded.sources).items())),
        }


@lru_cache(maxsize=1)
def _map_table(path: Path) -> Matcher:
    return Matcher.load(path)


def open_matcher(store: Store, metadata: Reference) -> Matcher:
    """Return the matcher of a metadata output, mapped into memory once for a process."""
    return _map_table(store.local_file(metadata, TABLE))


def read_entries(store: Store, metadata: Reference) -> pa.Table:
    """Return the entries as a table of `schemas.ENTRY`."""
    return store.open_parquet(metadata, ENTRIES).read()
