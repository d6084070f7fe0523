"""The files that a setting names, and the fingerprints that identify them in keys.

There is one rule for all settings that name files. A path is one of these:

- a file;
- a folder: all files in it at any depth, except hidden ones (`.name`) and those in hidden folders, each once,
  however many links lead to it;
- a glob, in which `**` stands for folders at any depth: each file once, hidden ones only where the glob
  has the dot;
- an address: of a file anywhere, of a folder or a glob in a store.

`~` is the home folder. A relative path starts at the folder in which the command runs. A symbolic link
keeps its own name.
"""

import fnmatch
import glob
import os
import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from metaclip.errors import ConfigError, InputError, TransportError, UnreadableFileError
from metaclip.io.addresses.credentials import hide, reveal
from metaclip.io.fingerprints import local_fault, local_fingerprint
from metaclip.io.streams import call_store, file_path, filesystem, identify, scheme

_FILE_ENDING = re.compile(
    r"\.(gz|bz2|xz|zst|tgz|zip|tar|warc|wat|arc|parquet|json|jsonl|ndjson|txt|csv|tsv|npy)$", re.IGNORECASE
)
"""An address with such an ending is taken for a file without a request, since there may be very many."""

_WAYS_OUT = {
    "not_found": "; relative paths start at the folder that the command runs in",
    "not_a_file": "; name the file in it",
    "forbidden": "; check its rights, or your credentials",
}


@dataclass(frozen=True)
class ListedFile:
    """A file that a path names, before it is opened or looked up."""

    path: str
    named_by: Literal["name", "folder", "glob"]
    """Whether the path is the file itself, its folder, or a glob that it matches."""
    bytes: int | None = None
    """Its size, where the listing states it."""


@dataclass(frozen=True)
class InputFile:
    """A file with its size, where known, and its fingerprint."""

    path: str
    bytes: int | None
    fingerprint: str


def list_inputs(path: str) -> Iterator[ListedFile]:
    """Yield the files that a path names, sorted; none for an empty folder, or a glob without a match.

    For the path of a file it is not checked whether the file exists.

    Raises:
        InputError: the scheme is unknown, or it is a glob on a web server.
        TransportError: the store is out of reach for now.
    """
    path = hide(path)
    if scheme(path) in ("http", "https"):
        if "*" in path:
            raise InputError(f"{path}: an http server cannot be searched; name its files one by one")
        yield ListedFile(path, "name")
    elif scheme(path) in ("", "file"):
        yield from _list_local(local_path(path))
    else:
        yield from _list_store(path)


def inputs_of(paths: Sequence[str], field: str, known_by_address: re.Pattern[str] | None = None) -> list[InputFile]:
    """Return the files that some paths name, each once, sorted by path.

    A remote file whose address matches `known_by_address` is never rewritten; its address is its fingerprint.

    Raises:
        ConfigError: a path names no file, or a file cannot be used; the text names `field`.
        TransportError: a server is out of reach for now.
    """
    found: set[str] = set()
    with naming(field):
        for path in paths:
            names = [file.path for file in list_inputs(path)]
            if not names:
                raise ConfigError(f"{field}: {path}: no file there; name files, a folder, a glob or addresses")
            found.update(names)
        return [
            InputFile(name, None, name)
            if known_by_address is not None and scheme(name) and known_by_address.search(name)
            else look_up(name)
            for name in sorted(found)
        ]


def look_up(path: str) -> InputFile:
    """Return a file with its size and its fingerprint.

    Raises:
        UnreadableFileError, InputError, TransportError: as `fingerprint`.
    """
    known = fingerprint(path)
    size = known.partition("-")[0]
    return InputFile(path, int(size) if size.isdigit() else None, known)


def fingerprint(path: str) -> str:
    """Return what identifies the content of a file in keys.

    `<size>-<sha256>` of a local file, `<size>-<ETag>` of a remote one (its date where the server gives
    no ETag). A local file that has not changed since it was last read is not read again.

    Raises:
        UnreadableFileError: the file is missing, forbidden, or not a file.
        InputError: the address is wrong, or its server states neither an ETag nor a date.
        TransportError: the file is out of reach for now.
    """
    if scheme(path) not in ("", "file"):
        identity = identify(path)
        return f"{identity.bytes}-{identity.tag}"
    return local_fingerprint(local_path(path))


