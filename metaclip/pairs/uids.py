"""Uids as arrays: their two halves, and the 32 hex digits that people see.

This is the definition; its fast way is `metaclip.pairs.uid_columns`.
"""

import re
from collections.abc import Iterable, Sequence
from typing import cast

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import xxhash

UIDS = np.dtype("<u8,<u8")
"""A uid as its two halves, `uid_hi` first: DataComp's `u8,u8`, with the same byte order on every machine."""


def parse_uids(strings: pa.ChunkedArray | pa.Array) -> npt.NDArray[np.void]:
    """Convert uids of 32 hex digits to an array of `u8,u8`, without a Python object for each."""
    chunks = strings.chunks if isinstance(strings, pa.ChunkedArray) else [strings]
    digits = b"".join(_characters(chunk) for chunk in chunks if len(chunk))
    halves = np.frombuffer(bytes.fromhex(digits.decode("ascii")), ">u8").reshape(-1, 2)
    uids = np.empty(len(halves), UIDS)
    uids["f0"], uids["f1"] = halves[:, 0], halves[:, 1]
    return uids


def _characters(chunk: pa.Array) -> bytes:
    array = chunk.cast(pa.large_string())
    offsets = np.frombuffer(array.buffers()[1], np.int64)[array.offset : array.offset + len(array) + 1]
    return cast(bytes, array.buffers()[2].slice(offsets[0], offsets[-1] - offsets[0]).to_pybytes())


def uids(urls: Sequence[str], texts: Sequence[str]) -> tuple[npt.NDArray[np.uint64], npt.NDArray[np.uint64]]:
    """Return the two halves of each pair's uid, uint64[n] each.

    `uid_hi` is XXH3-64 of the address's UTF-8 bytes. `uid_lo` is XXH3-64 of address, a zero byte and
    text. Texts have no zero byte (`texts.clean_text`), so the last zero byte separates the two.
    """
    addresses = [url.encode() for url in urls]
    digest = xxhash.xxh3_64_intdigest
    hi = np.fromiter(map(digest, addresses), np.uint64, len(addresses))
    joined: Iterable[bytes] = (address + b"\0" + text.encode() for address, text in zip(addresses, texts, strict=True))
    return hi, np.fromiter(map(digest, joined), np.uint64, len(addresses))


def parse_uid(uid: str) -> tuple[int, int]:
    """Return the two halves of one uid of 32 hex digits, `uid_hi` first.

    Raises:
        ValueError: if the text is not 32 hex digits.
    """
    if not re.fullmatch(r"[0-9a-fA-F]{32}", uid):
        raise ValueError(f"{uid!r} is not a uid: 32 hex digits, as the column `uid` of a set has it")
    return int(uid[:16], 16), int(uid[16:], 16)


def format_uids(high: npt.NDArray[np.uint64], low: npt.NDArray[np.uint64]) -> pa.StringArray:
    """Return uids as 32 lower-case hex digits each, without a Python object for each."""
    digits = np.stack([high, low], axis=1).astype(">u8").tobytes().hex().encode()
    offsets = np.arange(len(high) + 1, dtype=np.int32) * 32
    return pa.StringArray.from_buffers(len(high), pa.py_buffer(offsets), pa.py_buffer(digits))
