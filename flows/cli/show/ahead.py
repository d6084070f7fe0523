"""Show what a run would find in the store and what it would compute on a terminal."""

from typing import Any

from rich.console import Console

from flows.cli.show.tables import Column, figures, show_table
from flows.cli.show.terminal import plain


def show_ahead(found: dict[str, Any]) -> None:
    """Print each stage with its outputs."""
    console = Console(soft_wrap=True)
    rows = []
    for row in found["stages"]:
        outputs = row["outputs"]
        left = "all" if outputs is None else f"{outputs - row['found']:,}"
        rows.append((row["stage"], "?" if outputs is None else f"{outputs:,}", f"{row['found']:,}", left))
    columns = [Column("stage"), *figures("outputs", "found", "to compute")]
    show_table(console, columns, rows, f"a run of pool {found['pool']} in {found['storage']}")
    for row in found["stages"]:
        if row.get("lists"):
            console.print(plain(f"lists to make: {', '.join(row['lists'])}"))
    console.print(plain("Sets and reports follow, which only read balanced pairs."))
