"""Which of the files that a folder or a glob holds are data, and which lie beside them: notes, indexes, statistics.

What is left out is listed on the terminal by kind. A file that is named by itself is never left out.
"""

import logging
import re
from collections import Counter
from collections.abc import Sequence
from functools import cache
from pathlib import Path, PurePosixPath

import pyarrow as pa
import pyarrow.parquet as pq

from metaclip.archive.damaged_members import read_members
from metaclip.config.settings import Source
from metaclip.errors import InputError
from metaclip.io.fingerprints import local_state
from metaclip.io.inputs import ListedFile, local_path, naming
from metaclip.io.streams import open_stream, scheme
from metaclip.rows.columns import TEXT_COLUMNS, URL_COLUMNS
from metaclip.rows.encodings import as_utf8
from metaclip.rows.text_rows import holds_pairs
from metaclip.sources.kinds import Kind, kind_of

logger = logging.getLogger(__name__)

_NO_DATA = re.compile(
    r"^(readme|license|notice|_success|_metadata|_common_metadata)\b|^_|\.paths(\.gz)?$"
    r"|\.(md|html?|ya?ml|crc|md5|sha1|sha256|cdxj?|idx|log|tmp)(\.gz)?$|\.wet(\.gz|\.zst)?$"
    # img2dataset's statistics; the lists of pages of Browsertrix and WACZ; the notes of Hugging Face's datasets.
    r"|_stats\.json$|^(extra)?pages\.jsonl(\.gz)?$|^datapackage(-digest)?\.json$"
    r"|^(dataset_infos?|dataset_dict|state|config|package|croissant|schema|metadata_schema|manifest)\.json$"
)
_TEXT = re.compile(r"\.(jsonl|ndjson|json|csv|tsv|txt)(\.(gz|zst|bz2|xz))?$")
_NOTES = re.compile(r"\.txt(\.(gz|zst|bz2|xz))?$")
_PACKED = re.compile(r"\.(gz|zst|bz2|xz)$")
_TAR = re.compile(r"\.(tar(\.(gz|zst|bz2|xz))?|tgz)$")
_LOOKED_AT = 64 << 10


def split_off_side_files(
    entry: str, files: Sequence[ListedFile], source: Source
) -> tuple[list[tuple[ListedFile, Kind]], int]:
    """Return the files of an entry that are data with their kinds, and the number of the others.

    Raises:
        InputError: the name of a file that is named by itself does not tell what it holds.
    """
    kinds = [_kind(file, source) for file in files]
    candidates = [(file, kind) for file, kind in zip(files, kinds, strict=True) if kind is not None]
    endings = {_ending(file.path) for file, _ in candidates}
    beside = _beside_data(files)
    used: list[tuple[ListedFile, Kind]] = []
    left = [file for file, kind in zip(files, kinds, strict=True) if kind is None]
    for file, kind in candidates:
        if file.named_by != "name" and (
            file.path in beside or (kind == "pairs" and len(endings) > 1 and not _may_hold_pairs(file.path, source))
        ):
            left.append(file)
        else:
            used.append((file, kind))
    if left:
        _warn_once(f"{entry}: {len(left)} files are not read: {_by_kind([file.path for file in left])}")
    return used, len(left)


@cache
def _warn_once(message: str) -> None:
    """Log a warning; a command lists its source when it checks it, and again in the run."""
    logger.warning("%s", message)


def _kind(file: ListedFile, source: Source) -> Kind | None:
    """Return the kind as which a file is to be read, None for one that is no data by its name.

    Raises:
        InputError: the name of a file that is named by itself does not tell.
    """
    name, named = _name(file.path), kind_of(file.path)
    if named is None and _NOTES.search(name) and source.kind in ("auto", "pairs") and _has_rows(file.path, source):
        return "pairs"
    if file.named_by != "name" and (_NO_DATA.search(name) or _NOTES.search(name)):
        return None
    if source.kind != "auto":
        return source.kind if file.named_by == "name" or named in (None, source.kind) else None
    if named is None and file.named_by == "name":
        if scheme(file.path) in ("", "file"):
            with naming("source.paths", InputError):
                local_state(local_path(file.path))  # what is not there needs no name that tells
        raise InputError(
            f"{file.path}: its name does not tell what it holds (.warc, .wat, .wacz, .parquet, .jsonl, .json, .csv,"
            " .tsv, .tar, each also .gz, .zst, .bz2 or .xz where usual, or .txt with rows of an address and a text);"
            " set source.kind to warc, wat, pairs or webdataset"
        )
    return named


def _beside_data(files: Sequence[ListedFile]) -> set[str]:
    """Return what img2dataset writes a second time: Parquet beside a tar of its number, and JSON of single images."""
    found = {file.path for file in files if file.named_by != "name"}
    tars = {_TAR.sub("", path) for path in found if _TAR.search(path)}
    tables = {path.removesuffix(".parquet") for path in found if path.endswith(".parquet")}
    return {
        path
        for path in found
        if (path.endswith(".parquet") and path.removesuffix(".parquet") in tars)
        or (_TEXT.search(path) and path.rpartition("/")[0] in tables)
    }


def _has_rows(path: str, source: Source) -> bool:
    """Return whether a .txt has rows of an address and a text in it; others are notes."""
    head = _head(path) or b""
    return bool(head) and holds_pairs(head, path, (source.url_column, source.text_column))


def _may_hold_pairs(path: str, source: Source) -> bool:
    """Return whether a file among files of other kinds may hold pairs; one that cannot be read is for its reader."""
    wanted = (source.url_column, source.text_column)
    if path.endswith(".parquet"):
        if scheme(path):
            return True
        try:
            names = pq.read_schema(Path(path)).names
        except (pa.ArrowException, OSError):
            return True
        known = zip(wanted, (URL_COLUMNS, TEXT_COLUMNS), strict=True)
        return all(any(name in names for name in ((asked,) if asked else group)) for asked, group in known)
    head = _head(path)
    return head is None or holds_pairs(head, path, wanted)


def _head(path: str) -> bytes | None:
    """Return the first bytes of a text file, decompressed; None if it cannot be read."""
    head = bytearray()
    try:
        with open_stream(path) as stream:
            for event in as_utf8(read_members(stream, 0)):
                if isinstance(event, bytes):
                    head += event
                    if len(head) >= _LOOKED_AT:
                        break
    except (InputError, OSError):
        return None
    return bytes(head[:_LOOKED_AT])


def _by_kind(paths: Sequence[str]) -> str:
    """Return numbers by kind, `2 .md, 1 .json (state.json)`, with the names of some that look like data."""
    kinds = Counter(map(_ending, paths))
    parts = []
    for kind, count in sorted(kinds.items(), key=lambda item: (-item[1], item[0])):
        named = [path.rsplit("/", 1)[-1] for path in paths if _ending(path) == kind and kind_of(path)][:3]
        more = ", …" if named and count > len(named) else ""
        parts.append(f"{count} {kind or 'without an ending'}" + (f" ({', '.join(named)}{more})" if named else ""))
    return ", ".join(parts)


def _name(path: str) -> str:
    return path.rsplit("/", 1)[-1].lower()


def _ending(path: str) -> str:
    name = _name(path)
    plain = _PACKED.sub("", name)
    return PurePosixPath(plain).suffix + name[len(plain) :]
