"""Removing what no pool needs any more: outputs that no record names, and what killed runs left.

An output is kept if a pool's record names it, or if a kept output was made from it. Everything else
is removed once its newest file is older than a grace period. Nothing is removed while a run is
active, because a run uses outputs that no record names yet. The manifest of an output is removed
first, so an interrupted clean-up leaves useless files, but never an output with a missing part.
"""

import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import PurePosixPath
from typing import Any

from metaclip.errors import ConfigError, StoreError
from metaclip.io.storage.file_system import StoredObject
from metaclip.io.storage.files import side_by_side
from metaclip.io.temporary import is_temporary
from metaclip.pool.record import damaged, named_outputs, parse_json, record_address
from metaclip.pool.run_log import all_signs, pool_runs
from metaclip.store.distrust import STAGE_FOLDER
from metaclip.store.manifest import MANIFEST, Manifest
from metaclip.store.store import Store

GRACE = timedelta(hours=24)
RUNS_KEPT = 5
"""How many run files of a pool are kept however old they are; `metaclip status` shows them."""

OUTPUTS_AT_ONCE = 200
"""After so many removed outputs, it is checked again whether a run has started."""

_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}


@dataclass
class _Output:
    """A folder of a stage and what it holds."""

    folder: str
    files: list[StoredObject] = field(default_factory=list)

    @property
    def stage(self) -> str:
        return self.folder.partition("/")[0]

    @property
    def bytes(self) -> int:
        return sum(file.bytes for file in self.files)

    @property
    def newest(self) -> datetime:
        return max(file.modified for file in self.files)


def parse_grace(text: str) -> timedelta:
    """Return the length of time that `24h`, `90m`, `7d`, `30s` or `0` stands for.

    Raises:
        ConfigError: for anything else.
    """
    match = re.fullmatch(r"(\d+(?:\.\d+)?)([smhd])", text.strip())
    if match:
        return timedelta(**{_UNITS[match[2]]: float(match[1])})
    if text.strip() == "0":
        return timedelta()
    raise ConfigError(f"--grace {text}: write a number and a unit, such as 24h, 90m or 7d")


def collect(storage: str, *, dry_run: bool = False, grace: timedelta = GRACE) -> dict[str, Any]:
    """Remove what no pool needs; with `dry_run` only report it.

    Returns:
        `removed`: outputs, files and bytes by stage; `kept`: the same; `young`: what only the grace
        period protects; `leftovers`: temporary files and unfinished uploads; `runs`: run files that
        were removed; `missing`: outputs that a record names and that do not exist; `active`: active
        runs, and `doubts`: what makes it uncertain that nothing is needed (in a dry run only; otherwise
        they are an error).

    Raises:
        StoreError: if a record or a manifest it names cannot be read, a run is active or may be, the record of a
            pool has vanished, or the store fails.
    """
    store = Store(storage)
    store.reach()
    before = datetime.now(UTC) - grace
    named = _named(store)
    going_on, doubts = _look_around(store, named, grace)
    if not dry_run:
        _refuse(store, going_on, doubts)
    stages = [name for name in store.folders() if STAGE_FOLDER.fullmatch(name)]
    outputs = _outputs(store, stages)
    needed, missing = _needed(store, named, outputs)
    unneeded = [output for folder, output in outputs.items() if folder not in needed]
    old = [output for output in unneeded if output.newest < before]
    leftovers = [
        file
        for folder in sorted(needed)
        for file in outputs[folder].files
        if is_temporary(PurePosixPath(file.path).name) and file.modified < before
    ]
    runs = _old_runs(store, before)
    uploads = store.unfinished_uploads(before)
    if not dry_run:
        for start in range(0, len(old), OUTPUTS_AT_ONCE):
            _refuse(store, *_look_around(store, named, grace), f" ({start} outputs were removed before it began)")
            if _named(store) != named:
                raise StoreError(
                    f"{store.root}: a run has ended meanwhile and may need any output; run gc again ({start} outputs"
                    " were removed before)"
                )
            _remove(store, old[start : start + OUTPUTS_AT_ONCE])
        store.remove_all([file.path for file in [*leftovers, *runs]])
        store.abort_uploads(uploads)
        store.remove_empty_folders([*stages, "runs"], before)
    return {
        "storage": storage,
        "dry_run": dry_run,
        "grace_hours": round(grace.total_seconds() / 3600, 3),
        "pools": sorted(named),
        "removed": _by_stage(old),
        "kept": _by_stage([outputs[folder] for folder in needed]),
        "young": _by_stage([output for output in unneeded if output.newest >= before]),
        "leftovers": {"files": len(leftovers), "bytes": _bytes(leftovers), "uploads": len(uploads)},
        "runs": {"files": len(runs), "bytes": _bytes(runs)},
        "missing": missing,
        "active": going_on,
        "doubts": doubts,
    }


def _named(store: Store) -> dict[str, list[str]]:
    """Return for each pool the addresses of the manifests that its record names.

    Raises:
        StoreError: if a record is not valid.
    """
    named: dict[str, list[str]] = {}
    for pool in store.names("pools"):
        content = store.read(record_address(pool))
        record = None if content is None else parse_json(store, record_address(pool), content)
        try:
            if not isinstance(record, dict):
                raise ValueError("it has no stages")
            named[pool] = named_outputs(record.get("stages"))
        except ValueError as error:
            raise damaged(store, pool, f"{error}, so what it names is not known and nothing was removed") from error
    return named


