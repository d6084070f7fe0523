"""From `source.paths` and `source.crawl` to shards: listings, lists of paths, kinds and fingerprints of files.

The listing is complete before any work, so that missing or unknown files are refused at once.
"""

import itertools
import logging
from collections.abc import Iterator
from dataclasses import dataclass

from metaclip.config.settings import Source
from metaclip.errors import InputError, UnreadableFileError
from metaclip.io.fingerprints import local_state
from metaclip.io.inputs import ListedFile, list_inputs, local_path, look_up, naming
from metaclip.io.streams import scheme
from metaclip.sources.common_crawl import COMMON_CRAWL, missing_crawl, paths_list
from metaclip.sources.kinds import Kind
from metaclip.sources.path_lists import PATH_LIST, read_list
from metaclip.sources.side_files import split_off_side_files

logger = logging.getLogger(__name__)


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


def _files_of(entry: str, expanded: Iterator[ListedFile], source: Source) -> Iterator[tuple[ListedFile, Kind]]:
    """Yield an entry's files with their kinds; those that are no data are left out, and listed on the terminal."""
    used = left = 0
    for named, files in itertools.groupby(expanded, lambda file: file.named_by == "name"):
        # A list names its files one by one, and may have very many.
        for some in ([file] for file in files) if named else [list(files)]:
            data, others = split_off_side_files(entry, some, source)
            used += len(data)
            left += others
            yield from data
    if not used:
        raise InputError(
            f"{entry}: no data files found"
            + (f" ({left} files of other kinds)" if left else "")
            + "; name a folder, a glob (`**/` goes through folders) or a list that holds some"
        )


def _expand(entry: str, source: Source) -> Iterator[ListedFile]:
    if PATH_LIST.search(entry.split("?")[0].lower()):
        location = local_path(entry) if scheme(entry) in ("", "file") else entry
        yield from read_list(location, source.base, allow_private=source.allow_private)
    else:
        yield from list_inputs(entry)


def _expand_crawl(crawl: str, source: Source) -> Iterator[ListedFile]:
    base = source.base or COMMON_CRAWL
    location = paths_list(crawl, source.kind, base)
    try:
        location = location if scheme(location) else local_path(location)
        yield from read_list(location, base, allow_private=source.allow_private)
    except UnreadableFileError as error:
        raise missing_crawl(crawl, source.kind, source.base, error) from error


def _look_up(listed: ListedFile, kind: Kind, field: str) -> SourceFile:
    """Return a file with its size and fingerprint; a local one must be there, a remote crawl file is not looked up."""
    path = listed.path
    with naming(field, InputError):
        if kind not in ("warc", "wat"):
            known = look_up(path)
            return SourceFile(path, kind, known.bytes, known.fingerprint)
        size = listed.bytes if scheme(path) else local_state(path).st_size
        return SourceFile(path, kind, size, path)
