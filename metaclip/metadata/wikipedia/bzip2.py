"""Blocks of a bzip2 file from any byte on, so that any number of processes can share one file.

Blocks are independent. Each begins at any bit, with 48 bits that almost never occur elsewhere. To
decompress a block, it gets a header and a trailer of its own. Multistream files (Wikipedia's) and
single streams are read in the same way. Format: https://en.wikipedia.org/wiki/Bzip2#File_format.
"""

import bz2
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from metaclip.errors import InputError
from metaclip.io.streams import open_stream
from metaclip.kernels.jit import frozen, kernel
from metaclip.kernels.types import Bytes, Int, Truth

BLOCK = 0x314159265359
END = 0x177245385090
CHUNK_BYTES = 4 << 20

_END_BITS = 48 + 32  # the magic of the end, and the checksum of the stream
_PIECES = 3  # tried together: by chance a magic may occur in the data of a block


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
        pieces: list[tuple[int, bytes, int]] = []  # the bit of the file where it begins, its bits, their number
        for at, bits, count, is_block in _magics(path, stream, start):
            if not is_block and not pieces:
                if not _ends_stream(at, bits, count):
                    raise InputError(_damaged(path, at // 8))
                continue
            pieces.append((at, bits, count))
            data = _unpack(pieces)
            if data is not None:
                yield Block(data, end is None or pieces[0][0] < end * 8)
                pieces.clear()
            elif len(pieces) == _PIECES:
                break
        if pieces:
            raise InputError(_damaged(path, pieces[0][0] // 8))


def _damaged(path: str, byte: int) -> str:
    return f"{path}: the bzip2 block at byte {byte:,} is damaged (its checksum differs); fetch the file again"


def _magics(path: str, stream: Any, start: int) -> Iterator[tuple[int, bytes, int, bool]]:
    """Yield for each magic its position, the bits from it to the next one, and whether it begins a block."""
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


def _ends_stream(at: int, data: bytes, count: int) -> bool:
    """Return whether there is only a stream's end and the next stream's header before the next magic."""
    return at + count == (-(-(at + _END_BITS) // 8) + 4) * 8 and data[-4:-1] == b"BZh"


def _piece(held: bytes, base: int, begun: tuple[int, bool], until: int) -> tuple[int, bytes, int, bool]:
    first = begun[0] - base * 8
    bits = until - begun[0]
    data = held[first // 8 : -(-(first + bits) // 8)]
    return begun[0], data, bits, begun[1]


def _unpack(pieces: list[tuple[int, bytes, int]]) -> bytes | None:
    """Decompress one block; a magic in its data may have cut it into pieces. None if it is damaged."""
    stream = 0
    length = 0
    if len(pieces) == 1:
        at, data, length = pieces[0]
        packed = _shifted(data, at % 8, length)
    else:
        for at, data, bits in pieces:
            whole = int.from_bytes(data) >> (-(at + bits) % 8) & ((1 << bits) - 1)
            stream = stream << bits | whole
            length += bits
        packed = (stream << (-length % 8)).to_bytes(-(-length // 8))
    checksum = packed[6:10]
    loose = length % 8
    tail = packed[-1] >> (8 - loose) if loose else 0
    trailer = (tail << 48 | END) << 32 | int.from_bytes(checksum)
    padding = -(loose + _END_BITS) % 8
    body = packed[:-1] if loose else packed
    ending = (trailer << padding).to_bytes((loose + _END_BITS + padding) // 8)
    try:
        return bz2.decompress(b"BZh9" + body + ending)
    except (OSError, ValueError, EOFError):
        return None


def _shifted(data: bytes, by: int, bits: int) -> bytes:
    """Return `bits` bits of `data` from bit `by` on, as bytes."""
    if not by:
        return data[: -(-bits // 8)]
    return _shift(frozen(np.frombuffer(data, np.uint8), np.uint8), by)[: -(-bits // 8)].tobytes()


@kernel
def _shift(data: Bytes, by: Int) -> Bytes:
    """Return the bits of `data` moved by 1 to 7 places to the left."""
    shifted = np.empty(len(data), np.uint8)
    for i in range(len(data)):
        following = data[i + 1] if i + 1 < len(data) else np.uint8(0)
        shifted[i] = np.uint8((data[i] << by | following >> (8 - by)) & 0xFF)
    return shifted


@kernel
def _find_magics(data: Bytes, start: Int) -> list[tuple[Int, Truth]]:
    """Return a list: the bits of `data`, from byte `start` on, where a magic begins, and whether it is a block's."""
    found = [(np.int64(0), True) for _ in range(0)]
    mask = np.uint64((1 << 48) - 1)
    window = np.uint64(0)
    for i in range(start, len(data)):
        window = window << np.uint64(8) | np.uint64(data[i])
        if i - start < 5:
            continue
        # Seven bytes can contain a magic that begins at any bit of the first. Starting with the last bit gives order.
        for down in range(7 if i - start >= 6 else 0, -1, -1):
            bits = window >> np.uint64(down) & mask
            if bits == np.uint64(BLOCK) or bits == np.uint64(END):
                found.append((np.int64((i + 1) * 8 - down - 48), bits == np.uint64(BLOCK)))
    return found
