"""Rows of text with separators: CSV and TSV, with a header or without, quoted or not.

A file is without a header if its first row has an address. Then the column of addresses is the one with the most of
them in the first rows, and that of texts the one with the most letters of the others.
"""

import csv
import logging
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain, islice
from typing import NamedTuple

from metaclip.archive.damaged_members import Event
from metaclip.errors import InputError, UnreadableFileError
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
    listed,
    texts_of,
)
from metaclip.rows.json_values import parse_json
from metaclip.rows.lines import MAX_BYTES, lines_of

logger = logging.getLogger(__name__)

SEPARATORS = ("\t", ",", ";", "|")
_ROWS_LOOKED_AT = 100
_MOST_LINES = 200
_MOST_BYTES = 1 << 20
"""A quoted field may go over so many lines and bytes; beyond it a quotation mark is a letter like any other."""
csv.field_size_limit(MAX_BYTES)  # the module's own is 128 kB, and one for all readers
_ADDRESS = re.compile(r"\s*https?://", re.IGNORECASE)


class _Columns(NamedTuple):
    """Where a row's values are, by number."""

    width: int
    url: int
    text: int
    key: str
    text_key: int | None = None
    page: int | None = None
    status: int | None = None


def looks_delimited(head: bytes, wanted: Wanted, *, sure: bool) -> bool:
    """Return whether the first bytes of a text are rows of pairs; if not `sure`, an odd header is let pass."""
    lines = [line.decode("utf-8", "replace") for line in head.removeprefix(b"\xef\xbb\xbf").splitlines()[:2] if line]
    if not lines:
        return not sure
    first = _split(lines[0], _separator(lines[0], wanted)) or [lines[0]]
    if len(first) < 2:
        return False
    if any(map(_ADDRESS.match, first)):
        return True
    names = [name.strip() for name in first]
    known = [(asked,) if asked else known for asked, known in zip(wanted, (URL_COLUMNS, TEXT_COLUMNS), strict=True)]
    return all(any(name in names or _number(name) is not None for name in one if name is not None) for one in known)


def read_delimited(
    path: str, events: Iterable[Event], statistics: Counter[str], wanted: Wanted, keep: Sequence[str] = ()
) -> Iterator[Row]:
    """Yield the rows of a decompressed text.

    Counts `records`, and rows with another number of fields as `dropped.record.bad_row`.

    Raises:
        UnreadableFileError: no row has an address.
        InputError: a column is missing, there twice, or not to be told.
    """
    texts = (line.decode("utf-8", "replace").removesuffix("\r") for line in lines_of(events, statistics))
    lines = (line for line in texts if line.strip())
    first = next(lines, None)
    if first is None:
        return
    separator = _separator(first, wanted)
    rows = _rows(chain([first], lines), separator)
    looked_at = list(_first(rows))
    columns, has_header = _columns(path, looked_at, wanted)
    kept = _kept_columns(path, looked_at[0], has_header, keep)
    for row in chain(looked_at[1:] if has_header else looked_at, rows):
        statistics["records"] += 1
        fields = _fitting(row, columns, separator)
        if fields is None:
            statistics["dropped.record.bad_row"] += 1
            continue
        key = fields[columns.text_key] if columns.text_key is not None else ""
        page = fields[columns.page] if columns.page is not None else None
        status = fields[columns.status] or None if columns.status is not None else None
        own = {name: fields[place] for name, place in kept.items()}
        yield Row(fields[columns.url], texts_of(key or columns.key, _text(fields[columns.text])), page, status, own)


def _first(rows: Iterator["_Line"]) -> Iterator["_Line"]:
    """Give the first rows, which are held at once: fewer of them where they are long."""
    size = 0
    for row in islice(rows, _ROWS_LOOKED_AT):
        yield row
        size += sum(map(len, row.fields))
        if size > _MOST_BYTES:
            return


def _kept_columns(path: str, first: "_Line", has_header: bool, keep: Sequence[str]) -> dict[str, int]:
    """Return the places of the columns of `source.keep_columns`; their values are texts, as the file has them."""
    names = [name.strip() for name in first.fields] if has_header else []
    for name in keep:
        if names.count(name) != 1:
            there = f"its header has {listed(names)}" if has_header else "it has no header"
            raise InputError(f"{path}: has no column {name!r}, which source.keep_columns names; {there}")
    return {name: names.index(name) for name in keep}


class _Line(NamedTuple):
    """A row's fields, and the line as it stands if it may be read without quotation marks."""

    fields: list[str]
    raw: str | None


def _rows(lines: Iterator[str], separator: str) -> Iterator[_Line]:
    """Split lines into fields; a quoted field may go over several lines."""
    waiting: list[str] = []
    while True:
        line = waiting.pop() if waiting else next(lines, None)
        if line is None:
            return
        if '"' not in line:
            yield _Line(line.split(separator), None)
            continue
        taken = [line]
        size = len(line)
        fields = _split(line, separator)
        while fields is None and len(taken) < _MOST_LINES and size < _MOST_BYTES:
            following = waiting.pop() if waiting else next(lines, None)
            if following is None:
                break
            taken.append(following)
            size += len(following)
            # Only a line with a quotation mark can end the field.
            fields = _split("\n".join(taken), separator) if '"' in following else None
        if len(taken) > 1 and (not fields or all(_is_row(one, separator, len(fields)) for one in taken)):
            waiting += reversed(taken[1:])  # the mark is a letter like any other
            yield _Line(line.split(separator), None)
        else:
            yield _Line(fields or line.split(separator), line if len(taken) == 1 else None)


