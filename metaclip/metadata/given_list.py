"""Read a given list of metadata entries. An entry's id is always its position in the list."""

import gzip
import io
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import BinaryIO

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq

from metaclip.errors import InputError
from metaclip.io import inputs
from metaclip.io.streams import open_stream, scheme

FIELD = "metadata.entries"
"""The setting that names the list; errors say so."""

MAX_ENTRIES = 2**32
"""Ids are stored as uint32."""

MAX_COUNT = 2**53

_GZIP_MAGIC = b"\x1f\x8b"
_PARQUET_MAGIC = b"PAR1"


@dataclass(frozen=True, slots=True)
class LoadedEntries:
    """A list of entries as it is in its file."""

    entries: list[str]
    """The entry with id i at position i, as spelled in the file; duplicates keep their ids."""
    sources: list[str]
    """The source of each entry (the column `source` of a Parquet list), or empty strings."""
    blank_lines: int
    """Number of lines of a text list that were skipped because they are empty or only white space."""
    duplicates: int
    """Number of entries that occur earlier in the list too; only the first of equal entries ever matches."""
    counts: list[int] | None = None
    """How often each entry was counted as a word, 0 for one that was not; None if the file has no counts."""


def load_entries(address: str) -> LoadedEntries:
    """Read a list of entries from any fsspec address.

    The name decides the form (`.json`, `.txt`, `.parquet`, each with or without `.gz`), or else
    the content: a JSON list of strings as MetaCLIP publishes it, or a JSON object of entries with their
    counts; UTF-8 text, one entry a line; or Parquet with a column `entry`, and `source`, `count` and
    `entry_id` if they are there.

    Raises:
        ConfigError: if there is no such file.
        InputError: if the file is not such a list; the message names the wrong entry and what to do.
        TransportError: if a remote file cannot be fetched now.
    """
    data = _unzip(address, _read(address))
    form = _form(address, data)
    sources: list[str] | None = None
    counts: list[int] | None = None
    blank_lines = 0
    if form == "parquet":
        entries, sources, counts = _from_parquet(address, data)
    elif form == "json":
        entries, counts = _from_json(address, data)
    else:
        entries, blank_lines = _from_text(address, data)
    if not entries:
        raise InputError(f"{address}: the list holds no entry; metadata.entries must name a list with at least one")
    if len(entries) > MAX_ENTRIES:
        raise InputError(f"{address}: {len(entries)} entries, but ids are 32 bits: at most {MAX_ENTRIES}")
    duplicates = len(entries) - len(set(entries))
    return LoadedEntries(entries, sources or [""] * len(entries), blank_lines, duplicates, counts)


def fingerprint(address: str) -> str:
    """Return what a list's content is known by in keys, see `metaclip.io.inputs.fingerprint`.

    Raises:
        ConfigError: if there is no such file.
        TransportError: if a remote file cannot be looked up now.
    """
    with inputs.naming(FIELD):
        return inputs.fingerprint(address)


def _read(address: str) -> bytes:
    with inputs.naming(FIELD), _open(address) as stream:
        return stream.read()


def _open(address: str) -> BinaryIO:
    return open_stream(address if scheme(address) else inputs.local_path(address))


def _unzip(address: str, data: bytes) -> bytes:
    if not data.startswith(_GZIP_MAGIC):
        return data
    try:
        return gzip.decompress(data)
    except (OSError, EOFError, zlib.error) as error:
        raise InputError(f"{address}: damaged gzip file ({error}); fetch or compress it again") from error


def _form(address: str, data: bytes) -> str:
    name = PurePosixPath(address.partition("?")[0]).name.lower().removesuffix(".gz")
    for suffix, form in ((".json", "json"), (".txt", "text"), (".parquet", "parquet")):
        if name.endswith(suffix):
            return form
    if data.startswith(_PARQUET_MAGIC):
        return "parquet"
    return "json" if data.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"[") else "text"


def _from_json(address: str, data: bytes) -> tuple[list[str], list[int] | None]:
    _decode_utf8(address, data)  # so that a wrong byte is reported with its place
    try:
        value = msgspec.json.decode(data.removeprefix(b"\xef\xbb\xbf"))
    except msgspec.DecodeError as error:
        raise InputError(
            f"{address}: not valid JSON ({error}); expected one list of strings."
            " A list with one entry a line must be named .txt"
        ) from error
    if isinstance(value, dict):
        return _checked(address, list(value)), _checked_counts(address, list(value.values()))
    if not isinstance(value, list):
        raise InputError(f"{address}: the JSON holds {_kind(value)}; expected one list of strings")
    return _checked(address, value), None


def _from_text(address: str, data: bytes) -> tuple[list[str], int]:
    lines = _decode_utf8(address, data).removeprefix("\ufeff").split("\n")
    if lines[-1] == "":
        lines.pop()  # what follows the last line end is not a line
    entries = [line.removesuffix("\r") for line in lines]
    kept = [entry for entry in entries if entry.strip()]
    return kept, len(entries) - len(kept)


def _from_parquet(address: str, data: bytes) -> tuple[list[str], list[str] | None, list[int] | None]:
    try:
        table = pq.read_table(io.BytesIO(data))
    except (pa.ArrowException, OSError) as error:
        raise InputError(f"{address}: not a readable Parquet file: {error}") from error
    if "entry" not in table.column_names:
        raise InputError(f"{address}: has no column `entry`; its columns are {', '.join(table.column_names) or 'none'}")
    entries = _checked(address, table["entry"].to_pylist())
    if "entry_id" in table.column_names:
        for index, entry_id in enumerate(table["entry_id"].to_pylist()):
            if entry_id != index:
                raise InputError(
                    f"{address}: row {index} has entry_id {entry_id}, but ids are positions:"
                    " sort the rows by entry_id and leave no gap"
                )
    sources = None
    if "source" in table.column_names:
        sources = [str(source or "") for source in table["source"].to_pylist()]
    counts = None
    if "count" in table.column_names:
        counts = _checked_counts(address, [count or 0 for count in table["count"].to_pylist()])
    return entries, sources, counts


def _decode_utf8(address: str, data: bytes) -> str:
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise InputError(
            f"{address}: byte {error.start} (line {line}) is not UTF-8; convert the list to UTF-8"
        ) from error


def _checked_counts(address: str, values: Sequence[object]) -> list[int]:
    for index, count in enumerate(values):
        if not isinstance(count, int) or isinstance(count, bool) or not 0 <= count < MAX_COUNT:
            raise InputError(
                f"{address}: the count of entry {index} is {count if isinstance(count, int) else _kind(count)};"
                " counts are whole numbers from 0 on"
            )
    return [int(count) for count in values]  # type: ignore[call-overload]


def _checked(address: str, values: Sequence[object]) -> list[str]:
    entries: list[str] = []
    for index, entry in enumerate(values):
        if not isinstance(entry, str):
            raise InputError(
                f"{address}: entry {index} is {_kind(entry)}, not a string;"
                " correct the list (taking it out would shift the ids of all entries after it)"
            )
        if not entry:
            raise InputError(
                f"{address}: entry {index} is the empty string, which cannot be matched;"
                " correct the list (taking it out would shift the ids of all entries after it)"
            )
        entries.append(entry)
    return entries


def _kind(value: object) -> str:
    if value is None:
        return "null"
    kinds = {dict: "an object", list: "a list", str: "a string", bool: "a truth value"}
    return kinds.get(type(value), "a number" if isinstance(value, int | float) else type(value).__name__)
