"""Tar archives from anywhere, read forward: what a header claims is believed within limits."""

import tarfile
from typing import Any, BinaryIO, cast

_MOST_NOTE_BYTES = 1 << 20
"""Bytes of the longest name or list of attributes that stands before a member."""
_MOST_BYTES = 1 << 50
_READS_AT_END = 4


class BadHeaderError(tarfile.HeaderError):
    """A header that claims what no sound archive has."""


class Member(tarfile.TarInfo):
    """A member whose header is believed within limits: tarfile reads names and attributes as a whole."""

    def _proc_member(self, archive: tarfile.TarFile) -> tarfile.TarInfo:
        notes = (tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK, tarfile.XHDTYPE, tarfile.XGLTYPE)
        self._check(_MOST_NOTE_BYTES if self.type in (*notes, tarfile.SOLARIS_XHDTYPE) else _MOST_BYTES)
        return super()._proc_member(archive)  # type: ignore[misc,no-any-return]

    def _apply_pax_info(self, *arguments: Any) -> None:
        super()._apply_pax_info(*arguments)  # type: ignore[misc]
        self._check(_MOST_BYTES)  # the attributes may have a size of their own

    def _check(self, most: int) -> None:
        if not 0 <= self.size <= most:
            raise BadHeaderError(f"a header that claims {self.size} bytes")


class End:
    """The end of an archive: tarfile would go on to the one that a header claims, even if it is 2^62 bytes away."""

    def __init__(self) -> None:
        self._reads = 0

    def check(self, data: bytes) -> None:
        """Take what a read gave.

        Raises:
            tarfile.ReadError: it was asked on and on beyond the end.
        """
        self._reads += not data
        if self._reads > _READS_AT_END:
            raise tarfile.ReadError("the archive ends before its end")


class _Forward:
    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self._end = End()

    def read(self, size: int) -> bytes:
        data = self._stream.read(size)
        self._end.check(data)
        return data


def open_tar(stream: BinaryIO) -> tarfile.TarFile:
    """Open a plain tar to be read forward, member by member.

    Raises:
        tarfile.TarError: it is none; so do its reads where it is damaged.
    """
    return tarfile.open(fileobj=cast(BinaryIO, _Forward(stream)), mode="r|", tarinfo=Member)