def _is_row(line: str, separator: str, count: int) -> bool:
    """Return whether a line is a whole row by itself, if quotation marks are letters like any other."""
    fields = line.split(separator)
    return len(fields) == count and any(map(_ADDRESS.match, fields))


def _split(text: str, separator: str) -> list[str] | None:
    """Return the fields of a row: None if a quoted field is open at its end, [] if the marks are no quotes."""
    if '"' not in text:
        return text.split(separator)
    try:
        return next(csv.reader([text], delimiter=separator, strict=True))
    except csv.Error as error:
        return None if "unexpected end" in str(error) else []


def _fitting(row: _Line, columns: _Columns, separator: str) -> list[str] | None:
    """Return the fields of a row that has as many as the file's, with quotation marks or without."""
    needed = max(
        n for n in (columns.url, columns.text, columns.text_key, columns.page, columns.status) if n is not None
    )
    for fields in (row.fields, row.raw.split(separator) if row.raw is not None else None):
        if fields is not None and needed < len(fields) <= columns.width:
            return fields + [""] * (columns.width - len(fields))
    return None


def _separator(line: str, wanted: Wanted) -> str:
    """Return what separates the first line's fields: what splits off an address or a known name, else most fields."""
    known = {*URL_COLUMNS, *TEXT_COLUMNS, *(name for name in wanted if name)}

    def worth(separator: str) -> tuple[int, int]:
        fields = _split(line, separator) or line.split(separator)
        told = sum(bool(_ADDRESS.match(field)) or field.strip() in known for field in fields)
        return (told if len(fields) > 1 else 0, len(fields))

    return max(SEPARATORS, key=worth)


def _columns(path: str, rows: Sequence[_Line], wanted: Wanted) -> tuple[_Columns, bool]:
    """Return the columns of a file by its first rows, and whether the first of them is a header."""
    first = [name.strip() for name in rows[0].fields]
    by_name = not any(map(_ADDRESS.match, first))
    numbers = [None if name is None or (by_name and name in first) else _number(name) for name in wanted]
    if by_name and not any(numbers):
        if len(first) < 2:
            raise UnreadableFileError(path, "no_rows_of_pairs", "no row with an address beside a text in it")
        check_unique(path, [name for name in first if name])
        url, text = (choose(path, first, name, field) for name, field in zip(wanted, ("url", "text"), strict=True))
        place = {name: number for number, name in enumerate(first)}
        page = next((place[name] for name in PAGE_COLUMNS if name in place), None)
        found = _Columns(
            len(first), place[url], place[text], text.lower(), place.get(KEY_COLUMN), page, place.get(STATUS_COLUMN)
        )
        return found, True
    return _by_content(path, rows, wanted, numbers, by_name), by_name


def _by_content(
    path: str, rows: Sequence[_Line], wanted: Wanted, numbers: Sequence[int | None], has_header: bool
) -> _Columns:
    """Return the columns of a file without a header, or whose columns are given by number."""
    first = rows[0].fields
    for asked, number, field in zip(wanted, numbers, ("url", "text"), strict=True):
        if asked is not None and (number is None or number > len(first)) and not (has_header and asked in first):
            raise InputError(
                f"{path}: its first row is no header, and has {len(first)} columns, none of them {asked!r}; give"
                f" source.{field}_column as a number from 1 on, or leave it out"
            )
    body = [row.fields for row in rows[has_header:] if len(row.fields) == len(first)] or [first]
    addresses = [sum(bool(_ADDRESS.match(row[column])) for row in body) for column in range(len(first))]
    url = _place(wanted[0], numbers[0], first)
    if url is None:
        best = [column for column, count in enumerate(addresses) if count == max(addresses)]
        if len(best) > 1:
            raise InputError(
                f"{path}: without a header, and columns {', '.join(str(column + 1) for column in best)} all hold"
                " addresses; say by source.url_column which number is that of the images"
            )
        url = best[0]
    text = _place(wanted[1], numbers[1], first)
    if text is None:
        letters = [sum(sum(map(str.isalpha, row[column])) for row in body) for column in range(len(first))]
        others = [column for column in range(len(first)) if column != url and 2 * addresses[column] <= len(body)]
        if not others:
            raise UnreadableFileError(path, "no_rows_of_pairs", "no row with an address beside a text in it")
        text = max(others, key=lambda column: (letters[column], -column))
    logger.info("%s: no header: column %d holds addresses, column %d texts", path, url + 1, text + 1)
    return _Columns(len(first), url, text, first[text].strip().lower() if has_header else "caption")


def _place(asked: str | None, number: int | None, first: Sequence[str]) -> int | None:
    if number is not None:
        return number - 1
    return list(first).index(asked) if asked is not None else None


def _number(name: str | None) -> int | None:
    return int(name) if name is not None and re.fullmatch(r"[1-9][0-9]{0,3}", name) else None


def _text(value: str) -> object:
    """Return a text, or the texts of a field that holds a JSON list of them."""
    if value.startswith("[") and value.endswith("]"):
        listed = parse_json(value.encode())
        if isinstance(listed, list) and listed and all(isinstance(one, str) for one in listed):
            return listed
    return value
