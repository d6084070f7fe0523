"""Show the result of `metaclip status` on a terminal."""

from typing import Any

from rich.console import Console

from flows.cli.show.summary import short
from flows.cli.show.tables import Column, figures, show_table
from flows.cli.show.terminal import plain


def show_status(status: dict[str, Any]) -> None:
    """Print what a pool consists of, and what its runs are doing."""
    console = Console(soft_wrap=True)
    if status["finished"]:
        _show_pool(console, status)
    else:
        console.print(plain(f"pool {status['pool']} in {status['storage']}: no run has finished yet"))
    for run in status["runs"]:
        if run["state"] != "completed":
            _show_run(console, run)
    if status["missing"]:
        console.print("Some outputs are missing or altered: run the pool again, which remakes only those.", style="red")
    for folder in status["doubtful"]:
        console.print(plain(f"may have been made from an altered file: {short(folder)}"), style="red")
    if status["doubtful"]:
        console.print("Run the pool again with --set execution.verify=full, which makes those again too.", style="red")


def _show_pool(console: Console, status: dict[str, Any]) -> None:
    rows = [
        (
            stage["stage"],
            str(stage["outputs"]),
            str(stage["missing"]),
            f"{stage['rows']:,}",
            f"{stage['bytes'] / 1e6:,.2f}",
        )
        for stage in status["stages"]
    ]
    columns = [Column("stage"), *figures("outputs", "missing", "rows", "MB")]
    show_table(console, columns, rows, f"pool {status['pool']} in {status['storage']}")
    for t, curated in status["sets"].items():
        console.print(plain(f"t = {t}: {curated['rows']:,} pairs in {short(curated['folder'])}"))


def _show_run(console: Console, run: dict[str, Any]) -> None:
    workers = f", {run['runs_on_workers']} runs on workers" if run["runs_on_workers"] else ""
    title = f"{run['flow']} {run['state']}, started {run['started']}, last sign {run['updated']} on {run['host']}"
    rows = []
    for stage in run["stages"]:
        rates = [stage[name] for name in ("per_minute", "rows_per_second")]
        rows.append(
            (
                stage["stage"],
                *(f"{stage[name]:,}" for name in ("done", "total", "cached", "failed")),
                *("" if rate is None else f"{rate:,.1f}" for rate in rates),
            )
        )
    columns = [
        *(Column("stage"), *figures("done", "of"), Column("cached", figures=True, spare=1), *figures("failed")),
        *(Column("a minute", figures=True, spare=2), Column("rows/s", figures=True, spare=3)),
    ]
    show_table(console, columns, rows, title + workers)
    if run["note"]:
        console.print(plain(f"  {run['note']}"), highlight=False)
    for stage in run["stages"]:
        if stage["outlook"]:
            console.print(plain(f"{stage['stage']}: {stage['outlook']}"))
    if run["waits_for"]:
        console.print(plain(f"It waits for run {run['waits_for']} of the same pool."))
    for failure in [*run["failures"], *([run["message"]] if run["message"] else [])]:
        console.print(plain(f"  {failure}"), style="red")
    if run["state"] == "lost":
        console.print("It gives no sign of life any more. Run the pool again: it goes on from what is done.")
