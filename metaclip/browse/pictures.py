"""Small pictures of pairs, where the pool has pictures: those of its contact sheets, and of any pair of a folder."""

import base64
import tarfile
from functools import lru_cache
from pathlib import PurePosixPath

from metaclip.errors import ConfigError
from metaclip.explore.pool import FinishedPool
from metaclip.images.dedup.sheets_job import SHEETS, thumbnail
from metaclip.images.downloaded import ENDINGS, Downloaded, downloaded_files, pictures_of
from metaclip.images.fate import shown_place
from metaclip.images.inspect_job import InspectJob
from metaclip.store.store import Store

_MAX_BYTES = 50 << 20


def _by_output(pool: FinishedPool, images: str) -> dict[str, Downloaded]:
    """Return the files of a folder of images by the address of the `inspect` output that was made of them as they are.

    Raises:
        ConfigError: there is none.
    """
    there = {tuple(InspectJob.of(file, pool.config.images.inspect).inputs()): file for file in downloaded_files(images)}
    outputs = {address: tuple(pool.store.manifest(address).inputs) for address in pool.stages["inspect"]}
    found = {address: there[inputs] for address, inputs in outputs.items() if inputs in there}
    if not found:
        raise ConfigError(f"--images {images}: these are not the pictures that pool {pool.config.pool!r} was made of")
    return found


class Pictures:
    """Finds pictures by uid. What the filter says must not be shown is never shown.

    Raises:
        ConfigError: `images` has not the pictures that the pool was made of.
    """

    def __init__(self, pool: FinishedPool, images: str | None = None) -> None:
        self._pool = pool
        self._files: dict[str, Downloaded] = {}
        self._sheets: dict[str, bytes] = {}
        if images is not None and "image-sheets" not in pool.stages:
            raise ConfigError(
                f"--images: no picture of pool {pool.config.pool!r} was inspected; name the pool that"
                " `metaclip rebalance --images` made"
            )
        if "image-sheets" in pool.stages:
            for section in pool.store.output_json(pool.stages["image-sheets"], SHEETS):
                if section["reason"] != "duplicate":  # its cells have two pictures, of two pairs
                    for cell in section["cells"]:
                        self._sheets[cell["uid"]] = base64.b64decode(cell["pictures"][0])
            if images is not None:
                self._files = _by_output(pool, images)
        self.thumbnail = lru_cache(maxsize=4096)(self._thumbnail)
        self._places = lru_cache(maxsize=64)(self._tar_places)

    def __bool__(self) -> bool:
        return bool(self._sheets or self._files)

    def _thumbnail(self, uid: str) -> bytes | None:
        """Return a picture of a pair as a small JPEG, None where there is none that may be shown."""
        if uid in self._sheets or not self._files:
            return self._sheets.get(uid)
        place = shown_place(self._pool.store, self._pool.stages, uid)
        if place is None or place[0] not in self._files:
            return None
        output, shard, key = place
        found = self._read(self._files[output], shard, key)
        return None if found is None else base64.b64decode(thumbnail(found))

    def _read(self, downloaded: Downloaded, shard: str, key: str) -> bytes | None:
        images = Store(downloaded.root)
        if downloaded.output_format == "webdataset":
            start, size = self._places(downloaded.root, f"{downloaded.key}/{shard}.tar").get(key, (0, 0))
            return images.read_range(f"{downloaded.key}/{shard}.tar", start, start + size) if size else None
        for name, data, _ in pictures_of(images, downloaded.key, shard, downloaded.output_format, _MAX_BYTES):
            if name == key:
                return data or None
        return None

    def _tar_places(self, root: str, address: str) -> dict[str, tuple[int, int]]:
        """Return start and size of each picture of a tar, whose headers are read once."""
        places: dict[str, tuple[int, int]] = {}
        with Store(root).open(address) as stream, tarfile.open(fileobj=stream, mode="r:") as archive:
            for member in archive:
                path = PurePosixPath(member.name)
                if member.isfile() and path.suffix.lstrip(".").lower() in ENDINGS and member.size <= _MAX_BYTES:
                    places[str(path.with_suffix(""))] = (member.offset_data, member.size)
        return places