def local_path(path: str) -> str:
    """Return the absolute form of a path of this machine, which may be written as a `file://` address."""
    path = file_path(path) if scheme(path) else path
    # Not Path.resolve: a symbolic link keeps its own name.
    return os.path.abspath(os.path.expanduser(path))  # noqa: PTH100, PTH111


@contextmanager
def naming(field: str, kind: type[ConfigError] | type[InputError] = ConfigError) -> Iterator[None]:
    """Add to an error about a file the setting that names the file, and the way out.

    Raises:
        ConfigError: or another `kind` of error.
        TransportError: unchanged, since a later attempt may succeed.
    """
    try:
        yield
    except TransportError:
        raise
    except UnreadableFileError as error:
        raise kind(f"{field}: {error}{_WAYS_OUT.get(error.reason, '')}") from error
    except InputError as error:
        raise kind(f"{field}: {error}") from error


def _list_local(path: str) -> Iterator[ListedFile]:
    if Path(path).is_dir():
        for name in sorted(_each_once(_walk(path, hidden=False))):
            yield ListedFile(name, "folder")
    elif Path(path).exists() or not glob.has_magic(path):
        yield ListedFile(path, "name")
    else:
        for name in sorted(_each_once(_glob(path))):
            if Path(name).is_file():
                yield ListedFile(name, "glob")


def _glob(pattern: str) -> Iterator[str]:
    """Yield the names that a glob matches, those behind no link first; `**` enters each folder once."""
    parts = pattern.split("/")
    if "**" not in parts:
        yield from sorted(glob.glob(pattern), key=lambda name: (os.path.realpath(name) != name, name))  # noqa: PTH207
        return
    top = parts.index("**")
    hidden = any(part.startswith(".") for part in parts[top:])
    for folder in _glob("/".join(parts[:top]) or "/"):
        start = len(folder.rstrip("/")) + 1
        for name in _walk(folder, hidden=hidden):
            if _matches(name[start:].split("/"), parts[top:]):
                yield name


def _matches(names: Sequence[str], parts: Sequence[str]) -> bool:
    """Return whether the folders and the name of a file fit a glob; hidden ones only where it has the dot."""
    if not parts or not names:
        return not parts and not names
    shown = not names[0].startswith(".")
    if parts[0] == "**":
        below = shown and (_matches(names[1:], parts) or len(names) == len(parts) == 1)
        return below or _matches(names, parts[1:])
    fits = fnmatch.fnmatchcase(names[0], parts[0]) and (shown or parts[0].startswith("."))
    return fits and _matches(names[1:], parts[1:])


def _each_once(names: Iterable[str]) -> Iterator[str]:
    """Yield names of files, of several of one file the first: links lead to what is there anyway."""
    found: set[str] = set()
    for name in names:
        real = os.path.realpath(name)
        if real not in found:
            found.add(real)
            yield name


def _walk(folder: str, *, hidden: bool) -> Iterator[str]:
    """Yield the files in a folder at any depth; each folder is entered once, since links may lead back."""
    found: set[str] = set()
    links: list[str] = []
    waiting = [folder]
    while waiting or links:
        # What is there by itself comes before what a link leads to, and keeps its own name.
        path = waiting.pop() if waiting else links.pop(0)
        if not Path(path).is_dir():
            yield path
            continue
        real = os.path.realpath(path)
        if real in found:
            continue
        found.add(real)
        try:
            names = sorted(os.listdir(path), reverse=True)  # noqa: PTH208
        except OSError as error:
            raise local_fault(path, error) from error
        for name in names:
            if hidden or not name.startswith("."):
                inner = f"{path.rstrip('/')}/{name}"
                (links if Path(inner).is_symlink() else waiting).append(inner)


def _list_store(address: str) -> Iterator[ListedFile]:
    magic = glob.has_magic(address)
    if not magic and _FILE_ENDING.search(address):
        yield ListedFile(address, "name")
        return
    store, real = filesystem(address), reveal(address)
    if not magic and not call_store(address, lambda: store.isdir(real)):
        yield ListedFile(address, "name")
        return
    search = store.glob if magic else store.find
    found: dict[str, dict[str, Any]] = call_store(address, lambda: search(real, detail=True))
    top = len(store._strip_protocol(real))
    for name in sorted(found):
        inside = name.rsplit("/", 1)[-1] if magic else name[top:]
        if found[name].get("type") == "directory" or re.search(r"(^|/)\.", inside):
            continue
        size = found[name].get("size")
        bytes_ = size if isinstance(size, int) else None
        yield ListedFile(hide(store.unstrip_protocol(name)), "glob" if magic else "folder", bytes_)
