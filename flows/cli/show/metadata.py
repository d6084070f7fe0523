"""Show a list of entries on a terminal."""

from collections.abc import Iterator, Mapping
from typing import Any

from rich.console import Console

from flows.cli.show.summary import show_stages
from flows.cli.show.tables import Cell, Column, figures, show_table
from flows.cli.show.terminal import plain

FAULTS = {
    "malformed_lines": "malformed lines",
    "dropped.not_utf8": "titles that are not UTF-8",
    "skipped.markup": "articles whose markup was not understood",
    "too_long": "words that are too long",
}
"""Counts of unreadable input, and their descriptions for people."""


def show_build(summary: dict[str, Any], console: Console | None = None) -> None:
    """Print the entries of each source, what was dropped and why, and the figures of the paper's Table 1."""
    from metaclip.metadata.entry_list import PAPER

    console = console or Console(soft_wrap=True)
    show_stages(console, summary["stages"], f"metadata of {summary['pool']}: {summary['seconds']:.1f} s")
    if "languages" in summary:
        _show_languages(console, summary["languages"])
        return
    if "table" in summary:
        rows: list[list[Cell]] = []
        for row in summary["table"]:
            lowest = "" if row["lowest_score"] is None else f"{row['lowest_score']:,.2f}"
            counts = ["" if row[name] is None else f"{row[name]:,}" for name in ("candidates", "entries", "paper")]
            dropped = [f"{reason.replace('_', ' ')} {count:,}" for reason, count in row["dropped"].items()]
            rows.append([row["source"], *counts, lowest, dropped])
        names = ("candidates", "entries", "paper's\nTable 1", "lowest\nscore")
        columns = [Column("source"), *figures(*names), Column("left out")]
        total = ["all", "", f"{summary['entries']:,}", f"{sum(PAPER.values()):,}", "", ""]
        show_table(console, columns, rows, f"{summary['entries']:,} entries", total)
        for note in _faults(summary.get("read", {})):
            console.print(plain(note), style="yellow")
        if summary["unmatchable"]:
            console.print(
                f"entries that can never match under the paper's spacing: {summary['unmatchable']:,} (see"
                " unmatchable.json); match.space_entries lets them.",
                style="yellow",
            )
    else:
        console.print(f"{summary['entries']:,} entries, as given")
    console.print(plain(f"list: {summary['folder']}"))


def _show_languages(console: Console, lists: Mapping[str, Mapping[str, Any]]) -> None:
    """Print the size of each group's list, by source."""
    sources = list(dict.fromkeys(source for listed in lists.values() for source in listed["sources"]))
    named = [source or "given" for source in sources]
    rows: list[list[Cell]] = [
        [name, f"{listed['entries']:,}", *(f"{listed['sources'].get(source, 0):,}" for source in sources)]
        for name, listed in lists.items()
    ]
    columns = [Column("group"), *figures("entries", *named)]
    total = sum(listed["entries"] for listed in lists.values())
    show_table(console, columns, rows, f"{total:,} entries in {len(lists):,} lists")
    console.print(plain("metaclip metadata show CONFIG --language GROUP shows one of them; --json has their folders"))
    for name, listed in lists.items():
        for note in _faults(listed.get("read", {})):
            console.print(plain(f"{name}: {note}"), style="yellow")


def _faults(read: Mapping[str, Mapping[str, int]]) -> Iterator[str]:
    """Print what was skipped in the files of each source because it could not be read."""
    for source, counts in read.items():
        for reason, told in FAULTS.items():
            if counts.get(reason):
                yield f"{source}: left out {counts[reason]:,} {told} (see report.json)"


def show_list(found: dict[str, Any], console: Console | None = None) -> None:
    """Print sizes by source, and samples."""
    console = console or Console(soft_wrap=True)
    rows = [
        (source["source"], f"{source['entries']:,}", [_describe(row) for row in source["samples"]])
        for source in found["sources"]
    ]
    columns = [Column("source"), *figures("entries"), Column("samples")]
    show_table(console, columns, rows, f"{found['entries']:,} entries")
    if "words" not in found:
        return
    console.print(plain("words an entry: " + ", ".join(f"{n}: {count:,}" for n, count in found["words"].items())))
    for name, told in (("duplicates", "repeat an earlier entry"), ("blank_lines", "blank lines were skipped")):
        if found[name]:
            console.print(plain(f"{found[name]:,} {told}"), style="yellow")
    if never := found["never_match"]["entries"]:
        named = ", ".join(found["never_match"]["examples"])
        console.print(plain(f"{never:,} can never match as spelled ({named}): see match.space_entries"), style="yellow")


def show_entry(row: dict[str, Any], console: Console | None = None) -> None:
    """Print one entry."""
    console = console or Console(soft_wrap=True)
    console.print(plain(f"{_describe(row)}, from {row['source'] or 'the given list'}"))
    if not row["can_match"]:
        console.print("It can never match under the paper's spacing; see match.space_entries.", style="yellow")


def _describe(row: dict[str, Any]) -> str:
    score = row.get("score")
    shown = "" if score is None else f"  ({score:,.4f}".rstrip("0").rstrip(".") + ")"
    return f"{row['entry_id']}  {row['entry']}{shown}"


def show_variants(told: dict[str, Any], console: Console | None = None) -> None:
    """Print what a list with variants consists of."""
    console = console or Console(soft_wrap=True)
    added = ", ".join(f"{count:,} of {kind}" for kind, count in told["added"].items()) or "none"
    console.print(plain(f"{told['given']:,} entries, with their ids; added: {added}; in all {told['entries']:,}"))
    if told["never_match"]:
        console.print(
            plain(f"{told['never_match']:,} entries can never match as they are spelled: see match.space_entries"),
            style="yellow",
        )
    console.print(plain(f"list: {told['to']}"))
