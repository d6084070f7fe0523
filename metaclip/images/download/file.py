"""The download of one file of an export, shard by shard; what is finished is not asked for again."""

import asyncio
import resource
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from metaclip.images.download.care import FREE_ROWS, Care
from metaclip.images.download.fetch import NO_IMAGE, Fetcher
from metaclip.images.download.shards import SUCCESS, ShardWriter, shard_name
from metaclip.images.download.shrinkers import Shrinkers
from metaclip.io.temporary import remove_leftovers
from metaclip.store.store import Store

OPEN_SHARDS = 3
"""Shards that are downloaded at once, so that the last slow rows of one do not keep the others waiting."""
_ROWS_AHEAD = 32
"""Rows that wait for their host, for each connection."""
_WAITING_BYTES = 256 << 20
"""Bodies that wait to be shrunk; beyond it no further one is asked for."""
_NAMES_AT_ONCE = 64
"""Threads that look up names."""


@dataclass(frozen=True)
class Wanted:
    """One download."""

    source: str
    """Folder or address of the export."""
    name: str
    """The file in it."""
    to: str
    """Folder or address of the images."""
    folder: str
    """Of this file, in there."""
    columns: tuple[str, ...]
    """That are passed through."""
    image_size: int
    resize_mode: str
    samples_per_shard: int
    processes: int
    care: Care


def download(wanted: Wanted) -> None:
    """Download what is not finished yet.

    Raises:
        StoreError: the file cannot be read, or a shard not be written.
        StageError: the processes that shrink pictures cannot be started.
    """
    _allow_many_files()
    asyncio.run(_download(wanted))


async def _download(wanted: Wanted) -> None:
    asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(_NAMES_AT_ONCE))
    store = Store(wanted.to)
    if store.is_local:
        remove_leftovers(Path(store.path(wanted.folder)))
    care = wanted.care
    shrinkers = Shrinkers(
        wanted.processes, wanted.image_size, wanted.resize_mode, care.max_pixels, care.decoding_seconds
    )
    async with Fetcher(care) as fetcher, shrinkers, asyncio.TaskGroup() as tasks:
        rows = _Rows(fetcher, shrinkers, asyncio.Semaphore(_ROWS_AHEAD * care.connections))
        for writer, allowed in _shards(wanted, store):
            await rows.begin(writer, allowed, tasks)


class _Rows:
    """The rows of all shards that are open, each a task."""

    def __init__(self, fetcher: Fetcher, shrinkers: Shrinkers, ahead: asyncio.Semaphore) -> None:
        self._fetcher = fetcher
        self._shrinkers = shrinkers
        self._ahead = ahead
        self._shards = asyncio.Semaphore(OPEN_SHARDS)
        self._waiting = 0

    async def begin(self, writer: ShardWriter, allowed: npt.NDArray[np.bool_], tasks: asyncio.TaskGroup) -> None:
        """Start the rows of a shard as others end."""
        await self._shards.acquire()
        for row, (address, is_allowed) in enumerate(zip(writer.rows.column("url").to_pylist(), allowed, strict=True)):
            await self._ahead.acquire()
            tasks.create_task(self._row(writer, row, address, is_allowed=bool(is_allowed)))

    async def _row(self, writer: ShardWriter, row: int, address: str, *, is_allowed: bool) -> None:
        try:
            await self._settle(writer, row, address, is_allowed=is_allowed)
        finally:
            self._ahead.release()
        if not writer.left:
            await asyncio.to_thread(writer.write)
            self._shards.release()

    async def _settle(self, writer: ShardWriter, row: int, address: str, *, is_allowed: bool) -> None:
        if not is_allowed:
            writer.add(row, "failed_to_download", "host share")
            return
        found = await self._fetcher.fetch(address)
        if found.body is None:
            # As of img2dataset, which reads such a body to its end and then finds no picture in it.
            status = "failed_to_resize" if found.reason.startswith(NO_IMAGE) else "failed_to_download"
            writer.add(row, status, found.reason)
            return
        self._wait(len(found.body))
        try:
            shrunk = await self._shrinkers.shrink(found.body)
        finally:
            self._wait(-len(found.body))
        if shrunk.reason:
            writer.add(row, "failed_to_resize", shrunk.reason)
        else:
            writer.add(row, SUCCESS, None, shrunk)

    def _wait(self, size: int) -> None:
        self._waiting += size
        if self._waiting > _WAITING_BYTES:
            self._fetcher.room.clear()
        else:
            self._fetcher.room.set()


def _shards(wanted: Wanted, store: Store) -> Iterator[tuple[ShardWriter, npt.NDArray[np.bool_]]]:
    """Yield the shards that are not finished, and which of their rows may be asked for."""
    finished = set(store.names(wanted.folder))
    columns = [*wanted.columns, "caption", "url"]
    with Store(wanted.source).open(wanted.name) as stream:
        file = pq.ParquetFile(stream)
        allowed = allowed_rows(file.read(columns=["url"]).column("url"), wanted.care.max_host_share)
        step = wanted.samples_per_shard
        for number, rows in enumerate(_slices(file, columns, step)):
            if f"{shard_name(number)}_stats" not in finished:
                writer = ShardWriter(store, wanted.folder, number, rows, step)
                yield writer, allowed[number * step : number * step + rows.num_rows]


def _slices(file: pq.ParquetFile, columns: list[str], step: int) -> Iterator[pa.Table]:
    """Yield the rows of a file, `step` at a time."""
    held: list[pa.Table] = []
    rows = 0
    for group in range(file.num_row_groups):
        held.append(file.read_row_group(group, columns=columns).select(columns))
        rows += held[-1].num_rows
        if rows < step:
            continue
        table = pa.concat_tables(held)
        whole = rows - rows % step
        for start in range(0, whole, step):
            yield table.slice(start, step)
        held, rows = [table.slice(whole)], rows - whole
    if rows:
        yield pa.concat_tables(held)


def allowed_rows(addresses: "pa.Array | pa.ChunkedArray", share: float) -> npt.NDArray[np.bool_]:
    """Return which rows may be asked for, bool[n]: of each host the first ones, up to its share of all rows."""
    hosts = pc.extract_regex(addresses, r"^[A-Za-z]+://(?:[^/?#@]*@)?(?P<host>[^/?#:]*)")
    names: Any = pc.fill_null(pc.utf8_lower(pc.struct_field(hosts, "host")), "")
    names = names.combine_chunks() if isinstance(names, pa.ChunkedArray) else names
    places = np.asarray(names.dictionary_encode().indices.to_numpy(zero_copy_only=False), np.int64)
    order = np.argsort(places, kind="stable")
    starts = np.flatnonzero(np.diff(places[order], prepend=-1))
    number = np.empty(len(places), np.int64)
    number[order] = np.arange(len(places)) - np.repeat(starts, np.diff(starts, append=len(places)))
    return np.asarray(number < max(FREE_ROWS, int(share * len(places))))


def _allow_many_files() -> None:
    """Raise the number of open files to what this user may have: each connection is one."""
    with suppress(OSError, ValueError):
        _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
