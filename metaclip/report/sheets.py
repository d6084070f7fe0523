"""The contact sheets of a pool as a page of their own."""

from pathlib import Path
from typing import Any

from markupsafe import Markup

from metaclip.errors import ConfigError, StoreError
from metaclip.explore.pool import FinishedPool
from metaclip.images.dedup.sheets_job import SHEETS
from metaclip.processes.shell import command
from metaclip.report.job import REPORT
from metaclip.report.page import environment, resource


def write_sheets(storage: str, name: str, to: str) -> dict[str, Any]:
    """Write the contact sheets of a pool's pictures to a file; return the number of cells by reason.

    Raises:
        ConfigError: no such pool, or it was made without pictures.
        StoreError: an output is missing, or the file cannot be written.
    """
    pool = FinishedPool.open(storage, name)
    if "image-sheets" not in pool.stages:
        first = command("metaclip", "rebalance", name, "--storage", storage, "--t", "N", "--images", "DIR")
        raise ConfigError(f"pool {name!r} was made without pictures; make one with: {first}")
    sections = pool.store.output_json(pool.stages["image-sheets"], SHEETS)
    content = pool.store.output_json(pool.stages["report"], REPORT)
    page = environment().get_template("sheets.html")
    text = page.render(
        c=content, sheets=sections, title=f"Pictures of pool {name}", style=Markup(resource("report.css"))
    )
    try:
        Path(to).write_text(text, encoding="utf-8")
    except OSError as error:
        raise StoreError(f"{to}: cannot be written: {error}") from error
    return {"pool": name, "to": to, "reasons": {each["reason"]: len(each["cells"]) for each in sections}}
