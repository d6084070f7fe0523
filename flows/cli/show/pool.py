"""Show the results of `metaclip plan`, `explain`, `entry` and `trace` on a terminal."""

from collections.abc import Sequence
from typing import Any

from rich.console import Console
from rich.text import Text

from flows.cli.show.summary import short
from flows.cli.show.tables import Column, figures, short_t, show_table
from flows.cli.show.terminal import plain
from metaclip.processes.plain_text import visible

NEAR_MISSES = 20
"""Number of near misses that are shown; the JSON has all."""


PLAN = [
    *(Column("t"), *figures("pairs", "of the\npool"), Column("in the\ntail", figures=True, spare=1)),
    *(Column("expected", figures=True, spare=2), *figures("head\nentries", "tail's\nshare")),
    *(Column("Σ min\n(count, t)", figures=True, spare=3), Column("")),
]
"""The columns of `metaclip plan`; what is left out first is known from the others, or of least use."""


def show_plan(found: dict[str, Any]) -> None:
    """Print the size at each t."""
    console = Console(soft_wrap=True)
    console.print(
        plain(
            f"pool {found['pool']}: {found['pairs']:,} pairs with {found['matches']:,} matches of"
            f" {found['entries_with_matches']:,} entries, {found['largest_count']:,} at most; seed {found['seed']}"
        )
    )
    rows = [
        (
            short_t(size["t"]),
            f"{size['pairs']:,}",
            _percent(size["share"]),
            "" if size["tail_pairs"] is None else f"{size['tail_pairs']:,}",
            "" if size["expected"] is None else f"{size['expected']:,.1f}",
            f"{size['head_entries']:,}",
            _percent(size["tail_share"]),
            f"{size['capped_matches']:,.0f}",
            ", ".join([*size["asked"], *(["a set"] if size["set"] else [])]),
        )
        for size in found["sizes"]
    ]
    show_table(console, PLAN, rows)
    if any(short_t(size["t"]) != size["t"] for size in found["sizes"]):
        console.print(plain("Some t are shown in four digits; --json has them whole, for `metaclip rebalance --t`."))
    if "languages" in found["sizes"][0]:
        show_languages(found)
    if any(size["expected"] is None for size in found["sizes"]):
        console.print(plain("In the tail, expected: known beforehand for a ladder of t; --expected reads the pairs."))


def show_languages(found: dict[str, Any]) -> None:
    """Print each language at each t."""
    from metaclip.explore.by_language import MARKS  # with numpy and Arrow, which `--help` does not need

    console = Console(soft_wrap=True)
    columns = [
        *(Column("language"), *figures("pairs", "t"), Column("entries\nmatched", figures=True, spare=2)),
        *(Column("head\nentries", figures=True, spare=1), *figures("tail's\nshare", "set", "kept", "of the\nset")),
        Column("marks"),
    ]
    for size in found["sizes"]:
        rows = [
            (
                row["language"],
                f"{row['pairs']:,}",
                row["t"] or "",
                f"{row['entries_with_matches']:,}",
                f"{row['head_entries']:,}",
                _percent(row["tail_share"]),
                f"{row['set']:,}",
                _percent(row["share"]),
                _percent(row["share_of_set"]),
                ", ".join(row["marks"]),
            )
            for row in size["languages"]
        ]
        show_table(console, columns, rows, f"t = {size['t']} of {found['reference']}: {size['pairs']:,} pairs")
    marks = sorted({mark for size in found["sizes"] for row in size["languages"] for mark in row["marks"]})
    for mark in marks:
        console.print(plain(f"{mark}: {MARKS[mark]}"))


def show_explanation(found: dict[str, Any]) -> None:
    """Print how a pool treats a text."""
    console = Console(soft_wrap=True)
    _line(console, "text", found["text"])
    _line(console, "spaced", found["spaced"].replace(" ", "␣"))
    language = found["language"]
    if language["label"] is None:
        _warn(console, f"language: not told: {language['problem']}")
    else:
        _line(console, "language", f"{language['label']}, score {language['score']:.3f}")
        if language["problem"]:
            _warn(console, language["problem"])
        if not language["kept"]:
            kept = ", ".join(language["languages"]) or "all languages"
            least = f" from a score of {language['min_lang_score']:g}" if language["min_lang_score"] else ""
            _warn(console, f"The pool would drop this text: it keeps {kept}{least}.")
    if "group" in found:
        if found["group"] is None:
            _warn(console, "No group with a list of entries has this label, so the text is dropped.")
        else:
            _line(console, "group", f"{found['group']}, matched by the rule `{found['rule']}`")
            _line(console, "parts", "␣".join(found["parts"]))
            _line(console, "t", f"{found['t']} of {found['reference']} is {found['own_t']} in {found['group']}")
    if found["entries"]:
        _show_entries(console, found["entries"], found["t"])
        if found.get("kept_from") is not None:
            _line(console, "whole", f"kept with every address from t = {found['kept_from']:g} on")
        _line(
            console,
            "kept",
            f"with probability 1 − ∏(1 − p) = {found['keep_probability']:.6f} at t = {short_t(found['t'])}",
        )
    else:
        _warn(console, "No entry matches: no t keeps it.")
    near = found["near_misses"]
    if near:
        rows = []
        for row in near[:NEAR_MISSES]:
            causes = " and ".join(row["causes"]) + ("" if row["can_match"] else "; as spelled it can never match")
            rows.append((*_name(row), f"{row['count']:,}", causes))
        columns = [*map(Column, ("id", "near miss", "source")), *figures("matches"), Column("kept out by")]
        show_table(console, columns, rows, "entries that would match but for case or punctuation")
        if len(near) > NEAR_MISSES:
            console.print(plain(f"and {len(near) - NEAR_MISSES:,} more; --json lists all"))


