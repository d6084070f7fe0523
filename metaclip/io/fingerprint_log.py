"""Fingerprints of files, kept from run to run in one file that processes append to.

A line is `<checksum> <JSON>`. It is written by one call to a file opened for appending, so that several
processes can write at once, and begins with a line end, so that a line cut off by a crash spoils no
other. A line that is damaged is ignored: what it held is computed again.
"""

import json
import os
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import xxhash

MAX_BYTES = 256 << 20
"""A log of this size, of about a million files, is started anew."""


class FileState(NamedTuple):
    """What is compared to see whether a file has changed."""

    inode: int
    size: int
    changed_ns: int
    """When its content changed last."""
    touched_ns: int
    """When its content, name or permissions changed last, which no program can set back."""


class FingerprintLog:
    """The fingerprints in one log, read once by a process, and further where another one has appended."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._known: dict[str, tuple[FileState, str]] = {}
        self._inode = 0
        self._read_bytes = 0
        self._lock = threading.Lock()

    def find(self, path: str, state: FileState) -> str | None:
        """Return the fingerprint of a file in this state, or None where it is not in the log.

        Raises:
            OSError: if the log cannot be read.
        """
        known = self._known.get(path)
        if known is None or known[0] != state:
            with self._lock:
                self._read_on()
            known = self._known.get(path)
        return known[1] if known is not None and known[0] == state else None

    def add(self, path: str, state: FileState, fingerprint: str) -> None:
        """Add the fingerprint of a file.

        Raises:
            OSError: if the log cannot be written; this process knows the fingerprint all the same.
        """
        self._known[path] = state, fingerprint
        line = json.dumps([path, *state, fingerprint]).encode()
        log = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            os.write(log, b"\n%s %s\n" % (_checksum(line), line))
            too_large = os.fstat(log).st_size > MAX_BYTES
        finally:
            os.close(log)
        if too_large:
            self._path.unlink(missing_ok=True)

    def _read_on(self) -> None:
        """Read what was appended since the last time."""
        try:
            log = self._path.open("rb")
        except FileNotFoundError:
            return
        with log:
            found = os.fstat(log.fileno())
            if found.st_ino != self._inode or found.st_size < self._read_bytes:
                self._inode, self._read_bytes = found.st_ino, 0
            log.seek(self._read_bytes)
            # The last line may be still in writing.
            lines = log.read().rpartition(b"\n")[0]
        self._read_bytes += len(lines)
        self._known.update(_entries(lines))


def _entries(lines: bytes) -> Iterator[tuple[str, tuple[FileState, str]]]:
    """Yield path, state and fingerprint of each line that is whole."""
    for line in lines.split(b"\n"):
        checksum, _, data = line.partition(b" ")
        if not data or checksum != _checksum(data):
            continue
        try:
            path, *state, fingerprint = json.loads(data)
            yield path, (FileState(*state), fingerprint)
        except (ValueError, TypeError):  # of a version that writes something else
            continue


def _checksum(data: bytes) -> bytes:
    return xxhash.xxh3_64_hexdigest(data).encode()
