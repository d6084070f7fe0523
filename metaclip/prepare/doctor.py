"""Check everything that a run needs. Each check reports what it found and how to repair what is wrong."""

import os
import platform
import shutil
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, distribution, requires, version
from pathlib import Path
from typing import Literal

from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

import metaclip
from metaclip.config.settings import Config
from metaclip.errors import MetaclipError, StoreError
from metaclip.io.object_store import is_s3
from metaclip.io.storage.s3_files import PART_BYTES
from metaclip.language.identifier import LanguageIdentifier
from metaclip.language.model_file import find_model
from metaclip.prepare.jobs import check as check_config
from metaclip.store.store import Store

State = Literal["ok", "warn", "fail"]

PACKAGE = "metaclip-pipeline"
PINNED = ("prefect", "fastapi", "sqlalchemy")
"""Libraries whose other releases are known to break runs."""

PYTHONS = ">=3.11,<3.15"
LOW_BYTES = 10 << 30
NO_BYTES = 1 << 30


@dataclass(frozen=True)
class Finding:
    """The result of one check, and how to repair it if it is not `ok`."""

    check: str
    state: State
    message: str
    mend: str = ""
    exit_code: int = 0
    """Exit code of the command if this is the first check that fails."""


def examine(storage: str | None, config: Config | None) -> Iterator[Finding]:
    """Check everything but Prefect; without `storage` or `config` their checks are skipped."""
    yield from python_version()
    yield from versions()
    yield from language_model(config.extract.language_model if config else None)
    yield from numba_cache()
    if storage is not None:
        yield from guarded("storage", lambda: store(storage))
    yield from disk_space(storage)
    if config is not None:
        yield from guarded("configuration", lambda: configuration(config))


def guarded(name: str, look: Callable[[], Iterator[Finding]]) -> Iterator[Finding]:
    """Convert an error of this project to a finding."""
    try:
        yield from look()
    except MetaclipError as error:
        yield Finding(name, "fail", str(error), "", error.exit_code)


def python_version() -> Iterator[Finding]:
    """Check the version of Python."""
    found = platform.python_version()
    if SpecifierSet(PYTHONS).contains(found, prereleases=True):
        yield Finding("python", "ok", found)
    else:
        yield Finding("python", "fail", found, f"use Python {PYTHONS}", 1)


def versions() -> Iterator[Finding]:
    """Compare the installed libraries with the requirements of the package."""
    try:
        wanted = [Requirement(line) for line in requires(PACKAGE) or []]
    except PackageNotFoundError:
        mend = "pip install --no-deps -e . in the checkout"
        yield Finding("libraries", "warn", f"{PACKAGE} is not installed, so its pins are not known", mend)
        return
    right = 0
    for requirement in wanted:
        if requirement.marker is not None and not requirement.marker.evaluate({"extra": ""}):
            continue
        severe: State = "fail" if requirement.name.lower() in PINNED else "warn"
        mend = f'pip install "{requirement.name}{requirement.specifier}"'
        try:
            found = version(requirement.name)
        except PackageNotFoundError:
            yield Finding("libraries", "fail", f"{requirement.name} is not installed", mend, 1)
            continue
        if requirement.specifier.contains(found, prereleases=True):
            right += 1
        else:
            asked = f"{requirement.name} {found} is installed, {requirement.specifier} is asked for"
            yield Finding("libraries", severe, asked, mend, 1)
    pinned = ", ".join(f"{name} {version(name)}" for name in PINNED if _installed(name))
    yield Finding("libraries", "ok", f"{right} are as asked for; {pinned}")


def language_model(setting: str | None) -> Iterator[Finding]:
    """Load the language model and try it."""
    try:
        model = find_model(setting)
        started = time.monotonic()
        labels, _ = LanguageIdentifier(model).identify(["a photo of a dog on the beach"])
    except MetaclipError as error:
        yield Finding("language model", "fail", str(error), "", error.exit_code)
        return
    seconds = time.monotonic() - started
    if labels[0] == "en":
        yield Finding("language model", "ok", f"{model} ({model.stat().st_size / 1e6:.1f} MB, {seconds:.1f} s to load)")
    else:
        message = f"{model} takes English for {labels[0]!r}"
        yield Finding("language model", "fail", message, "set extract.language_model to a lid.176 model", 2)


