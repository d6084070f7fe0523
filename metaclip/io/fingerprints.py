"""Fingerprints of local files. A file is read once: its fingerprint is kept on this machine from run to run.

A fingerprint is kept together with the file's absolute path, inode, size, and the times (in nanoseconds)
when its content and its state changed. It is valid as long as all of these are the same. As in git's
index, the fingerprint of a file that changed a moment ago is not kept: the file could change again
without a new time.

Fingerprints are in the user's own folder under `TMPDIR`, in one small file for each input file, which is
replaced as a whole. Several processes can use them at once. What is lost or damaged is computed again.
"""

import hashlib
import json
import logging
import os
import re
import stat
import time
from pathlib import Path
from typing import NamedTuple

from metaclip.errors import InputError, StoreError, TransportError, UnreadableFileError
from metaclip.io.temporary import own_folder, temporary_beside

RACY_SECONDS = 2.0
"""A fingerprint is kept if the file changed at least so long before it was read; some file systems
keep times in steps of two seconds."""

logger = logging.getLogger(__name__)


class _State(NamedTuple):
    """What is compared to see whether a file has changed."""

    inode: int
    size: int
    changed_ns: int
    """When its content changed last."""
    touched_ns: int
    """When its content, name or permissions changed last, which no program can set back."""


_remembered: dict[str, tuple[_State, str]] = {}
"""Fingerprints that this process has computed or found, by path."""


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


def _hash(path: str) -> tuple[str, _State]:
    """Return the fingerprint of a file, and its state when the last byte was read."""
    try:
        with Path(path).open("rb") as stream:
            size = os.fstat(stream.fileno()).st_size
            digest = hashlib.file_digest(stream, "sha256").hexdigest()
            return f"{size}-{digest}", _state(os.fstat(stream.fileno()))
    except OSError as error:
        raise local_fault(path, error) from error


def _state(found: os.stat_result) -> _State:
    return _State(found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns)


def _recall(path: str, state: _State) -> str | None:
    """Return the fingerprint of a file in this state if this process or an earlier one computed it."""
    if path in _remembered:
        before, known = _remembered[path]
        if before == state:
            return known
    try:
        record = json.loads(_record(path).read_bytes())
        recorded = record["path"], record["state"]
        known = record["fingerprint"]
    except (OSError, StoreError, ValueError, KeyError, TypeError):
        return None
    if recorded != (path, list(state)) or not isinstance(known, str):
        return None
    if not re.fullmatch(rf"{state.size}-[0-9a-f]{{64}}", known):
        return None
    _remembered[path] = state, known
    return known


def _remember(path: str, state: _State, known: str) -> None:
    """Keep a fingerprint for this process and later ones; if that fails, the file will be read again."""
    _remembered[path] = state, known
    try:
        target = _record(path)
        temporary = temporary_beside(target)
        try:
            temporary.write_text(json.dumps({"path": path, "state": state, "fingerprint": known}))
            temporary.replace(target)
        finally:
            temporary.unlink(missing_ok=True)
    except (OSError, StoreError) as error:
        logger.debug("%s: its fingerprint cannot be remembered: %s", path, error)


def _record(path: str) -> Path:
    """Return the file in which the fingerprint of a file is kept."""
    name = hashlib.sha256(os.fsencode(path)).hexdigest()[:32]
    return own_folder("fingerprints") / f"{name}.json"
