"""Rows of JSON files, told from text with separators by name and content."""

import codecs
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from typing import Literal

from metaclip.archive.damaged_members import Break, Event
from metaclip.errors import UnreadableFileError
from metaclip.rows.columns import TEXT_COLUMNS, URL_COLUMNS, Row, Wanted, missing_column, row_of
from metaclip.rows.delimited import looks_delimited, read_delimited
from metaclip.rows.encodings import as_utf8
from metaclip.rows.json_values import parse_json, split_values, value_depth
from metaclip.rows.lines import lines_of

Form = Literal["parquet", "json", "delimited"]

_FORMS: tuple[tuple[re.Pattern[str], Form], ...] = (
    (re.compile(r"\.parquet$"), "parquet"),
    (re.compile(r"\.(jsonl|ndjson|json)(\.(gz|zst|bz2|xz))?$"), "json"),
    (re.compile(r"\.(csv|tsv|txt)(\.(gz|zst|bz2|xz))?$"), "delimited"),
)
_LOOKED_AT = 64 << 10
_LONGEST_NAME = 1000
"""Longer names of columns are nobody's, and not held."""
_PAGES = "json-pages-"
"""What the first line of a list of pages says, as WACZ and Browsertrix have it (WACZ 1.1.1, section 5.2.2)."""
_SURE_AFTER = 10_000
"""Rows without a known column after which a file is refused."""


def form_of(name: str) -> Form | None:
    """Return the form of a file of pairs by its name, None if the name does not tell."""
    return next((form for pattern, form in _FORMS if pattern.search(name.split("?")[0].lower())), None)


def read_text(
    path: str, events: Iterator[Event], statistics: Counter[str], wanted: Wanted, keep: Sequence[str] = ()
) -> Iterator[Row]:
    """Yield the rows of a decompressed file that is not Parquet; a file without a byte has none.

    Raises:
        UnreadableFileError: it is of no known form.
        InputError: a column is missing, or there twice.
    """
    events = as_utf8(events)
    head, begun = _peek(events)
    named = form_of(path)
    if not head.removeprefix(codecs.BOM_UTF8):
        if named == "parquet" or any(isinstance(event, Break) for event in begun):
            raise _of_no_form(path)
        return
    if _is_delimited(head, named, wanted):
        yield from read_delimited(path, chain(begun, events), statistics, wanted, keep)
    else:
        yield from _read_json(path, head, chain(begun, events), statistics, wanted, keep)


def holds_pairs(head: bytes, name: str, wanted: Wanted) -> bool:
    """Return whether the first bytes of a text file look like rows with an address and a text.

    What cannot be told from so few bytes may be pairs.
    """
    if not head.strip():
        return True
    if _is_delimited(head, form_of(name), wanted):
        return looks_delimited(head, wanted, sure=False)
    statistics: Counter[str] = Counter()
    level = value_depth(head)
    events: list[Event] = [head]
    values = lines_of(events, statistics) if level is None else split_values(events, level, statistics)
    records = [record for value in values if isinstance(record := parse_json(value), dict)]
    if not records:
        return len(head) >= _LOOKED_AT // 2
    if str(records[0].get("format", "")).startswith(_PAGES):
        return False
    names = {name for record in records for name in record}
    urls, texts = (
        (asked,) if asked else known for asked, known in zip(wanted, (URL_COLUMNS, TEXT_COLUMNS), strict=True)
    )
    return bool(names.intersection(urls) and names.intersection(texts))


def _peek(events: Iterator[Event]) -> tuple[bytes, list[Event]]:
    """Return the first bytes, and the events that gave them."""
    begun: list[Event] = []
    head = bytearray()
    for event in events:
        begun.append(event)
        if isinstance(event, bytes):
            head += event
            if len(head) >= _LOOKED_AT:
                break
    return bytes(head[:_LOOKED_AT]), begun


def _is_delimited(head: bytes, named: Form | None, wanted: Wanted) -> bool:
    text = head.removeprefix(codecs.BOM_UTF8).lstrip()
    if named == "delimited":
        return not (text[:1] in (b"{", b"[") and isinstance(parse_json(text.partition(b"\n")[0]), dict | list))
    if named is not None or text[:1] in (b"{", b"[", b"<"):
        return False
    return looks_delimited(head, wanted, sure=True)


def _of_no_form(path: str) -> UnreadableFileError:
    return UnreadableFileError(
        path, "not_json_lines", "neither Parquet nor JSON (one object a line, or an array of objects): no object in it"
    )


def _read_json(
    path: str, head: bytes, events: Iterable[Event], statistics: Counter[str], wanted: Wanted, keep: Sequence[str]
) -> Iterator[Row]:
    level = value_depth(head)
    values = lines_of(events, statistics) if level is None else split_values(events, level, statistics)
    names: dict[str, None] = {}
    objects = others = 0
    sure = False  # whether the file has columns of addresses and of texts
    for value in values:
        text = value.strip()
        if not text:
            continue
        statistics["records"] += 1
        record = parse_json(text)
        if not isinstance(record, dict):
            others += 1
            statistics["dropped.record.bad_json" if record is None else "dropped.record.not_an_object"] += 1
            continue
        objects += 1
        if not sure:
            if len(names) < 1000:
                names.update(dict.fromkeys(name for name in record if len(name) <= _LONGEST_NAME))
            # Writers leave out empty fields, so the first rows do not show all columns.
            sure = _missing(names, wanted) is None
            if not sure and objects >= _SURE_AFTER:
                break
        row = row_of(record, wanted, keep)
        if isinstance(row.url, list | dict):
            # Such as {"url": […], "text": […]}: an object for each column, or for many rows.
            statistics["dropped.record.no_row"] += 1
            continue
        yield row
    missing = None if sure or not objects else _missing(names, wanted)
    if missing is not None:
        raise missing_column(path, list(names), *missing)
    if not objects and (others or b"".join(head.removeprefix(codecs.BOM_UTF8).split()) not in (b"", b"[]")):
        raise _of_no_form(path)


def _missing(names: Iterable[str], wanted: Wanted) -> tuple[str | None, str] | None:
    for field, asked, known in zip(("url", "text"), wanted, (URL_COLUMNS, TEXT_COLUMNS), strict=True):
        if not any(name in names for name in ((asked,) if asked else known)):
            return asked, field
    return None
