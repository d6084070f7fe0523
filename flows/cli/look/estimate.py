"""The command `metaclip estimate`: what a run will take, before it is begun."""

from typing import Any

from rich.console import Console

from flows.cli.common import ConfigPath, Json, Override, emit, errors
from flows.cli.show.tables import Column, figures, show_table
from flows.cli.show.terminal import plain


def estimate(config: ConfigPath, override: Override = None, as_json: Json = False) -> None:
    """Estimate core-hours, storage, requests and dollars of a run, from a measurement on the first bytes."""
    from metaclip.config.loading import load_config
    from metaclip.prepare.estimate import estimate as measure

    with errors(as_json):
        checked = load_config(config, override or [])
        with Console(stderr=True, quiet=as_json).status("measuring on the first bytes of the inputs"):
            found = measure(checked)
        emit(found, as_json, _show)


def _show(found: dict[str, Any]) -> None:
    console = Console(soft_wrap=True)
    for one in found["measured"]:
        console.print(
            plain(
                f"measured: the first {one['megabytes']:,.1f} MB of {one['file']}: {one['cpu_seconds']:,.2f} CPU"
                f" seconds, {one['pairs']:,} pairs, {one['matched']:,} with an entry"
            )
        )
    hours, stored = found["core_hours"], found["stored_gigabytes"]
    rows = [(stage, _short(hours[stage]), _short(stored.get(stage))) for stage in hours if stage != "total"]
    title = (
        f"pool {found['pool']}: {found['files']:,} files, {_short(found['gigabytes'])} GB, {found['shards']:,} shards"
    )
    show_table(
        console, [Column("stage"), *figures("core-hours", "GB stored")], rows, title,
        ("in all", _short(hours["total"]), _short(stored["total"])),
    )  # fmt: skip
    pairs = f"pairs: {found['pairs']:,}, {found['matched']:,} of them with an entry"
    console.print(plain(f"{pairs}; partitions: {found['partitions']:,}"))
    console.print(plain(f"time: {_time(found['hours'])} with {found['processes']} processes of this machine"))
    requests, dollars = found["requests"], found["dollars"]
    if any(requests.values()):
        console.print(plain(f"requests: {requests['read']:,} to read, {requests['written']:,} to write"))
    if dollars["total"] is None:
        console.print(
            plain("dollars: give `prices` in the configuration (core_hour, gigabyte_month, thousand_requests)")
        )
    else:
        parts = [f"{name.replace('_', ' ')} {_short(part)}" for name, part in dollars.items() if part is not None]
        console.print(plain(f"dollars: {', '.join(parts)}"))
    for note in found["notes"]:
        console.print(plain(f"note: {note}"))


def _short(number: float | None) -> str:
    """Return a number with three figures that count."""
    if number is None:
        return ""
    return f"{number:,.0f}" if number >= 100 else f"{number:.3g}"


def _time(hours: float) -> str:
    if hours < 1 / 60:
        return f"{_short(3600 * hours)} seconds"
    return f"{_short(60 * hours)} minutes" if hours < 1 else f"{_short(hours)} hours"
