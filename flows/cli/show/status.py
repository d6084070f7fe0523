"""Show the result of `metaclip status` on a terminal."""

from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from flows.cli.show.summary import short


def show_status(status: dict[str, Any]) -> None:
    """Print what a pool consists of, and what its runs are doing."""
    console = Console(soft_wrap=True)
    if status["finished"]:
        _show_pool(console, status)
    else:
        console.print(Text(f"pool {status['pool']} in {status['storage']}: no run has finished yet"))
    for run in status["runs"]:
        if run["state"] != "completed":
            _show_run(console, run)
    if status["missing"]:
        console.print("Some outputs are missing or altered: run the pool again, which remakes only those.", style="red")
    for folder in status["doubtful"]:
        console.print(Text(f"may have been made from an altered file: {short(folder)}"), style="red")
    if status["doubtful"]:
        console.print("Run the pool again with --set execution.verify=full, which makes those again too.", style="red")


def _show_pool(console: Console, status: dict[str, Any]) -> None:
    table = Table("stage", title=f"pool {status['pool']} in {status['storage']}")
    for name in ("outputs", "missing", "rows", "MB"):
        table.add_column(name, justify="right")
    for stage in status["stages"]:
        table.add_row(
            stage["stage"],
            str(stage["outputs"]),
            str(stage["missing"]),
            f"{stage['rows']:,}",
            f"{stage['bytes'] / 1e6:,.2f}",
        )
    console.print(table)
    for t, curated in status["sets"].items():
        console.print(Text(f"t = {t}: {curated['rows']:,} pairs in {short(curated['folder'])}"))


def _show_run(console: Console, run: dict[str, Any]) -> None:
    workers = f", {run['runs_on_workers']} runs on workers" if run["runs_on_workers"] else ""
    title = f"{run['flow']} {run['state']}, started {run['started']}, last sign {run['updated']} on {run['host']}"
    table = Table("stage", title=Text(title + workers))
    for name in ("done", "of", "cached", "failed", "a minute", "rows/s", "projected end"):
        table.add_column(name, justify="right")
    for stage in run["stages"]:
        figures = [stage[name] for name in ("per_minute", "rows_per_second")]
        table.add_row(
            stage["stage"],
            *(f"{stage[name]:,}" for name in ("done", "total", "cached", "failed")),
            *("" if figure is None else f"{figure:,.1f}" for figure in figures),
            stage["projected_end"] or "",
        )
    console.print(table)
    for failure in [*run["failures"], *([run["message"]] if run["message"] else [])]:
        console.print(Text(f"  {failure}"), style="red")
    if run["state"] == "lost":
        console.print("It gives no sign of life any more. Run the pool again: it goes on from what is done.")
