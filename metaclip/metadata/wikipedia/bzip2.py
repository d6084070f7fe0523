"""Blocks of a bzip2 file from any byte on, so that any number of processes can share one file.

Blocks are independent. Each begins at any bit, with 48 bits that almost never occur elsewhere. One that
`metaclip.metadata.wikipedia.bzip2_kernel` leaves to the library gets a header and a trailer of its own.
Multistream files (Wikipedia's) and single streams are read in the same way.
Format: https://en.wikipedia.org/wiki/Bzip2#File_format.
"""

import bz2
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from metaclip.errors import InputError
from metaclip.io.streams import open_stream
from metaclip.kernels.jit import frozen, kernel, plain
from metaclip.kernels.types import Bytes, Int, Truth
from metaclip.metadata.wikipedia.bzip2_kernel import Unpacker

BLOCK = 0x314159265359
END = 0x177245385090
CHUNK_BYTES = 4 << 20

_END_BITS = 48 + 32  # the magic of the end, and the checksum of the stream
_PIECES = 3  # tried together: by chance a magic may occur in the data of a block


def _marks() -> npt.NDArray[np.uint16]:
    """Return, for each byte as the third, fourth or fifth last that a magic reaches, at which bits it may end."""
    marks = np.zeros((3, 256), np.uint16)
    for down in range(8):
        for number, magic in enumerate((BLOCK, END)):
            for before in range(3):
                marks[before, magic << down >> 8 * (before + 2) & 0xFF] |= 1 << 2 * down + number
    return marks


_MARKS = _marks()


@dataclass(frozen=True)
class _Piece:
    """The bits from a magic to the next one."""

    at: int
    """The bit of the file where it begins."""
    data: bytes
    bits: int
    is_block: bool


@dataclass(frozen=True)
class Block:
    """The content of one block, and whether it begins in the requested range."""

    data: bytes
    within: bool


def read_blocks(path: str, start: int = 0, end: int | None = None) -> Iterator[Block]:
    """Yield the blocks that begin in the bytes from `start` to `end`, and then those that follow.

    The caller stops when a later block has completed its last page. Each byte of the file is in the
    range of exactly one reader, however the file is divided.

    Raises:
        InputError: the file is not a bzip2 file, is damaged (the message names the byte), or ends too early.
        TransportError, UnreadableFileError: as `open_stream`.
    """
    with open_stream(path, start) as stream:
        pieces: list[_Piece] = []
        unpacker = None if plain() else Unpacker()
        for piece in _magics(path, stream, start):
            if not piece.is_block and not pieces:
                if not _ends_stream(piece):
                    raise InputError(_damaged(path, piece.at // 8))
                continue
            pieces.append(piece)
            data = unpacker.unpack(piece.data, piece.at % 8, piece.bits) if unpacker and len(pieces) == 1 else None
            if data is None:
                data = _unpack(pieces)
            if data is not None:
                yield Block(data, end is None or pieces[0].at < end * 8)
                pieces.clear()
            elif len(pieces) == _PIECES:
                break
        if pieces:
            raise InputError(_damaged(path, pieces[0].at // 8))


def _damaged(path: str, byte: int) -> str:
    return f"{path}: the bzip2 block at byte {byte:,} is damaged (its checksum differs); fetch the file again"


def _magics(path: str, stream: Any, start: int) -> Iterator[_Piece]:
    """Yield what each magic begins."""
    held = b""
    base = start  # the byte of the file that `held` begins with
    checked = 0  # bytes of `held` that were searched
    begun: tuple[int, bool] | None = None
    if not start:
        held = stream.read(10)
        if held[:3] != b"BZh" or int.from_bytes(held[4:10]) not in (BLOCK, END):
            raise InputError(f"{path}: is no bzip2 file, or an empty one; see what was downloaded")
    while True:
        chunk = stream.read(CHUNK_BYTES)
        held += chunk
        # Magics that begin in the last 47 bits show in the next round, with the bytes that follow.
        found = _find_magics(frozen(np.frombuffer(held, np.uint8), np.uint8), checked)
        for bit, is_block in found:
            at = base * 8 + int(bit)
            if begun is not None:
                if at <= begun[0]:
                    continue  # found in the round before
                yield _piece(held, base, begun, at)
            begun = (at, bool(is_block))
        checked = max(len(held) - 6, 0)
        if not chunk:
            break
        keep = begun[0] // 8 if begun else base + checked
        held, checked, base = held[keep - base :], checked - (keep - base), keep
        if len(held) > 16 * CHUNK_BYTES:
            raise InputError(f"{path}: no bzip2 block within 64 MB after byte {base:,}; fetch the file again")
    size = base + len(held)
    if begun is None:
        if not start:
            raise InputError(f"{path}: is no bzip2 file")
        return  # the range begins in the last block, which belongs to another range
    if begun[1] or begun[0] + _END_BITS > size * 8:
        raise InputError(f"{path}: ends at byte {size:,} in the middle of its data; fetch the file again")
    if size * 8 - begun[0] - _END_BITS >= 8:
        raise InputError(f"{path}: bytes after the end of its data, at byte {(begun[0] + _END_BITS) // 8 + 1:,}")


def _ends_stream(piece: _Piece) -> bool:
    """Return whether there is only a stream's end and the next stream's header before the next magic."""
    header = (-(-(piece.at + _END_BITS) // 8) + 4) * 8
    return piece.at + piece.bits == header and piece.data[-4:-1] == b"BZh"


def _piece(held: bytes, base: int, begun: tuple[int, bool], until: int) -> _Piece:
    first = begun[0] - base * 8
    bits = until - begun[0]
    return _Piece(begun[0], held[first // 8 : -(-(first + bits) // 8)], bits, begun[1])


def _unpack(pieces: list[_Piece]) -> bytes | None:
    """Decompress one block; a magic in its data may have cut it into pieces. None if it is damaged."""
    stream = 0
    length = 0
    for piece in pieces:
        whole = int.from_bytes(piece.data) >> (-(piece.at + piece.bits) % 8) & ((1 << piece.bits) - 1)
        stream = stream << piece.bits | whole
        length += piece.bits
    checksum = stream >> (length - 80) & 0xFFFFFFFF if length >= 80 else 0
    stream = (stream << 48 | END) << 32 | checksum
    length += _END_BITS
    packed = (stream << (-length % 8)).to_bytes(-(-length // 8))
    try:
        return bz2.decompress(b"BZh9" + packed)
    except (OSError, ValueError, EOFError):
        return None


@kernel
def _find_magics(data: Bytes, start: Int) -> list[tuple[Int, Truth]]:
    """Return a list: the bits of `data`, from byte `start` on, where a magic begins, and whether it is a block's."""
    found = [(np.int64(0), True) for _ in range(0)]
    mask = np.uint64((1 << 48) - 1)
    for i in range(start + 5, len(data)):
        # Of the bytes that a magic reaches, three in the middle tell that there is none, almost always.
        if not _MARKS[0, data[i - 2]] & _MARKS[1, data[i - 3]] & _MARKS[2, data[i - 4]]:
            continue
        first = max(i - 6, start)
        window = np.uint64(0)
        for k in range(first, i + 1):
            window = window << np.uint64(8) | np.uint64(data[k])
        # Seven bytes can contain a magic that begins at any bit of the first. Starting with the last bit gives order.
        for down in range(7 if i - start >= 6 else 0, -1, -1):
            bits = window >> np.uint64(down) & mask
            if bits == np.uint64(BLOCK) or bits == np.uint64(END):
                found.append((np.int64((i + 1) * 8 - down - 48), bits == np.uint64(BLOCK)))
    return found
