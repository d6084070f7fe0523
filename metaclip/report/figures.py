"""All figures of a report, as JSON values and as the arrays for the plots."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from metaclip.balance.counts import keep_share
from metaclip.config.settings import format_t
from metaclip.images.dedup.outputs import image_figures
from metaclip.metadata.list_job import read_entries
from metaclip.report.curves import Curves, read_curves
from metaclip.report.pool_outputs import Extracted, SetParts, by_count, funnel, sum_counts
from metaclip.report.survey import HostCounts, Survey, read_surveys
from metaclip.schemas import SET_COUNT
from metaclip.stages.count import read_counts
from metaclip.stages.curate import add_set_tallies
from metaclip.store.store import Store

TOP = 100
TOP_HOSTS = 50
EXAMPLES = 8


@dataclass(frozen=True)
class Figures:
    """The figures of a set."""

    t: float
    content: dict[str, Any]
    """`report.json`."""
    entries: pa.Table
    """`schemas.SET_COUNT`, sorted by entry_id."""
    before: npt.NDArray[np.uint64]
    """uint64[n_entries], matches in the pool."""
    after: npt.NDArray[np.uint64]
    """uint64[n_entries], matches in the set."""
    curves: Curves
    """The curves; the t of this set is one of the steps."""
    step: int
    """Index of the step with this set's t."""


def figures(store: Store, parts: SetParts, t: float) -> Figures:
    """Compute the figures of a set from the statistics of its partitions; no pair is read.

    Raises:
        StoreError: if an output is missing.
    """
    extracted = Extracted.read(store, parts.pool.extracted)
    matched = sum_counts(store, parts.pool.matched)
    unique = sum_counts(store, parts.pool.unique)
    survived = sum_counts(store, parts.pool.survived) if parts.pool.survived else None
    of_set = store.manifest(parts.curated.manifest).statistics["counts"]
    curated = of_set["curated"]
    before = read_counts(store, parts.pool.counts)
    after = np.zeros_like(before)
    add_set_tallies(after, store, parts.curated)
    entries = _entry_table(store, parts, before, after)
    curves, step = with_step(read_curves(store, parts.curves, before), t, curated, after)
    pool, chosen = read_surveys(store, parts.pool_surveys), read_surveys(store, parts.set_surveys)
    content = {
        "t": format_t(t),
        **funnel(extracted, matched, unique, survived, curated, of_set.get("removed", 0)),
        "entries": _entries(before, after, t),
        "top_entries": _top_entries(entries, curves, t),
        "entry_sources": _entry_sources(entries),
        "pool": _described(pool, int(before.sum())),
        "set": _described(chosen, int(after.sum())),
        "hosts": _hosts(pool.hosts, chosen.hosts, pool.pairs, chosen.pairs),
        "curve": _curve(curves, before),
        "input": {
            "kinds": by_count(extracted.kinds),
            "crawls": dict(sorted(extracted.crawls.items())),
            # A report states of pages only what the run saw of pages.
            "pages": extracted.from_pages,
            "pairs": extracted.from_pairs,
            "entries_built_from": _built_from(store.manifest(parts.pool.metadata.manifest).config),
        },
        "settings": {**extracted.settings, **_settings(store, parts)},
    }
    if parts.pool.images is not None:
        content["images"] = image_figures(store, parts.pool.images, before, entries.column("entry"))
    return Figures(t, content, entries, before, after, curves, step)


def with_step(curves: Curves, t: float, curated: int, after: npt.NDArray[np.uint64]) -> tuple[Curves, int]:
    """Return the curves with t as a step, and its index; so the figures of the set are exact for any t."""
    # The last step and every larger t keep all pairs.
    step = len(curves.t) - 1 if t >= curves.t[-1] else int(np.searchsorted(curves.t, t))
    if curves.t[step] == t or t >= curves.t[-1]:
        return curves, step
    return replace(
        curves,
        t=np.insert(curves.t, step, t),
        pairs=np.insert(curves.pairs, step, curated),
        matches=np.insert(curves.matches, step, curves.groups.sums(after), axis=1),
    ), step


def _entry_table(
    store: Store, parts: SetParts, before: npt.NDArray[np.uint64], after: npt.NDArray[np.uint64]
) -> pa.Table:
    entries = read_entries(store, parts.pool.metadata).select(["entry_id", "entry", "source"])
    return pa.table([*entries.columns, pa.array(before), pa.array(after)], schema=SET_COUNT)


