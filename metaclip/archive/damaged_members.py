"""Decompression of damaged archives: gzip members and zstd frames, with a way on after a break; bz2 and xz streams.

A member that is corrupt or cut short ends there; reading goes on at the next place from which a
WARC or ARC record can be decompressed. A bz2 or xz stream, which holds the whole file as a rule, ends there for good.
Memory stays bounded, whatever the file expands to.
"""

import bz2
import lzma
import re
import zlib
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass
from typing import Any, Protocol

import zstandard

GZIP_MAGIC = b"\x1f\x8b\x08"
ZSTD_MAGIC = b"\x28\xb5\x2f\xfd"
XZ_MAGIC = b"\xfd7zXZ\0"

_READ = 64 << 10
_REWIND = 4 << 20  # how far back a damaged member is searched for the start of the next
_PROBE = 4096
_PIECE = 1 << 20  # bytes of a bz2 or xz stream that are decompressed at once
_XZ_MEMORY = 256 << 20  # its largest usual dictionary takes 64 MB
_BZ2 = re.compile(rb"BZh[1-9](1AY&SY|\x17rE8P\x90)")
_RECORD = re.compile(rb"WARC/\d|filedesc://|(https?|dns|ftp)://?\S+ \S+ \d{8,14} ")
# zstd's own mark of a dictionary for all frames of a .warc.zst (IIPC's specification, section 2)
_DICTIONARY = b"\x5d\x2a\x4d\x18"


class Readable(Protocol):
    """What is read from: sequential bytes."""

    def read(self, size: int, /) -> bytes:
        """Return up to so many bytes, none at the end."""


@dataclass(frozen=True)
class Start:
    """A member (or the whole plain file) starts at this byte of the file."""

    offset: int
    plain: bool = False


@dataclass(frozen=True)
class Break:
    """Bytes are lost here, up to the next start, or to the end of the file if it is the tail."""

    reason: str
    tail: bool


Event = Start | bytes | Break


def read_members(stream: Readable, offset: int) -> Iterator[Event]:
    """Decompress what lies at an offset of a file: starts of members, their bytes in pieces, breaks.

    gzip, zstd, bz2, xz and plain bytes are told apart by the first bytes; nothing is raised for damage.
    A piece holds at most some 16 MB.
    """
    source = _Source(stream, offset)
    head = source.ahead(4)
    if head.startswith(GZIP_MAGIC[:2]):
        yield from _decompress(source, _gzip())
    elif head == ZSTD_MAGIC or is_skippable(head):
        yield from _decompress(source, _zstd(_dictionary(source)))
    elif _BZ2.match(source.ahead(10)):
        yield from _streams(source, bz2.BZ2Decompressor, "corrupt_bzip")
    elif source.ahead(6) == XZ_MAGIC:
        yield from _streams(source, lambda: lzma.LZMADecompressor(lzma.FORMAT_XZ, _XZ_MEMORY), "corrupt_xz")
    else:
        yield Start(offset, plain=True)
        while source.buffer or source.fill():
            piece = bytes(source.buffer)
            source.drop(len(piece))
            yield piece


class _Source:
    """Bytes of the file from `offset` on, as far as they are still needed."""

    def __init__(self, stream: Readable, offset: int) -> None:
        self.offset = offset
        self.buffer = bytearray()
        self._stream = stream
        self._ended = False

    def fill(self) -> bool:
        piece = b"" if self._ended else self._stream.read(_READ)
        self._ended = not piece
        self.buffer += piece
        return bool(piece)

    def ahead(self, size: int, start: int = 0) -> bytes:
        """Return so many of the next bytes, fewer at the end of the file, without taking them."""
        while len(self.buffer) < start + size and self.fill():
            pass
        return bytes(self.buffer[start : start + size])

    def drop(self, size: int) -> None:
        del self.buffer[:size]
        self.offset += size

    def put_back(self, data: bytes) -> None:
        self.buffer[:0] = data
        self.offset -= len(data)


class _Decoder(Protocol):
    @property
    def eof(self) -> bool: ...

    @property
    def unused_data(self) -> bytes: ...

    def decompress(self, data: bytes, /) -> bytes: ...


@dataclass(frozen=True)
class _Codec:
    magic: bytes
    corrupt: str
    error: type[Exception]
    new: Callable[[], _Decoder]
    step: int  # input bytes at once: bounds what one call can expand to
    copy: Callable[[Any], _Decoder] | None = None


def _gzip() -> _Codec:
    # deflate expands 1,032-fold at most
    return _Codec(
        GZIP_MAGIC, "corrupt_gzip", zlib.error, lambda: zlib.decompressobj(wbits=31), 8192, lambda d: d.copy()
    )


