"""WACZ files: zip files of a crawl (https://specs.webrecorder.net/wacz/1.1.1/), whose archives are read one by one."""

import io
import shutil
import tempfile
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

from metaclip.errors import UnreadableFileError
from metaclip.io import streams
from metaclip.io.streams import scheme

_MEMBER = ".wacz!/"
"""What stands between the path of a WACZ file on this machine and the name of an archive in it."""
_ARCHIVES = (".warc", ".warc.gz", ".warc.zst", ".warc.bz2", ".warc.xz", ".arc", ".arc.gz")


def is_wacz(path: str) -> bool:
    """Return whether a file is a WACZ by its name."""
    return (path.split("?")[0] if scheme(path) in ("http", "https") else path).lower().endswith(".wacz")


@contextmanager
def archives_of(path: str) -> Iterator[list[str]]:
    """Give the paths of the archives in a WACZ file, each once, for `open_stream`; one from a server is fetched.

    Raises:
        UnreadableFileError: it is not a zip file, or holds no archive.
        TransportError: it cannot be reached now.
    """
    with tempfile.TemporaryDirectory(prefix="metaclip-") as folder:
        local = Path(folder) / "fetched.wacz"
        if scheme(path) in ("", "file"):
            with streams.open_stream(path) as stream:
                local.symlink_to(Path(str(stream.name)).absolute())
        else:
            with streams.open_stream(path) as stream, local.open("wb") as file:
                shutil.copyfileobj(stream, file, 1 << 20)
        if not local.stat().st_size:
            raise UnreadableFileError(path, "empty_file", "holds no bytes")
        try:
            with zipfile.ZipFile(local) as opened:
                members = {member.header_offset: member for member in opened.infolist()}.values()
        except (zipfile.BadZipFile, NotImplementedError, ValueError, OSError) as error:
            raise UnreadableFileError(path, "bad_zip", f"not a whole zip file: {error}; fetch it again") from error
        names = list(dict.fromkeys(one.filename for one in members if one.filename.lower().endswith(_ARCHIVES)))
        if any(one.flag_bits & 1 for one in members if one.filename in names):
            raise UnreadableFileError(path, "encrypted", "its archives are encrypted")
        if not names:
            raise UnreadableFileError(path, "no_archives", "a zip file without WARC files in it (archive/*.warc.gz)")
        yield [f"{local}!/{name}" for name in names]


def open_stream(path: str, offset: int = 0) -> BinaryIO:
    """Open an archive for sequential reading from a byte offset: a file, or a member of a WACZ file.

    Raises:
        UnreadableFileError, TransportError, InputError: as `metaclip.io.streams.open_stream`.
    """
    if _MEMBER not in path or scheme(path) or Path(path).exists():
        return streams.open_stream(path, offset)
    file, _, name = path.partition("!/")
    stream = io.BufferedReader(_Member(file, name), 256 << 10)
    while offset and (skipped := len(stream.read(min(offset, 1 << 20)))):
        offset -= skipped
    return stream


class _Member(io.RawIOBase):
    """The bytes of a member of a zip file; where they are damaged they end, since an archive has checks of its own."""

    def __init__(self, path: str, name: str) -> None:
        super().__init__()
        self._file = zipfile.ZipFile(path)
        self._member: Any = self._file.open(name)

    def readable(self) -> bool:
        """Return True."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Fill a buffer; 0 at the end."""
        try:
            data = self._member.read1(len(buffer))
        except (zipfile.BadZipFile, zlib.error, EOFError):
            return 0
        buffer[: len(data)] = data
        return len(data)

    def close(self) -> None:
        """Close the file."""
        self._member.close()
        self._file.close()
        super().close()
