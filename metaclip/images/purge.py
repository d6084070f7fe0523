"""Take pictures out of what was downloaded: their samples leave the tars, or their files go."""

import tarfile
from pathlib import PurePosixPath
from typing import Any, BinaryIO

from metaclip.archive.tars import open_tar
from metaclip.errors import ConfigError
from metaclip.images.downloaded import Downloaded, downloaded_files, rewrite_tar, rows_of
from metaclip.pairs.uids import parse_uids
from metaclip.removal.lists import Entry, read_list
from metaclip.store.store import Store

_KINDS = ("uid", "image", "sha256")


def purge_pictures(images: str, listed: str) -> dict[str, Any]:
    """Take out of a folder of images what a list names by uid, image, url or sha256 of the bytes as served.

    Tars are written again without the samples, as a whole each. The rows of img2dataset's Parquet stay; when the
    images are inspected again, their pictures are `missing`.

    Returns:
        `pictures` taken out, `shards` written again, and the `unknown` lines, of no picture there.

    Raises:
        ConfigError: no such folder, a line of another kind, or images in Parquet files, which hold the pictures
            themselves.
        InputError: a tar is damaged.
        StoreError: a file cannot be written.
    """
    files = downloaded_files(images)
    entries = read_list(listed)
    for entry, line in entries.items():
        if entry.kind not in _KINDS:
            raise ConfigError(f"{listed}: line {line}: {entry.kind}: pictures are known by uid, image, url and sha256")
    if files[0].output_format == "parquet":
        raise ConfigError(
            f"{images}: the pictures are in Parquet files, which are not written again; download as webdataset or"
            " files, or remove the shards"
        )
    store = Store(images)
    met: set[Entry] = set()
    pictures = shards = 0
    for file in files:
        of_file = 0
        for shard in file.shards:
            keys = _named_keys(store, file, shard.name, entries, met)
            taken = _take_out(store, file, shard.name, keys) if keys else 0
            of_file += taken
            shards += bool(taken)
        if of_file:  # a tar may have the size that it had
            done = store.read_json(f"{file.key}.json") or {}
            store.write_json(f"{file.key}.json", {**done, "purged": done.get("purged", 0) + of_file})
        pictures += of_file
    unknown = sorted(line for entry, line in entries.items() if entry not in met)
    return {"images": images, "pictures": pictures, "shards": shards, "unknown": unknown}


def _named_keys(
    store: Store, file: Downloaded, shard: str, entries: dict[Entry, int], met: set[Entry]
) -> frozenset[str]:
    table = rows_of(store, file.key, shard)
    uids = parse_uids(table.column("uid"))
    columns = (table.column("key").to_pylist(), table.column("sha256").to_pylist(), uids.tolist())
    found = set()
    for key, digest, (high, low) in zip(*columns, strict=True):
        of_row = [Entry("uid", high, low), Entry("image", high)]
        if digest:
            of_row.append(Entry("sha256", int(digest[:16], 16)))
        named = [entry for entry in of_row if entry in entries]
        met.update(named)
        if named:
            found.add(str(key))
    return frozenset(found)


def _take_out(store: Store, file: Downloaded, shard: str, keys: frozenset[str]) -> int:
    if file.output_format == "files":
        paths = [each.path for each in store.files(f"{file.key}/{shard}") if PurePosixPath(each.path).stem in keys]
        store.remove_all(paths)
        return len({PurePosixPath(path).stem for path in paths})
    taken: set[str] = set()
    rewrite_tar(
        *(store, store, f"{file.key}/{shard}.tar"),
        lambda source, sink: _copy(source, sink, keys, taken),
        "nothing of it was changed",
    )
    return len(taken)


def _copy(source: BinaryIO, sink: BinaryIO, keys: frozenset[str], taken: set[str]) -> bool:
    """Copy a tar without the samples of some keys; return whether it has any of them."""
    with open_tar(source) as before, tarfile.open(fileobj=sink, mode="w|") as after:
        for member in before:
            stem = PurePosixPath(member.name).name.partition(".")[0]
            if stem in keys:
                taken.add(stem)
            else:
                after.addfile(member, before.extractfile(member) if member.isfile() else None)
    return bool(taken)
