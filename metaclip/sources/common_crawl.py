"""Crawls of Common Crawl by name: their lists of paths, all names, and the newest one.

The layout is Common Crawl's: `crawl-data/NAME/{warc,wat}.paths.gz` beside the data, and `collinfo.json`,
a list of all crawls, newest first, on its index server (on a mirror: beside `crawl-data`).
"""

import difflib
import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from metaclip.config.settings import LATEST, Config
from metaclip.errors import ConfigError, InputError, UnreadableFileError
from metaclip.io.addresses.credentials import hide, reveal
from metaclip.io.streams import read_whole

COMMON_CRAWL = "https://data.commoncrawl.org/"
COMMON_CRAWL_BUCKET = "s3://commoncrawl/"
COLLECTIONS = "https://index.commoncrawl.org/collinfo.json"

_DATED = re.compile(r"CC-MAIN-\d{4}-\d{2}")


def paths_list(crawl: str, kind: str, base: str | None) -> str:
    """Return the address of a crawl's list of WARC or WAT files."""
    return hide(f"{reveal(base or COMMON_CRAWL).rstrip('/')}/crawl-data/{crawl}/{kind}.paths.gz")


def crawl_names(base: str | None) -> list[str]:
    """Return the names of all crawls, newest first.

    Raises:
        InputError: the list is missing, or is not a list of crawls.
        TransportError: its server cannot be reached now.
    """
    base = reveal(base or COMMON_CRAWL).rstrip("/") + "/"
    address = COLLECTIONS if base in (COMMON_CRAWL, COMMON_CRAWL_BUCKET) else hide(f"{base}collinfo.json")
    try:
        names = [str(crawl["id"]) for crawl in json.loads(read_whole(address))]
    except (ValueError, TypeError, KeyError) as error:
        raise InputError(
            f'{address}: not a list of crawls, which is JSON such as [{{"id": "CC-MAIN-2024-33"}}]: {error}'
        ) from error
    dated = sorted((name for name in names if _DATED.fullmatch(name)), reverse=True)
    return dated + [name for name in names if not _DATED.fullmatch(name)]


def newest_crawl(base: str | None) -> str:
    """Return the name of the newest crawl.

    Raises:
        InputError, TransportError: as in `crawl_names`; the message says what to do without the list.
    """
    try:
        names = crawl_names(base)
    except UnreadableFileError as error:
        raise InputError(f"source.crawl: latest: {error}; name the crawls instead, such as CC-MAIN-2024-33") from error
    if not names:
        raise InputError("source.crawl: latest: the server's list names no crawl; name the crawls instead")
    return names[0]


def missing_crawl(crawl: str, kind: str, base: str | None, error: UnreadableFileError) -> ConfigError:
    """Return the error for a crawl without a list of paths; its message names similar crawls."""
    try:
        names = crawl_names(base)
    except InputError as reason:
        hint = f"which crawls there are could not be told: {reason}"
    else:
        near = difflib.get_close_matches(crawl, names, n=5, cutoff=0.8) or names[:5]
        hint = f"there are, among others: {', '.join(near)}" if near else "its server names no crawl"
        if crawl in names:
            hint = f"the crawl is known, its list of {kind} files is not there"
    return ConfigError(f"source.crawl: {crawl}: {error}; {hint}")


def resolve_crawls(config: Config, record: Mapping[str, Any] | None, begun: Sequence[str] = ()) -> Config:
    """Replace `latest` by the crawls that the pool has, those that a run has started with, and the newest one.

    `record` is the pool's record, if a run has finished.

    Raises:
        InputError, TransportError: the newest crawl cannot be found out.
    """
    if LATEST not in config.source.crawl:
        return config
    before = record["config"]["source"].get("crawl", []) if record is not None else []
    joined = [name for name in (*before, *begun) if name != LATEST]
    newest = newest_crawl(config.source.base)
    crawls: list[str] = []
    for name in config.source.crawl:
        crawls += [*joined, newest] if name == LATEST else [name]
    source = config.source.model_copy(update={"crawl": list(dict.fromkeys(crawls))})
    return config.model_copy(update={"source": source})
