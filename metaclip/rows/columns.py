"""What the columns of files of pairs are called, and what a row's values mean: one rule for all readers."""

import logging
from collections.abc import Iterable, Mapping, Sequence
from itertools import islice
from types import MappingProxyType
from typing import NamedTuple

from metaclip.errors import InputError

logger = logging.getLogger(__name__)

URL_COLUMNS = (
    "url", "URL", "image_url", "img_url", "imageurl", "imageUrl", "IMAGE_URL",
    "image", "img", "image_link", "photo_url", "src",
)  # fmt: skip
"""Names of the column of image addresses in published sets; the first that a file has is taken."""

TEXT_COLUMNS = (
    "text", "TEXT", "caption", "captions", "alt", "alt_text", "title",
    "texts", "top_caption", "raw_caption", "Caption", "CAPTION", "description", "sentences",
    "caption_reference_description", "caption_attribution_description", "caption_alt_text_description",
)  # fmt: skip
"""The same for texts; a value may be a list, of which each text makes a pair."""

_METACLIP = "texts"
PAGE_COLUMNS = ("page_url", "referrer")
KEY_COLUMN = "text_key"
STATUS_COLUMN = "status"

Wanted = tuple[str | None, str | None]
"""`source.url_column` and `source.text_column`."""


class Row(NamedTuple):
    """One row: an address with its texts. Values are as the file has them, of whatever type."""

    url: object
    texts: Sequence[tuple[str, object]]
    """(text key, text)."""
    page_url: object = None
    status: object = None
    kept: Mapping[str, object] = MappingProxyType({})
    """The columns of `source.keep_columns` that the row has, by name."""


def is_failed(status: object) -> bool:
    """Return whether a row's `status` says that its image was not downloaded.

    What is missing or null says nothing, so the row stays.
    """
    return status is not None and status != "success"


def texts_of(key: str, value: object) -> Sequence[tuple[str, object]]:
    """Return the texts of a value: itself, or those of a list.

    In MetaCLIP's layout the list has `[key, text]`, and a third element where texts were matched.
    """
    if not isinstance(value, list):
        return ((key, value),)
    if not any(isinstance(item, list) for item in value):
        return [(key, text) for text in value]
    pairs = [item for item in value if isinstance(item, list) and len(item) >= 2]
    return [(item[0] if isinstance(item[0], str) and item[0] else key, item[1]) for item in pairs]


def row_of(record: Mapping[str, object], wanted: Wanted, keep: Sequence[str] = ()) -> Row:
    """Return the row of a record whose names are its own: the first known column that holds something counts."""
    url = _first(record, (wanted[0],) if wanted[0] else URL_COLUMNS)[1]
    listed = isinstance(record.get(_METACLIP), list) and record[_METACLIP]
    name, text = _first(record, (wanted[1],) if wanted[1] else (_METACLIP,) if listed else TEXT_COLUMNS)
    key = record.get(KEY_COLUMN)
    texts = texts_of(key if isinstance(key, str) and key else name.lower(), text)
    kept = {name: record[name] for name in keep if name in record}
    return Row(url, texts, _first(record, PAGE_COLUMNS)[1], record.get(STATUS_COLUMN), kept)


def _first(record: Mapping[str, object], names: Sequence[str]) -> tuple[str, object]:
    return next(((name, record[name]) for name in names if record.get(name)), (names[0], None))


def choose(path: str, names: Sequence[str], asked: str | None, field: str) -> str:
    """Return the column of addresses (`field` is `url`) or texts (`text`) among those of a file.

    Raises:
        InputError: it is not there.
    """
    known = URL_COLUMNS if field == "url" else TEXT_COLUMNS
    found = next((name for name in ((asked,) if asked else known) if name in names), None)
    if found is None:
        raise missing_column(path, names, asked, field)
    return found


MOST_NAMES = 20
"""So many columns of a file are named in a message."""


def listed(names: Iterable[str]) -> str:
    """Return the names of a file's columns for a message: the first of them, and of a long one its beginning."""
    return ", ".join(name[:100] for name in islice(names, MOST_NAMES))


def missing_column(path: str, names: Sequence[str], asked: str | None, field: str) -> InputError:
    """Return the error for a file without a column; a file that is no part of the set must not set the advice."""
    known = URL_COLUMNS if field == "url" else TEXT_COLUMNS
    missing = f"`{asked}`" if asked else " or ".join(f"`{name}`" for name in known[:2]) + " or another known name"
    return InputError(
        f"{path}: has no column {missing}; it has: {listed(names) or 'none'}. If the file is no part of the"
        f" set, leave it out (a glob such as *.parquet names the others); if it is, name by source.{field}_column the"
        f" column of its {'addresses' if field == 'url' else 'texts'}"
    )


def check_unique(path: str, names: Sequence[str]) -> None:
    """Check that no two columns have one name.

    Raises:
        InputError: there are two; nobody can tell which is meant.
    """
    repeated = sorted({name for name in names if names.count(name) > 1})
    if repeated:
        raise InputError(
            f"{path}: has two columns named {', '.join(map(repr, repeated))}; write it with each name once"
        )
