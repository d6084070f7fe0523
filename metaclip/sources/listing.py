"""From `source.paths` and `source.crawl` to shards: listings, lists of paths, kinds and fingerprints of files.

The listing is complete before any work, so that missing or unknown files are refused at once.
"""

import glob
import gzip
import hashlib
import itertools
import logging
import os
import re
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, cast

from metaclip.config.settings import Source
from metaclip.errors import InputError, UnreadableFileError
from metaclip.io.streams import call_store, filesystem, identify, read_whole, scheme
from metaclip.sources.common_crawl import COMMON_CRAWL, missing_crawl, paths_list

logger = logging.getLogger(__name__)

Kind = Literal["warc", "wat", "pairs", "webdataset"]

_KINDS: list[tuple[re.Pattern[str], Kind]] = [
    (re.compile(r"\.wat(\.gz|\.zst)?$"), "wat"),
    (re.compile(r"\.(warc|arc)(\.gz|\.zst)?$"), "warc"),
    (re.compile(r"\.parquet$|\.(jsonl|ndjson|json)(\.gz|\.zst)?$"), "pairs"),
    (re.compile(r"\.tar$"), "webdataset"),
]
_PATH_LIST = re.compile(r"\.paths(\.gz)?$")
# Other files in folders of data: notes, checksums, indexes, and img2dataset's statistics.
_NO_DATA = re.compile(
    r"^(readme|license|notice|_success|_metadata|_common_metadata)\b|_stats\.json$|\.paths(\.gz)?$"
    r"|\.(txt|md|html?|ya?ml|csv|crc|md5|sha1|sha256|cdxj?|idx|log|tmp)(\.gz)?$|\.wet(\.gz|\.zst)?$"
)


@dataclass(frozen=True)
class SourceFile:
    """One file of a shard: its address, its kind, its size if known, and its fingerprint."""

    path: str
    kind: Kind
    bytes: int | None
    fingerprint: str


@dataclass(frozen=True)
class _Listed:
    path: str
    bytes: int | None = None
    sought: bool = True  # named by the user; else found in a folder or by a glob


def list_shards(source: Source) -> list[list[SourceFile]]:
    """List a source's files, grouped into shards of `files_per_shard` within each path and each crawl.

    Folders and globs are sorted, and lists keep their order. A file that is listed twice is used once.
    `source.limit` applies to all of `paths` together, and to each crawl. Local paths become absolute.
    The fingerprint of a crawl file is its path (Common Crawl never rewrites a file), of others it is size
    and content.

    Raises:
        InputError: a file is missing or empty, or its name does not show its kind.
        ConfigError: there is no such crawl; the message names similar ones.
        TransportError: a list or a store that cannot be reached now.
    """
    shards: list[list[SourceFile]] = []
    seen: set[str] = set()
    repeats = 0
    room = source.limit
    entries = [(_files_of(path, _expand(path.strip(), source), source), False) for path in source.paths]
    entries += [(_files_of(crawl, _expand_crawl(crawl, source), source), True) for crawl in source.crawl]
    for found, is_crawl in entries:
        if is_crawl:
            room = source.limit  # a new crawl must not depend on the number of files of older ones
        files: list[tuple[_Listed, Kind]] = []
        for listed, kind in found:
            if room is not None and len(files) >= room:
                break
            if listed.path in seen:
                repeats += 1
                continue
            seen.add(listed.path)
            files.append((listed, kind))
        if room is not None:
            room -= len(files)
        ready = (_settle(listed, kind) for listed, kind in files)
        while shard := list(itertools.islice(ready, source.files_per_shard)):
            shards.append(shard)
    if repeats:
        logger.warning("%d files are listed more than once; each is used once", repeats)
    return shards


def kind_of(name: str) -> Kind | None:
    """Return the kind of a file by its name, or None if the name does not show it."""
    name = name.split("?")[0].lower() if scheme(name) in ("http", "https") else name.lower()
    return next((kind for pattern, kind in _KINDS if pattern.search(name)), None)


def _files_of(entry: str, expanded: Iterator[_Listed], source: Source) -> Iterator[tuple[_Listed, Kind]]:
    """Yield the files of one item of `paths` with their kinds; files that are not data are skipped and counted."""
    skipped = used = 0
    for listed in expanded:
        name = listed.path.rsplit("/", 1)[-1]
        named = kind_of(listed.path)
        if not listed.sought and (_NO_DATA.search(name.lower()) or _other_kind(named, source)):
            skipped += 1
            continue
        kind = named if source.kind == "auto" else source.kind
        if kind is None:
            raise InputError(
                f"{listed.path}: its name does not tell what it holds (.warc, .wat, .parquet, .jsonl, .tar, each"
                " also .gz or .zst where usual); set source.kind to warc, wat, pairs or webdataset"
            )
        used += 1
        yield listed, kind
    if skipped:
        logger.info("%s: %d files left out, which are no data by their names", entry, skipped)
    if not used:
        raise InputError(
            f"{entry}: no data files found"
            + (f" ({skipped} files of other kinds)" if skipped else "")
            + "; name a folder, a glob (`**/` goes through folders) or a list that holds some"
        )


