"""What img2dataset wrote to a folder of `metaclip images download`: its input files, shards, rows and pictures."""

import math
import re
import tarfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any, BinaryIO, cast

import pyarrow as pa
import pyarrow.parquet as pq

from metaclip.archive.tars import open_tar
from metaclip.errors import ConfigError, InputError
from metaclip.export.images import SETTINGS
from metaclip.io.inputs import fingerprint
from metaclip.store.store import Store

COLUMNS = ("uid", "key", "status", "error_message", "original_width", "original_height", "sha256")
"""The columns of img2dataset's Parquet that are read."""
ENDINGS = ("jpg", "png", "webp", "jpeg")
_BATCH = 256
_KEY = re.compile(r"[0-9a-f]{16}")

Box = tuple[int, int, int, int]


@dataclass(frozen=True)
class Shard:
    """One shard of img2dataset: its Parquet, and where its pictures are."""

    name: str
    fingerprint: str
    """Of the Parquet."""
    bytes: int
    """Of the tar, or of all picture files."""


@dataclass(frozen=True)
class Downloaded:
    """The pictures of one input file, all of which were tried."""

    root: str
    """Folder or address of the images."""
    key: str
    """Name of its folder."""
    source_sha256: str
    """Of the file of the export."""
    rows: int
    shards: tuple[Shard, ...]
    output_format: str
    resize_mode: str
    image_size: int
    changed: tuple[tuple[str, str | int], ...] = ()
    """What was done to the pictures since: which boxes were blurred, how many pictures were taken out."""

    @property
    def settings(self) -> dict[str, Any]:
        """How the pictures were stored, for keys."""
        return {
            "output_format": self.output_format,
            "resize_mode": self.resize_mode,
            "image_size": self.image_size,
            **dict(self.changed),
        }


def downloaded_files(images: str) -> list[Downloaded]:
    """Return the finished input files of a folder of images, sorted by key.

    Raises:
        ConfigError: it is no folder of `metaclip images download`, or no file of it is finished.
        StoreError: it cannot be read.
    """
    store = Store(images)
    settings = store.read_json(SETTINGS)
    way_out = "download first: metaclip images download EXPORT --to " + images
    if not isinstance(settings, dict):
        raise ConfigError(f"{images}: no {SETTINGS} there, so no folder of images; {way_out}")
    found = []
    for name in store.names(""):
        if _KEY.fullmatch(name):
            done = store.read_json(f"{name}.json")
            if not isinstance(done, dict) or "input" not in done:
                raise ConfigError(f"{images}/{name}.json: not written by `metaclip images download`; remove it")
            found.append(
                Downloaded(
                    images,
                    name,
                    done["input"]["sha256"],
                    done["input"]["rows"],
                    _shards(store, name),
                    settings["output_format"],
                    settings["resize_mode"],
                    settings["image_size"],
                    tuple(
                        (what, each[what]) for what, each in (("blurred", settings), ("purged", done)) if what in each
                    ),
                )
            )
    if not found:
        raise ConfigError(f"{images}: no file of the export is finished there; {way_out}")
    return found


def _shards(store: Store, folder: str) -> tuple[Shard, ...]:
    sizes: dict[str, int] = {}
    tables: list[str] = []
    for file in store.files(folder):
        path = PurePosixPath(file.path)
        if path.suffix == ".parquet":
            tables.append(path.stem)
        elif path.suffix == ".tar":
            sizes[path.stem] = sizes.get(path.stem, 0) + file.bytes
        elif path.suffix.lstrip(".") in ENDINGS:
            sizes[path.parent.name] = sizes.get(path.parent.name, 0) + file.bytes
    return tuple(
        Shard(name, fingerprint(store.address(f"{folder}/{name}.parquet")), sizes.get(name, 0))
        for name in sorted(tables)
    )


def rows_of(store: Store, folder: str, shard: str) -> pa.Table:
    """Return the rows of a shard's Parquet, with null in columns that it lacks.

    Raises:
        InputError: it cannot be read, or has no uid.
    """
    address = f"{folder}/{shard}.parquet"
    try:
        with store.open(address) as stream:
            file = pq.ParquetFile(stream)
            names = file.schema_arrow.names
            if not {"uid", "key", "status"} <= set(names):
                raise InputError(
                    f"{store.address(address)}: has no uid, key and status, as `metaclip images download` writes them"
                )
            table = file.read(columns=[name for name in COLUMNS if name in names])
    except (pa.ArrowException, OSError) as error:
        raise InputError(
            f"{store.address(address)}: cannot be read: {error}; remove {folder}.json and the folder of that name, and"
            " download again"
        ) from error
    for name in COLUMNS:
        if name not in table.column_names:
            table = table.append_column(name, pa.nulls(table.num_rows, pa.string()))
    return table.select(list(COLUMNS))


