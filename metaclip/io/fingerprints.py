"""Fingerprints of local files. A file is read once: its fingerprint is kept on this machine from run to run.

A fingerprint is kept together with the file's absolute path, inode, size, and the times (in nanoseconds)
when its content and its state changed. It is valid as long as all of these are the same. As in git's
index, the fingerprint of a file that changed a moment ago is not kept: the file could change again
without a new time.

Fingerprints are kept in a log in the user's own folder under `TMPDIR`, see `metaclip.io.fingerprint_log`.
What is lost or damaged is computed again.
"""

import hashlib
import logging
import os
import stat
import tempfile
import time
from functools import lru_cache
from pathlib import Path

from metaclip.errors import InputError, StoreError, TransportError, UnreadableFileError
from metaclip.io.fingerprint_log import FileState, FingerprintLog
from metaclip.io.temporary import own_folder

RACY_SECONDS = 2.0
"""A fingerprint is kept if the file changed at least so long before it was read; some file systems
keep times in steps of two seconds."""

logger = logging.getLogger(__name__)


def local_fingerprint(path: str) -> str:
    """Return `<size>-<sha256>` of a local file; read it only if it may have changed since it was last read.

    Raises:
        UnreadableFileError: the file is missing, forbidden, or not a file.
        TransportError: the file system does not answer.
    """
    path = os.path.abspath(path)  # noqa: PTH100 (not Path.resolve: a link may come to name another file)
    state = _state(local_state(path))
    known = _recall(path, state)
    if known is None:
        started = time.time_ns()
        known, read = _hash(path)
        if read == state and started - state.changed_ns >= RACY_SECONDS * 1e9:
            _remember(path, state, known)
    return known


def local_state(path: str) -> os.stat_result:
    """Return the state of a local file.

    Raises:
        UnreadableFileError: the file is missing, forbidden, or not a file.
        TransportError: the file system does not answer.
    """
    try:
        state = Path(path).stat()
    except OSError as error:
        raise local_fault(path, error) from error
    if stat.S_ISDIR(state.st_mode):
        raise UnreadableFileError(path, "not_a_file", "is a folder, not a file")
    if not stat.S_ISREG(state.st_mode):
        raise UnreadableFileError(path, "not_a_file", "is a device or a pipe, not a file")
    return state


def local_fault(path: str, error: OSError) -> InputError:
    """Return the error for a local file that cannot be opened."""
    if isinstance(error, FileNotFoundError | NotADirectoryError):
        return UnreadableFileError(path, "not_found", "there is no such file")
    if isinstance(error, PermissionError):
        return UnreadableFileError(path, "forbidden", "its permissions do not allow reading it")
    if isinstance(error, IsADirectoryError):
        return UnreadableFileError(path, "not_a_file", "is a folder, not a file")
    return TransportError(f"{path}: cannot be opened: {error}")


def _hash(path: str) -> tuple[str, FileState]:
    """Return the fingerprint of a file, and its state when the last byte was read."""
    try:
        with Path(path).open("rb") as stream:
            size = os.fstat(stream.fileno()).st_size
            digest = hashlib.file_digest(stream, "sha256").hexdigest()
            return f"{size}-{digest}", _state(os.fstat(stream.fileno()))
    except OSError as error:
        raise local_fault(path, error) from error


def _state(found: os.stat_result) -> FileState:
    return FileState(found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns)


def _recall(path: str, state: FileState) -> str | None:
    """Return the fingerprint of a file in this state if this process or an earlier one computed it."""
    try:
        return _log(tempfile.gettempdir()).find(path, state)
    except (OSError, StoreError) as error:
        logger.debug("fingerprints that were kept cannot be read: %s", error)
        return None


def _remember(path: str, state: FileState, fingerprint: str) -> None:
    """Keep a fingerprint for this process and later ones; if that fails, the file will be read again."""
    try:
        _log(tempfile.gettempdir()).add(path, state, fingerprint)
    except (OSError, StoreError) as error:
        logger.debug("%s: its fingerprint cannot be kept: %s", path, error)


@lru_cache(maxsize=8)
def _log(_temporary: str) -> FingerprintLog:
    """Return the log in this user's own folder, of which `TMPDIR` says where it is."""
    return FingerprintLog(own_folder("fingerprints") / "log")
