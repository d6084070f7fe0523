"""Outputs written again without the pairs that were taken out, under keys of their own; the old ones are garbage."""

import json
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from metaclip.removal.lists import Entry, Removals
from metaclip.schemas import PAIRS
from metaclip.stages.curate import Removed, not_removed, removed_uids
from metaclip.store.job import Job
from metaclip.store.manifest import Reference
from metaclip.store.store import Store
from metaclip.store.writer import OutputWriter

STAGES = ("extract", "match", "gather", "dedup", "survive", "balance")
"""The stages whose outputs hold texts and addresses, in their order."""
_PAGES = ("page", "page_domain")


@dataclass(frozen=True)
class PurgedJob(Job):
    """Write an output of pairs again without some of them; it is one of the same stage and version too.

    Its statistics stay those of the original.
    """

    original: Reference
    removed: Removed
    made_by: str
    """Configuration and inputs of the original, as JSON."""

    @classmethod
    def of(cls, store: Store, original: Reference, removed: Removed) -> "PurgedJob":
        """Return the job for an output that stands."""
        manifest = store.manifest(original.manifest)
        return cls(original, removed, json.dumps([manifest.config, manifest.inputs]))

    @property
    def STAGE(self) -> str:  # type: ignore[override]  # noqa: N802 (of each job another, where other classes have one)
        """The stage of the original."""
        return self.original.manifest.partition("/")[0].rpartition("-v")[0]

    @property
    def VERSION(self) -> int:  # type: ignore[override]  # noqa: N802
        """The version of the original."""
        return int(self.original.manifest.partition("/")[0].rpartition("-v")[2])

    @property
    def label(self) -> str:
        """The stage, and the key of the original."""
        return f"{self.STAGE} {self.original.key[:8]}"

    def config(self) -> Mapping[str, Any]:
        """Return that of the original, and the digest of the pairs that go."""
        return {**json.loads(self.made_by)[0], "purged": self.removed.sha256}

    def inputs(self) -> list[str]:
        """Return those of the original."""
        return list(json.loads(self.made_by)[1])

    def compute(self, store: Store, output: OutputWriter) -> Mapping[str, Any]:
        """Write all files of the original: of its pairs those that are left, everything else as it is."""
        manifest = store.manifest(self.original.manifest)
        for stored in manifest.files:
            if stored.name == PAIRS:
                file = store.open_parquet(self.original, PAIRS)

                def tables(file: Any = file) -> Iterator[pa.Table]:
                    for group in range(file.num_row_groups):
                        yield file.read_row_group(group)

                left = not_removed(tables(), store, self.removed.reference)
                rows = file.metadata.row_group(0).num_rows if file.num_row_groups else None
                output.parquet(PAIRS, file.schema_arrow, left, rows)
                continue
            with store.open(f"{self.original.folder}/{stored.name}") as source, output.file(stored.name) as sink:
                shutil.copyfileobj(source, sink)
                sink.rows = stored.rows
        return dict(manifest.statistics)


def with_removed_pairs(store: Store, removals: Removals, removed: tuple[Reference, ...]) -> Removals:
    """Return the removals, and the uids of the pairs that they name by their page.

    A pair that stands on several pages is known by one of them in a set, and by each in what is extracted.
    """
    if not any(len(removals.hashes(kind)) for kind in _PAGES):
        return removals
    uids = (pair for each in removed for pair in removed_uids(store, each).tolist())
    return Removals(tuple(sorted({*removals.entries, *(Entry("uid", *pair) for pair in uids)})))
