"""Texts of reports: names of steps, reasons in plain words, and escaping of text from the web.

Imports nothing heavy, so that commands and tasks can use it.
"""

import re
import unicodedata
from collections.abc import Mapping
from itertools import pairwise

STEPS = {
    "files": "files",
    "failed_files": "files that could not be read",
    "bytes_read": "bytes read",
    "records": "records",
    "pages": "pages",
    "images": "images",
    "texts": "texts with an image address",
    "pairs": "without repeats in a shard",
    "kept_by_language": "kept by language",
    "matched": "with a matched entry",
    "unique": "unique over the pool",
    "survived": "survived",
    "curated": "in the set",
}

COMPARED = ("texts", "pairs", "kept_by_language", "matched", "unique", "survived", "curated")
"""Steps that count pairs, so that one can be compared with the next."""

SAMPLED = {
    "kept": "Kept in the set",
    "balanced": "Left out by balancing",
    "no_match": "Without a matched entry",
    "language": "In a language that is not kept",
    "repeat_in_pool": "Repeats over the pool",
    "no_survivor": "Not among the survivors",
}
"""Titles of samples, by the names that `metaclip sample --why` takes."""

_REASONS = {
    "image.no_text": "an image without a text",
    "image.no_address": "an image without an address",
    "image.data_address": "an image whose address is a data: placeholder",
    "image.scheme": "an image whose address is neither http nor https",
    "image.bad_address": "an image whose address is none",
    "image.address_too_long": "an image whose address is longer than extract.max_address_bytes",
    "image.not_downloaded": "an image that the list says was not downloaded",
    "page.opt_out": "a page that opts out (noai, noimageai)",
    "page.not_html": "a page that is not HTML",
    "page.encoding": "a page whose content encoding cannot be undone",
    "page.too_large": "a page larger than extract.max_page_bytes",
    "page.too_complex": "a page that would take the parser too long",
    "page.no_address": "a page without an http or https address",
    "page.address_too_long": "a page whose address or base is longer than extract.max_address_bytes",
    "page.pairs_too_large": "a page whose pairs would take more than extract.max_pairs_bytes",
    "page.bad_http": "a page whose HTTP head is broken",
    "page.no_payload": "a WAT record without the page's metadata",
    "page_url.too_long": "an address of a page that is too long; its pair stays",
    "value.too_long": "a value of a column of one's own that is longer than extract.max_text_bytes; its pair stays",
    "record.not_an_object": "a record that is no JSON object",
    "record.bad_row": "a row with another number of fields",
    "record.no_row": "a JSON object whose address is a list or an object, as where a file has a list for each column",
    "record.too_long": "a record longer than 16 MB",
    "record.continuation": "a later segment of a record that a crawler cut",
    "record.name_with_dots": "a member of a tar whose sample cannot be told, as its name has more dots",
    "text.too_long": "a text longer than extract.max_text_bytes",
    "pair.repeat": "a repeat of address and text in its shard",
    "pair.repeat_in_pool": "a repeat of address and text in another shard",
    "pair.language": "a text in a language that is not kept",
    "pair.score": "a text with a language score under match.min_lang_score",
    "pair.no_metadata": "a text in a language without a list of entries",
    "pair.no_match": "a text that contains no entry",
    "pair.not_survived": "a pair that is not among the survivors",
    "pair.removed": "a pair that was taken out on request",
    "pair.balanced": "a pair that balancing left out",
}
_KINDS = {
    "record": "a record that cannot be used",
    "file_part": "a stretch of a file that cannot be read",
    "file_tail": "the rest of a file that cannot be read",
    "page.error_": "a page at which something unforeseen was raised",
    "page": "a page",
    "image": "an image",
    "text": "a text",
    "value": "a value of a kept column that has another type than the column (null now; its pair stays)",
    "pair": "a pair",
}

# A backslash before any of these ASCII characters is an escape (CommonMark 0.31, section 2.4).
_SPECIAL = re.compile(r"([!-/:-@\[-`{-~])")
_TURNING = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")


def step_shares(funnel: Mapping[str, int]) -> dict[str, float]:
    """Return for each step that counts pairs, but the first, which share of the step before it is left."""
    steps = [step for step in COMPARED if step in funnel]
    return {step: funnel[step] / funnel[before] for before, step in pairwise(steps) if funnel[before]}


def reason(name: str) -> str:
    """Return in words what a count of a report, such as `pair.language`, means."""
    if name in _REASONS:
        return _REASONS[name]
    kind = next((kind for kind in _KINDS if name.startswith(kind)), None)
    detail = name.removeprefix(kind or "").lstrip(".").replace("_", " ")
    return f"{_KINDS[kind]}: {detail}" if kind else name


def visible(text: str) -> str:
    """Replace control characters, which no page may contain, and those that change the text direction by U+FFFD."""
    return "".join(
        "\ufffd" if unicodedata.category(letter) in ("Cc", "Cs") or letter in _TURNING else letter for letter in text
    )


def markdown(text: str) -> str:
    """Escape text from the web so that Markdown and HTML show it as it is, also in a table cell.

    Line breaks and invisible characters become U+FFFD.
    """
    return _SPECIAL.sub(r"\\\1", "".join(" " if letter in "\u2028\u2029" else letter for letter in visible(text)))
