"""From `source.paths` and `source.crawl` to shards: listings, lists of paths, kinds and fingerprints of files.

The listing is complete before any work, so that missing or unknown files are refused at once.
"""

import gzip
import itertools
import logging
import os
import re
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from metaclip.config.settings import Source
from metaclip.errors import InputError, UnreadableFileError
from metaclip.io.fingerprints import local_state
from metaclip.io.inputs import ListedFile, list_inputs, local_path, look_up, naming
from metaclip.io.streams import read_whole, scheme
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
    entries = [(_files_of(path, _expand(path.strip(), source), source), "source.paths") for path in source.paths]
    entries += [(_files_of(crawl, _expand_crawl(crawl, source), source), "source.crawl") for crawl in source.crawl]
    for found, field in entries:
        if field == "source.crawl":
            room = source.limit  # a new crawl must not depend on how many files older ones gave
        files: list[tuple[ListedFile, Kind]] = []
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
        ready = (_look_up(listed, kind, field) for listed, kind in files)
        while shard := list(itertools.islice(ready, source.files_per_shard)):
            shards.append(shard)
    if repeats:
        logger.warning("%d files are listed more than once; each is used once", repeats)
    return shards


def kind_of(name: str) -> Kind | None:
    """Return the kind of a file by its name, or None if the name does not show it."""
    name = name.split("?")[0].lower() if scheme(name) in ("http", "https") else name.lower()
    return next((kind for pattern, kind in _KINDS if pattern.search(name)), None)


def _files_of(entry: str, expanded: Iterator[ListedFile], source: Source) -> Iterator[tuple[ListedFile, Kind]]:
    """Yield an entry's files with their kinds, those that are no data left out and counted."""
    skipped = used = 0
    for listed in expanded:
        name = listed.path.rsplit("/", 1)[-1]
        named = kind_of(listed.path)
        if listed.named_by != "name" and (_NO_DATA.search(name.lower()) or _other_kind(named, source)):
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


def _expand(entry: str, source: Source) -> Iterator[ListedFile]:
    if _PATH_LIST.search(entry.split("?")[0].lower()):
        yield from _read_list(entry if scheme(entry) else local_path(entry), source.base)
    else:
        yield from list_inputs(entry)


def _expand_crawl(crawl: str, source: Source) -> Iterator[ListedFile]:
    base = source.base or COMMON_CRAWL
    location = paths_list(crawl, source.kind, base)
    try:
        yield from _read_list(location if scheme(location) else local_path(location), base)
    except UnreadableFileError as error:
        raise missing_crawl(crawl, source.kind, source.base, error) from error


def _read_list(location: str, base: str | None) -> Iterator[ListedFile]:
    """Read a list of paths, one a line, as Common Crawl publishes them."""
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
            yield ListedFile(_resolve(path, location, base), "name")


def _resolve(line: str, location: str, base: str | None) -> str:
    if scheme(line) == "file":
        line = line.removeprefix("file://")
    if scheme(line):
        return line
    if line.startswith("/"):
        return os.path.normpath(line)
    if base:
        address = f"{base.rstrip('/')}/{line}"
        return address if scheme(base) else local_path(address)
    folder = location.split("?")[0].rpartition("/")[0] + "/"
    if not line.startswith("crawl-data/"):
        return folder + line if scheme(location) else local_path(folder + line)
    if not scheme(location):
        return COMMON_CRAWL + line
    return (location.partition("crawl-data/")[0] if "crawl-data/" in location else folder) + line


def _look_up(listed: ListedFile, kind: Kind, field: str) -> SourceFile:
    """Return a file with its size and fingerprint; a local one must be there, a remote crawl file is not looked up."""
    path = listed.path
    with naming(field, InputError):
        if kind not in ("warc", "wat"):
            known = look_up(path)
            return SourceFile(path, kind, known.bytes, known.fingerprint)
        size = listed.bytes if scheme(path) else local_state(path).st_size
        return SourceFile(path, kind, size, path)
