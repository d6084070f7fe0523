"""Show near misses on a terminal, and in the summary of a run."""

from collections.abc import Iterator
from typing import Any

from rich.console import Console

from flows.cli.show.tables import Column, figures, show_table
from flows.cli.show.terminal import plain
from metaclip.processes.shell import command

_CAUSES = {
    "case": "case",
    "punctuation": "punc-\ntuation",
    "case_and_punctuation": "both",
    "spacing": "spacing",
    "plural": "plural",
    "never": "never\nmatches",
}
"""The columns of causes."""


def near_lines(near: dict[str, Any], pool: str, storage: str) -> Iterator[str]:
    """Say in lines what a run found of near misses; nothing where there is nothing to say."""
    never = near["never_match"]
    if never["entries"]:
        named = ", ".join(never["examples"]) + (", …" if never["entries"] > len(never["examples"]) else "")
        found = near.get("texts_with_an_entry_that_never_matches")
        texts = f"; {_texts(found)} one of them as it is spelled or nearly so" if found else ""
        one = never["entries"] == 1
        yield (
            f"{never['entries']:,} {'entry' if one else 'entries'} can never match as {'it is' if one else 'they are'}"
            f" spelled ({named}){texts}: see match.space_entries."
        )
    if near.get("texts_that_miss"):
        of = f"{near['texts']:,} texts" if near["part"] == 1 else f"the {near['texts']:,} texts that were looked at"
        missed = near["texts_but_for_case_or_punctuation"]
        yield (
            f"Of {of}, {missed:,} miss an entry by case or punctuation alone, and {near['texts_that_miss'] - missed:,}"
            f" more by spacing or a plural: {command('metaclip', 'near', pool, '--storage', storage)}"
        )


def _texts(count: int) -> str:
    return "1 text has" if count == 1 else f"{count:,} texts have"


def show_misses(found: dict[str, Any]) -> None:
    """Print the entries that texts miss, and examples."""
    console = Console(soft_wrap=True)
    for line in _totals(found):
        console.print(plain(line))
    if not found["rows"]:
        console.print(plain("No text misses an entry."))
        return
    causes = [cause for cause in _CAUSES if any(row[cause] for row in found["rows"])]
    named = ("language", "entry") if "languages" in found else ("entry",)
    columns = [*map(Column, named), *figures("matches", "missed", *(_CAUSES[cause] for cause in causes))]
    rows = [
        (*(row[name] for name in named), *(f"{row[name]:,}" for name in ("count", "missed", *causes)))
        for row in found["rows"]
    ]
    show_table(console, columns, rows, "entries that texts miss, and by what")
    for row in found["rows"][:10]:
        for cause, example in row["examples"].items():
            console.print(plain(f"{row['entry']}, {cause.replace('_', ' ')}: {example}"), no_wrap=True, crop=False)
    console.print(
        plain(
            "To match them: match.case: variants, match.space_entries: true, or a list with other spellings added by"
            " `metaclip metadata variants`."
        )
    )


def _totals(found: dict[str, Any]) -> Iterator[str]:
    of = "" if found["part"] == 1 else f", a random {found['part']:.4g} of the pool"
    missed = found["texts_but_for_case_or_punctuation"]
    if "languages" in found:
        of += f" in {', '.join(found['languages'])}"
    yield (
        f"pool {found['pool']}: {found['texts']:,} texts{of}; {missed:,} miss an entry by case or punctuation alone,"
        f" {found['texts_that_miss'] - missed:,} more by spacing or a plural"
    )
    never = found["never_match"]["entries"]
    if never:
        yield (
            f"{never:,} {'entry' if never == 1 else 'entries'} can never match as spelled"
            f" ({', '.join(found['never_match']['examples'])}): see match.space_entries;"
            f" {_texts(found['texts_with_an_entry_that_never_matches'])} one of them"
        )
