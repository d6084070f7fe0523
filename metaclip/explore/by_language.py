"""The languages of a pool at one t: shares of the set, what to look at, and languages with a t of their own."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from metaclip.config.settings import Config, format_t
from metaclip.errors import ConfigError
from metaclip.stages.curate import OwnT
from metaclip.stages.group_counts import ByLanguage, GroupCounts
from metaclip.store.manifest import Reference
from metaclip.store.store import Store

FAR = 1.5
"""A language's tail share is marked if it is more than this times that of the reference language."""

MARKS = {
    "reference": "t is for this language",
    "no_pair": "no text of it has an entry",
    "ceiling": "balance.ceiling holds its t down",
    "floor": "balance.floor holds its t up",
    "tail": f"its tail share is more than {FAR:g} times that of the reference language",
    "dominated": "one entry has more than half of its matches",
    "all_kept": "all of its pairs are in the set",
}
"""What the marks of a language say."""


def language_rows(
    counts: GroupCounts, t: float, pairs: Mapping[str, int], chosen: Mapping[str, int]
) -> list[dict[str, Any]]:
    """Return a row of JSON values for each language, by descending number of pairs, then by name.

    Args:
        counts: of the pool.
        t: of the reference language.
        pairs: matched pairs of the pool by language; one that is missing has none.
        chosen: pairs of the set at t by language, likewise.

    Returns:
        `language`, `pairs`, `matches`, `entries`, `entries_with_matches`, `largest` (the largest count of an
        entry) and `largest_entry_id`, `t` of the language as text (None without a match), `head_entries`,
        `tail_share`, `set`, `share` of its pairs, `share_of_set`, and `marks`, some of MARKS.
    """
    whole = sum(chosen.values())
    reference_share = counts.thresholds[counts.reference].tail_share(t)
    rows = [
        _row(counts, t, group, pairs.get(group, 0), chosen.get(group, 0), reference_share) for group in counts.names
    ]
    for row in rows:
        row["share_of_set"] = row["set"] / whole if whole else None
    return sorted(rows, key=lambda row: (-row["pairs"], row["language"]))


def _row(counts: GroupCounts, t: float, group: str, pairs: int, chosen: int, reference_share: float) -> dict[str, Any]:
    thresholds, of_entries = counts.thresholds[group], counts.counts(group)
    own = counts.t(group, t)
    share = thresholds.tail_share(own)
    rule = counts.rule
    found = {
        "reference": thresholds.is_reference,
        "no_pair": not pairs,
        "ceiling": own < thresholds.t(t, replace(rule, ceiling=None)),
        "floor": thresholds.t(t, replace(rule, ceiling=None)) > thresholds.t(t, replace(rule, ceiling=None, floor=0)),
        "tail": share > FAR * reference_share,
        "dominated": 2 * thresholds.largest > thresholds.matches,
        "all_kept": pairs > 0 and chosen == pairs,
    }
    if not pairs:
        found = dict.fromkeys(found, False) | {"reference": thresholds.is_reference, "no_pair": True}
    return {
        "language": group,
        "pairs": pairs,
        "matches": thresholds.matches,
        "entries": len(of_entries),
        "entries_with_matches": int(np.count_nonzero(of_entries)),
        "largest": thresholds.largest,
        "largest_entry_id": int(np.argmax(of_entries)) if thresholds.matches else None,
        "t": format_t(own) if thresholds.matches else None,
        "head_entries": int(np.count_nonzero(of_entries > own)),
        "tail_share": round(share, 6) if thresholds.matches else None,
        "set": chosen,
        "share": chosen / pairs if pairs else None,
        "marks": [name for name in MARKS if found[name]],
    }


def parse_language_t(given: str) -> dict[str, float]:
    """Read `de=500,fr=inf`.

    Raises:
        ConfigError: it is of another form.
    """
    found: dict[str, float] = {}
    for one in given.split(","):
        name, _, t = one.partition("=")
        try:
            value = float(t)
        except ValueError:
            value = 0.0
        if not name.strip() or not value > 0 or name.strip() in found:
            raise ConfigError(f"--language-t {given}: give each language once with a t above 0, such as de=500,fr=700")
        found[name.strip()] = value
    return found


def parse_set_name(name: str) -> tuple[str, dict[str, float]]:
    """Return t as text and the languages with a t of their own of what a pool's record calls a set (`set_name`)."""
    t, _, own = name.partition(";")
    return t, parse_language_t(own) if own else {}


def check_language_t(config: Config, language_t: Mapping[str, float]) -> ByLanguage:
    """Check that a pool has these languages; return its groups and rule.

    Raises:
        ConfigError: it has one list for all texts, or not all of them.
    """
    by_language = ByLanguage.of(config.groups, config.balance)
    if by_language is None:
        raise ConfigError(f"pool {config.pool!r} has one list for all texts: give --t in place of --language-t")
    names = by_language.groups.names
    if unknown := sorted(set(language_t) - set(names)):
        raise ConfigError(f"--language-t: no language {', '.join(unknown)} in this pool; there: {', '.join(names)}")
    return by_language


def own_t(config: Config, store: Store, counts: Reference, language_t: Mapping[str, float]) -> OwnT:
    """Return languages with a t of their own, and how far the pairs of the set reach; the others are cut at the pool's.

    Raises:
        ConfigError: as `check_language_t`.
    """
    found = GroupCounts(store, counts, check_language_t(config, language_t))
    prefix = found.prefix(config.balance.threshold, language_t)
    return OwnT(tuple(sorted(language_t.items())), prefix)
