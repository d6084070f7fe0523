"""How a pool treats a text: its spacing, its entries with their counts, and its keep probability."""

from collections.abc import Callable, Iterable
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from metaclip.config.settings import format_t
from metaclip.errors import ConfigError
from metaclip.explore.explain_list import parts_of
from metaclip.explore.near import LooseEntries, loose_entries, near_misses
from metaclip.explore.pool import FinishedPool, entry_rows, pair_probability
from metaclip.kernels.jit import plainly
from metaclip.language.identifier import LanguageIdentifier
from metaclip.language.model_file import find_model, model_fingerprint
from metaclip.matching.definition import space_text
from metaclip.metadata.list_job import COSTS, open_matcher
from metaclip.pairs.texts import clean_text


def explain_text(
    storage: str, name: str, text: str, t: float | None = None, language: str | None = None
) -> dict[str, Any]:
    """Return how a pool treats a text.

    Args:
        storage: root of the store.
        name: name of the pool.
        text: the text as it is on a page.
        t: the threshold; None for the pool's own.
        language: the text's label, instead of the one that the model gives it.

    Returns:
        JSON values: `text` as extraction cleans it, `spaced` as it is searched, `language` with the
        result of the pool's filter, matched `entries` with counts and keep probabilities, the pair's
        `keep_probability` (None if no entry matches: no t keeps it), and `near_misses`, sorted by
        descending number of matches. In a pool by language also `group`, None if it has no list for the
        text; `rule` and the `parts` at whose ends entries may begin and end; `own_t`, what t is in the
        group; and `kept_from`, the smallest t at which every pair with this text is kept.

    Raises:
        ConfigError: unknown pool, t not above 0, or a text of white space only.
        StoreError: an output of the pool is missing.
    """
    return explain_in(FinishedPool.open(storage, name), text, t, language)


Forms = Callable[[str | None], Iterable[LooseEntries]]
"""Returns the loose forms of a group's list; None stands for the one list."""


def explain_in(
    pool: FinishedPool, text: str, t: float | None = None, language: str | None = None, forms: Forms | None = None
) -> dict[str, Any]:
    """Do the same in a pool that is open; `forms` gives the loose forms of lists, if somebody keeps them."""
    name, t = pool.config.pool, pool.t(t)
    cleaned = clean_text(text)
    if not cleaned:
        raise ConfigError("the text is empty, or white space alone; such texts are dropped when pages are read")
    told = _language(pool, cleaned, language)
    group = _group(pool, told) if pool.by_language is not None else None
    listed: dict[str, Any] = {} if pool.by_language is None else {"group": group}
    if pool.by_language is not None and group is None:
        ids: list[int] = []
        near = []
    else:
        with plainly():  # for one text, loading compiled kernels takes longer
            _, found = open_matcher(pool.store, pool.lists[group or ""]).match([cleaned])
        ids = found.tolist()
        listed_entries = pool.entries_of(group).column("entry")
        have = listed_entries.take(pa.array(ids, pa.int64())).to_pylist()
        parts = loose_entries(listed_entries) if forms is None else forms(group)
        near = near_misses(cleaned, parts, have, pool.config.match.space_entries)
    entries = entry_rows(pool, ids, t, group) if ids else []
    rows = entry_rows(pool, [miss.entry_id for miss in near], t, group) if near else []
    for row, miss in zip(rows, near, strict=True):
        row.update(causes=list(miss.causes), can_match=miss.can_match)
    if group is not None:
        rule = pool.by_language.groups.rules[group] if pool.by_language is not None else "paper"
        listed |= {
            "rule": rule,
            "parts": parts_of(cleaned, rule, _words(pool, group, cleaned) if rule == "words" else {}),
            "reference": pool.group_counts.reference,
            "own_t": format_t(pool.t_of(group, t)),
            # From here on one of its entries is kept whole; without an address no draw is known.
            "kept_from": min((row["kept_from"] for row in entries if row["kept_from"] is not None), default=None),
        }
    return {
        "pool": name,
        "t": format_t(t),
        "text": cleaned,
        "spaced": space_text(cleaned),
        "space_entries": pool.config.match.space_entries,
        "language": told,
        **listed,
        "entries": entries,
        "keep_probability": pair_probability([row["keep_probability"] for row in entries]) if entries else None,
        "near_misses": sorted(rows, key=lambda row: (-row["count"], row["entry_id"])),
    }


def _group(pool: FinishedPool, told: dict[str, Any]) -> str | None:
    """Return the group that a text of this label and score is matched in; a group may be named in place of a label."""
    assert pool.by_language is not None
    groups = pool.by_language.groups
    if told["label"] is None:
        return None
    if told["label"] in groups.names and told["label"] not in groups.by_label:
        return str(told["label"])
    return groups.of(told["label"], told["score"])


def _words(pool: FinishedPool, group: str, text: str) -> dict[str, int]:
    """Return the costs of the entries of a group that occur in a text, wherever; the rule `words` chooses of them."""
    entries = pool.entries_of(group).column("entry")
    longest = int(pc.max(pc.utf8_length(entries)).as_py() or 0)
    inside = {text[i : i + n] for n in range(1, min(longest, len(text)) + 1) for i in range(len(text) - n + 1)}
    ids = np.flatnonzero(pc.is_in(entries, value_set=pa.array(sorted(inside), pa.string())).to_numpy())
    costs = np.frombuffer(pool.store.read_bytes(pool.lists[group], COSTS), "<u2")
    return {entries[entry_id].as_py(): int(costs[entry_id]) for entry_id in ids.tolist()}


def _language(pool: FinishedPool, text: str, given: str | None) -> dict[str, Any]:
    """Return label and score, and whether the pool keeps them; or why they are unknown on this machine."""
    wanted, least = pool.config.match.languages, pool.config.match.min_lang_score
    filtered = {"languages": wanted, "min_lang_score": least}
    if given is not None:
        kept = not wanted or given in wanted
        return {**filtered, "label": given, "score": 1.0, "kept": kept, "problem": None}
    try:
        model = find_model(pool.config.extract.language_model)
        with plainly():
            labels, scores = _identifier(model).identify([text])
    except ConfigError as error:
        return {**filtered, "label": None, "score": None, "kept": None, "problem": str(error)}
    used = {pool.store.manifest(part.manifest).config["language_model"] for part in pool.all("extract")[:1]}
    other = "" if used == {model_fingerprint(model)} else f"{model} is not the model that the pool was made with"
    kept = bool(scores[0] >= np.float32(least)) and (not wanted or labels[0] in wanted)
    score = round(float(scores[0]), 6)
    return {**filtered, "label": labels[0], "score": score, "kept": kept, "problem": other or None}


@lru_cache(maxsize=2)
def _identifier(model: Path) -> LanguageIdentifier:
    return LanguageIdentifier(model)
