"""Lists of hashes of pictures: made of any pictures, so that nobody needs to hand pictures over, and read again."""

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from metaclip.config.images import HashList, Inspect
from metaclip.errors import ConfigError, InputError
from metaclip.images.decoder import Decoder, require_pillow
from metaclip.images.downloaded import tar_pictures
from metaclip.io.inputs import list_inputs, local_path, naming
from metaclip.io.streams import open_stream
from metaclip.schemas import HASHED
from metaclip.store.store import Store
from metaclip.tables.parquet import write_table

LEAST_QUALITY = 50
"""Below it a picture is too flat: it is compared by its bytes and pixels alone."""

PICTURES = frozenset(
    {
        *(".jpg", ".jpeg", ".jpe", ".png", ".apng", ".webp", ".gif", ".bmp", ".dib", ".tif", ".tiff", ".avif"),
        *(".jp2", ".j2k", ".ico", ".ppm", ".pgm", ".svg"),
    }
)
"""Endings of what is taken for a picture in a folder; what is none is listed with its reason."""

_TOGETHER = 64
_WORDS = 4


def hash_pictures(source: str, to: str, settings: Inspect | None = None) -> dict[str, Any]:
    """Write the hashes of the pictures in a folder, tars or Parquet files to a Parquet file.

    Args:
        source: a folder (pictures, tars and Parquet files at any depth), a tar, or a Parquet file.
        to: the file to write, of `schemas.HASHED`, sorted by name.
        settings: what a picture may take.

    Returns:
        `pictures`, `status` with the number of each, `other_files` that are no pictures by their name, and `to`.

    Raises:
        ConfigError: there is no picture, or Pillow is not installed.
        InputError: a tar or a Parquet file is damaged.
        StoreError: the file cannot be written.
    """
    require_pillow()
    settings = settings or Inspect()
    if not to.endswith(".parquet"):
        raise ConfigError(f"--to {to}: must end with .parquet")
    counts: Counter[str] = Counter()
    rows: list[dict[str, Any]] = []
    waiting: list[tuple[str, bytes]] = []
    with Decoder(settings.max_pixels, settings.max_bytes, settings.seconds) as decoder:

        def flush() -> None:
            found = decoder.describe([(data, (0, 0, 0, 0)) for _, data in waiting])
            rows.extend(_row(name, data, each) for (name, data), each in zip(waiting, found, strict=True))
            waiting.clear()

        for name, data, size in _pictures(source, settings.max_bytes, counts):
            if size > settings.max_bytes:
                rows.append(_row(name, b"", None))
                continue
            waiting.append((name, data))
            if len(waiting) == _TOGETHER:
                flush()
        flush()
    if not rows:
        raise ConfigError(f"{source}: no picture there; name a folder of pictures, a tar, or a Parquet file")
    rows.sort(key=lambda row: str(row["name"]))
    write_table(to, pa.Table.from_pylist(rows, HASHED))
    status = Counter(str(row["status"]) for row in rows)
    return {
        "pictures": len(rows),
        "status": dict(sorted(status.items(), key=lambda item: (-item[1], item[0]))),
        "too_flat": sum(row["status"] == "ok" and row["quality"] < LEAST_QUALITY for row in rows),
        "other_files": counts["other_files"],
        "to": to,
    }


def _row(name: str, data: bytes, found: Any) -> dict[str, Any]:
    import hashlib

    row: dict[str, Any] = {"name": name, "status": "too_many_bytes", "width": 0, "height": 0, "quality": 0}
    if found is None:
        return row
    row |= {"status": found.status, "width": found.width, "height": found.height}
    row["bytes_sha256"] = hashlib.sha256(data).digest()
    if found.status == "ok":
        content = found.content
        row |= {"area64": content.area64, "colour": content.colour, "pixels": content.pixels}
        row["quality"] = content.quality
    return row


def _pictures(source: str, max_bytes: int, counts: Counter[str]) -> Iterator[tuple[str, bytes, int]]:
    with naming("pictures"):
        files = list(list_inputs(source))
    top = f"{local_path(source)}/"
    for file in files:
        name = file.path.removeprefix(top) if file.named_by == "folder" else PurePosixPath(file.path).name
        ending = PurePosixPath(name).suffix.lower()
        if ending == ".tar":
            folder, _, tar = file.path.rpartition("/")
            for key, data, size in tar_pictures(Store(folder), tar, max_bytes):
                yield f"{name}/{key}", data, size
        elif ending == ".parquet":
            if file.named_by == "folder" and not _has_pictures(file.path):
                counts["other_files"] += 1  # such as the rows beside a tar
                continue
            yield from _parquet_pictures(file.path, name)
        elif ending in PICTURES or file.named_by == "name":
            with open_stream(file.path) as stream:
                data = stream.read(max_bytes + 1)
            yield name, data, len(data)
        else:
            counts["other_files"] += 1


def _parquet_pictures(path: str, name: str) -> Iterator[tuple[str, bytes, int]]:
    """Yield the pictures of a Parquet file: of a column of bytes, or of `image` as Hugging Face's datasets has it."""
    try:
        with open_stream(path) as stream:
            file = pq.ParquetFile(pa.BufferReader(stream.read()))
        column = _picture_column(path, file.schema_arrow)
        row = 0
        for batch in file.iter_batches(_TOGETHER, columns=[column]):
            for value in batch.column(0).to_pylist():
                data = value["bytes"] if isinstance(value, dict) else value
                yield f"{name}#{row:09d}", data or b"", len(data or b"")
                row += 1
    except pa.ArrowException as error:
        raise InputError(f"{path}: cannot be read as Parquet: {error}") from error


