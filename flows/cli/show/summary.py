"""Show the progress of a run and its summary on a terminal."""

import logging
import os
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.text import Text

from flows.cli.show.near import near_lines
from flows.cli.show.tables import Column, figures, short_t, show_table
from flows.cli.show.terminal import plain
from metaclip.processes.plain_text import visible
from metaclip.processes.shell import command
from metaclip.report.words import COMPARED, STEPS, step_shares

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


LOGGED_SECONDS = 10.0
"""So often at most the log tells how far a stage is."""

_logged: dict[str, float] = {}

logger = logging.getLogger("metaclip.progress")


def log_progress(stage: str, finished: int, total: int) -> None:
    """Log how far a stage is, at most every few seconds and at its end."""
    now = time.monotonic()
    if finished < total and now - _logged.get(stage, -LOGGED_SECONDS) < LOGGED_SECONDS:
        return
    _logged[stage] = now
    told = {"stage": stage, "done": finished, "total": total}
    logger.setLevel(logging.INFO)
    logger.info("%s: %d of %d", stage, finished, total, extra=told)


def show_summary(summary: dict[str, Any], console: Console | None = None) -> None:
    """Print a run's summary: stages, funnel, top entries, and where the results are."""
    console = console or Console(soft_wrap=True)
    if summary.get("nothing_new"):
        console.print(plain(summary["message"]))
        return
    show_stages(
        console, summary["stages"], f"pool {summary['pool']}, t = {short_t(summary['t'])}: {summary['seconds']:.1f} s"
    )
    if "compiling_seconds" in summary:
        seconds = summary["compiling_seconds"]
        console.print(f"compiling kernels took {seconds:,.1f} s beside that, once for this machine", highlight=False)
    if "dollars" in summary.get("cost", {}):
        console.print(_cost(summary["cost"]), highlight=False)
    if "read" in summary:
        read = summary["read"]
        console.print(
            plain(
                f"{read['curated']:,} pairs kept of {read['pairs']:,} read ({read['megabytes']:,.1f} MB), up to t ="
                f" {read['prefix_t']}; the pool has {read['of']:,}"
            )
        )
        console.print(plain(f"set:    {short(summary['curated'])}"))
    if "funnel" not in summary:
        return
    funnel = summary["funnel"]
    # Only survivors of another pool have all steps.
    shares, largest = step_shares(funnel), max((funnel.get(step, 0) for step in COMPARED), default=0) or 1
    steps = [
        (
            title,
            f"{funnel[step]:,}",
            f"{shares[step]:.1%}" if step in shares else "",
            "█" * round(20 * funnel[step] / largest) if step in COMPARED else "",
        )
        for step, title in STEPS.items()
        if step in funnel and step != "bytes_read"
    ]
    columns = [Column("step"), *figures("count", "of the\nstep before"), Column("", spare=1)]
    show_table(console, columns, steps, "funnel")
    if unknown := sum(count for name, count in summary.get("survivors", {}).items() if name.startswith("unknown_")):
        console.print(f"{unknown:,} survivors are unknown to the pool.", style="yellow")
    named = ("language", "entry") if "language" in (summary["top_entries"] or [{}])[0] else ("entry",)
    top = [
        (
            *(entry[name] for name in named),
            f"{entry['count']:,}",
            f"{entry['curated']:,}",
            f"{entry['curated'] / entry['count']:.1%}",
        )
        for entry in summary["top_entries"]
    ]
    columns = [*map(Column, named), *figures("matches", "curated", "share kept")]
    show_table(console, columns, top, f"top entries before and after balancing at t = {short_t(summary['t'])}")
    entries = summary["entries"]
    limit = f"t = {short_t(summary['t'])}" if named == ("entry",) else "the t of their language"
    console.print(
        f"{entries['with_matches']:,} of {entries['entries']:,} entries have matches; {entries['head']:,} have more"
        f" than {limit}.",
        highlight=False,
    )
    if "near" in summary:
        for line in near_lines(summary["near"], summary["pool"], summary["storage"]):
            console.print(plain(line), style="yellow")
    if not summary["funnel"]["curated"]:
        console.print("The set is empty: see which step of the funnel loses the pairs.", style="yellow")
    console.print(plain(f"set:    {short(summary['curated'])}"))
    page = summary["report_page"]
    link = f"link {Path(page).absolute().as_uri()}" if "://" not in page else ""
    console.print(Text.assemble("report: ", (visible(short(page)), link)))
    for told, what in _next(summary):
        console.print(plain(f"next:   {told}    ({what})"))


def _cost(cost: dict[str, Any]) -> str:
    """Return what a run took, and what that costs, in one line."""
    took = (
        f"cost: {cost['core_seconds']:,.0f} core-seconds, {cost['bytes_read'] / 1e9:,.3f} GB read,"
        f" {cost['bytes_written'] / 1e9:,.3f} GB written, {cost['requests']:,} requests"
    )
    dollars = cost["dollars"]
    told = [f"${dollars['total']:,.4f}"] if "total" in dollars else []
    told += [f"${dollars['storage_a_month']:,.4f} a month to keep"] if "storage_a_month" in dollars else []
    return f"{took}: {' and '.join(told)}"


def _next(summary: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Give commands that go on from here, each with what it does."""
    pool, storage = summary["pool"], ("--storage", summary["storage"])
    another = command("metaclip", "rebalance", pool, *storage, "--t", _another(summary["t"]))
    yield another, "another t; reads no page again"
    yield command("metaclip", "plan", pool, *storage), "the size of the set for any t"
    if summary["top_entries"]:
        first = summary["top_entries"][0]
        language = ("--language", first["language"]) if "language" in first else ()
        yield (
            command("metaclip", "entry", pool, first["entry"], *storage, *language),
            "what matches an entry, and what is kept of it",
        )


def show_stages(console: Console, stages: Sequence[dict[str, Any]], title: str) -> None:
    """Print what each stage did, from `flows.summary.summarize_stage`."""
    rows = []
    for stage in stages:
        measured = (stage.get("seconds"), stage.get("megabytes"), stage.get("megabytes_per_second"))
        cells = [f"{figure:,.2f}" if figure else "" for figure in measured]
        rows.append((stage["stage"], str(stage["tasks"]), str(stage["cached"]), *cells))
    speed = [Column(name, figures=True, spare=spare) for name, spare in (("MB read", 1), ("MB/s", 2))]
    show_table(console, [Column("stage"), *figures("tasks", "cached", "seconds"), *speed], rows, title)


def short(address: str) -> str:
    """Leave out the current folder."""
    here = f"{Path.cwd()}{os.sep}"
    return address.removeprefix(here)


def _another(t: str) -> str:
    return "20000" if t == "inf" else f"{float(t) * 2.5:g}"
