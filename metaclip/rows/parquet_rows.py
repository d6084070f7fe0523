"""Rows of Parquet files, row group by row group; only the columns that are needed, in batches bounded in bytes."""

import logging
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from metaclip.errors import InputError
from metaclip.rows.arrow_types import is_list, is_text
from metaclip.rows.columns import (
    KEY_COLUMN,
    PAGE_COLUMNS,
    STATUS_COLUMN,
    TEXT_COLUMNS,
    URL_COLUMNS,
    Row,
    Wanted,
    check_unique,
    choose,
    texts_of,
)
from metaclip.rows.kept import parquet_field

logger = logging.getLogger(__name__)

BATCH_ROWS = 8192
BATCH_BYTES = 128 << 20
"""No more than this is decoded at once, as far as footer and pages tell."""

_BOMB_BYTES = 512 << 20
_BOMB_RATIO = 500
"""A row group that takes more bytes than that and so many times its compressed size is no set of texts."""


def read_parquet(
    path: str, source: Any, statistics: Counter[str], wanted: Wanted, keep: Sequence[str] = ()
) -> Iterator[Row]:
    """Yield the rows of a Parquet file.

    Counts `records`, `bytes_read`, and row groups that cannot be read as `dropped.file_part.corrupt_row_group`, with
    their rows as `dropped.record.corrupt_row_group`.

    Raises:
        pa.ArrowException, OSError: it is not a whole Parquet file.
        InputError: a column is missing, there twice, or holds no texts.
    """
    file = pq.ParquetFile(source)
    schema = file.schema_arrow
    if not file.metadata.num_rows:
        return  # writers leave parts without rows, some without columns
    url, text, others = _columns(path, schema, wanted)
    check_unique(path, [name for name in schema.names if name in keep])
    for name in keep:
        parquet_field(path, schema, name)
    used = list(dict.fromkeys([url, text, *others.values(), *keep]))
    for group in range(file.num_row_groups):
        before = statistics["records"]
        if _is_bomb(file, group, used):
            statistics["dropped.file_part.expands_too_far"] += 1
            statistics["records"] += file.metadata.row_group(group).num_rows
            statistics["dropped.record.expands_too_far"] += file.metadata.row_group(group).num_rows
            continue
        try:
            for batch in file.iter_batches(_batch_rows(file, source, group, used), row_groups=[group], columns=used):
                statistics["records"] += batch.num_rows
                yield from _rows(batch, url, text, others, keep)
        except (pa.ArrowException, OSError):
            statistics["dropped.file_part.corrupt_row_group"] += 1
            statistics["dropped.record.corrupt_row_group"] += file.metadata.row_group(group).num_rows - (
                statistics["records"] - before
            )
        statistics["bytes_read"] += sum(column.total_compressed_size for column in _chunks(file, group, used))


def _rows(batch: pa.RecordBatch, url: str, text: str, others: dict[str, str], keep: Sequence[str]) -> Iterator[Row]:
    nothing: list[object] = [None] * batch.num_rows
    columns = {name: _values(batch.column(name)) for name in {url, text, *others.values()}}
    keys, pages, statuses = (
        columns[others[name]] if name in others else nothing for name in (KEY_COLUMN, "page", STATUS_COLUMN)
    )
    own = text.lower()
    kept = zip(*(_values(batch.column(name)) for name in keep), strict=True) if keep else iter(())
    for address, value, key, page, status in zip(columns[url], columns[text], keys, pages, statuses, strict=True):
        row = Row(address, texts_of(key if isinstance(key, str) and key else own, value), page, status)
        yield row._replace(kept=dict(zip(keep, next(kept), strict=True))) if keep else row


