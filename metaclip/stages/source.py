"""The source stage: the frozen listing of a pool's files, grouped into shards."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, ClassVar

from metaclip.sources.listing import SourceFile
from metaclip.store.job import Job
from metaclip.store.store import Store
from metaclip.store.writer import OutputWriter

LISTING = "shards.json"


@dataclass(frozen=True)
class ListingJob(Job):
    """Freeze the listing of the source, so that files that appear later change no shard of this run."""

    STAGE: ClassVar[str] = "source"
    VERSION: ClassVar[int] = 1

    shards: tuple[tuple[SourceFile, ...], ...]

    def config(self) -> Mapping[str, Any]:
        """Return how the files are grouped."""
        return {
            "files": [len(shard) for shard in self.shards],
            "bytes": [f.bytes for s in self.shards for f in s],
        }

    def inputs(self) -> list[str]:
        """Return the files' fingerprints."""
        return [f"{file.kind}:{file.fingerprint}" for shard in self.shards for file in shard]

    def compute(self, store: Store, output: OutputWriter) -> Mapping[str, Any]:
        """Write the shards as JSON."""
        output.json(LISTING, [[asdict(file) for file in shard] for shard in self.shards], len(self.shards))
        return {"shards": len(self.shards), "files": sum(map(len, self.shards))}


def read_listing(store: Store, listing: str) -> list[tuple[SourceFile, ...]]:
    """Read a frozen listing by the address of its manifest."""
    shards = store.output_json(listing, LISTING)
    return [tuple(SourceFile(**file) for file in shard) for shard in shards]
