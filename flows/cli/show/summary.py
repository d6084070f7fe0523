"""What people see on a terminal: progress while a run lasts, and its summary."""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from flows.cli.show.terminal import plain
from metaclip.processes.shell import command
from metaclip.report.words import STEPS

if TYPE_CHECKING:  # importing it brings Prefect, which takes two seconds
    from tasks.progress import Watcher


@contextmanager
def progress(*, quiet: bool) -> "Iterator[Watcher]":
    """Show a bar for each stage on standard error; `quiet` shows none."""
    console = Console(stderr=True)
    with Progress(
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        console=console,
        transient=console.is_terminal,
        disable=quiet,
    ) as bars:
        starting = bars.add_task("starting", total=None)
        known: dict[str, Any] = {}

        def watch(stage: str, finished: int, total: int) -> None:
            bars.update(starting, visible=False)
            if stage not in known:
                known[stage] = bars.add_task(stage, total=total)
            bars.update(known[stage], completed=finished, total=total)

        yield watch


def show_summary(summary: dict[str, Any], console: Console | None = None) -> None:
    """Print a run's summary: stages, funnel, top entries, and where the results are."""
    console = console or Console(soft_wrap=True)
    if summary.get("nothing_new"):
        console.print(Text(summary["message"]))
        return
    title = f"pool {summary['pool']}, t = {summary['t']}: {summary['seconds']:.1f} s"
    console.print(stages_table(summary["stages"], title))
    if "funnel" not in summary:
        return
    funnel = Table("step", title="funnel")
    funnel.add_column("count", justify="right")
    for step, title in STEPS.items():
        if step == "bytes_read" or step not in summary["funnel"]:  # only survivors of another pool have all
            continue
        funnel.add_row(title, f"{summary['funnel'][step]:,}")
    console.print(funnel)
    if unknown := sum(count for name, count in summary.get("survivors", {}).items() if name.startswith("unknown_")):
        console.print(f"{unknown:,} survivors are unknown to the pool.", style="yellow")
    top = Table("entry", title=f"top entries before and after balancing at t = {summary['t']}")
    for name in ("matches", "curated", "share kept"):
        top.add_column(name, justify="right")
    for entry in summary["top_entries"]:
        share = entry["curated"] / entry["count"]
        # An entry is text from a list, not markup.
        top.add_row(plain(entry["entry"]), f"{entry['count']:,}", f"{entry['curated']:,}", f"{share:.1%}")
    console.print(top)
    entries = summary["entries"]
    console.print(
        f"{entries['with_matches']:,} of {entries['entries']:,} entries have matches; {entries['head']:,} have more"
        f" than t = {summary['t']}.",
        highlight=False,
    )
    if not summary["funnel"]["curated"]:
        console.print("The set is empty: see which step of the funnel loses the pairs.", style="yellow")
    console.print(Text(f"set:    {short(summary['curated'])}"))
    console.print(Text(f"report: {short(summary['report_page'])}"))
    another = ("--storage", summary["storage"], "--t", _another(summary["t"]))
    told = command("metaclip", "rebalance", summary["pool"], *another)
    console.print(Text(f"next:   {told}    (another t; reads no page again)"))


def stages_table(stages: Sequence[dict[str, Any]], title: str) -> Table:
    """Return a table of what each stage did, from `flows.summary.summarize_stage`."""
    table = Table("stage", title=title)
    for name in ("tasks", "cached", "seconds", "MB read", "MB/s"):
        table.add_column(name, justify="right")
    for stage in stages:
        figures = (stage.get("seconds"), stage.get("megabytes"), stage.get("megabytes_per_second"))
        cells = [f"{figure:,.2f}" if figure else "" for figure in figures]
        table.add_row(stage["stage"], str(stage["tasks"]), str(stage["cached"]), *cells)
    return table


def short(address: str) -> str:
    """Leave out the current folder."""
    here = f"{Path.cwd()}{os.sep}"
    return address.removeprefix(here)


def _another(t: str) -> str:
    return "20000" if t == "inf" else f"{float(t) * 2.5:g}"
