"""Names of files and folders that are being written, and removal of those that killed processes left."""

import os
import re
import shutil
import socket
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil

from metaclip.errors import StoreError
from metaclip.io.failures import diagnose

_NAME = re.compile(r"\.(?P<host>.+)-(?P<pid>\d+)-[0-9a-f]{32}\.tmp$")


def temporary_beside(target: Path) -> Path:
    """Return a name in the folder of a file that contains the host and process that write it."""
    # Starts with a dot so that tools that read the folder pass it by.
    return target.parent / f".{socket.gethostname()}-{os.getpid()}-{uuid.uuid4().hex}.tmp"


@contextmanager
def replaced(path: Path) -> Iterator[Path]:
    """Give a temporary name; the file that the block writes there takes the place of `path` if the block ends well."""
    temporary = temporary_beside(path)
    try:
        yield temporary
        temporary.replace(path)
    finally:
        with suppress(OSError):  # of a disk that can only be read, where nothing was written
            temporary.unlink(missing_ok=True)


def write_whole(path: Path, content: bytes) -> None:
    """Write a file that a user named, whole or not at all.

    Raises:
        StoreError: it cannot be written; the message names it.
    """
    try:
        with replaced(path) as temporary:
            temporary.write_bytes(content)
    except OSError as error:
        raise diagnose(str(path), error).as_store_error() from error


def is_temporary(name: str) -> bool:
    """Return whether a file's name is such a temporary name."""
    return _NAME.search(name) is not None


def remove_leftovers(folder: Path) -> None:
    """Remove temporary files and folders of processes of this machine that no longer run."""
    for path in folder.glob(".*.tmp"):
        match = _NAME.search(path.name)
        if match and match["host"] == socket.gethostname() and not psutil.pid_exists(int(match["pid"])):
            if path.is_dir():
                shutil.rmtree(path, ignore_errors=True)
            else:
                path.unlink(missing_ok=True)


def own_folder(purpose: str) -> Path:
    """Return this user's own folder for a purpose, in the system's folder for temporary files (`TMPDIR`).

    Raises:
        StoreError: if it belongs to another user.
    """
    folder = Path(tempfile.gettempdir()) / f"metaclip-{purpose}-{os.getuid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    if folder.stat().st_uid != os.getuid():
        raise StoreError(f"{folder}: belongs to another user; set TMPDIR to a folder of your own")
    return folder


@contextmanager
def temporary_folder(purpose: str) -> Iterator[Path]:
    """Make a folder in `own_folder(purpose)` for this block; those that killed processes left are removed.

    Raises:
        StoreError: as `own_folder`.
    """
    own = own_folder(purpose)
    remove_leftovers(own)
    folder = temporary_beside(own / purpose)
    folder.mkdir()
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