def _has_pictures(path: str) -> bool:
    try:
        with open_stream(path) as stream:
            _picture_column(path, pq.read_schema(pa.BufferReader(stream.read())))
    except InputError:
        return False
    except pa.ArrowException:
        return True  # a damaged file is told by who reads it
    return True


_BYTES = (pa.types.is_binary, pa.types.is_large_binary, pa.types.is_binary_view)
_PICTURES = ("jpg", "jpeg", "png", "webp", "image", "bytes", "img")
"""Names of columns that hold files of pictures."""


def _picture_column(path: str, schema: pa.Schema) -> str:
    for field in schema:
        inner = field.type
        if pa.types.is_struct(inner) and inner.get_field_index("bytes") >= 0:
            return str(field.name)
        if any(test(inner) for test in _BYTES) and field.name in _PICTURES:
            return str(field.name)
    raise InputError(f"{path}: no column of pictures (image, jpg, png, webp, bytes), but {', '.join(schema.names)}")


@dataclass(frozen=True)
class Hashes:
    """A list of hashes, ready to be compared with."""

    name: str
    radius: int
    areas: npt.NDArray[np.uint64]
    """uint64[n, 4], of pictures that are not flat."""
    bytes_sha256: frozenset[bytes]
    pixels: npt.NDArray[np.uint64]
    """Sorted."""


def read_hashes(given: HashList) -> Hashes:
    """Read a list of hashes.

    Raises:
        ConfigError: it is no such list, or has hashes that pictures are not known by.
        InputError: it cannot be read.
    """
    with naming(given.name), open_stream(given.path) as stream:
        content = stream.read()
    if content[:4] == b"PAR1":
        return _of_parquet(given, content)
    bytes_, pixels = set[bytes](), set[int]()
    for number, line in enumerate(content.decode("utf-8", "replace").splitlines(), start=1):
        text = line.strip().lower()
        if not text or text.startswith("#"):
            continue
        if re.fullmatch(r"[0-9a-f]{64}", text):
            bytes_.add(bytes.fromhex(text))
        elif re.fullmatch(r"[0-9a-f]{16}", text):
            pixels.add(int(text, 16))
        elif re.fullmatch(r"[0-9a-f]{32}", text):
            raise ConfigError(
                f"{given.name}: {given.path}: line {number} is an MD5, but pictures are known by the SHA-256 of their"
                " bytes; give SHA-256, or hashes made by `metaclip images hash`"
            )
        else:
            raise ConfigError(
                f"{given.name}: {given.path}: line {number} is no hash: 64 hex digits (SHA-256 of a file) or 16"
                " (of its pixels); or give a file of `metaclip images hash`"
            )
    return Hashes(given.name, given.radius, np.zeros((0, _WORDS), np.uint64), frozenset(bytes_), _sorted(pixels))


def _of_parquet(given: HashList, content: bytes) -> Hashes:
    try:
        table = pq.read_table(pa.BufferReader(content))
    except pa.ArrowException as error:
        raise InputError(f"{given.name}: {given.path}: cannot be read as Parquet: {error}") from error
    missing = {"area64", "quality", "bytes_sha256", "pixels"} - set(table.column_names)
    if missing:
        raise ConfigError(
            f"{given.name}: {given.path}: lacks {', '.join(sorted(missing))}; make it with `metaclip images hash`"
        )
    rows = table.select(["area64", "quality", "bytes_sha256", "pixels"]).to_pylist()
    areas = [row["area64"] for row in rows if row["area64"] is not None and row["quality"] >= LEAST_QUALITY]
    return Hashes(
        given.name,
        given.radius,
        words_of(areas),
        frozenset(row["bytes_sha256"] for row in rows if row["bytes_sha256"] is not None),
        _sorted({row["pixels"] for row in rows if row["pixels"] is not None}),
    )


def words_of(areas: "list[bytes] | pa.Array") -> npt.NDArray[np.uint64]:
    """Return hashes of 32 bytes each as uint64[n, 4]."""
    if isinstance(areas, list):
        return np.frombuffer(b"".join(areas), np.uint64).reshape(-1, _WORDS)
    return fixed_bytes(areas, 32).view(np.uint64)


def fixed_bytes(column: "pa.Array | pa.ChunkedArray", size: int) -> npt.NDArray[np.uint8]:
    """Return a column of binary[size] without nulls as uint8[n, size]."""
    array = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    if isinstance(array, pa.ChunkedArray):
        array = pa.concat_arrays(array.chunks) if array.num_chunks else pa.array([], array.type)
    if not len(array):
        return np.zeros((0, size), np.uint8)
    data = np.frombuffer(array.buffers()[1], np.uint8)
    found: npt.NDArray[np.uint8] = data[array.offset * size : (array.offset + len(array)) * size].reshape(-1, size)
    return found


def _sorted(values: set[int]) -> npt.NDArray[np.uint64]:
    return np.array(sorted(values), np.uint64)