def _zstd(dictionary: bytes) -> _Codec:
    known = zstandard.ZstdCompressionDict(dictionary) if dictionary else None
    decompressor = zstandard.ZstdDecompressor(dict_data=known)
    # a block of 4 bytes can expand to 128 KB
    return _Codec(ZSTD_MAGIC, "corrupt_zstd", zstandard.ZstdError, decompressor.decompressobj, 512)


def is_skippable(head: bytes) -> bool:
    """Tell by 4 bytes whether a zstd frame holds no data (RFC 8878, 3.1.2)."""
    return len(head) == 4 and head[0] & 0xF0 == 0x50 and head[1:] == _DICTIONARY[1:]


def _dictionary(source: _Source) -> bytes:
    """Take the dictionary that opens a .warc.zst, itself compressed or not; "" if there is none."""
    if source.ahead(4) != _DICTIONARY:
        return b""
    size = int.from_bytes(source.ahead(4, 4), "little")
    content = source.ahead(min(size, 1 << 24), 8)
    source.drop(8 + len(content))
    if not content.startswith(ZSTD_MAGIC):
        return content
    try:
        return zstandard.ZstdDecompressor().decompressobj().decompress(content)
    except zstandard.ZstdError:
        return b""  # the frames that need it will be counted as corrupt


def _decompress(source: _Source, codec: _Codec) -> Iterator[Event]:
    while True:
        head = source.ahead(8)
        if not head:
            return
        if head[0] == 0:
            source.drop(len(head) - len(head.lstrip(b"\0")))  # padding, as tapes and block devices leave it
            continue
        if codec.magic == ZSTD_MAGIC and is_skippable(head[:4]):
            _skip(source, 8 + int.from_bytes(head[4:], "little"))
            continue
        problem = "garbage"
        if head.startswith(codec.magic):
            yield Start(source.offset)
            problem = yield from _member(source, codec)
        if problem:
            yield Break(problem, tail=not _resume(source, codec))


def _streams(
    source: _Source, new: Callable[[], bz2.BZ2Decompressor | lzma.LZMADecompressor], corrupt: str
) -> Iterator[Event]:
    """Decompress bz2 or xz streams, one behind the other, in pieces of bounded size."""
    while source.ahead(1):
        if source.buffer[0] == 0:
            source.drop(len(source.buffer) - len(source.buffer.lstrip(b"\0")))  # padding
            continue
        yield Start(source.offset)
        decoder = new()
        while not decoder.eof:
            data = b""
            if decoder.needs_input:
                data = source.ahead(1) and bytes(source.buffer)
                source.drop(len(data))
                if not data:
                    yield Break("truncated", tail=True)
                    return
            try:
                plain = decoder.decompress(data, _PIECE)
            except (OSError, lzma.LZMAError):
                yield Break(corrupt, tail=True)
                return
            if plain:
                yield plain
        source.put_back(decoder.unused_data)


def _skip(source: _Source, size: int) -> None:
    while size and (source.buffer or source.fill()):
        step = min(size, len(source.buffer))
        source.drop(step)
        size -= step


def _member(source: _Source, codec: _Codec) -> Generator[bytes, None, str]:
    """Decompress one member and take it off the source; return the reason if it breaks."""
    decoder = codec.new()
    used = 0
    while not decoder.eof:
        piece = source.ahead(codec.step, used)
        if not piece:
            return "truncated"
        used += len(piece)
        before = codec.copy(decoder) if codec.copy else None
        try:
            plain = decoder.decompress(piece)
        except codec.error:
            if before:
                yield _until_error(before, piece, codec)
            return codec.corrupt
        if plain:
            yield plain
        if used > 2 * _REWIND:
            source.drop(used - _REWIND)
            used = _REWIND
    source.drop(used - len(decoder.unused_data))
    return ""


def _until_error(decoder: _Decoder, piece: bytes, codec: _Codec) -> bytes:
    """Decompress what of a piece comes before the byte at which it is found corrupt, within 64."""
    plain = b""
    for start in range(0, len(piece), 64):
        try:
            plain += decoder.decompress(piece[start : start + 64])
        except codec.error:
            break
    return plain


def _resume(source: _Source, codec: _Codec) -> bool:
    """Move to the next member that starts with a record, even inside what the broken one took."""
    source.drop(1)
    while source.ahead(len(codec.magic)):
        found = source.buffer.find(codec.magic)
        if found < 0:
            source.drop(max(1, len(source.buffer) - len(codec.magic) + 1))
            continue
        source.drop(found)
        try:
            plain = codec.new().decompress(source.ahead(_PROBE if codec.step > _PROBE else codec.step))
        except codec.error:
            plain = b""
        if _RECORD.match(plain):
            return True
        source.drop(1)
    return False
