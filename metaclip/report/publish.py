"""Copy a report with its data card to a folder for others: without the set, or with its files in `data`."""

import shutil
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from markupsafe import Markup

from metaclip.errors import ConfigError, StoreError
from metaclip.explore.pool import FinishedPool
from metaclip.images.dedup.sheets_job import SHEETS
from metaclip.io.temporary import write_whole
from metaclip.processes.shell import command
from metaclip.report.croissant import DATA
from metaclip.report.job import PAGE, REPORT, data_files
from metaclip.report.page import environment, headed, resource
from metaclip.store.delivery import Target, identity_of
from metaclip.store.manifest import Reference, StoredFile
from metaclip.store.store import Store

PUBLISHED = "published.json"
_CHUNK = 1 << 20


def publish_report(
    store: Store, report: Reference, curated: Reference, to: str, pool: str, *, with_set: bool = False
) -> dict[str, Any]:
    """Copy a report's files to a folder at any fsspec address, and with `with_set` the set's into `data` there.

    The page gets the pool's name and a date in its heading: the card's date of publication, or else today's.

    Returns `published.json`, which names every file with its SHA-256 and is written last, with `written`:
    false if everything existed already.

    Raises:
        ConfigError: if the folder contains anything else.
        StoreError: a file in the store is missing or altered, or the folder cannot be written.
    """
    wanted = [(report, file, file.name) for file in store.manifest(report.manifest).files]
    if with_set:
        wanted += [(curated, file, f"{DATA}/{file.name}") for file in data_files(store, curated)]
    content = {"report": report.key, "set": curated.key, "with_set": with_set}
    target = Target(to, PUBLISHED, identity_of(content))
    if found := target.find():
        return {**found, "written": False}
    target.begin()
    files: list[StoredFile] = []
    for reference, file, name in wanted:
        if name != PAGE:
            _copy(store, reference, file, target, name, files)
    with target.file(PAGE, files) as sink:
        sink.write(headed_page(store, report, pool).encode())
    return {**target.finish(content, files), "written": True}


def headed_page(store: Store, report: Reference, pool: str) -> str:
    """Return the page of a report with the pool's name and a date in its heading.

    Raises:
        StoreError: the page is missing or altered.
    """
    config = store.manifest(report.manifest).config
    date = config["card"].get("published") or datetime.now(UTC).date().isoformat()
    return headed(store.read_bytes(report, PAGE).decode(), pool, config["t"], date)


def _copy(
    store: Store, reference: Reference, file: StoredFile, target: Target, name: str, files: list[StoredFile]
) -> None:
    relative = f"{reference.folder}/{file.name}"
    try:
        with store.open(relative) as source, target.file(name, files) as sink:
            shutil.copyfileobj(source, sink, _CHUNK)
            sink.rows = file.rows
            if sink.digest.hexdigest() != file.sha256:  # before it is put in place
                raise StoreError(
                    f"{store.address(relative)}: altered since it was written; delete it and run the pool again"
                )
    except FileNotFoundError as error:
        raise StoreError(f"{store.address(relative)}: missing; run the pool again, which remakes it") from error


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
    write_whole(Path(to), text.encode())
    return {"pool": name, "to": to, "reasons": {each["reason"]: len(each["cells"]) for each in sections}}