def _entries(before: npt.NDArray[np.uint64], after: npt.NDArray[np.uint64], t: float) -> dict[str, Any]:
    matches = int(before.sum())
    tail = int(before[before <= t].sum())
    return {
        "entries": len(before),
        "with_matches": int(np.count_nonzero(before)),
        "without_matches": int(np.count_nonzero(before == 0)),
        "head": int(np.count_nonzero(before > t)),
        "matches": matches,
        "matches_curated": int(after.sum()),
        "head_matches": matches - tail,
        "tail_share": round(tail / matches, 6) if matches else None,
    }


def _top_entries(entries: pa.Table, curves: Curves, t: float) -> list[dict[str, Any]]:
    ranked = entries.take(curves.groups.order[::-1][:TOP])
    return [
        {
            "rank": rank,
            "entry_id": row["entry_id"],
            "entry": row["entry"],
            "count": row["count"],
            "curated": row["curated_count"],
            "keep_probability": round(keep_share(row["count"], t), 6),
        }
        for rank, row in enumerate(ranked.to_pylist(), start=1)
    ]


def _entry_sources(entries: pa.Table) -> list[dict[str, Any]]:
    sources = entries.column("source").combine_chunks().dictionary_encode()
    of = sources.indices.to_numpy()
    before, after = entries.column("count").to_numpy(), entries.column("curated_count").to_numpy()
    found = []
    for number, source in enumerate(sources.dictionary.to_pylist()):
        own = of == number
        unmatched = np.flatnonzero(own & (before == 0))
        found.append(
            {
                "source": source,
                "entries": int(np.count_nonzero(own)),
                "without_matches": len(unmatched),
                "matches": int(before[own].sum()),
                "matches_curated": int(after[own].sum()),
                "examples_without_matches": entries.column("entry").take(unmatched[:EXAMPLES]).to_pylist(),
            }
        )
    return found


def _described(survey: Survey, matches: int) -> dict[str, Any]:
    return {
        "pairs": survey.pairs,
        "images": survey.images,
        "matches": matches,
        "languages": by_count(survey.languages),
        "text_keys": by_count(survey.text_keys),
    }


def _hosts(pool: HostCounts, chosen: HostCounts, pool_pairs: int, set_pairs: int) -> dict[str, Any]:
    top = chosen.table.slice(0, TOP_HOSTS)
    in_pool = pool.table.filter(pa.compute.is_in(pool.table.column("host"), top.column("host").combine_chunks()))
    of_pool = dict(zip(in_pool.column("host").to_pylist(), in_pool.column("pairs").to_pylist(), strict=True))
    return {
        "of": "image address",
        "known": {"pool": pool.table.num_rows, "set": chosen.table.num_rows},
        "undercount_at_most": {"pool": pool.error, "set": chosen.error},
        "top": [
            {
                "host": row["host"],
                "pool": of_pool.get(row["host"], 0),
                "set": row["pairs"],
                "pool_share": round(of_pool.get(row["host"], 0) / pool_pairs, 6),
                "set_share": round(row["pairs"] / set_pairs, 6),
            }
            for row in top.to_pylist()
        ],
    }


def _curve(curves: Curves, before: npt.NDArray[np.uint64]) -> dict[str, Any]:
    ascending = before[curves.groups.order]
    held = np.concatenate([[0], np.cumsum(ascending.astype(np.int64))])
    in_tail = np.searchsorted(ascending, curves.t, side="right")
    matches = int(held[-1])
    return {
        "t": curves.t.tolist(),
        "pairs": curves.pairs.tolist(),
        "matches": curves.matches.sum(axis=0).tolist(),
        "head": (len(ascending) - in_tail).tolist(),
        "tail_share": [round(int(share) / matches, 6) if matches else None for share in held[in_tail]],
    }


def _built_from(config: Mapping[str, Any]) -> list[str]:
    """Return the sources that the list of entries was built from; none where it was given."""
    return [source for source in ("wordnet", "words", "pairs", "titles") if config.get(source)]


def _settings(store: Store, parts: SetParts) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for reference, names in ((parts.pool.matched, ("languages", "min_lang_score")), (parts.pool.balanced, ("seed",))):
        for one in reference[:1]:
            config = store.manifest(one.manifest).config
            found |= {name: config[name] for name in names}
    return found
