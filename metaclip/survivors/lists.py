"""Read lists of survivors: pairs or images that remain after a download, a filter or a review.

Uids are stored as two halves, as in `u8,u8` arrays; addresses as their `uid_hi`.
"""

import codecs
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import PurePosixPath
from typing import Any, BinaryIO, cast

import msgspec
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import xxhash

from metaclip.archive.damaged_members import Break, read_members
from metaclip.errors import ConfigError, InputError, UnreadableFileError
from metaclip.io.addresses.credentials import reveal
from metaclip.io.inputs import InputFile, list_inputs, look_up, naming
from metaclip.io.streams import call_store, filesystem, open_stream, scheme
from metaclip.pairs.uids import UIDS, parse_uids
from metaclip.pairs.urls import Fault, page_base
from metaclip.rows.columns import check_unique, is_failed
from metaclip.rows.lines import MAX_BYTES
from metaclip.sources.webdataset import read_fields

ROWS = 1 << 17
_MOST_BYTES = 64 << 20
"""So many characters of records are held at once."""
_FIELDS = ("uid", "uid_hi", "uid_lo", "url", "status")

_KINDS = {
    "parquet": (".parquet",),
    "webdataset": (".tar", ".tar.gz", ".tgz"),
    "npy": (".npy",),
    "jsonl": (".jsonl", ".jsonl.gz", ".ndjson", ".ndjson.gz"),
    "text": (".txt", ".txt.gz"),
}
"""Kinds of files by their names; in a folder only files of the first kind that exists are read."""


@dataclass
class Ids:
    """The ids in a piece of a list."""

    uids: npt.NDArray[np.void]
    """`u8,u8`[n]."""
    images: npt.NDArray[np.uint64]
    """`uid_hi` of n addresses."""


def survivor_files(paths: Sequence[str]) -> list[InputFile]:
    """Return the files of some paths, each once, sorted by path, with fingerprints.

    A path is what `metaclip.io.inputs` says. Of a folder the files of one kind are taken: Parquet
    (img2dataset writes it beside its images and tells of failures there), else tar, npy, JSON Lines, text.

    Raises:
        ConfigError: a path matches no file, or the name of a file does not show its kind.
        TransportError: a server cannot be reached now.
    """
    if not paths:
        raise ConfigError("survivors: no path is given; name img2dataset's output folder, or a list of uids")
    named: list[str] = []
    for path in paths:
        named += _files_of(path)
    with naming("survivors"):
        files = [look_up(name) for name in sorted(set(named))]
    for file in files:
        if _kind(file.path) is None:
            known = ", ".join(suffix for suffixes in _KINDS.values() for suffix in suffixes)
            raise ConfigError(f"survivors: {file.path}: its name does not tell what it holds; known: {known}")
    return files


def _kind(path: str) -> str | None:
    name = (path.split("?")[0] if scheme(path) in ("http", "https") else path).lower()
    return next((kind for kind, suffixes in _KINDS.items() if name.endswith(suffixes)), None)


def _files_of(path: str) -> list[str]:
    """Return the files that a path names; of a folder those of one kind."""
    with naming("survivors"):
        found = list(list_inputs(path))
    kinds = {_kind(file.path) for file in found}
    chosen = next((kind for kind in _KINDS if kind in kinds), None)
    names = [file.path for file in found if file.named_by != "folder" or _may_name_pairs(file.path, chosen)]
    if not names:
        raise ConfigError(f"survivors: {path}: no file there that could name pairs; see docs/images.md for the forms")
    return names


def _may_name_pairs(name: str, chosen: str | None) -> bool:
    # Spark and its like begin the names of what is no data with `_`.
    return chosen is not None and _kind(name) == chosen and not PurePosixPath(name).name.startswith("_")


def read_survivors(path: str, statistics: Counter[str]) -> Iterator[Ids]:
    """Yield the ids that a file names, a piece at a time.

    Parquet and JSON Lines: `uid` (32 hex digits, in quotation marks or not), or `uid_hi` and `uid_lo`, or
    `url`; rows with a `status` other than `success` or null are dropped (`rows.columns.is_failed`).
    WebDataset: the same, from the `.json` of each sample.
    npy: an array of dtype `u8,u8`. Text: one uid or address on each line.

    Counts `given`, `not_successful` and `unrecognised` (neither uid nor address).

    Raises:
        InputError: a file is missing or damaged, or names nothing, so no pair survives or is lost by accident.
        TransportError: the file cannot be reached now.
    """
    readers = {
        "parquet": _read_parquet,
        "webdataset": _read_webdataset,
        "npy": _read_npy,
        "jsonl": _read_json_lines,
        "text": _read_text,
    }
    yield from readers[_kind(path) or "text"](path, statistics)


