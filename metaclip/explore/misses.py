"""The near misses of a finished pool, by entry, and in the words of a run's summary."""

from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from metaclip.errors import ConfigError
from metaclip.explore.pool import FinishedPool, entry_rows
from metaclip.matching.spacing import can_match
from metaclip.matching.variants import CAUSES
from metaclip.metadata.list_job import read_entries
from metaclip.processes.shell import command
from metaclip.stages.near import read_misses
from metaclip.store.manifest import Reference
from metaclip.store.store import Store

EXAMPLES = 5


def describe_misses(storage: str, name: str, most: int = 20, entry: str | None = None) -> dict[str, Any]:
    """Return the entries of a pool that texts miss, those with most misses first.

    Args:
        storage: root of the store.
        name: of the pool.
        most: number of entries to return.
        entry: this entry only.

    Returns:
        JSON values: what `summarize_misses` gives, and `rows`: id, entry, source, count, the texts of each cause of
        `CAUSES`, their sum `missed`, and `examples` by cause.

    Raises:
        ConfigError: unknown pool or entry, or near misses were not counted.
        StoreError: an output of the pool is missing.
    """
    pool = FinishedPool.open(storage, name)
    pool.need_one_list("near misses are")
    if "near" not in pool.stages:
        raise ConfigError(
            f"pool {name!r}: near misses were not counted; run it again with --set near.use=always (its list has"
            f" {len(pool.counts):,} entries, and `auto` counts them below 50,000), or ask about one text:"
            f" {command('metaclip', 'explain', name, 'TEXT', '--storage', storage)}"
        )
    found = read_misses(pool.store, pool.one("near"))
    ids = _ids(pool, found, most, entry)
    rows = entry_rows(pool, ids, pool.t(None))
    for row in rows:
        del row["keep_probability"]
        own = found.filter(pc.equal(found.column("entry_id"), pa.scalar(row["entry_id"], pa.uint32()))).to_pylist()
        by_cause = {miss["cause"]: miss for miss in own}
        row |= {cause: by_cause[cause]["texts"] if cause in by_cause else 0 for cause in CAUSES}
        row["missed"] = sum(row[cause] for cause in CAUSES)
        row["examples"] = {cause: miss["example"] for cause, miss in by_cause.items()}
    return {"pool": name, **summarize_misses(pool.store, pool.one("metadata"), pool.one("near")), "rows": rows}


def _ids(pool: FinishedPool, found: pa.Table, most: int, entry: str | None) -> list[int]:
    if entry is not None:
        at = int(pc.index(pool.entries.column("entry"), entry).as_py())
        if at < 0:
            raise ConfigError(f"{entry!r} is not in the list; entries are case-sensitive")
        return [at]
    total = np.bincount(
        found.column("entry_id").to_numpy(), found.column("texts").to_numpy().astype(np.float64), len(pool.counts)
    )
    order = np.argsort(-total, kind="stable")[:most]
    return [int(entry_id) for entry_id in order if total[entry_id]]


def summarize_misses(store: Store, metadata: Reference, near: Reference | None) -> dict[str, Any]:
    """Return what a run says of near misses: counts of texts, and the entries that can never match.

    `near` is None where near misses were not counted; the entries that can never match are known anyway.

    Returns:
        JSON values: `never_match` with `entries` and `examples`; where they were counted `texts` (those that were
        looked at), `part` (the share of the pool that was, about), `texts_that_miss`,
        `texts_but_for_case_or_punctuation`, `texts_with_an_entry_that_never_matches`.
    """
    spaced = bool(store.manifest(metadata.manifest).config.get("space_entries"))
    never = (
        []
        if spaced
        else [entry for entry in read_entries(store, metadata)["entry"].to_pylist() if not can_match(entry)]
    )
    summary: dict[str, Any] = {"never_match": {"entries": len(never), "examples": never[:EXAMPLES]}}
    if near is not None:
        manifest = store.manifest(near.manifest)
        summary["part"] = manifest.config["part"]
        summary |= {name: count for name, count in manifest.statistics["counts"].items() if name.startswith("texts")}
    return summary