def numba_cache() -> Iterator[Finding]:
    """Check that machine code can be kept for the next process, in each package that has kernels."""
    chosen = os.environ.get("NUMBA_CACHE_DIR")
    root = Path(metaclip.__file__).parent
    folders = [Path(chosen)] if chosen else sorted({file.parent for file in root.rglob("*.py")})
    closed = [folder for folder in folders if not _can_be_written(folder / "__pycache__" if not chosen else folder)]
    where = chosen or f"the `__pycache__` folders in {root}"
    if not closed:
        yield Finding("numba cache", "ok", f"{where} can be written")
    else:
        mend = "set NUMBA_CACHE_DIR to a folder that can be written"
        message = f"{closed[0]} cannot be written: every process compiles again, or in its user's own cache"
        yield Finding("numba cache", "warn", message, mend)


def _can_be_written(folder: Path) -> bool:
    return os.access(folder, os.W_OK) or (not folder.exists() and os.access(folder.parent, os.W_OK))


def disk_space(storage: str | None) -> Iterator[Finding]:
    """Check the free space for temporary files, and for the store if it is a folder."""
    places = {"temporary files": (Path(tempfile.gettempdir()), "set TMPDIR to a folder on a larger disk")}
    if storage is not None and Store(storage).is_local:
        folder = Path(storage).absolute()
        there = next(path for path in (folder, *folder.parents) if path.exists())
        places["storage"] = (there, "free some room, or `metaclip gc`")
    for name, (folder, mend) in places.items():
        free = shutil.disk_usage(folder).free
        message = f"{free / 1e9:,.1f} GB free for {name} in {folder}"
        if free < NO_BYTES:
            yield Finding("disk space", "fail", message, mend, 4)
        elif free < LOW_BYTES:
            yield Finding("disk space", "warn", message, mend)
        else:
            yield Finding("disk space", "ok", message)


def store(storage: str) -> Iterator[Finding]:
    """Write, read, list and remove a small file and, in an object store, one that is uploaded in parts."""
    found = Store(storage)
    found.check()
    folder = f"doctor/{uuid.uuid4().hex}"
    sizes = {"small": 10}
    if is_s3(storage):
        sizes["large"] = 2 * PART_BYTES
    try:
        started = time.monotonic()
        for name, size in sizes.items():
            temporary = found.temporary(f"{folder}/{name}")
            temporary.write_bytes(os.urandom(size))
            found.put(temporary, f"{folder}/{name}")
            if not found.has(f"{folder}/{name}", size):
                raise StoreError(f"{found.address(folder)}/{name}: was written and is not there")
        content = found.read(f"{folder}/small")
        if content is None or len(content) != sizes["small"]:
            raise StoreError(f"{found.address(folder)}/small: was written and cannot be read")
        if len(found.files(folder)) != len(sizes):
            mend = "the credentials must be allowed to list"
            yield Finding("storage", "fail", f"{found.address(folder)}: what was written is not listed", mend, 4)
        seconds = time.monotonic() - started
    finally:
        found.remove_all([f"{folder}/{name}" for name in sizes])
    if found.files(folder):
        mend = "the credentials must be allowed to delete"
        yield Finding("storage", "fail", f"{found.address(folder)}: cannot be removed", mend, 4)
        return
    if found.is_local:
        shutil.rmtree(found.path("doctor"), ignore_errors=True)
    parts = f", {sizes['large'] >> 20} MB in parts" if "large" in sizes else ""
    yield Finding("storage", "ok", f"{storage}: written{parts}, read, listed and removed in {seconds:.2f} s")


def configuration(config: Config) -> Iterator[Finding]:
    """List a configuration's source, and check that its list of entries exists."""
    listing = check_config(config)
    files = sum(map(len, listing.shards))
    yield Finding("configuration", "ok", f"pool {config.pool}: {files:,} files in {len(listing.shards):,} shards")


def _installed(name: str) -> bool:
    try:
        distribution(name)
    except PackageNotFoundError:
        return False
    return True
