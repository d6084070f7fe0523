"""The files of a source of metadata: what its paths name, and what each is known by in keys."""

import glob
import hashlib
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from metaclip.errors import ConfigError, UnreadableFileError
from metaclip.io.streams import identify, scheme

# Wikimedia never rewrites the file of an hour, and a list of some hundred is not looked up each time.
_HOURLY = re.compile(r"/pageviews-\d{8}-\d{6}\.gz$")


@dataclass(frozen=True)
class InputFile:
    """One file: where it is, its size where known, and its version."""

    path: str
    bytes: int | None
    fingerprint: str


def list_inputs(paths: Sequence[str], field: str) -> list[InputFile]:
    """Return the files that some paths name, each once, sorted by path.

    A path is a file, a folder (all files in it), a glob, or an address. A local file is known by size
    and SHA-256, a remote one by its ETag and size, a remote hourly pageview file by its address.

    Raises:
        ConfigError: a path that names nothing; `field` is what its text says to correct.
        TransportError: a server that is out of reach for now.
    """
    found = {name for path in paths for name in _expand(path, field)}
    return [_settle(name, field) for name in sorted(found)]


def _expand(path: str, field: str) -> list[str]:
    if scheme(path) not in ("", "file"):
        return [path]
    # Not Path.resolve: a symbolic link keeps its own name.
    local = os.path.abspath(os.path.expanduser(path.removeprefix("file://")))  # noqa: PTH100, PTH111
    if Path(local).is_dir():
        names = [str(file) for file in Path(local).iterdir() if file.is_file() and not file.name.startswith(".")]
    elif Path(local).exists() or not glob.has_magic(local):
        names = [local]
    else:
        names = [name for name in glob.glob(local, recursive=True) if Path(name).is_file()]  # noqa: PTH207
    if not names:
        raise ConfigError(f"{field}: {path}: no file there; name files, a folder, a glob or addresses")
    return names


def _settle(path: str, field: str) -> InputFile:
    if not scheme(path):
        try:
            stat = Path(path).stat()
            return InputFile(path, stat.st_size, _fingerprint(path, stat.st_size, stat.st_mtime_ns))
        except OSError as error:
            raise ConfigError(
                f"{field}: {path}: cannot be used: {error.strerror}; relative paths start at the folder that the"
                " command runs in"
            ) from error
    if _HOURLY.search(path):
        return InputFile(path, None, path)
    try:
        identity = identify(path)
    except UnreadableFileError as error:
        raise ConfigError(f"{field}: {error}") from error
    return InputFile(path, identity.bytes, f"{identity.bytes}-{identity.tag}")


@lru_cache(maxsize=4096)
def _fingerprint(path: str, size: int, _changed: int) -> str:
    """Hash a version of a file once for a process, though its key is asked for several times."""
    with Path(path).open("rb") as stream:
        return f"{size}-{hashlib.file_digest(stream, 'sha256').hexdigest()}"
