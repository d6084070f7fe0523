"""The kinds of source files by their names."""

import re
from typing import Literal

from metaclip.io.streams import scheme

Kind = Literal["warc", "wat", "pairs", "webdataset"]

_PACKED = r"(\.(gz|zst|bz2|xz))?$"
_KINDS: list[tuple[re.Pattern[str], Kind]] = [
    (re.compile(r"\.wat" + _PACKED), "wat"),
    (re.compile(r"\.(warc|arc)" + _PACKED + r"|\.wacz$"), "warc"),
    (re.compile(r"\.parquet$|\.(jsonl|ndjson|json|csv|tsv)" + _PACKED), "pairs"),
    (re.compile(r"\.tar" + _PACKED + r"|\.tgz$"), "webdataset"),
]


def kind_of(name: str) -> Kind | None:
    """Return the kind of a file by its name, or None if the name does not show it."""
    name = name.split("?")[0].lower() if scheme(name) in ("http", "https") else name.lower()
    return next((kind for pattern, kind in _KINDS if pattern.search(name)), None)
