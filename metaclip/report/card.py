"""The data card: `README.md` as Hugging Face reads it, https://huggingface.co/docs/hub/datasets-cards."""

from typing import Any

import yaml

from metaclip.config.card import Card
from metaclip.explore.by_language import MARKS
from metaclip.report.croissant import DATA, PAPER, curated_schema, meaning
from metaclip.report.figures import Figures
from metaclip.report.page import environment, share, whole
from metaclip.report.words import STEPS, markdown

TOP_IN_CARD = 25
HOSTS_IN_CARD = 15

_SIZES = ((1e3, "1K"), (1e4, "10K"), (1e5, "100K"), (1e6, "1M"), (1e7, "10M"), (1e8, "100M"), (1e9, "1B"))
_SIZES_ABOVE = ((1e10, "10B"), (1e11, "100B"), (1e12, "1T"))


def data_card(figures: Figures, card: Card) -> str:
    """Return the card."""
    content = figures.content
    # Not HTML: texts from the web are escaped for Markdown by a named filter.
    template = environment().overlay(autoescape=False)
    template.filters = {**template.filters, "md": markdown, "n": whole, "share": share}
    return template.get_template("card.md").render(
        c=content,
        card=card,
        origin=_origin(content["input"]),
        front=yaml.safe_dump(_front_matter(content, card), sort_keys=False, allow_unicode=True),
        steps=STEPS,
        columns=[(field.name, str(field.type), meaning(field)) for field in curated_schema(figures)],
        entry_columns=[(field.name, str(field.type), meaning(field)) for field in figures.entries.schema],
        top=content["top_entries"][:TOP_IN_CARD],
        hosts=content["hosts"]["top"][:HOSTS_IN_CARD],
        marks=MARKS,
        paper=PAPER,
        data=DATA,
    )


def size_category(pairs: int) -> str:
    """Return Hugging Face's name for a number of rows, such as `1M<n<10M`."""
    bounds = [*_SIZES, *_SIZES_ABOVE]
    for (_, lower), (upper_bound, upper) in zip([(0, "n"), *bounds], bounds, strict=False):
        if pairs < upper_bound:
            return f"n<{upper}" if lower == "n" else f"{lower}<n<{upper}"
    return f"n>{bounds[-1][1]}"


def _front_matter(content: dict[str, Any], card: Card) -> dict[str, Any]:
    pairs = content["funnel"]["curated"]
    configs: list[dict[str, Any]] = []
    if pairs:
        files = [{"split": "train", "path": f"{DATA}/*.parquet"}]
        configs.append({"config_name": "pairs", "default": True, "data_files": files})
    counts = [{"split": "train", "path": "entry_counts.parquet"}]
    configs.append({"config_name": "entry_counts", "data_files": counts})
    return {
        "pretty_name": card.title,
        "license": card.licence,
        "license_details": _licences(content["input"]),
        "opt_out_contact": card.contact or "not stated",
        "language": sorted(content["set"]["languages"]),
        "size_categories": [size_category(pairs)],
        "task_categories": ["zero-shot-image-classification", "image-to-text"],
        "tags": ["clip", "metaclip", "image-text"],
        "configs": configs,
    }


def _origin(read: dict[str, Any]) -> str:
    """Say what the pairs were taken from, as far as the kinds of the files tell."""
    origins = (("pages", "web pages"), ("pairs", "files of pairs that were gathered before"))
    return " and ".join(name for kind, name in origins if read[kind]) or "no file"


def _licences(read: dict[str, Any]) -> str:
    parts = ["Texts and images belong to their authors."]
    if read["crawls"]:
        parts.append("The pages came through Common Crawl and are under its terms of use.")
    if "wordnet" in read["entries_built_from"]:
        parts.append("Entries of the source wordnet are under the WordNet licence.")
    if set(read["entries_built_from"]) - {"wordnet"}:
        parts.append("Entries taken from Wikipedia are under CC BY-SA 4.0.")
    return " ".join(parts)