def _columns(path: str, schema: pa.Schema, wanted: Wanted) -> tuple[str, str, dict[str, str]]:
    """Return the columns of address and text, and those of text key, page and status where there are such."""
    names = list(schema.names)
    chosen = []
    for field, asked, known in zip(("url", "text"), wanted, (URL_COLUMNS, TEXT_COLUMNS), strict=True):
        # An `image` may be the image itself, and a `title` a number: another known name may be what is wanted.
        usable = [name for name in names if _holds(schema, name, lists=field == "text")]
        found = next((name for name in known if name in usable), None) if asked is None else None
        chosen.append(found or choose(path, names, asked, field))
    url, text = chosen
    pages = [name for name in PAGE_COLUMNS if name in names]
    page = next((name for name in pages if _holds(schema, name)), pages[0] if pages else None)
    optional = {KEY_COLUMN: KEY_COLUMN, "page": page, STATUS_COLUMN: STATUS_COLUMN}
    others = {role: name for role, name in optional.items() if name and name in names and name not in (url, text)}
    check_unique(path, [name for name in names if name in (url, text, *others.values())])
    for name, lists in ((url, False), (text, True)):
        if not _holds(schema, name, lists=lists):
            raise InputError(
                f"{path}: column `{name}` holds {schema.field(name).type}, not text; name another by"
                " source.url_column or source.text_column"
            )
    for role, name in list(others.items()):
        if role != STATUS_COLUMN and not _holds(schema, name):
            logger.warning("%s: column `%s` holds %s, not text; it is left out", path, name, schema.field(name).type)
            del others[role]
    return url, text, others


def _holds(schema: pa.Schema, name: str, *, lists: bool = False) -> bool:
    """Return whether a column holds texts, or lists of them; one of nulls holds none, and may stand for either."""
    places = schema.get_all_field_indices(name)
    kind = schema.field(places[0]).type
    if lists and is_list(kind):
        kind = kind.value_type
    return pa.types.is_null(kind) or is_text(kind)


def _values(array: Any) -> list[object]:
    """Return a column as Python values: texts as str, bytes decoded; equal ones of a dictionary are one object."""
    if pa.types.is_dictionary(array.type):
        known = _values(array.dictionary)
        return [known[place] if place is not None else None for place in array.indices.to_pylist()]
    try:
        values: Sequence[object] = array.to_pylist()
    except UnicodeDecodeError:
        values = array.cast(_bytes_of(array.type)).to_pylist()
    if pa.types.is_fixed_size_binary(array.type):
        values = [value.rstrip(b"\0") if isinstance(value, bytes) else value for value in values]
    return [_decoded(value) for value in values]


def _bytes_of(kind: pa.DataType) -> pa.DataType:
    return pa.large_list(pa.large_binary()) if is_list(kind) else pa.large_binary()


def _decoded(value: object) -> object:
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    if isinstance(value, list):
        return [_decoded(one) for one in value]
    return value


def _chunks(file: pq.ParquetFile, group: int, used: Sequence[str]) -> list[Any]:
    metadata = file.metadata.row_group(group)
    columns = (metadata.column(index) for index in range(metadata.num_columns))
    return [column for column in columns if column.path_in_schema.split(".")[0] in used]


def _is_bomb(file: pq.ParquetFile, group: int, used: Sequence[str]) -> bool:
    chunks = _chunks(file, group, used)
    size = sum(chunk.total_uncompressed_size for chunk in chunks)
    return bool(size > max(_BOMB_BYTES, _BOMB_RATIO * sum(chunk.total_compressed_size for chunk in chunks)))


def _batch_rows(file: pq.ParquetFile, source: Any, group: int, used: Sequence[str]) -> int:
    """Return how many rows of a row group are decoded at once.

    A value of a dictionary may stand for every row, so a few hundred bytes may become gigabytes. None is longer than
    the dictionary.
    """
    rows = max(1, file.metadata.row_group(group).num_rows)
    size = 0.0
    for chunk in _chunks(file, group, used):
        longest = _dictionary_bytes(source, chunk) if chunk.has_dictionary_page else 0
        size += max(
            chunk.total_uncompressed_size / rows, longest * chunk.num_values / rows, 8 * chunk.num_values / rows
        )
    return max(1, min(BATCH_ROWS, int(BATCH_BYTES / max(size, 1))))


def _dictionary_bytes(source: Any, chunk: Any) -> int:
    """Return the decompressed size of a column's dictionary, from the head of its page."""
    source.seek(chunk.dictionary_page_offset or 0)
    head = source.read(32)
    # parquet.thrift, PageHeader, in Thrift's compact protocol: fields 1 (type) and 2 (decompressed size) come first,
    # each an i32 (type 5) in zigzag varints.
    values: list[int] = []
    at = 0
    while len(values) < 2 and at < len(head) and head[at] == 0x15:
        value = shift = 0
        at += 1
        while at < len(head):
            value |= (head[at] & 0x7F) << shift
            shift += 7
            at += 1
            if not head[at - 1] & 0x80:
                break
        values.append(value >> 1 ^ -(value & 1))
    return values[1] if len(values) == 2 and values[1] >= 0 else int(chunk.total_uncompressed_size)
