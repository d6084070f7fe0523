"""Make one list of entries from ranked sources. The position of an entry is its id.

Source: MetaCLIP paper (arXiv 2309.16671), Table 1. The order of the sources is WordNet, words, pairs,
titles. Of equal entries the first is kept. A budget counts the entries that a source adds.
"""

from collections import Counter
from collections.abc import Sequence
from typing import Any

from metaclip.matching.spacing import can_match
from metaclip.metadata.select import Ranked

PAPER = {"wordnet": 86_654, "words": 251_465, "pairs": 100_646, "titles": 61_235}
"""Entries by source in the paper's Table 1, 500,000 in all."""

EXAMPLES = 20


class EntryList:
    """A list of entries that grows source by source."""

    def __init__(self, max_entries: int) -> None:
        self.max_entries = max_entries
        self.entries: list[str] = []
        self.sources: list[str] = []
        self.scores: list[float | None] = []
        self.table: list[dict[str, Any]] = []
        self._known: set[str] = set()

    def wanted(self, budget: int | None) -> int:
        """Return how many of the next source's best are needed, because all earlier entries may occur again."""
        room = self.max_entries - len(self.entries)
        # Single punctuation marks are dropped too, and there are fewer of them than this.
        return (room if budget is None else min(budget, room)) + len(self.entries) + 10_000

    def add(self, source: str, ranked: Ranked, budget: int | None = None, scored: bool = True) -> None:
        """Add entries of a source in their order, up to its budget and the size of the list."""
        room = self.max_entries - len(self.entries)
        limit = room if budget is None else min(budget, room)
        dropped: Counter[str] = Counter(ranked.failed)
        taken = 0
        lowest: float | None = None
        for entry, score in zip(ranked.texts, ranked.scores, strict=True):
            if not entry.strip() or (len(entry) == 1 and not entry.isalnum()):
                dropped["punctuation_or_empty"] += 1
            elif entry in self._known:
                dropped["in_an_earlier_source"] += 1
            elif taken < limit:
                self._known.add(entry)
                self.entries.append(entry)
                self.sources.append(source)
                self.scores.append(score if scored else None)
                lowest = score if scored else None
                taken += 1
        looked = dropped["punctuation_or_empty"] + dropped["in_an_earlier_source"]
        over = ranked.passed - taken - looked
        dropped["over_max_entries" if budget is None or room < budget else "over_budget"] += over
        self.table.append(
            {
                "source": source,
                "candidates": ranked.passed + sum(ranked.failed.values()),
                "entries": taken,
                "paper": PAPER.get(source),
                "lowest_score": lowest,
                "dropped": {reason: count for reason, count in sorted(dropped.items()) if count},
            }
        )

    def unmatchable(self) -> list[int]:
        """Return the ids of entries that no text contains under the paper's spacing."""
        return [entry_id for entry_id, entry in enumerate(self.entries) if not can_match(entry)]

    def report(self, unmatchable: Sequence[int]) -> dict[str, Any]:
        """Return the table of sources, and a warning if entries can never match."""
        return {
            "entries": len(self.entries),
            "max_entries": self.max_entries,
            "sources": self.table,
            "unmatchable": {
                "entries": len(unmatchable),
                "by_source": dict(sorted(Counter(self.sources[entry_id] for entry_id in unmatchable).items())),
                "examples": [self.entries[entry_id] for entry_id in unmatchable[:EXAMPLES]],
            },
        }