def _read_parquet(path: str, statistics: Counter[str]) -> Iterator[Ids]:
    with _open(path) as stream:
        try:
            file = pq.ParquetFile(stream)
            names = file.schema_arrow.names
            wanted = _columns(path, names)
            check_unique(path, [name for name in names if name in (*wanted, "status")])
            for batch in file.iter_batches(ROWS, columns=[*wanted, *(["status"] if "status" in names else [])]):
                yield _of_table(pa.Table.from_batches([batch]), wanted, statistics)
        except (pa.ArrowInvalid, OSError) as error:
            raise InputError(f"{path}: cannot be read as Parquet: {error}; leave it out, or write it again") from error


def _columns(path: str, names: Sequence[str]) -> list[str]:
    for columns in (["uid"], ["uid_hi", "uid_lo"], ["url"]):
        if set(columns) <= set(names):
            return columns
    raise InputError(f"{path}: has neither uid nor uid_hi and uid_lo nor url, but {', '.join(names) or 'no field'}")


def _of_table(table: pa.Table, columns: list[str], statistics: Counter[str]) -> Ids:
    statistics["given"] += table.num_rows
    # Arrow chooses no rows of views of texts.
    table = pa.table({name: _plain(table.column(name)) for name in table.column_names})
    if "status" in table.column_names:
        before = table.num_rows
        stays = pa.array([not is_failed(status) for status in table.column("status").to_pylist()], pa.bool_())
        table = table.filter(stays)
        statistics["not_successful"] += before - table.num_rows
    if columns == ["uid_hi", "uid_lo"]:
        uids = np.empty(table.num_rows, UIDS)
        uids["f0"], uids["f1"] = (np.asarray(table.column(name).to_numpy(), np.uint64) for name in columns)
        return Ids(uids, np.zeros(0, np.uint64))
    return _of_strings(table.column(columns[0]), statistics)


def _plain(column: pa.ChunkedArray) -> pa.ChunkedArray:
    if pa.types.is_string_view(column.type):
        return column.cast(pa.large_string())
    return column.cast(pa.large_binary()) if pa.types.is_binary_view(column.type) else column


def _of_strings(strings: pa.ChunkedArray | pa.Array, statistics: Counter[str]) -> Ids:
    """Separate uids, addresses and other strings."""
    if pa.types.is_fixed_size_binary(strings.type):
        strings = strings.cast(pa.large_binary())
    strings = pc.utf8_trim(pc.fill_null(strings.cast(pa.large_string()), ""), " \t\"'")
    is_uid = pc.match_substring_regex(strings, "^[0-9A-Fa-f]{32}$")
    uids = parse_uids(strings.filter(is_uid))
    others = strings.filter(pc.invert(is_uid)).to_pylist()
    images = [xxhash.xxh3_64_intdigest(address) for other in others if (address := _address(other))]
    statistics["unrecognised"] += len(others) - len(images)
    return Ids(uids, np.array(images, np.uint64))


def _address(url: str) -> bytes | None:
    """Return an address in the form that the pool uses."""
    base = page_base(url, None)
    return None if isinstance(base, Fault) else (base.origin + base.path + base.query).encode()


def _read_npy(path: str, statistics: Counter[str]) -> Iterator[Ids]:
    with _open(path) as stream:
        try:
            version = np.lib.format.read_magic(stream)
            read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
            shape, _, dtype = read(stream)
        except (ValueError, OSError) as error:
            raise InputError(f"{path}: not an array of numpy's: {error}") from error
        names = dtype.names or ()
        if len(names) != 2 or any(dtype[name].kind != "u" or dtype[name].itemsize != 8 for name in names):
            raise InputError(f"{path}: an array of dtype {dtype}; uids are of dtype u8,u8, as DataComp has them")
        rows = int(np.prod(shape))
        for start in range(0, rows, ROWS):
            wanted = min(ROWS, rows - start) * dtype.itemsize
            data = stream.read(wanted)
            if len(data) < wanted:
                raise InputError(f"{path}: ends before its {rows:,} uids; write it again")
            found = np.frombuffer(data, dtype)
            uids = np.empty(len(found), UIDS)
            uids["f0"], uids["f1"] = found[names[0]], found[names[1]]
            statistics["given"] += len(uids)
            yield Ids(uids, np.zeros(0, np.uint64))


