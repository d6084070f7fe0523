"""Read existing pairs: Parquet and JSON Lines of image addresses with texts.

Examples are LAION's and DataComp's metadata, cc2dataset's output, and this project's own sets.
"""

import codecs
import shutil
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import chain, islice
from typing import Any, BinaryIO

import pyarrow as pa
import pyarrow.parquet as pq

from metaclip.archive.damaged_members import Break, Event, read_members
from metaclip.config.settings import Extract
from metaclip.errors import InputError, UnreadableFileError
from metaclip.io.streams import open_stream, scheme
from metaclip.pairs.batch import PairBatch
from metaclip.pairs.collector import BATCH_PAIRS
from metaclip.sources.samples import PAGE_COLUMNS, TEXT_COLUMNS, URL_COLUMNS, SampleCollector, parse_json

KEY_COLUMN = "text_key"

_MAX_LINE_BYTES = 16 << 20
_LINES_LOOKED_AT = 1000


def read_pairs(
    path: str,
    settings: Extract,
    statistics: Counter[str],
    *,
    url_column: str | None = None,
    text_column: str | None = None,
) -> Iterator[PairBatch]:
    """Yield the pairs of a Parquet or JSON Lines file (plain, gzip, zstd), in order, in batches.

    The content decides the form. Parquet is read by row group, and only the columns that are needed;
    from a web server it is downloaded to a temporary file first. `text_key` is the column of that name,
    or else the lower-case name of the column of the text. The page's address is the column `page_url`
    or `referrer`, or else empty. Counts `records`, `bytes_read`, what SampleCollector counts,
    `dropped.record.<reason>`, and damage as `dropped.file_part.<reason>` or `dropped.file_tail.<reason>`.

    Raises:
        InputError: if a configured column does not exist; the message lists the columns of the file.
        UnreadableFileError: empty, or neither Parquet nor JSON Lines.
        TransportError: the file cannot be reached now.
    """
    wanted = (url_column, text_column)
    with open_stream(path) as stream:
        head = stream.read(4)
        if not head:
            raise UnreadableFileError(path, "empty", "the file is empty")
        if head == b"PAR1":
            yield from _read_parquet(path, stream, settings, statistics, wanted)
        else:
            yield from _read_json_lines(path, head, stream, settings, statistics, wanted)


def _columns(path: str, names: Sequence[str], wanted: tuple[str | None, str | None]) -> tuple[str, str, str | None]:
    """Return the columns of address, text and page."""
    chosen = []
    for field, asked, known in zip(("url", "text"), wanted, (URL_COLUMNS, TEXT_COLUMNS), strict=True):
        column = asked if asked in names else None if asked else next((name for name in known if name in names), None)
        if column is None:
            missing = f"`{asked}`" if asked else " or ".join(f"`{name}`" for name in known)
            raise InputError(
                f"{path}: has no column {missing}; set source.{field}_column to one of: {', '.join(names) or 'none'}"
            )
        chosen.append(column)
    return chosen[0], chosen[1], next((name for name in PAGE_COLUMNS if name in names), None)


def _read_parquet(
    path: str,
    stream: BinaryIO,
    settings: Extract,
    statistics: Counter[str],
    wanted: tuple[str | None, str | None],
) -> Iterator[PairBatch]:
    with tempfile.TemporaryFile() as fetched:
        if scheme(path) in ("http", "https"):
            # The footer is read first, and a web server can only be read forward efficiently.
            fetched.write(b"PAR1")
            shutil.copyfileobj(stream, fetched, 1 << 20)
        try:
            file = pq.ParquetFile(fetched if fetched.tell() else stream)
        except (pa.ArrowException, OSError) as error:
            raise UnreadableFileError(path, "bad_parquet", f"not a whole Parquet file: {error}") from error
        url, text, page = _columns(path, file.schema_arrow.names, wanted)
        key = KEY_COLUMN if KEY_COLUMN in file.schema_arrow.names else None
        used = [name for name in dict.fromkeys((url, text, page, key)) if name is not None]
        collector = SampleCollector(settings, statistics)
        for group in range(file.num_row_groups):
            before = statistics["records"]
            try:
                for batch in file.iter_batches(BATCH_PAIRS, row_groups=[group], columns=used):
                    columns = {name: _strings(path, name, batch.column(name)) for name in used}
                    statistics["records"] += batch.num_rows
                    nothing: list[object] = [None] * batch.num_rows
                    keys = columns[key] if key else nothing
                    pages = columns[page] if page else nothing
                    for row in zip(columns[url], columns[text], keys, pages, strict=True):
                        collector.add(row[0], ((_key(row[2], text), row[1]),), row[3])
                    if full := collector.take_full():
                        yield full
            except (pa.ArrowException, OSError):
                statistics["dropped.file_part.corrupt_row_group"] += 1
                statistics["dropped.record.corrupt_row_group"] += file.metadata.row_group(group).num_rows - (
                    statistics["records"] - before
                )
            statistics["bytes_read"] += _group_bytes(file, group, used)
        if rest := collector.take():
            yield rest


