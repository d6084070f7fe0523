"""The decompressed content of a file, in pieces: gzip, bzip2 or plain, recognised by the first bytes."""

import bz2
import zlib
from collections.abc import Callable, Iterator
from typing import Any

from isal import isal_zlib

from metaclip.errors import InputError
from metaclip.io.streams import open_stream

CHUNK_BYTES = 1 << 20

_DAMAGE: tuple[type[Exception], ...] = (isal_zlib.error, zlib.error, OSError, ValueError)  # type: ignore[assignment]


def read_chunks(path: str) -> Iterator[bytes]:
    """Yield the content of a file, a few MB at a time.

    Raises:
        InputError: compressed data that is damaged or truncated.
        TransportError, UnreadableFileError: as `open_stream`.
    """
    with open_stream(path) as stream:
        chunk = stream.read(CHUNK_BYTES)
        unpack = _unpacker(chunk)
        if unpack is None:
            while chunk:
                yield chunk
                chunk = stream.read(CHUNK_BYTES)
            return
        decompressor = unpack()
        read = 0
        try:
            while chunk:
                read += len(chunk)
                while chunk:
                    if decompressor.eof:
                        if not chunk.strip(b"\0"):
                            break  # padding after the last member
                        decompressor = unpack()
                    data = decompressor.decompress(chunk)
                    if data:
                        yield data
                    chunk = decompressor.unused_data if decompressor.eof else b""
                chunk = stream.read(CHUNK_BYTES)
        except _DAMAGE as error:
            raise InputError(
                f"{path}: damaged within the {read:,} bytes read so far ({error}); fetch the file again"
            ) from error
        if not decompressor.eof:
            raise InputError(f"{path}: ends at byte {read:,} in the middle of its data; fetch the file again")


def _unpacker(head: bytes) -> Callable[[], Any] | None:
    if head[:2] == b"\x1f\x8b":
        return lambda: isal_zlib.decompressobj(wbits=31)
    if head[:3] == b"BZh":
        return bz2.BZ2Decompressor
    return None


def read_lines(path: str) -> Iterator[bytes]:
    """Yield the content of a file in pieces of whole lines; the last line may lack its line end.

    Raises:
        InputError, TransportError, UnreadableFileError: as `read_chunks`.
    """
    rest = b""
    for chunk in read_chunks(path):
        cut = chunk.rfind(b"\n") + 1
        if cut:
            yield rest + chunk[:cut]
            rest = chunk[cut:]
        else:
            rest += chunk
    if rest:
        yield rest
