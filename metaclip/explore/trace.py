"""Where a pair came from, what happened to it, and why."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from metaclip.balance.algorithm import draws, min_t
from metaclip.config.settings import format_t
from metaclip.errors import ConfigError, InputError, StoreError
from metaclip.explore.pool import FinishedPool, entry_rows, pair_probability, row_groups
from metaclip.io.storage.files import side_by_side
from metaclip.kernels.jit import plainly
from metaclip.metadata.list_job import open_matcher
from metaclip.pairs.uids import parse_uid
from metaclip.schemas import MATCHED, PAIR
from metaclip.store.manifest import Reference
from metaclip.tables.csr import csr


def trace_pair(storage: str, name: str, uid: str) -> dict[str, Any]:
    """Follow a pair through a pool's stages.

    Files of extract, match and dedup are sorted by uid. Those of balance are sorted by min_t, which is
    computed again. Of each file the footer is read, and the row groups whose bounds include the value,
    usually one.

    Args:
        storage: root of the store.
        name: name of the pool.
        uid: 32 hex digits, as in the sets.

    Returns:
        JSON values: `ended`, the last stage that has it, and `why`; `copies`, every shard that has it
        with its files, its page and whether this copy was kept; address, text, language; if it matched,
        `entries` with counts, the pair's `keep_probability` at the pool's t, its draw, `min_t`, and
        `sets`, whether it is in each set by t.

    Raises:
        ConfigError: unknown pool, or a uid that is not 32 hex digits.
        InputError: no shard of the pool has it.
        StoreError: an output of the pool is missing, or was altered.
    """
    try:
        high, low = parse_uid(uid)
    except ValueError as error:
        raise ConfigError(str(error)) from error
    pool = FinishedPool.open(storage, name)
    extracted = _find_rows(pool, pool.all("extract"), PAIR.names, high, low)
    if not extracted:
        raise InputError(
            f"{uid.lower()}: no pair of pool {name} has this uid: it is of another pool, or the page gave no such pair"
            " (dropped texts and images have no uid; the report counts them by reason)"
        )
    first = next(iter(extracted.values()))
    found: dict[str, Any] = {
        "pool": name,
        "uid": uid.lower(),
        **{key: first[key] for key in ("url", "text", "lang", "lang_score")},
        "copies": [_copy(pool, shard, row) for shard, row in sorted(extracted.items())],
    }
    partitions = pool.all("dedup")
    partition = high * len(partitions) >> 64
    unique = _find_rows(pool, [partitions[partition]], MATCHED.names, high, low).get(0)
    if unique is None:
        return {**found, **_unmatched(pool, first)}
    for copy in found["copies"]:
        copy["stayed"] = all(copy[key] == unique[key] for key in ("page_url", "text_key"))
    if pool.survivors and not _find_rows(pool, [pool.partitions[partition]], MATCHED.names, high, low):
        why = "it is not among the survivors that this pool was made of"
        return {**found, "ended": "dedup", "reason": "no_survivor", "why": why}
    return {**found, **_balanced(pool, partition, unique, high, low)}


def _find_rows(
    pool: FinishedPool, outputs: Sequence[Reference], columns: Sequence[str], high: int, low: int
) -> dict[int, dict[str, Any]]:
    """Return the row of a uid in each output that has it, by the number of the output."""

    def find_row(output: Reference) -> dict[str, Any] | None:
        for group in row_groups(pool.store, output, *columns):
            bounds = group.bounds("uid_hi")
            if bounds is not None and bounds[0] > high:
                break
            if bounds is None or bounds[1] >= high:
                row = _row(group.read(), high, low)
                if row is not None:
                    return row
        return None

    return {number: row for number, row in enumerate(side_by_side(find_row, outputs)) if row is not None}


def _row(table: pa.Table, high: int, low: int) -> dict[str, Any] | None:
    same = pc.and_(
        pc.equal(table.column("uid_hi"), pa.scalar(high, pa.uint64())),
        pc.equal(table.column("uid_lo"), pa.scalar(low, pa.uint64())),
    )
    rows: list[dict[str, Any]] = table.filter(same).to_pylist()
    return rows[0] if rows else None


def _copy(pool: FinishedPool, shard: int, row: dict[str, Any]) -> dict[str, Any]:
    """Describe the copy that one shard has; the store does not record which file of the shard it came from."""
    files = pool.store.manifest(pool.stages["extract"][shard]).statistics["file_bytes"]
    return {"shard": shard, "files": list(files), "page_url": row["page_url"], "text_key": row["text_key"]}


def _unmatched(pool: FinishedPool, row: dict[str, Any]) -> dict[str, Any]:
    """Return why a pair that was extracted did not match."""
    settings = pool.config.match
    language = f"its language is told as {row['lang']} with a score of {row['lang_score']:.3f}"
    if settings.languages and row["lang"] not in settings.languages:
        why = f"{language}; the pool keeps {', '.join(settings.languages)}"
        return {"ended": "extract", "reason": "language", "why": why}
    to_other = pool.by_language is not None and pool.by_language.groups.other_below is not None
    if row["lang_score"] < np.float32(settings.min_lang_score) and not to_other:
        why = f"{language}; the pool keeps scores from {settings.min_lang_score:g}"
        return {"ended": "extract", "reason": "language", "why": why}
    group = "" if pool.by_language is None else pool.by_language.groups.of(row["lang"], row["lang_score"])
    if group is None:
        there = ", ".join(pool.lists)
        why = f"{language}, which is of no group with a list of entries; there: {there}"
        return {"ended": "extract", "reason": "no_metadata", "why": why}
    with plainly():
        _, ids = open_matcher(pool.store, pool.lists[group]).match([row["text"]])
    if len(ids):
        raise StoreError(
            f"{pool.store.root}: the pair matches entries and is in no partition: outputs of the dedup stage were"
            " altered; `metaclip status --full` tells which"
        )
    why = "its text contains no entry; `metaclip explain` tells near misses"
    return {"ended": "extract", "reason": "no_match", "why": why}


def _is_in(name: str, threshold: float, own: float, group: str | None) -> bool:
    """Return whether the set of this name (`stages.curate.set_name`) has a pair with these thresholds."""
    t, _, languages = name.partition(";")
    named = dict(one.split("=") for one in languages.split(",") if one)
    return own <= float(named[group]) if group in named else threshold <= float(t)


def _balanced(pool: FinishedPool, partition: int, row: dict[str, Any], high: int, low: int) -> dict[str, Any]:
    """Return the entries of a pair, its min_t from the balanced partition, and its sets."""
    config, ids = pool.config, row["entry_ids"]
    uniform = draws(np.array([high], np.uint64), np.array([low], np.uint64), config.balance.seed)
    offsets, entry_ids = csr(pa.chunked_array([[ids]], MATCHED.field("entry_ids").type))
    group = None if pool.by_language is None else pool.by_language.groups.of(row["lang"], row["lang_score"])
    with plainly():
        own = min_t(pool.counts_of(group), offsets, entry_ids, uniform)
    threshold = float(own[0] if group is None else pool.group_counts.min_t(group, own)[0])
    balanced = pool.all("balance")[partition]
    stored = None
    for stored_rows in row_groups(pool.store, balanced, "uid_hi", "uid_lo", "min_t"):
        bounds = stored_rows.bounds("min_t")
        if bounds is None or bounds[0] <= threshold <= bounds[1]:
            stored = stored or _row(stored_rows.read(), high, low)
    if stored is None or stored["min_t"] != threshold:
        raise StoreError(
            f"{pool.store.address(balanced.folder)}: does not hold the pair with min_t = {threshold}, as counts and"
            " seed have it; delete the folder and run the pool again"
        )
    entries = entry_rows(pool, ids, config.balance.threshold, group)
    sets = {t: _is_in(t, threshold, float(own[0]), group) for t in pool.sets}
    inside = [t for t, kept in sets.items() if kept]
    why = f"it is kept from t = {threshold!r} on"
    return {
        "ended": "curate" if inside else "balance",
        "reason": "curated" if inside else "balanced",
        "why": why if inside else f"{why}; the sets of this pool have smaller ones",
        "t": format_t(config.balance.t),
        "seed": config.balance.seed,
        "entries": entries,
        "keep_probability": pair_probability([entry["keep_probability"] for entry in entries]),
        "draw": float(uniform[0]),
        "min_t": threshold,
        **({} if group is None else {"language": group, "own_t": float(own[0])}),
        "sets": sets,
    }
