"""How a pool treats a text: its spacing, its entries with their counts, and its keep probability."""

from typing import Any

import numpy as np

from metaclip.config.settings import format_t
from metaclip.errors import ConfigError
from metaclip.explore.near import near_misses
from metaclip.explore.pool import FinishedPool, entry_rows, pair_probability
from metaclip.language.identifier import LanguageIdentifier
from metaclip.language.model_file import find_model, model_fingerprint
from metaclip.matching.definition import space_text
from metaclip.metadata.list_job import open_matcher
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
        descending number of matches.

    Raises:
        ConfigError: unknown pool, t not above 0, or a text of white space only.
        StoreError: an output of the pool is missing.
    """
    pool = FinishedPool.open(storage, name)
    t = pool.t(t)
    cleaned = clean_text(text)
    if not cleaned:
        raise ConfigError("the text is empty, or white space alone; such texts are dropped when pages are read")
    _, ids = open_matcher(pool.store, pool.one("metadata")).match([cleaned])
    entries = entry_rows(pool, ids.tolist(), t)
    spaced = pool.config.match.space_entries
    near = near_misses(cleaned, pool.entries.column("entry"), ids.tolist(), spaced)
    rows = entry_rows(pool, [miss.entry_id for miss in near], t)
    for row, miss in zip(rows, near, strict=True):
        row.update(causes=list(miss.causes), can_match=miss.can_match)
    return {
        "pool": name,
        "t": format_t(t),
        "text": cleaned,
        "spaced": space_text(cleaned),
        "space_entries": spaced,
        "language": _language(pool, cleaned, language),
        "entries": entries,
        "keep_probability": pair_probability([row["keep_probability"] for row in entries]) if entries else None,
        "near_misses": sorted(rows, key=lambda row: (-row["count"], row["entry_id"])),
    }


def _language(pool: FinishedPool, text: str, given: str | None) -> dict[str, Any]:
    """Return label and score, and whether the pool keeps them; or why they are unknown on this machine."""
    wanted, least = pool.config.match.languages, pool.config.match.min_lang_score
    filtered = {"languages": wanted, "min_lang_score": least}
    if given is not None:
        kept = not wanted or given in wanted
        return {**filtered, "label": given, "score": 1.0, "kept": kept, "problem": None}
    try:
        model = find_model(pool.config.extract.language_model)
        labels, scores = LanguageIdentifier(model).identify([text])
    except ConfigError as error:
        return {**filtered, "label": None, "score": None, "kept": None, "problem": str(error)}
    used = {pool.store.manifest(part.manifest).config["language_model"] for part in pool.all("extract")[:1]}
    other = "" if used == {model_fingerprint(model)} else f"{model} is not the model that the pool was made with"
    kept = bool(scores[0] >= np.float32(least)) and (not wanted or labels[0] in wanted)
    score = round(float(scores[0]), 6)
    return {**filtered, "label": labels[0], "score": score, "kept": kept, "problem": other or None}
