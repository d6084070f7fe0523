"""Show how two sets differ on a terminal."""

from typing import Any

from rich.console import Console

from flows.cli.show.tables import Column, figures, short_t, show_table
from flows.cli.show.terminal import plain


def show_diff(found: dict[str, Any], most: int) -> None:
    """Print a comparison."""
    from metaclip.opened.difference_page import with_language

    console = Console(soft_wrap=True)
    a, b = found["a"], found["b"]
    for name, side in (("A", a), ("B", b)):
        console.print(plain(f"{name}: pool {side['pool']}, t = {short_t(side['t'])}, seed {side['seed']}"))
    total = found["both"] + found["only_a"] + found["only_b"]
    rows = [
        (name, f"{count:,}", f"{count / total:.1%}" if total else "–")
        for name, count in (
            ("in both", found["both"]),
            ("in A alone", found["only_a"]),
            ("in B alone", found["only_b"]),
        )
    ]
    show_table(console, [Column("pairs"), *figures("count", "share")], rows)
    sides = [
        (name.replace("_", " "), f"{a[name]:,}", f"{b[name]:,}")
        for name in ("pairs", "images", "matches", "entries", "entries_with_matches")
    ]
    shares = ["–" if side["tail_share"] is None else f"{side['tail_share']:.1%}" for side in (a, b)]
    show_table(console, [Column("the sets"), *figures("A", "B")], [*sides, ("tail's share", *shares)])
    for title, name, rows_of in (
        ("entries that gained most", "entry", with_language(found["gained"])),
        ("entries that lost most", "entry", with_language(found["lost"])),
        ("languages", "language", found["languages"]),
        ("hosts of image addresses", "host", found["hosts"]),
    ):
        if rows_of:
            cells = [
                (row[name], _count(row["a"]), _count(row["b"]), f"{(row['b'] or 0) - (row['a'] or 0):+,}")
                for row in rows_of[:most]
            ]
            show_table(console, [Column(name), *figures("A", "B", "change")], cells, title)
    for title, pairs in (
        ("pairs in A alone", found["examples_only_a"]),
        ("pairs in B alone", found["examples_only_b"]),
    ):
        if pairs:
            console.print(plain(f"{title}, for example:"))
            for row in pairs[:3]:
                console.print(plain(f"  {row['text'][:200]}"))
    if "page" in found:
        console.print(plain(f"page: {found['page']}"))


def _count(count: int | None) -> str:
    return "not in list" if count is None else f"{count:,}"