def _outputs(store: Store, stages: Sequence[str]) -> dict[str, _Output]:
    """Return the outputs of stages by their folders, complete or not."""
    outputs: dict[str, _Output] = {}
    for listed in side_by_side(store.files, stages):
        for file in listed:
            parts = PurePosixPath(file.path).parts
            # A file beside the outputs does not belong to this project.
            if len(parts) > 2:
                folder = f"{parts[0]}/{parts[1]}"
                outputs.setdefault(folder, _Output(folder)).files.append(file)
    return outputs


def _needed(
    store: Store, named: Mapping[str, Sequence[str]], outputs: Mapping[str, _Output]
) -> tuple[set[str], list[str]]:
    """Return the folders that pools need, directly or as inputs, and the named manifests that are missing."""
    by_key: dict[str, list[str]] = defaultdict(list)
    for folder in outputs:
        by_key[folder.partition("/")[2]].append(folder)
    needed: set[str] = set()
    missing: list[str] = []
    wanted = sorted({address for addresses in named.values() for address in addresses})
    while wanted:
        folders = {str(PurePosixPath(address).parent) for address in wanted}
        needed |= folders & outputs.keys()
        inputs: set[str] = set()
        for address, manifest in zip(wanted, side_by_side(lambda one: _manifest(store, one), wanted), strict=True):
            if manifest is None:
                missing.append(address)
            else:
                inputs.update(manifest.inputs)
        # An input that is no folder's name is the fingerprint of a file from outside the store.
        further = {folder for key in inputs for folder in by_key.get(key, ())} - needed
        needed |= further
        wanted = sorted(f"{folder}/{MANIFEST}" for folder in further)
    return needed, missing


def _manifest(store: Store, address: str) -> Manifest | None:
    content = store.read(address)
    if content is None:
        return None
    try:
        return Manifest.parse(address, content)
    except ValueError as error:
        raise StoreError(
            f"{store.address(address)}: not a manifest ({error}), so what it was made from is not known; nothing was"
            " removed. Run the pool again, which makes it anew"
        ) from error


def _look_around(store: Store, named: Mapping[str, Sequence[str]], grace: timedelta) -> tuple[list[str], list[str]]:
    """Return the runs that go on, and what makes it uncertain that nothing is needed."""
    signs = all_signs(store)
    going_on = [
        f"{run.flow} of pool {run.pool} on {run.host} (last sign {run.updated:%H:%M:%S})"
        for run in signs.runs
        if run.is_active
    ]
    young = datetime.now(UTC) - max(grace, GRACE)
    ended = {run.pool: run.updated for run in signs.runs if run.wrote_a_record and run.updated > young}
    vanished = [
        f"the record of pool {pool} is gone, and a run of it has written one that ended at {time:%Y-%m-%d %H:%M}"
        f" (run the pool again, or, to drop it, delete {store.address(pool_runs(pool))} too)"
        for pool, time in sorted(ended.items())
        if pool not in named
    ]
    unreadable = [f"{doubt}; if no run goes on, delete it" for doubt in signs.doubts]
    return going_on, unreadable + vanished


def _refuse(store: Store, going_on: Sequence[str], doubts: Sequence[str], removed: str = "") -> None:
    """Raise an error if anything may still be needed."""
    if going_on:
        raise StoreError(
            f"{store.root}: a run goes on and may use any output: {'; '.join(going_on[:3])}. Run gc again when it has"
            f" ended (a killed run counts as ended after three minutes){removed}"
        )
    if doubts:
        raise StoreError(f"{store.root}: nothing is removed in doubt: {'; '.join(doubts[:3])}{removed}")


def _old_runs(store: Store, before: datetime) -> list[StoredObject]:
    """Return the files of runs that ended before a time, except for the newest of each pool."""
    by_pool: dict[str, list[StoredObject]] = defaultdict(list)
    for file in store.files("runs"):
        by_pool[str(PurePosixPath(file.path).parent)].append(file)
    newest_first = (sorted(files, key=lambda file: file.modified, reverse=True) for files in by_pool.values())
    return [file for files in newest_first for file in files[RUNS_KEPT:] if file.modified < before]


def _remove(store: Store, outputs: Sequence[_Output]) -> None:
    manifests = [file.path for output in outputs for file in output.files if file.path.endswith(MANIFEST)]
    # The manifest of a set is removed before those of its parts.
    store.remove_all(sorted(manifests, key=lambda path: PurePosixPath(path).name != MANIFEST))
    gone = set(manifests)
    store.remove_all([file.path for output in outputs for file in output.files if file.path not in gone])
    store.remove_empty_folders([output.folder for output in outputs], datetime.now(UTC))


def _by_stage(outputs: Sequence[_Output]) -> list[dict[str, Any]]:
    stages: dict[str, list[_Output]] = defaultdict(list)
    for output in outputs:
        stages[output.stage].append(output)
    return [
        {
            "stage": stage,
            "outputs": len(found),
            "files": sum(len(output.files) for output in found),
            "bytes": sum(output.bytes for output in found),
        }
        for stage, found in sorted(stages.items())
    ]


def _bytes(files: Sequence[StoredObject]) -> int:
    return sum(file.bytes for file in files)
