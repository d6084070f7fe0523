"""Ten pairs of each reason, for the report of a set; only what the store has, and only where it is found quickly."""

from collections.abc import Mapping, Sequence
from typing import Any

from metaclip.config.loading import parse_config
from metaclip.explore.pool import FinishedPool
from metaclip.samples.sample import STORED, Sampler
from metaclip.samples.walk import MOST_SHARDS
from metaclip.store.manifest import Reference
from metaclip.store.store import Store

PAIRS_OF_A_REASON = 10
CHARACTERS = 300
LARGE, RARE = 5_000_000, 1e-5
"""In a pool of more pairs than `LARGE`, a reason with a smaller share of the pairs than `RARE` would be looked for
in all of them."""


def samples_of(
    store: Store, stages: Mapping[str, Reference | Sequence[Reference]], curated: Reference, t: str
) -> list[dict[str, Any]]:
    """Return samples of a set, and of the pairs of its pool that were left out, by reason.

    Args:
        store: the store.
        stages: the outputs of the pool, by the names of a pool's record.
        curated: the set.
        t: of the set, as text.

    Returns:
        JSON values: `why`, `total` and `rows` with `text`, `url`, `lang` and, where it is known, `entries` and `min_t`.

    Raises:
        StoreError: an output of the pool is missing.
    """
    matched, balanced = stages["match"], stages["balance"]
    assert not isinstance(matched, Reference)
    assert not isinstance(balanced, Reference)
    tree: dict[str, Any] = {"pool": "report", "source": {"paths": ["-"]}, "metadata": {"entries": "-"}}
    for part, section, names in ((matched, "match", ("languages", "min_lang_score")), (balanced, "balance", ("seed",))):
        config = store.manifest(part[0].manifest).config
        tree[section] = {name: config[name] for name in names}
    tree["balance"]["t"] = t
    addresses = {
        name: part.manifest if isinstance(part, Reference) else [one.manifest for one in part]
        for name, part in stages.items()
    }
    pool = FinishedPool(store, parse_config(tree, "report"), {**addresses, "curate": {t: [curated.manifest]}})
    sampler = Sampler(pool, pool.t(None), PAIRS_OF_A_REASON)
    return [found for reason in STORED if (found := _sample(pool, sampler, reason))]


def _sample(pool: FinishedPool, sampler: Sampler, reason: str) -> dict[str, Any] | None:
    if reason == "no_survivor" and not pool.survivors:
        return None
    if reason == "repeat_in_pool" and len(pool.stages["match"]) > MOST_SHARDS:
        return None  # each of them would be read
    total = sampler.total(reason)
    if not total or (pool.pairs > LARGE and total < RARE * pool.pairs):
        return None
    rows = [
        {
            "text": row["text"][:CHARACTERS],
            "url": row["url"][:CHARACTERS],
            "lang": row["lang"],
            **{name: row[name] for name in ("entries", "min_t") if name in row},
        }
        for row in sampler.sample(reason)["rows"]
    ]
    return {"why": reason, "total": total, "rows": rows}
