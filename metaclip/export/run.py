"""Export a pool's set for any t: which pairs, in which format, to which folder."""

import math
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Literal, get_args

import metaclip
from metaclip.config.groups import Groups
from metaclip.config.settings import Config, format_t
from metaclip.errors import ConfigError
from metaclip.export.formats import Form, Written, write_datacomp, write_img2dataset, write_jsonl, write_metaclip
from metaclip.export.selection import Selection, Texts
from metaclip.pool.record import read_record
from metaclip.schemas import PAIRS
from metaclip.store.delivery import Target, identity_of
from metaclip.store.manifest import Reference
from metaclip.store.store import Store

EXPORT = "export.json"
VERSION = 3
"""Raised when an export's files would change."""
MOST_ROWS = 1_000_000
"""Maximum rows in a file, because img2dataset reads a whole input file into memory."""
THREADS = 4
"""Number of partitions in parallel: Parquet is read and written outside of the interpreter's lock."""

Format = Literal["img2dataset", "datacomp", "metaclip", "jsonl"]
_FORMS: dict[str, Form] = {"img2dataset": write_img2dataset, "metaclip": write_metaclip, "jsonl": write_jsonl}


@dataclass(frozen=True)
class Wanted:
    """What to export.

    Raises:
        ConfigError: a value is invalid; the message names it.
    """

    t: float
    format: str = "img2dataset"
    rows_per_file: int = MOST_ROWS
    texts_per_image: Texts = "all"
    language_folders: bool = False
    """Of a pool by language: the files of each language in a folder of its name."""

    def __post_init__(self) -> None:
        if not self.t > 0:
            raise ConfigError(f"t {self.t:g}: must be above 0, or inf for every matched pair")
        if self.format not in get_args(Format):
            raise ConfigError(f"format {self.format!r}: not one of {', '.join(get_args(Format))}")
        if self.texts_per_image not in get_args(Texts):
            raise ConfigError(f"texts per image {self.texts_per_image!r}: not one of {', '.join(get_args(Texts))}")
        most = MOST_ROWS if self.format == "img2dataset" else math.inf
        if not 1 <= self.rows_per_file <= most:
            raise ConfigError(
                f"rows per file {self.rows_per_file:,}: must be at least 1"
                + (f" and at most {MOST_ROWS:,}, for img2dataset reads a file whole" if most < math.inf else "")
            )


def export_pool(
    storage: str, pool: str, to: str, wanted: Wanted, watch: Callable[[int, int], None] | None = None
) -> dict[str, Any]:
    """Export a finished pool to a folder at any fsspec address; return `export.json` with `written`.

    Files are named by partition and have the same bytes each time. `export.json` is written last. A
    killed export is done again by the same call; a finished one is not written again (`written` is then
    false). `watch` gets the numbers of finished and of all partitions.

    Raises:
        ConfigError: an unknown pool, or a folder with anything else in it.
        StoreError: a partition is missing, or the folder cannot be written.
    """
    store = Store(storage).for_work()
    record = read_record(store, pool)
    stages = record["stages"]
    groups = Config.model_validate(record["config"]).groups
    if wanted.language_folders and groups is None:
        raise ConfigError(f"pool {pool!r} has one list for all texts, so there are no folders by language")
    balanced = [_read_reference(store, address) for address in stages["balance"]]
    content: dict[str, Any] = {
        "version": VERSION,
        "pool": pool,
        "t": format_t(wanted.t),
        "seed": record["config"]["balance"]["seed"],
        "format": wanted.format,
        "texts_per_image": wanted.texts_per_image,
        # One file has all uids, however large it is.
        "rows_per_file": None if wanted.format == "datacomp" else wanted.rows_per_file,
        "stages": {
            "metadata": _keys(store, stages["metadata"]),
            "count": _read_reference(store, stages["count"]).key,
            "balance": [reference.key for reference in balanced],
        },
    }
    if wanted.language_folders:
        content["language_folders"] = True
    target = Target(to, EXPORT, identity_of(content))
    if found := target.find():
        return {**found, "written": False}
    target.begin()
    selections = (
        Selection(store.open_parquet(reference, PAIRS), wanted.t, content["seed"], wanted.texts_per_image, groups)
        for reference in balanced
    )
    told = _Told(watch, len(balanced))
    if wanted.format == "datacomp" and wanted.language_folders:
        written = _write_datacomp_folders(target, list(told.passing(selections)))
    elif wanted.format == "datacomp":
        written = write_datacomp(target, told.passing(selections))
    else:
        written = _write_parts(target, wanted, content["seed"], store, balanced, told, groups)
    described = target.finish(
        {**content, "code_version": metaclip.__version__, "pairs": written.pairs, "images": written.images},
        written.files,
    )
    return {**described, "written": True}


def _write_parts(
    target: Target,
    wanted: Wanted,
    seed: int,
    store: Store,
    balanced: list[Reference],
    told: "_Told",
    groups: Groups | None,
) -> Written:
    form = _FORMS[wanted.format]

    def write(number: int) -> Written:
        pairs = store.open_parquet(balanced[number], PAIRS)
        whole = Selection(pairs, wanted.t, seed, wanted.texts_per_image, groups)
        part = Written([])
        for one in [whole.of(group) for group in whole.languages()] if wanted.language_folders else [whole]:
            found = form(target, number, one, wanted.rows_per_file)
            part.files += found.files
            part.pairs += found.pairs
            part.images += found.images
        told()
        return part

    whole = Written([])
    with ThreadPoolExecutor(THREADS) as threads:
        try:
            for part in threads.map(write, range(len(balanced))):
                whole.files += part.files
                whole.pairs += part.pairs
                whole.images += part.images
        except BaseException:
            threads.shutdown(wait=False, cancel_futures=True)
            raise
    return whole


def _write_datacomp_folders(target: Target, selections: list[Selection]) -> Written:
    """Write the uids of each language to a folder of its name."""
    whole = Written([])
    for group in sorted({group for selection in selections for group in selection.languages()}):
        written = write_datacomp(target, iter([selection.of(group) for selection in selections]), f"{group}/")
        whole.files += written.files
        whole.pairs += written.pairs
        whole.images += written.images
    return whole


def _keys(store: Store, named: str | dict[str, str]) -> str | dict[str, str]:
    """Return the key of the one list, or that of each group's."""
    if isinstance(named, str):
        return _read_reference(store, named).key
    return {group: _read_reference(store, address).key for group, address in named.items()}


class _Told:
    """Reports how many partitions are done."""

    def __init__(self, watch: Callable[[int, int], None] | None, total: int) -> None:
        self._watch = watch
        self._total = total
        self._passed = 0

    def __call__(self) -> None:
        self._passed += 1
        if self._watch is not None:
            self._watch(self._passed, self._total)

    def passing(self, selections: Iterable[Selection]) -> Iterator[Selection]:
        for selection in selections:
            yield selection
            self()


def _read_reference(store: Store, address: str) -> Reference:
    manifest = store.manifest(address)
    return Reference(address, manifest.key, manifest.rows)
