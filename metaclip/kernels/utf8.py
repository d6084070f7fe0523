"""Texts as kernels read them: the bytes of all of them end to end, and where each begins."""

from collections.abc import Iterator, Sequence
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from metaclip.kernels.jit import frozen

Texts: TypeAlias = Sequence[str] | pa.StringArray | pa.LargeStringArray | pa.ChunkedArray


def chunks(texts: Texts) -> Iterator[tuple[npt.NDArray[np.uint8], npt.NDArray[np.int64]]]:
    """Give texts as bytes, uint8 end to end, and int64 offsets into them, both read-only.

    Texts in Arrow are read where they lie: a part for each chunk that is not empty.

    Raises:
        TypeError: for other types.
        ValueError: where a text is null.
    """
    if not isinstance(texts, pa.Array | pa.ChunkedArray):
        yield encode(texts, "texts")
        return
    if pa.types.is_string(texts.type):
        offset_type: type[np.signedinteger[Any]] = np.int32
    elif pa.types.is_large_string(texts.type):
        offset_type = np.int64
    else:
        raise TypeError(f"texts: Arrow type {texts.type}, expected string or large_string; cast them")
    if texts.null_count:
        raise ValueError(f"texts: {texts.null_count} are null; leave them out or fill them first")
    for chunk in texts.chunks if isinstance(texts, pa.ChunkedArray) else [texts]:
        if not len(chunk):
            continue
        _, offset_buffer, data_buffer = chunk.buffers()
        offsets = np.frombuffer(offset_buffer, offset_type)[chunk.offset : chunk.offset + len(chunk) + 1]
        data = np.frombuffer(data_buffer or b"", np.uint8)
        yield frozen(data, np.uint8), frozen(offsets, np.int64)


def encode(texts: Sequence[str], what: str) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.int64]]:
    """Return strings as bytes, uint8 end to end, and int64 offsets into them, both read-only.

    A lone surrogate, which a `str` may hold though UTF-8 may not, becomes the three bytes it would be.

    Raises:
        TypeError: for anything but a sequence of `str`; its text begins with `what`.
    """
    if isinstance(texts, str | bytes):
        raise TypeError(f"{what}: one {type(texts).__name__}, expected a sequence of str")
    for i, text in enumerate(texts):
        if not isinstance(text, str):
            raise TypeError(f"{what}: number {i} is a {type(text).__name__}, expected str")
    encoded = [text.encode("utf-8", "surrogatepass") for text in texts]
    offsets = np.zeros(len(encoded) + 1, np.int64)
    np.cumsum(np.fromiter(map(len, encoded), np.int64, len(encoded)), out=offsets[1:])
    return frozen(np.frombuffer(b"".join(encoded), np.uint8), np.uint8), frozen(offsets, np.int64)
