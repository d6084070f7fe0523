"""One way to open a file: a local one, one at an http(s) address, or at any fsspec address.

There are two kinds of failures. One that may pass (time-outs, resets, 429, 5xx) is raised as a
`TransportError` after several attempts; a final one (missing, forbidden) as an `UnreadableFileError`.
"""

import io
import logging
import re
import urllib.parse
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, BinaryIO, TypeVar

from metaclip.errors import ChangedFileError, InputError, TransportError, UnreadableFileError
from metaclip.io.addresses.credentials import reveal
from metaclip.io.client import Client
from metaclip.io.failures import diagnose, faults
from metaclip.io.fingerprints import local_fault
from metaclip.io.http import head, open_url
from metaclip.io.object_store import connect, is_s3
from metaclip.io.resume import Answer, Fault, ResumingStream
from metaclip.io.s3_stream import S3Stream
from metaclip.processes.meter import METER

logger = logging.getLogger(__name__)

_T = TypeVar("_T")


@dataclass(frozen=True)
class Identity:
    """What identifies a version of a remote object."""

    tag: str
    bytes: int | None


def scheme(path: str) -> str:
    """Return the scheme of an address in lower case (`https`, `s3`), or "" for a local path."""
    found = re.match(r"([A-Za-z][A-Za-z0-9+.-]+)://", path)
    return found[1].lower() if found else ""


def file_path(address: str) -> str:
    """Return the path that a `file://` address means (RFC 8089): percent-encoded, of this machine."""
    path = address[len("file://") :]
    return urllib.parse.unquote(path.removeprefix("localhost") if path.startswith("localhost/") else path)


def open_stream(path: str, offset: int = 0, client: Client | None = None) -> BinaryIO:
    """Open a file for sequential reading from a byte offset.

    A remote file is streamed with the given client, by default that of this process. Where the
    connection breaks, reading resumes at the byte reached.

    Raises:
        UnreadableFileError: the file is missing or forbidden (on opening; for http also on reading).
        TransportError: the file is out of reach for now (on opening or reading).
        InputError: a library or credentials are missing, or the address is wrong.
    """
    kind = scheme(path)
    if kind in ("http", "https"):
        return open_url(path, offset, client)
    if kind in ("", "file"):
        return _open_local(file_path(path) if kind else path, offset)
    return _open_store(path, offset, client)


def _open_local(path: str, offset: int) -> BinaryIO:
    try:
        stream = _CountedFile(path)
        stream.seek(offset)
    except OSError as error:
        raise local_fault(path, error) from error
    return io.BufferedReader(stream)


class _CountedFile(io.FileIO):
    """A local file whose bytes are counted as they are read."""

    def readinto(self, buffer: Any) -> int:
        size = super().readinto(buffer)
        METER.count(bytes_read=size)
        return size

    def readall(self) -> bytes:
        data = super().readall()
        METER.count(bytes_read=len(data))
        return data


def _open_store(path: str, offset: int, client: Client | None) -> BinaryIO:
    stream = (S3Stream if is_s3(path) else _StoreStream)(path, offset, client)
    stream.start()
    return io.BufferedReader(stream, buffer_size=1 << 20)


def filesystem(path: str) -> Any:
    """Return the fsspec file system of an address.

    Raises:
        InputError: no library for it is installed, or its scheme is unknown.
    """
    try:
        return connect(path)[0]
    except ImportError as error:
        raise InputError(f"{path}: {error}; install that library to read {scheme(path)}:// addresses") from error
    except ValueError as error:
        raise InputError(f"{path}: {error}; use a local path, http(s)://, s3:// or another fsspec scheme") from error


def call_store(path: str, call: Callable[[], _T]) -> _T:
    """Call a function that reads from an object store, and turn its failures into this project's errors.

    Raises:
        UnreadableFileError: the object is missing or forbidden.
        InputError: the address is wrong, or credentials are missing.
        TransportError: a failure that may pass.
    """
    try:
        return call()
    except faults(ValueError) as error:
        raise diagnose(path, error).as_input_error() from error


class _StoreStream(ResumingStream):
    """The bytes of an object of another store that fsspec knows."""

    def ask(self, start: int, version: str | None) -> Answer | None:
        def opened() -> tuple[Any, Identity | None]:
            store = filesystem(self.address)
            real = reveal(self.address)
            file = store.open(real, "rb", cache_type="readahead")
            file.seek(start)
            return file, _identity(store.info(real))

        try:
            file, identity = call_store(self.address, opened)
        except TransportError as error:
            raise Fault(str(error)) from error

        def read(count: int) -> bytes:
            try:
                return bytes(call_store(self.address, lambda: file.read(count)))
            except TransportError as error:
                raise Fault(str(error)) from error

        size = identity.bytes if identity is not None else None
        return Answer(read, file.close, start, size, identity.tag if identity is not None else None)


def read_whole(path: str, client: Client | None = None) -> bytes:
    """Return the content of a small file, such as a list of paths; read it again if it changes meanwhile.

    Raises:
        UnreadableFileError, TransportError, InputError: as `open_stream`.
    """
    for _ in range(2):
        try:
            with open_stream(path, 0, client) as stream:
                return stream.read()
        except ChangedFileError as error:
            logger.info("%s", error)
    with open_stream(path, 0, client) as stream:
        return stream.read()


def identify(path: str, client: Client | None = None) -> Identity:
    """Return what identifies this version of a remote object: its ETag, else its date and size.

    Raises:
        InputError: the server states neither.
        TransportError, UnreadableFileError: as `open_stream`; a folder is not a file.
    """
    found = None
    if scheme(path) in ("http", "https"):
        headers = head(path, client)
        length = headers.get("Content-Length") or ""
        size = int(length) if length.isdigit() else None
        tag, date = headers.get("ETag"), headers.get("Last-Modified")
        if tag or (date and size is not None):
            found = Identity(str(tag or date).strip('"'), size)
    else:
        told = call_store(path, lambda: filesystem(path).info(reveal(path)))
        if told.get("type") == "directory":
            raise UnreadableFileError(path, "not_a_file", "is a folder, not a file (a folder's name ends in /)")
        found = _identity(told)
    if found is None:
        raise InputError(
            f"{path}: its server states neither an ETag nor a date with a size, so a changed file could not be"
            " told from the old one; copy the file to a local folder or an object store and name that"
        )
    return found


def _identity(info: dict[str, Any]) -> Identity | None:
    """Return the ETag, else date and size, from what a store states about an object."""
    lower = {name.lower().replace("_", ""): value for name, value in info.items()}
    tag = next((lower[name] for name in ("etag", "md5hash", "contentmd5") if lower.get(name)), None)
    date = next((lower[name] for name in ("lastmodified", "updated", "mtime", "created") if lower.get(name)), None)
    size = info.get("size")
    if tag:
        return Identity(str(tag).strip('"'), size)
    return Identity(str(date), size) if date and size is not None else None
