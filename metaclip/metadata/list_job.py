"""The metadata stage for a given list: the entries with their ids, and the matcher's table."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, ClassVar, Literal

import numpy as np
import pyarrow as pa

from metaclip.kernels.ways import NEVER, Work
from metaclip.matching.matcher import Matcher
from metaclip.matching.spacing import space_entry
from metaclip.matching.variants import case_variants
from metaclip.metadata.given_list import load_entries
from metaclip.schemas import ENTRY
from metaclip.store.job import Job
from metaclip.store.manifest import Reference
from metaclip.store.store import Store
from metaclip.store.writer import OutputWriter

ENTRIES = "entries.parquet"
TABLE = "matcher.bin"

Case = Literal["exact", "variants"]


@dataclass(frozen=True)
class MetadataJob(Job):
    """Store a given list of entries."""

    STAGE: ClassVar[str] = "metadata"
    VERSION: ClassVar[int] = 2

    address: str
    fingerprint: str
    space_entries: bool = False
    case: Case = "exact"

    def config(self) -> Mapping[str, Any]:
        """Return how entries are matched, if it is not the paper's way."""
        return {"kind": "list", **spelling(self.space_entries, self.case)}

    def inputs(self) -> list[str]:
        """Return the list's fingerprint."""
        return [self.fingerprint]

    def work(self) -> Work:
        """Return the kernels that build the table, and a guess by the size of the list, which nobody has read yet."""
        path = Path(self.address)
        return Work(("table",), 5e-6 * path.stat().st_size if path.is_file() else NEVER)

    def compute(self, store: Store, output: OutputWriter) -> Mapping[str, Any]:
        """Write the entries, whose ids are their positions, and the table that all processes map."""
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
        duplicates = write_table(loaded.entries, self.space_entries, output, self.case)
        return {
            "entries": len(entries),
            "duplicates": duplicates,
            "blank_lines": loaded.blank_lines,
            "sources": dict(sorted(Counter(loaded.sources).items())),
        }


def spelling(space_entries: bool, case: Case) -> dict[str, Any]:
    """Return what a key and a manifest say of how entries are matched; nothing of the paper's way."""
    return {**({"space_entries": True} if space_entries else {}), **({"case": case} if case != "exact" else {})}


def write_table(entries: list[str], space_entries: bool, output: OutputWriter, case: Case = "exact") -> int:
    """Write the matcher's table to the folder of the entries; return how many entries repeat an earlier one."""
    spelled = [space_entry(entry) for entry in entries] if space_entries else entries
    matcher = Matcher(spelled) if case == "exact" else _any_case(spelled)
    with TemporaryDirectory(prefix="metaclip-") as folder:
        path = Path(folder) / TABLE
        matcher.save(path)
        with output.file(TABLE) as sink:
            sink.write(path.read_bytes())
    return int(matcher.duplicates)


def _any_case(spelled: list[str]) -> Matcher:
    """Return a matcher that finds entries in the usual cases too; a spelling that is an entry stays its own."""
    strings, ids = list(spelled), list(range(len(spelled)))
    known = set(spelled)
    for entry_id, entry in enumerate(spelled):
        for variant in case_variants(entry):
            if variant not in known:
                known.add(variant)
                strings.append(variant)
                ids.append(entry_id)
    return Matcher(strings, np.array(ids, np.uint32))


@lru_cache(maxsize=1)
def _map_table(path: Path) -> Matcher:
    return Matcher.load(path)


def open_matcher(store: Store, metadata: Reference) -> Matcher:
    """Return the matcher of a metadata output, mapped into memory once for a process."""
    return _map_table(store.local_file(metadata, TABLE))


def read_entries(store: Store, metadata: Reference) -> pa.Table:
    """Return the entries as a table of `schemas.ENTRY`, with scores if the list was built."""
    return store.open_parquet(metadata, ENTRIES).read()
