"""Show samples of pairs on a terminal."""

from typing import Any

from rich.console import Console
from rich.text import Text

from flows.cli.show.tables import short_t
from flows.cli.show.terminal import plain
from metaclip.processes.plain_text import visible

_WORDS = {"kept": "kept at t = {t}", "balanced": "left out by balancing at t = {t}"}


def show_sample(found: dict[str, Any]) -> None:
    """Print the pairs of a sample, three lines each."""
    console = Console(soft_wrap=True)
    what = _WORDS.get(found["why"], found["why"]).format(t=short_t(found["t"]))
    total = "" if found["total"] is None else f" of {found['total']:,}"
    console.print(plain(f"pool {found['pool']}, {what}: {len(found['rows']):,}{total}, seed {found['seed']}"))
    read = found["read"]
    if read["from"] == "files":
        console.print(
            plain(f"The store does not have them: {read['shards']:,} of {read['of']:,} shards were read again."),
            style="yellow",
        )
    elif read.get("shards", 0) < read.get("of", 0):
        console.print(plain(f"From {read['shards']:,} of {read['of']:,} shards."), style="yellow")
    for row in found["rows"]:
        console.print()
        console.print(Text(visible(row["text"] or "(no text)"), style="bold"))
        told = [visible(row["url"]) if row["url"] else "(no address)"]
        if row.get("page_url"):
            told.append(f"on {visible(row['page_url'])}")
        for line in told:
            console.print(plain(f"  {line}"))
        if details := _details(row):
            console.print(plain(f"  {details}"), style="bright_black")
    if not found["rows"]:
        console.print(plain("There are none."))


def _details(row: dict[str, Any]) -> str:
    parts = [row["uid"]] if "uid" in row else []
    if "lang" in row:
        parts.append(f"{row['lang']} {row['lang_score']:.2f}")
    if "min_t" in row:
        parts.append(f"from t = {row['min_t']:.4g} on")
    if row.get("entries"):
        parts.append(", ".join(row["entries"][:12]) + (", …" if len(row["entries"]) > 12 else ""))
    return "; ".join(parts)
