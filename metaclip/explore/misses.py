"""The near misses of a finished pool, by entry, and in the words of a run's summary."""

import re
from collections.abc import Iterable
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from metaclip.errors import ConfigError
from metaclip.explore.pool import FinishedPool, entry_rows
from metaclip.matching.definition import BLANKS, ISOLATED
from metaclip.matching.spacing import can_match
from metaclip.matching.variants import CAUSES
from metaclip.metadata.list_job import read_entries
from metaclip.processes.shell import command
from metaclip.stages.near import AUTO_BELOW, read_misses
from metaclip.store.manifest import Reference
from metaclip.store.store import Store

EXAMPLES = 5

_ODD = f"[{re.escape(BLANKS + ISOLATED)}]"
"""What every entry has that can never match; lists of all languages have millions of others."""


def describe_misses(
    storage: str, name: str, most: int = 20, entry: str | None = None, language: str | None = None
) -> dict[str, Any]:
    """Return the entries of a pool that texts miss, those with most misses first.

    Args:
        storage: root of the store.
        name: of the pool.
        most: number of entries to return.
        entry: this entry only; in a pool by language that of a group, which must be named.
        language: in a pool by language the entries of this group only.

    Returns:
        JSON values: what `summarize_misses` gives, and `rows`: id, entry, source, count, the texts of each cause of
        `CAUSES`, their sum `missed`, and `examples` by cause; in a pool by language `language` before the others, and
        `languages`, the groups that were looked at.

    Raises:
        ConfigError: unknown pool, entry or group, or near misses were not counted.
        StoreError: an output of the pool is missing.
    """
    pool = FinishedPool.open(storage, name)
    groups: tuple[str | None, ...] = (None,) if pool.by_language is None else pool.by_language.groups.names
    if language is not None or entry is not None:
        groups = (pool.group(language),)
    if "near" not in pool.stages:
        raise ConfigError(
            f"pool {name!r}: near misses were not counted; run it again with --set near.use=always ({_why(pool)}),"
            f" or ask about one text: {command('metaclip', 'explain', name, 'TEXT', '--storage', storage)}"
        )
    near = pool.one("near")
    found = read_misses(pool.store, near)
    counted = pool.store.manifest(near.manifest).statistics.get("by_group", {})
    if language is not None and groups[0] not in counted:
        raise ConfigError(
            f"pool {name!r}: near misses of {language!r} were not counted, which are told for lists that are matched"
            f" the paper's way and have fewer than {AUTO_BELOW:,} entries, unless near.use is `always`; there:"
            f" {', '.join(counted)}"
        )
    rows = []
    for group in groups:
        of_group = found if group is None else found.filter(pc.equal(found.column("group"), group))
        ids = [pool.entry_id(entry, group)] if entry is not None else _ids(of_group, most)
        rows += _rows(pool, group, of_group, ids) if ids else []
    rows.sort(key=lambda row: -row["missed"])
    lists = pool.lists if pool.by_language is None else {name: pool.lists[name] for name in counted}
    told = {"languages": list(counted)} if pool.by_language is not None else {}
    return {"pool": name, **told, **summarize_misses(pool.store, lists.values(), near), "rows": rows[:most]}


def _why(pool: FinishedPool) -> str:
    if pool.by_language is not None:
        return f"`auto` counts them for lists below {AUTO_BELOW:,} entries that are matched the paper's way"
    return f"its list has {len(pool.counts):,} entries, and `auto` counts them below {AUTO_BELOW:,}"


def _rows(pool: FinishedPool, group: str | None, found: pa.Table, ids: list[int]) -> list[dict[str, Any]]:
    rows = entry_rows(pool, ids, pool.t(None), group)
    for row in rows:
        del row["keep_probability"]
        row.pop("kept_from", None)
        own = found.filter(pc.equal(found.column("entry_id"), pa.scalar(row["entry_id"], pa.uint32()))).to_pylist()
        by_cause = {miss["cause"]: miss for miss in own}
        row |= {cause: by_cause[cause]["texts"] if cause in by_cause else 0 for cause in CAUSES}
        row["missed"] = sum(row[cause] for cause in CAUSES)
        row["examples"] = {cause: miss["example"] for cause, miss in by_cause.items()}
    return rows if group is None else [{"language": group, **row} for row in rows]


def _ids(found: pa.Table, most: int) -> list[int]:
    if not found.num_rows:
        return []
    total = np.bincount(found.column("entry_id").to_numpy(), found.column("texts").to_numpy().astype(np.float64))
    order = np.argsort(-total, kind="stable")[:most]
    return [int(entry_id) for entry_id in order if total[entry_id]]


def summarize_misses(store: Store, lists: Iterable[Reference], near: Reference | None) -> dict[str, Any]:
    """Return what a run says of near misses: counts of texts, and the entries that can never match.

    Args:
        store: that holds them.
        lists: those that are matched the paper's way, of the others every entry can match.
        near: None where near misses were not counted; the entries that can never match are known anyway.

    Returns:
        JSON values: `never_match` with `entries` and `examples`; where they were counted `texts` (those that were
        looked at), `part` (the share of the pool that was, about), `texts_that_miss`,
        `texts_but_for_case_or_punctuation`, `texts_with_an_entry_that_never_matches`.
    """
    never: list[str] = []
    for metadata in lists:
        config = store.manifest(metadata.manifest).config
        if not config.get("space_entries") and "rule" not in config:
            entries = read_entries(store, metadata)["entry"]
            odd = entries.filter(pc.match_substring_regex(entries, _ODD)).to_pylist()
            never += [entry for entry in odd if not can_match(entry)]
    summary: dict[str, Any] = {"never_match": {"entries": len(never), "examples": never[:EXAMPLES]}}
    if near is not None:
        manifest = store.manifest(near.manifest)
        summary["part"] = manifest.config["part"]
        summary |= {name: count for name, count in manifest.statistics["counts"].items() if name.startswith("texts")}
    return summary
