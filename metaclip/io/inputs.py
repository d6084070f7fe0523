"""The files that a setting names, and what each is known by in keys.

One rule for all settings that name files. A path is one of these:

- a file;
- a folder: all files in it, at any depth, sorted; hidden ones (`.name`) and those in hidden folders are left out;
- a glob, where `**` goes through folders; hidden files match only where the glob says the dot;
- an address: of a file anywhere, of a folder or a glob in a store.

`~` is the home folder, a relative path starts at the folder that the command runs in, and a symbolic
link keeps its own name.
"""

import glob
import os
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from metaclip.errors import ConfigError, InputError, TransportError, UnreadableFileError
from metaclip.io.fingerprints import local_fingerprint
from metaclip.io.streams import call_store, filesystem, identify, scheme

_FILE_ENDING = re.compile(
    r"\.(gz|bz2|xz|zst|tgz|zip|tar|warc|wat|arc|parquet|json|jsonl|ndjson|txt|csv|tsv|npy)$", re.IGNORECASE
)
"""A store is not asked whether an address that ends so is a folder: it may be one of very many."""

_WAYS_OUT = {
    "not_found": "; relative paths start at the folder that the command runs in",
    "not_a_file": "; name the file in it",
    "forbidden": "; check its rights, or your credentials",
}


@dataclass(frozen=True)
class ListedFile:
    """A file that a path names, not looked at yet."""

    path: str
    named_by: Literal["name", "folder", "glob"]
    """How the path names it: itself, or among others."""
    bytes: int | None = None
    """Its size, where the listing says so."""


@dataclass(frozen=True)
class InputFile:
    """One file: where it is, its size where known, and its version."""

    path: str
    bytes: int | None
    fingerprint: str


def list_inputs(path: str) -> Iterator[ListedFile]:
    """Yield the files that a path names, sorted; none where a folder or a glob has none.

    Whether a file that is named by itself is there is seen when it is looked at.

    Raises:
        InputError: an address that cannot be understood or searched.
        TransportError: a store that is out of reach for now.
    """
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

    A remote file whose address matches `known_by_address` is never rewritten, so it is not looked up.

    Raises:
        ConfigError: a path that names nothing; the text says that `field` names it.
        TransportError: a server that is out of reach for now.
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
    """Return what the content of a file is known by in keys.

    `<size>-<sha256>` of a local file, `<size>-<ETag>` of a remote one (its date where the server gives
    no ETag). A local file that is as it was when it was read last is not read again.

    Raises:
        UnreadableFileError: missing, forbidden, or no file.
        InputError: an address that cannot be understood, or whose server tells no versions apart.
        TransportError: out of reach for now.
    """
    if scheme(path) not in ("", "file"):
        identity = identify(path)
        return f"{identity.bytes}-{identity.tag}"
    return local_fingerprint(local_path(path))


def local_path(path: str) -> str:
    """Return the absolute form of a path of this machine, which may be written as a `file://` address."""
    path = path.removeprefix("file://") if scheme(path) else path
    # Not Path.resolve: a symbolic link keeps its own name.
    return os.path.abspath(os.path.expanduser(path))  # noqa: PTH100, PTH111


@contextmanager
def naming(field: str, kind: type[ConfigError] | type[InputError] = ConfigError) -> Iterator[None]:
    """Say of a file that cannot be used which setting names it, and the way out.

    Raises:
        ConfigError: or the `kind` of error given instead.
        TransportError: as it came; a later attempt may succeed.
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
        for name in sorted(_files_under(path)):
            yield ListedFile(name, "folder")
    elif Path(path).exists() or not glob.has_magic(path):
        yield ListedFile(path, "name")
    else:
        for name in sorted(glob.glob(path, recursive=True)):  # noqa: PTH207
            if Path(name).is_file():
                yield ListedFile(name, "glob")


def _files_under(folder: str) -> Iterator[str]:
    for path, folders, names in os.walk(folder, followlinks=True):
        folders[:] = [name for name in folders if not name.startswith(".")]
        yield from (f"{path}/{name}" for name in names if not name.startswith("."))


def _list_store(address: str) -> Iterator[ListedFile]:
    magic = glob.has_magic(address)
    if not magic and _FILE_ENDING.search(address):
        yield ListedFile(address, "name")
        return
    store = filesystem(address)
    if not magic and not call_store(address, lambda: store.isdir(address)):
        yield ListedFile(address, "name")
        return
    search = store.glob if magic else store.find
    found: dict[str, dict[str, Any]] = call_store(address, lambda: search(address, detail=True))
    top = len(store._strip_protocol(address))
    for name in sorted(found):
        inside = name.rsplit("/", 1)[-1] if magic else name[top:]
        if found[name].get("type") == "directory" or re.search(r"(^|/)\.", inside):
            continue
        size = found[name].get("size")
        bytes_ = size if isinstance(size, int) else None
        yield ListedFile(store.unstrip_protocol(name), "glob" if magic else "folder", bytes_)
