"""Uids of whole Arrow columns.

Equals `metaclip.pairs.uids`; held by tests/metaclip/pairs/test_uid_columns.py.
"""

from collections.abc import Sequence
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from metaclip.kernels.jit import kernel, plain
from metaclip.kernels.memory import bare, copy_bytes
from metaclip.kernels.types import Bytes, Offsets, Words
from metaclip.kernels.utf8 import chunks
from metaclip.kernels.xxh3 import hash_bytes
from metaclip.pairs import uids as definition
from metaclip.pairs.texts import clean_text
from metaclip.pairs.urls import Base, resolve

Strings: TypeAlias = "Sequence[str] | pa.Array | pa.ChunkedArray"
"""Text for each row: a list, a numpy or pandas column, or an Arrow column of strings."""

FEW = 4096
"""Rows up to which Python is as fast as loading the compiled way."""


@kernel
def _hash_rows(
    urls: Bytes, url_offsets: Offsets, texts: Bytes, text_offsets: Offsets, high: Words, low: Words, longest_row: Bytes
) -> None:
    """Do what `_hash_pairs` does, with memory for the longest row: uint8[n]."""
    addresses, values, joined = bare(urls), bare(texts), bare(longest_row)
    for i in range(high.size):
        start, n = url_offsets[i], url_offsets[i + 1] - url_offsets[i]
        high[i] = hash_bytes(addresses, start, start + n)
        copy_bytes(addresses, start, n, joined, 0)
        joined[n] = 0
        start, size = text_offsets[i], text_offsets[i + 1] - text_offsets[i]
        copy_bytes(values, start, size, joined, n + 1)
        low[i] = hash_bytes(joined, 0, n + 1 + size)


@kernel
def _hash_pairs(
    urls: Bytes, url_offsets: Offsets, texts: Bytes, text_offsets: Offsets, high: Words, low: Words
) -> None:
    """Fill in the uids of rows; texts and addresses may begin anywhere in their data."""
    longest = 0
    for i in range(high.size):
        size = url_offsets[i + 1] - url_offsets[i] + text_offsets[i + 1] - text_offsets[i]
        longest = max(longest, size)
    _hash_rows(urls, url_offsets, texts, text_offsets, high, low, np.empty(longest + 1, np.uint8))


def uid_columns(
    urls: pa.StringArray | pa.ChunkedArray, texts: pa.StringArray | pa.ChunkedArray
) -> tuple[npt.NDArray[np.uint64], npt.NDArray[np.uint64]]:
    """Return what `uids.uids` returns for the same addresses and texts: uint64[n] each.

    Raises:
        TypeError: for other types than string and large_string.
        ValueError: where a value is null, or the lengths differ.
    """
    _check_lengths(urls, texts)
    if plain():
        return definition.uids(urls.to_pylist(), texts.to_pylist())
    high, low = np.empty(len(urls), np.uint64), np.empty(len(urls), np.uint64)
    row = 0
    # Batches of a table: both columns are cut at the same rows.
    for batch in pa.table([urls, texts], ["url", "text"]).to_batches():
        parts = [part for column in batch.columns for part in chunks(column)]
        if parts:
            (url_data, url_offsets), (text_data, text_offsets) = parts
            end = row + batch.num_rows
            _hash_pairs(url_data, url_offsets, text_data, text_offsets, high[row:end], low[row:end])
            row = end
    return high, low


def uids(
    urls: Strings, texts: Strings, *, clean: bool = False
) -> tuple[npt.NDArray[np.uint64], npt.NDArray[np.uint64]]:
    """Return the two halves of each pair's uid, uint64[n] each.

    `uid_hi` is XXH3-64 of the address's UTF-8 bytes. `uid_lo` is XXH3-64 of address, a zero byte and
    text. Texts have no zero byte (`texts.clean_text`), so the last zero byte separates the two.

    Args:
        urls: addresses as a pool has them, or with `clean` as a file of pairs has them.
        texts: texts, likewise.
        clean: give addresses and texts the form that extraction gives them first. A row that extraction would drop
            gets the uid of an empty address or text, which no pair of a pool has.

    Raises:
        ValueError: where there are not as many of both, or a value is missing.
    """
    _check_lengths(urls, texts)
    if clean:
        urls, texts = _cleaned(urls), [clean_text(str(text)) for text in _listed(texts)]
    if len(urls) > FEW:
        return uid_columns(_column(urls), _column(texts))
    return definition.uids(_listed(urls), _listed(texts))


def _check_lengths(urls: Strings, texts: Strings) -> None:
    if len(urls) != len(texts):
        raise ValueError(f"{len(urls)} addresses and {len(texts)} texts: there must be as many")


def _column(values: Strings) -> pa.Array | pa.ChunkedArray:
    return values if isinstance(values, pa.Array | pa.ChunkedArray) else pa.array(values, pa.string())


def _listed(values: Strings) -> Sequence[str]:
    found: Sequence[str] = values.to_pylist() if isinstance(values, pa.Array | pa.ChunkedArray) else values
    if any(value is None for value in found):
        raise ValueError("a value is missing; leave such rows out, no pool has them")
    return found


def _cleaned(urls: Strings) -> list[str]:
    nowhere = Base("", "", "", "", "")
    found = (resolve(str(url), nowhere) for url in _listed(urls))
    return [address if isinstance(address, str) else "" for address in found]