def _read_text(path: str, statistics: Counter[str]) -> Iterator[Ids]:
    for lines in _line_blocks(path):
        stripped = [line.strip() for line in lines]
        strings = pa.array([line.decode("utf-8", "replace") for line in stripped if line], pa.large_string())
        statistics["given"] += len(strings)
        yield _of_strings(strings, statistics)


def _read_json_lines(path: str, statistics: Counter[str]) -> Iterator[Ids]:
    def fields() -> Iterator[dict[str, Any]]:
        decode = msgspec.json.Decoder().decode
        for lines in _line_blocks(path):
            for line in lines:
                if line.strip():
                    try:
                        record = decode(line)
                    except (msgspec.DecodeError, UnicodeDecodeError) as error:
                        raise InputError(f"{path}: a line that is not JSON: {line[:80]!r}: {error}") from error
                    if not isinstance(record, dict):
                        raise InputError(f"{path}: a line that is no object: {line[:80]!r}")
                    yield record

    yield from _of_fields(path, fields(), statistics)


def _read_webdataset(path: str, statistics: Counter[str]) -> Iterator[Ids]:
    read = Counter[str]()
    yield from _of_fields(path, read_fields(path, read), statistics)
    damage = {name: count for name, count in read.items() if name.startswith("dropped.")}
    if damage:
        raise InputError(f"{path}: damaged ({damage}); leave it out, or write it again")


def _of_fields(path: str, records: Iterator[dict[str, Any]], statistics: Counter[str]) -> Iterator[Ids]:
    rows: list[dict[str, Any]] = []
    size = 0
    for record in records:
        # Nothing else of a record is held; one without such a field is held by its names.
        row = {name: record[name] for name in _FIELDS if name in record}
        rows.append(row or dict.fromkeys(name[:100] for name in islice(record, 20)))
        size += sum(len(value) for value in row.values() if isinstance(value, str))
        if len(rows) == ROWS or size > _MOST_BYTES:
            yield _of_rows(path, rows, statistics)
            rows, size = [], 0
    if rows:
        yield _of_rows(path, rows, statistics)


def _of_rows(path: str, rows: list[dict[str, Any]], statistics: Counter[str]) -> Ids:
    columns = _columns(path, list(dict.fromkeys(name for row in rows for name in row)))
    kept = [row for row in rows if not is_failed(row.get("status"))]
    statistics["given"] += len(rows)
    statistics["not_successful"] += len(rows) - len(kept)
    if columns == ["uid_hi", "uid_lo"]:
        try:
            return Ids(np.array([(row["uid_hi"], row["uid_lo"]) for row in kept], UIDS), np.zeros(0, np.uint64))
        except (KeyError, TypeError, ValueError, OverflowError) as error:
            raise InputError(f"{path}: uid_hi and uid_lo must be whole numbers of 64 bits in every record") from error
    values = (row.get(columns[0]) for row in kept)
    strings = pa.array([value if isinstance(value, str) else "" for value in values], pa.large_string())
    return _of_strings(strings, statistics)


def _line_blocks(path: str) -> Iterator[list[bytes]]:
    """Yield the lines of a text file, plain or gzip, a few thousand at a time."""
    rest = b""
    begun = False
    with open_stream(path) as stream:
        for event in read_members(stream, 0):
            if isinstance(event, Break):
                raise InputError(f"{path}: damaged ({event.reason}); leave it out, or write it again")
            if isinstance(event, bytes):
                if not begun:
                    event = event.removeprefix(codecs.BOM_UTF8)
                    begun = True
                *lines, rest = (rest + event).split(b"\n")
                if len(rest) > MAX_BYTES:
                    raise InputError(f"{path}: a line of more than {MAX_BYTES >> 20} MB; it is no list of survivors")
                yield lines
    yield [rest]


def _open(path: str) -> BinaryIO:
    try:
        return cast(BinaryIO, call_store(path, lambda: filesystem(path).open(reveal(path), "rb")))
    except UnreadableFileError as error:
        raise InputError(f"survivors: {error}") from error
