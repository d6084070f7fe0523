"""Describe a list of entries for people."""

from typing import Any

import numpy as np
import pyarrow.compute as pc

from metaclip.errors import InputError, StoreError
from metaclip.matching.spacing import can_match
from metaclip.metadata.list_job import read_entries
from metaclip.store.manifest import Reference
from metaclip.store.store import Store


def describe(store: Store, metadata: Reference, samples: int = 5) -> dict[str, Any]:
    """Return sizes by source, and samples of each source: its first entry, and others spread over the rest.

    Raises:
        StoreError: the list is not there.
    """
    table = read_entries(store, metadata)
    sources = table.column("source").to_pylist()
    ids: dict[str, list[int]] = {}
    for entry_id, source in enumerate(sources):
        ids.setdefault(source, []).append(entry_id)
    return {
        "entries": len(sources),
        "sources": [
            {
                "source": source or "list",
                "entries": len(of_source),
                "samples": [
                    entry_row(table, of_source[int(at)])
                    for at in np.unique(np.linspace(0, len(of_source) - 1, min(samples, len(of_source))).astype(int))
                ],
            }
            for source, of_source in ids.items()
        ],
    }


def find_entry(store: Store, metadata: Reference, entry: str) -> dict[str, Any]:
    """Return id, source and score of one entry, and whether any text can contain it.

    Raises:
        InputError: the list has no such entry.
        StoreError: the list is not there.
    """
    table = read_entries(store, metadata)
    at = pc.index(table.column("entry"), entry).as_py()
    if at < 0:
        raise InputError(f"{entry!r} is not in the list; entries are case-sensitive")
    return {**entry_row(table, at), "can_match": can_match(entry)}


def entry_row(table: Any, entry_id: int) -> dict[str, Any]:
    """Return one row of a list of entries, with its score if the list was built."""
    row: dict[str, Any] = table.slice(entry_id, 1).to_pylist()[0]
    return row


def require(found: Reference | None) -> Reference:
    """Return a list that must exist.

    Raises:
        StoreError: it was not built yet.
    """
    if found is None:
        raise StoreError("the list was not built yet; run `metaclip metadata build` with the same configuration")
    return found
