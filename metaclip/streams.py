"""One way to open what a path names: a local file, an http(s) address, or any fsspec address.

Faults come in two kinds. What may work later (time-outs, resets, 429, 5xx) is a `TransportError`,
raised after a few attempts; what will not (missing, forbidden) is an `UnreadableFileError`.
"""

import io
import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, TypeVar, cast

import aiohttp
import botocore.exceptions  # type: ignore[import-untyped]

from metaclip.download import Backoff, head, open_url
from metaclip.errors import InputError, TransportError, UnreadableFileError
from metaclip.object_store import connect

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

_T = TypeVar("_T")

_STORE_FAULTS = (OSError, aiohttp.ClientError, botocore.exceptions.BotoCoreError)


@dataclass(frozen=True)
class Identity:
    """What tells one version of a remote object from another."""

    tag: str
    bytes: int | None


def scheme(path: str) -> str:
    """Return the scheme of an address in lower case (`https`, `s3`), or "" for a local path."""
    found = re.match(r"([A-Za-z][A-Za-z0-9+.-]+)://", path)
    return found[1].lower() if found else ""


def open_stream(path: str, offset: int = 0, backoff: Backoff | None = None) -> BinaryIO:
    """Open a file for sequential reading from a byte offset.

    http(s) is streamed and goes on by a Range request where the connection drops.

    Raises:
        UnreadableFileError: missing or forbidden, for good (on opening, or later for http).
        TransportError: out of reach for now (on opening or reading).
        InputError: the address needs a library or credentials that are not there.
    """
    kind = scheme(path)
    if kind in ("http", "https"):
        return open_url(path, offset, backoff)
    if kind in ("", "file"):
        return _open_local(path.removeprefix("file://") if kind else path, offset)
    return _open_store(path, offset)


def _open_local(path: str, offset: int) -> BinaryIO:
    try:
        stream = Path(path).open("rb")  # noqa: SIM115
        stream.seek(offset)
    except FileNotFoundError as error:
        raise UnreadableFileError(path, "not_found", "there is no such file") from error
    except PermissionError as error:
        raise UnreadableFileError(path, "forbidden", "its permissions do not allow reading it") from error
    except IsADirectoryError as error:
        raise UnreadableFileError(path, "not_a_file", "is a folder, not a file") from error
    except OSError as error:
        raise TransportError(f"{path}: cannot be opened: {error}") from error
    return stream


def _open_store(path: str, offset: int) -> BinaryIO:
    raw = call_store(path, lambda: filesystem(path).open(path, "rb", cache_type="readahead"))
    stream = _StoreStream(path, raw)
    if offset:
        stream.seek(offset)
    return io.BufferedReader(stream, buffer_size=256 << 10)


def filesystem(path: str) -> Any:
    """Return the fsspec file system of an address.

    Raises:
        InputError: no library for it is installed.
    """
    try:
        return connect(path)[0]
    except ImportError as error:
        raise InputError(f"{path}: {error}; install that library to read {scheme(path)}:// addresses") from error
    except ValueError as error:
        raise InputError(f"{path}: {error}; use a local path, http(s)://, s3:// or another fsspec scheme") from error


def call_store(path: str, call: Callable[[], _T]) -> _T:
    """Call into an object store, with its many kinds of failure turned into this project's."""
    try:
        return call()
    except FileNotFoundError as error:
        raise UnreadableFileError(path, "not_found", "the store has no such object") from error
    except PermissionError as error:
        raise UnreadableFileError(path, "forbidden", f"the store refuses access: {error}") from error
    except (botocore.exceptions.NoCredentialsError, botocore.exceptions.PartialCredentialsError) as error:
        raise InputError(
            f"{path}: {error}; set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY,"
            " or FSSPEC_S3_ANON=true for a bucket that is open to all"
        ) from error
    except _STORE_FAULTS as error:
        raise TransportError(f"{path}: {type(error).__name__}: {error}") from error


class _StoreStream(io.RawIOBase):
    """A raw view of an fsspec file whose reads fail with this project's errors."""

    def __init__(self, path: str, file: Any) -> None:
        super().__init__()
        self._path = path
        self._file = file

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        return cast(int, call_store(self._path, lambda: self._file.seek(offset, whence)))

    def tell(self) -> int:
        return cast(int, self._file.tell())

    def readinto(self, buffer: "WriteableBuffer") -> int:
        view = memoryview(buffer)
        data = call_store(self._path, lambda: self._file.read(len(view)))
        view[: len(data)] = data
        return len(data)

    def close(self) -> None:
        if not self.closed:
            self._file.close()
        super().close()


def identify(path: str, backoff: Backoff | None = None) -> Identity:
    """Return what tells this version of a remote object from others: its ETag, else its date and size.

    Raises:
        InputError: the server gives neither.
        TransportError, UnreadableFileError: as `open_stream`.
    """
    if scheme(path) in ("http", "https"):
        headers = head(path, backoff)
        length = headers.get("Content-Length") or ""
        tag, date, size = headers.get("ETag"), headers.get("Last-Modified"), int(length) if length.isdigit() else None
    else:
        info: dict[str, Any] = call_store(path, lambda: filesystem(path).info(path))
        lower = {name.lower().replace("_", ""): value for name, value in info.items()}
        tag = next((lower[name] for name in ("etag", "md5hash", "contentmd5") if lower.get(name)), None)
        date = next((lower[name] for name in ("lastmodified", "updated", "mtime", "created") if lower.get(name)), None)
        size = info.get("size")
    if tag:
        return Identity(str(tag).strip('"'), size)
    if date and size is not None:
        return Identity(str(date), size)
    raise InputError(
        f"{path}: its server states neither an ETag nor a date with a size, so a changed file could not be"
        " told from the old one; copy the file to a local folder or an object store and name that"
    )
