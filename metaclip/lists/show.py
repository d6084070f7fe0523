"""Describe a list of entries that is a file, without a configuration or a store."""

from collections import Counter
from typing import Any

import numpy as np

from metaclip.errors import InputError
from metaclip.matching.spacing import can_match
from metaclip.metadata.given_list import LoadedEntries, load_entries

EXAMPLES = 10


def describe_list(address: str, samples: int = 5) -> dict[str, Any]:
    """Return sizes by source and samples of each, as `metadata.show.describe` does, and what is odd about the list.

    Returns:
        JSON values: `entries`, `sources` (source, entries, samples), `duplicates`, `blank_lines`, `never_match` with
        `entries` and `examples`, and `words`, the number of entries by their number of words.

    Raises:
        ConfigError, InputError: it cannot be read.
    """
    loaded = load_entries(address)
    ids: dict[str, list[int]] = {}
    for entry_id, source in enumerate(loaded.sources):
        ids.setdefault(source, []).append(entry_id)
    never = [entry for entry in loaded.entries if not can_match(entry)]
    words = Counter(entry.count(" ") + 1 for entry in loaded.entries)
    return {
        "entries": len(loaded.entries),
        "sources": [
            {
                "source": source or "list",
                "entries": len(own),
                "samples": [_row(loaded, at) for at in _spread(own, samples)],
            }
            for source, own in ids.items()
        ],
        "duplicates": loaded.duplicates,
        "blank_lines": loaded.blank_lines,
        "never_match": {"entries": len(never), "examples": never[:EXAMPLES]},
        "words": {str(number): words[number] for number in sorted(words)},
    }


def find_in_list(address: str, entry: str) -> dict[str, Any]:
    """Return id and source of one entry of a list, and whether any text can contain it.

    Raises:
        ConfigError, InputError: the list cannot be read, or has no such entry.
    """
    loaded = load_entries(address)
    if entry not in loaded.entries:
        alike = [other for other in loaded.entries if other.lower() == entry.lower()][:5]
        near = f"; it has {', '.join(map(repr, alike))}" if alike else ""
        raise InputError(f"{entry!r} is not in the list; entries are case-sensitive{near}")
    return {**_row(loaded, loaded.entries.index(entry)), "can_match": can_match(entry)}


def _spread(ids: list[int], samples: int) -> list[int]:
    places = np.unique(np.linspace(0, len(ids) - 1, min(samples, len(ids))).astype(int))
    return [ids[int(place)] for place in places]


def _row(loaded: LoadedEntries, entry_id: int) -> dict[str, Any]:
    return {"entry_id": entry_id, "entry": loaded.entries[entry_id], "source": loaded.sources[entry_id]}