def _other_kind(named: Kind | None, source: Source) -> bool:
    if source.kind == "auto":
        return named is None
    return named is not None and named != source.kind


def _expand(entry: str, source: Source) -> Iterator[_Listed]:
    if _PATH_LIST.search(entry.split("?")[0].lower()):
        location = entry if scheme(entry) else _absolute(entry)
        yield from _read_list(location, source.base)
    elif scheme(entry) in ("http", "https"):
        if "*" in entry:
            raise InputError(f"{entry}: an http server cannot be searched; name files or a *.paths list")
        yield _Listed(entry)
    elif scheme(entry) not in ("", "file"):
        yield from _expand_store(entry)
    else:
        yield from _expand_local(_absolute(entry.removeprefix("file://") if scheme(entry) else entry))


def _expand_crawl(crawl: str, source: Source) -> Iterator[_Listed]:
    base = source.base or COMMON_CRAWL
    location = paths_list(crawl, source.kind, base)
    try:
        yield from _read_list(location if scheme(location) else _absolute(location), base)
    except UnreadableFileError as error:
        raise missing_crawl(crawl, source.kind, source.base, error) from error


def _absolute(path: str) -> str:
    # Not Path.resolve: a symbolic link keeps its own name.
    return os.path.abspath(os.path.expanduser(path))  # noqa: PTH100, PTH111


def _expand_local(path: str) -> Iterator[_Listed]:
    if Path(path).is_dir():
        found = []
        for folder, folders, names in os.walk(path, followlinks=True):
            folders[:] = [name for name in folders if not name.startswith(".")]
            found += [f"{folder}/{name}" for name in names if not name.startswith(".")]
    elif Path(path).exists() or not glob.has_magic(path):
        yield _Listed(path)
        return
    else:
        found = [name for name in glob.glob(path, recursive=True) if Path(name).is_file()]  # noqa: PTH207
    for name in sorted(found):
        yield _Listed(name, sought=False)


def _expand_store(address: str) -> Iterator[_Listed]:
    """List a folder or glob of an object store; a name with a known ending is a file and is not listed."""
    magic = glob.has_magic(address)
    if not magic and kind_of(address):
        yield _Listed(address)
        return
    store = filesystem(address)
    if not magic and not call_store(address, lambda: store.isdir(address)):
        yield _Listed(address)
        return
    find = store.glob if magic else store.find
    found = cast(dict[str, dict[str, object]], call_store(address, lambda: find(address, detail=True)))
    for name in sorted(found):
        inside = name[len(store._strip_protocol(address)) :] if not magic else name.rsplit("/", 1)[-1]
        if found[name].get("type") == "directory" or re.search(r"(^|/)\.", inside):
            continue
        size = found[name].get("size")
        yield _Listed(store.unstrip_protocol(name), size if isinstance(size, int) else None, sought=False)


def _read_list(location: str, base: str | None) -> Iterator[_Listed]:
    """Read a list of paths, one on each line, as Common Crawl publishes them."""
    content = read_whole(location)
    try:
        if content[:2] == b"\x1f\x8b":
            content = gzip.decompress(content)
        lines = content.decode("utf-8").splitlines()
    except (gzip.BadGzipFile, EOFError, zlib.error, UnicodeDecodeError) as error:
        raise InputError(f"{location}: not a list of paths: {error}; download it anew") from error
    for line in lines:
        path = line.strip()
        if path.startswith("<"):
            raise InputError(f"{location}: holds markup ({path[:60]}), not paths: an error page saved as a list")
        if path:
            yield _Listed(_resolve(path, location, base))


def _resolve(line: str, location: str, base: str | None) -> str:
    if scheme(line) == "file":
        line = line.removeprefix("file://")
    if scheme(line):
        return line
    if line.startswith("/"):
        return os.path.normpath(line)
    if base:
        address = f"{base.rstrip('/')}/{line}"
        return address if scheme(base) else _absolute(address)
    folder = location.split("?")[0].rpartition("/")[0] + "/"
    if not line.startswith("crawl-data/"):
        return folder + line if scheme(location) else _absolute(folder + line)
    if not scheme(location):
        return COMMON_CRAWL + line
    return (location.partition("crawl-data/")[0] if "crawl-data/" in location else folder) + line


def _settle(listed: _Listed, kind: Kind) -> SourceFile:
    """Check that a local file exists, and compute the fingerprint."""
    path, size = listed.path, listed.bytes
    local = not scheme(path)
    if local:
        try:
            size = Path(path).stat().st_size
        except OSError as error:
            raise InputError(f"{path}: cannot be used: {error.strerror}; correct source.paths") from error
        if not Path(path).is_file():
            raise InputError(f"{path}: is not a file; name files, or its folder in source.paths itself")
    if kind in ("warc", "wat"):
        return SourceFile(path, kind, size, path)
    if local:
        with Path(path).open("rb") as stream:
            return SourceFile(path, kind, size, f"{size}-{hashlib.file_digest(stream, 'sha256').hexdigest()}")
    identity = identify(path)
    return SourceFile(path, kind, identity.bytes, f"{identity.bytes}-{identity.tag}")