def show_list_explanation(found: dict[str, Any]) -> None:
    """Print how a list of entries treats a text."""
    console = Console(soft_wrap=True)
    _line(console, "text", found["text"])
    score = "" if found["score"] is None else f", score {found['score']:.3f}"
    _line(console, "language", f"{found['language']}{score}; group {found['group']}, boundaries {found['rule']}")
    _line(console, "parts", "|".join(found["parts"]))
    if found["entries"]:
        rows = [(str(row["entry_id"]), row["entry"]) for row in found["entries"]]
        show_table(console, [Column("id"), Column("entry")], rows)
    else:
        _warn(console, "No entry matches.")


def show_entry(found: dict[str, Any]) -> None:
    """Print one entry."""
    console = Console(soft_wrap=True)
    _line(console, "entry", f"{found['entry_id']}  {found['entry']}, from {found['source'] or 'the given list'}")
    if found["repeats"] is not None:
        _warn(console, f"It repeats entry {found['repeats']}, which matches in its place.")
    if not found["can_match"]:
        _warn(console, "It can never match under the paper's spacing; see match.space_entries.")
    if not found["count"]:
        console.print(plain("No text of the pool contains it."))
        return
    _line(console, "count", f"{found['count']:,}, rank {found['rank']:,}")
    _line(
        console,
        "share",
        f"{found['share_of_matches']:.4%} of all matches, in {found['share_of_pairs']:.4%} of all pairs",
    )
    _line(console, "p", f"{found['keep_probability']:.6f} at t = {short_t(found['t'])}")
    if "language" in found:
        own = f"{found['own_t']} in {found['language']}; all of it is kept from t = {found['kept_from']:g} on"
        _line(console, "t", own)
    share = found["curated"] / found["count"]
    _line(
        console,
        "curated",
        f"{found['curated']:,} ({share:.2%}) at t = {short_t(found['t'])}: {found['curated_told_by']}",
    )
    for sample in found["samples"]:
        console.print()
        _line(console, "text", sample["text"])
        _line(console, "image", sample["url"])
        _line(console, "page", sample["page_url"])
        kept = "kept" if sample["kept"] else "not kept"
        _line(console, "uid", f"{sample['uid']}, kept from t = {sample['min_t']:.6g} on: {kept} at {found['t']}")


def show_trace(found: dict[str, Any]) -> None:
    """Print a pair's way through the stages."""
    console = Console(soft_wrap=True)
    _line(console, "uid", found["uid"])
    _line(console, "text", found["text"])
    _line(console, "image", found["url"])
    _line(console, "language", f"{found['lang']}, score {found['lang_score']:.3f}")
    for copy in found["copies"]:
        state = (
            "" if "stayed" not in copy or copy["stayed"] else "; a repeat, left out when shards were brought together"
        )
        console.print(plain(f"shard {copy['shard']}: {copy['text_key']} on {copy['page_url']}{state}"))
        for file in copy["files"]:
            console.print(plain(f"  {'from' if len(copy['files']) == 1 else 'one of'} {short(file)}"))
    if "entries" in found:
        _show_entries(console, found["entries"], found["t"])
        _line(
            console,
            "kept",
            f"with probability {found['keep_probability']:.6f} at t = {short_t(found['t'])}; drawn {found['draw']:.6f}"
            f" (seed {found['seed']}), so kept from t = {found['min_t']!r} on",
        )
        if "own_t" in found:
            _line(console, "own t", f"{found['own_t']!r} in {found['language']}")
        for t, inside in found["sets"].items():
            console.print(plain(f"  {'in' if inside else 'not in'} the set of t = {t}"))
    if "picture" in found:
        picture = found["picture"]
        size = f", {picture['width']} by {picture['height']}" if picture["width"] else ""
        _line(console, "picture", f"{picture['status']}{size}: {picture['why']}")
    _line(console, "ended", f"{found['ended']}: {found['why']}")


def show_files(found: dict[str, Any]) -> None:
    """Print the addresses of Parquet files, one a line, for other commands to read."""
    for file in found["files"]:
        if file["address"].endswith(".parquet"):
            print(visible(file["address"]))  # noqa: T201 (no table, no colour, no line is folded)


def _show_entries(console: Console, rows: Sequence[dict[str, Any]], t: str) -> None:
    cells = [(*_name(row), f"{row['count']:,}", f"{row['keep_probability']:.6f}") for row in rows]
    show_table(console, [*map(Column, ("id", "entry", "source")), *figures("matches", f"p at t = {short_t(t)}")], cells)


def _name(row: dict[str, Any]) -> tuple[str, str, str]:
    return str(row["entry_id"]), row["entry"], row["source"] or "list"


def _line(console: Console, label: str, value: str) -> None:
    """Print a labelled line; the value may be any text."""
    console.print(Text(f"{label:<9}", style="bold").append(visible(value), style="not bold"))


def _warn(console: Console, message: str) -> None:
    console.print(plain(message), style="yellow")


def _percent(share: float | None) -> str:
    return "" if share is None else f"{share:.2%}"