def _group_bytes(file: pq.ParquetFile, group: int, used: list[str]) -> int:
    metadata = file.metadata.row_group(group)
    columns = (metadata.column(index) for index in range(metadata.num_columns))
    return sum(column.total_compressed_size for column in columns if column.path_in_schema.split(".")[0] in used)


def _strings(path: str, name: str, array: Any) -> list[object]:
    if pa.types.is_dictionary(array.type):
        array = array.dictionary_decode()
    kind = array.type
    if pa.types.is_null(kind):
        return [None] * len(array)
    if pa.types.is_string(kind) or pa.types.is_large_string(kind):
        try:
            return list(array.to_pylist())
        except UnicodeDecodeError:
            array = array.cast(pa.large_binary())
    elif not (pa.types.is_binary(kind) or pa.types.is_large_binary(kind)):  # which is text without the mark
        raise InputError(
            f"{path}: column `{name}` holds {kind}, not text; name another by source.url_column or source.text_column"
        )
    return [value.decode("utf-8", "replace") if value is not None else None for value in array.to_pylist()]


def _key(value: object, column: str) -> str:
    return value if isinstance(value, str) and value else column.lower()


def _read_json_lines(
    path: str,
    head: bytes,
    stream: BinaryIO,
    settings: Extract,
    statistics: Counter[str],
    wanted: tuple[str | None, str | None],
) -> Iterator[PairBatch]:
    counted = _CountedStream(head, stream, statistics)
    records = _records(_lines(read_members(counted, 0), statistics), statistics)
    # Writers leave out empty fields, so the first line does not show all columns.
    first = list(islice(records, _LINES_LOOKED_AT))
    if not first:
        raise UnreadableFileError(
            path, "not_json_lines", "neither Parquet nor JSON Lines (one object a line): no line holds an object"
        )
    names = list(dict.fromkeys(name for record in first for name in record))
    url, text, page = _columns(path, names, wanted)
    collector = SampleCollector(settings, statistics)
    for record in chain(first, records):
        key = _key(record.get(KEY_COLUMN), text)
        collector.add(record.get(url), ((key, record.get(text)),), record.get(page) if page else None)
        if full := collector.take_full():
            yield full
    if rest := collector.take():
        yield rest


def _records(lines: Iterator[bytes], statistics: Counter[str]) -> Iterator[dict[str, Any]]:
    for line in lines:
        text = line.removeprefix(codecs.BOM_UTF8).strip()
        if not text:
            continue
        statistics["records"] += 1
        record = parse_json(text)
        if isinstance(record, dict):
            yield record
        else:
            statistics["dropped.record.bad_json" if record is None else "dropped.record.not_an_object"] += 1


class _CountedStream:
    """The stream, starting again with the bytes that were already read, and counting what is read."""

    def __init__(self, head: bytes, stream: BinaryIO, statistics: Counter[str]) -> None:
        self._head = head
        self._stream = stream
        self._statistics = statistics

    def read(self, size: int, /) -> bytes:
        data, self._head = self._head or self._stream.read(size), b""
        self._statistics["bytes_read"] += len(data)
        return data


def _lines(events: Iterator[Event], statistics: Counter[str]) -> Iterator[bytes]:
    """Split decompressed bytes into lines with bounded memory; damaged or too long parts are counted."""
    rest = b""
    skipping = False
    for event in events:
        if isinstance(event, Break):
            part = "file_tail" if event.tail else "file_part"
            statistics[f"dropped.{part}.{event.reason}"] += 1
            rest, skipping = b"", True
        elif isinstance(event, bytes):
            *whole, rest = (rest + event).split(b"\n")
            for line in whole:
                if not skipping:
                    yield line
                skipping = False
            if len(rest) > _MAX_LINE_BYTES and not skipping:
                statistics["records"] += 1
                statistics["dropped.record.too_long"] += 1
                skipping = True
            if skipping:
                rest = b""
    if rest:
        yield rest
