"""What `metaclip plan`, `explain`, `entry` and `trace` show on a terminal."""

from typing import Any

from rich.console import Console
from rich.measure import Measurement
from rich.table import Table

from flows.terminal import plain


def show_plan(found: dict[str, Any]) -> None:
    """Print the size at each t."""
    console = Console(soft_wrap=True)
    console.print(
        plain(
            f"pool {found['pool']}: {found['pairs']:,} pairs with {found['matches']:,} matches of"
            f" {found['entries_with_matches']:,} entries, {found['largest_count']:,} at most; seed {found['seed']}"
        )
    )
    table = Table("t")
    for name in ("pairs", "of the pool", "in the tail", "expected", "head entries", "tail's share", "Σ min(count, t)"):
        table.add_column(name, justify="right")
    table.add_column("")
    for size in found["sizes"]:
        marks = [*size["asked"], *(["a set"] if size["set"] else [])]
        table.add_row(
            size["t"],
            f"{size['pairs']:,}",
            _percent(size["share"]),
            "" if size["tail_pairs"] is None else f"{size['tail_pairs']:,}",
            "" if size["expected"] is None else f"{size['expected']:,.1f}",
            f"{size['head_entries']:,}",
            _percent(size["tail_share"]),
            f"{size['capped_matches']:,.0f}",
            plain(", ".join(marks)),
        )
    _print(console, table)
    if any(size["expected"] is None for size in found["sizes"]):
        console.print(plain("In the tail, expected: known beforehand for a ladder of t; --expected reads the pairs."))


def _percent(share: float | None) -> str:
    return "" if share is None else f"{share:.2%}"


def _print(console: Console, table: Table) -> None:
    """Print a table at its own width: a figure that is cut short is worse than a long line."""
    wanted = Measurement.get(console, console.options.update(max_width=1000), table).maximum
    Console(soft_wrap=True, width=max(console.width, wanted)).print(table)
