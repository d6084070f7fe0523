"""The metadata stage for a given list: the entries with their ids, and the matcher's table."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, ClassVar, Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from metaclip.config.groups import Rule
from metaclip.kernels.ways import NEVER, Work
from metaclip.matching.matcher import Matcher
from metaclip.matching.spacing import space_entry
from metaclip.matching.variants import case_variants
from metaclip.metadata.given_list import load_entries
from metaclip.metadata.pmi import word_costs
from metaclip.schemas import ENTRY
from metaclip.store.job import Job
from metaclip.store.manifest import Reference
from metaclip.store.store import Store
from metaclip.store.writer import OutputWriter

ENTRIES = "entries.parquet"
TABLE = "matcher.bin"
COSTS = "costs.u16"
"""For the rule `words`: the costs of the entries as words, little-endian uint16[n_entries]."""

Case = Literal["exact", "variants"]


@dataclass(frozen=True)
class MetadataJob(Job):
    """Store a given list of entries."""

    STAGE: ClassVar[str] = "metadata"
    VERSION: ClassVar[int] = 2

    address: str
    fingerprint: str
    space_entries: bool = False
    rule: Rule = "paper"
    group: str = ""
    """The group of languages that the list is for, if there are several; for people only."""

    case: Case = "exact"

    @property
    def label(self) -> str:
        """The group, if there are several."""
        return self.group or super().label

    def config(self) -> Mapping[str, Any]:
        """Return how entries are matched, if it is not the paper's way."""
        return {"kind": "list", **matching_config(self.space_entries, self.rule, self.case)}

    def inputs(self) -> list[str]:
        """Return the list's fingerprint."""
        return [self.fingerprint]

    def work(self) -> Work:
        """Return the kernels that build the table, and a guess by the size of the list, which nobody has read yet."""
        path = Path(self.address)
        groups = ("table",) if self.rule == "paper" else ("table", "tokens")
        return Work(groups, 5e-6 * path.stat().st_size if path.is_file() else NEVER)

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
        counts = None if loaded.counts is None else np.array(loaded.counts, np.int64)
        duplicates = write_table(loaded.entries, self.space_entries, output, self.rule, counts, self.case)
        return {
            "entries": len(entries),
            "duplicates": duplicates,
            "blank_lines": loaded.blank_lines,
            "sources": dict(sorted(Counter(loaded.sources).items())),
        }


def matching_config(space_entries: bool, rule: Rule, case: Case = "exact") -> dict[str, Any]:
    """Return the part of a list's key that says how its entries are matched: nothing for the paper's way."""
    spelled = {} if case == "exact" else {"case": case}
    if rule != "paper":
        return {"rule": rule, **spelled}
    return {"space_entries": True, **spelled} if space_entries else spelled


def write_table(
    entries: list[str],
    space_entries: bool,
    output: OutputWriter,
    rule: Rule = "paper",
    counts: npt.NDArray[np.int64] | None = None,
    case: Case = "exact",
) -> int:
    """Write the matcher's table to the folder of the entries, and the costs of words where the rule needs them.

    Args:
        entries: in the order of their ids.
        space_entries: `match.space_entries`, for the paper's rule.
        output: the folder.
        rule: how the entries are found in texts.
        counts: int64[n_entries], how often each was counted as a word, 0 for one that was not.
        case: `match.case`.

    Returns:
        How many entries repeat an earlier one.
    """
    spaced = space_entries and rule == "paper"
    spelled = [space_entry(entry) for entry in entries] if spaced else entries
    matcher = Matcher(spelled, rule) if case == "exact" else _any_case(spelled, rule)
    if rule == "words":
        with output.file(COSTS) as sink:
            sink.write(word_costs(counts, len(entries)).astype("<u2").tobytes())
    with TemporaryDirectory(prefix="metaclip-") as folder:
        path = Path(folder) / TABLE
        matcher.save(path)
        with output.file(TABLE) as sink:
            sink.write(path.read_bytes())
    return int(matcher.duplicates)


def _any_case(spelled: list[str], rule: Rule) -> Matcher:
    """Return a matcher that finds entries in the usual cases too; a spelling that is an entry stays its own."""
    strings, ids = list(spelled), list(range(len(spelled)))
    known = set(spelled)
    for entry_id, entry in enumerate(spelled):
        for variant in case_variants(entry):
            if variant not in known:
                known.add(variant)
                strings.append(variant)
                ids.append(entry_id)
    return Matcher(strings, rule, ids=np.array(ids, np.uint32))


@lru_cache(maxsize=512)
def _map_table(path: Path, costs: Path | None) -> Matcher:
    return Matcher.load(path, costs=None if costs is None else np.fromfile(costs, "<u2"))


def open_matcher(store: Store, metadata: Reference) -> Matcher:
    """Return the matcher of a metadata output, mapped into memory once for a process.

    Those of all groups of languages stay mapped; processes of a machine share the memory.
    """
    by_words = store.manifest(metadata.manifest).config.get("rule") == "words"
    return _map_table(store.local_file(metadata, TABLE), store.local_file(metadata, COSTS) if by_words else None)


def read_entries(store: Store, metadata: Reference) -> pa.Table:
    """Return the entries as a table of `schemas.ENTRY`, with scores if the list was built."""
    return store.open_parquet(metadata, ENTRIES).read()
