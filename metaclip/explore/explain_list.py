"""How a list of entries treats a text, without a pool: its group, its bounds, and the entries that it contains."""

from collections.abc import Mapping
from itertools import pairwise
from typing import Any

import numpy as np

from metaclip.config.groups import LanguageGroup, Rule, configured_groups
from metaclip.config.languages import Boundaries, Languages, Spacing
from metaclip.errors import ConfigError
from metaclip.language.identifier import LanguageIdentifier
from metaclip.language.model_file import find_model
from metaclip.matching.boundaries import NO_COST, as_entry, tokens, word_bounds
from metaclip.matching.definition import space_text
from metaclip.matching.matcher import Matcher
from metaclip.metadata.given_list import load_entries
from metaclip.metadata.pmi import word_costs
from metaclip.pairs.texts import clean_text


def explain_with_list(
    text: str,
    entries: str,
    language: str | None = None,
    spacing: Spacing | None = None,
    boundaries: Boundaries | None = None,
) -> dict[str, Any]:
    """Return how a given list treats a text.

    Args:
        text: the text as it is on a page.
        entries: path or address of a list of entries, as `metadata.entries`.
        language: a label of lid.176, or the name of a group of the shipped table; None for the label of the text.
        spacing: as `match.spacing`.
        boundaries: as `match.boundaries`; None for that of the group.

    Returns:
        JSON values: `text` as extraction cleans it, `language`, `group`, `rule`, `parts`, which are the words or other
        parts of the text at whose ends entries may begin and end, and the matched `entries` with their ids.

    Raises:
        ConfigError: an unknown language, or a text of white space only.
        InputError, TransportError: as `load_entries`.
    """
    cleaned = clean_text(text)
    if not cleaned:
        raise ConfigError("the text is empty, or white space alone; such texts are dropped when pages are read")
    label, score = (language, None) if language is not None else _identify(cleaned)
    group = _group_of(label, spacing or "paper", boundaries)
    loaded = load_entries(entries)
    counts = None if loaded.counts is None else np.array(loaded.counts, np.int64)
    costs = word_costs(counts, len(loaded.entries)) if group.rule == "words" else None
    _, ids = Matcher(loaded.entries, group.rule, costs).match([cleaned])
    words = {}
    if costs is not None:
        _, all_ids = Matcher(loaded.entries, "characters").match([cleaned])
        words = {loaded.entries[entry_id]: int(costs[entry_id]) for entry_id in all_ids.tolist()}
    return {
        "text": cleaned,
        "language": label,
        "score": score,
        "group": group.name,
        "rule": group.rule,
        "parts": parts_of(cleaned, group.rule, words),
        "entries": [{"entry_id": entry_id, "entry": loaded.entries[entry_id]} for entry_id in ids.tolist()],
    }


def parts_of(text: str, rule: Rule, costs: Mapping[str, int]) -> list[str]:
    """Return the parts of a text at whose ends an entry may begin and end, white space left out.

    Args:
        text: the text.
        rule: how entries are found in it.
        costs: for the rule `words`, the costs of the entries that the text contains by the rule `characters`.
    """
    if rule == "paper":
        return space_text(text).split()
    found = tokens(text, rule)
    words = {as_entry(tokens(entry, rule)): cost for entry, cost in costs.items() if cost != NO_COST}
    bounds = sorted(word_bounds(found, words)) if rule == "words" else list(range(len(found) + 1))
    parts = []
    for begin, end in pairwise(bounds):
        first, *rest = found[begin:end]
        parts.append(first.text + "".join(token.text if token.glued else f" {token.text}" for token in rest))
    return parts


def _identify(text: str) -> tuple[str, float]:
    labels, scores = LanguageIdentifier(find_model(None)).identify([text])
    return labels[0], round(float(scores[0]), 6)


def _group_of(language: str, spacing: Spacing, boundaries: Boundaries | None) -> LanguageGroup:
    groups = configured_groups(Languages(), spacing, boundaries)
    for group in groups.values():
        if language in group.labels:
            return group
    if language in groups:
        return groups[language]
    raise ConfigError(f"--language {language}: neither a label of lid.176 nor a group of the shipped table")