def pictures_of(
    store: Store, folder: str, shard: str, output_format: str, max_bytes: int
) -> Iterator[tuple[str, bytes, int]]:
    """Yield the key, the bytes and the number of bytes of each picture of a shard; no bytes where they are too many.

    Raises:
        InputError: a tar or a Parquet file is damaged.
    """
    if output_format == "webdataset":
        yield from tar_pictures(store, f"{folder}/{shard}.tar", max_bytes)
    elif output_format == "parquet":
        yield from _parquet_pictures(store, f"{folder}/{shard}.parquet", max_bytes)
    else:
        for file in store.files(f"{folder}/{shard}"):
            path = PurePosixPath(file.path)
            if path.suffix.lstrip(".") in ENDINGS:
                if file.bytes > max_bytes:
                    yield path.stem, b"", file.bytes
                    continue
                with store.open(file.path) as stream:
                    yield path.stem, stream.read(), file.bytes


def tar_pictures(store: Store, address: str, max_bytes: int) -> Iterator[tuple[str, bytes, int]]:
    """Yield the key, the bytes and the number of bytes of each picture of a tar.

    Raises:
        InputError: the tar is damaged.
    """
    try:
        with store.open(address) as stream, open_tar(cast(BinaryIO, stream)) as archive:
            for member in archive:
                stem, _, ending = member.name.rpartition(".")
                if member.isfile() and ending.lower() in ENDINGS:
                    content = archive.extractfile(member) if member.size <= max_bytes else None
                    yield stem, b"" if content is None else content.read(), member.size
    except FileNotFoundError:
        return
    except (tarfile.TarError, EOFError) as error:
        raise InputError(
            f"{store.address(address)}: damaged: {error}; remove the .json of its folder's name and the folder, and"
            " download again"
        ) from error


def rewrite_tar(
    source: Store, target: Store, address: str, copy: Callable[[BinaryIO, BinaryIO], bool], advice: str
) -> None:
    """Write the tar of a shard anew, whole or not at all; a shard without any picture has none.

    Args:
        source: where it is.
        target: where it goes, under the same address.
        address: relative to both.
        copy: reads the tar and writes another; returns whether that is wanted.
        advice: what to do about a damaged one.

    Raises:
        InputError: it is damaged.
        StoreError: it cannot be written.
    """
    temporary = target.temporary(address)
    try:
        with source.open(address) as before, temporary.open("wb") as sink:
            wanted = copy(cast(BinaryIO, before), sink)
        if wanted:
            target.put(temporary, address)
    except FileNotFoundError:
        return
    except tarfile.TarError as error:
        raise InputError(f"{source.address(address)}: damaged: {error}; {advice}") from error
    finally:
        temporary.unlink(missing_ok=True)


def _parquet_pictures(store: Store, address: str, max_bytes: int) -> Iterator[tuple[str, bytes, int]]:
    try:
        with store.open(address) as stream:
            file = pq.ParquetFile(stream)
            column = next((name for name in ENDINGS if name in file.schema_arrow.names), None)
            if column is None:
                return
            for batch in file.iter_batches(_BATCH, columns=["key", column]):
                for key, data in zip(batch.column(0).to_pylist(), batch.column(1), strict=True):
                    if data.is_valid:
                        size = data.as_buffer().size
                        yield key, data.as_py() if size <= max_bytes else b"", size
    except pa.ArrowException as error:
        raise InputError(f"{store.address(address)}: damaged: {error}; download again") from error


def unpadded(mode: str, size: int, width: int, height: int) -> Box:
    """Return the part of a stored picture that img2dataset's mode `border` did not pad; all zero for the whole.

    The sides are scaled so that the longer one is `size` and rounded, half to even, and the rest of the square is
    divided between both ends, the smaller part first (albumentations' LongestMaxSize and PadIfNeeded).
    """
    if mode != "border" or not width or not height or width == height:
        return (0, 0, 0, 0)
    scale = size / max(width, height)
    inner_width, inner_height = (max(1, round(side * scale)) for side in (width, height))
    left, upper = math.floor((size - inner_width) / 2), math.floor((size - inner_height) / 2)
    return (left, upper, left + inner_width, upper + inner_height)
