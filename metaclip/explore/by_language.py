"""Each language of a pool by language at one t: its own t, its tail, its share of the set, and what to look at."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from metaclip.config.settings import format_t
from metaclip.stages.group_counts import GroupCounts

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
