"""Views of article titles in Wikimedia's hourly pageview files.

A line is `domain title views bytes`; `en` is desktop, `en.m` mobile. Format:
https://wikitech.wikimedia.org/wiki/Data_Platform/Data_Lake/Traffic/Pageviews; rules: MetaCLIP paper
(arXiv 2309.16671), Table 1, row Wikipedia titles.
"""

import datetime
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any
from urllib.parse import unquote_to_bytes

import numpy as np

from metaclip.io.addresses.credentials import hide, reveal
from metaclip.kernels.jit import frozen, kernel
from metaclip.kernels.types import Bytes, Int, Ints, Offsets
from metaclip.metadata.wikipedia.chunks import read_lines
from metaclip.metadata.wikipedia.count_lines import check_malformed, describe_line

NO_ARTICLES = frozenset(("Main Page", "-"))
"""The front page, and what Wikimedia writes if it does not know the title."""

HOURLY_FILE = re.compile(r"/pageviews-\d{8}-\d{6}\.gz$")
"""Wikimedia never rewrites the file of an hour, so a list of some hundred addresses is not looked up each time."""

_LEAST_LINE_BYTES = len("m t 1 \n")
"""Of a line that is read: what follows the third space may be empty."""

_ESCAPE = re.compile(r"%[0-9A-Fa-f]{2}")
_COUNTS = ("lines", "malformed_lines", "other_domains", "below_hourly_floor")
_FIRST_NUMBER, _FIRST_AT = len(_COUNTS), len(_COUNTS) + 1  # of the first malformed line: number, position in its piece


def pageview_addresses(dates: Sequence[datetime.date], base: str) -> list[str]:
    """Return the addresses of the 24 hourly files of each day."""
    return [
        hide(f"{reveal(base).rstrip('/')}/{date:%Y}/{date:%Y-%m}/pageviews-{date:%Y%m%d}-{hour:02}0000.gz")
        for date in dates
        for hour in range(24)
    ]


def read_views(path: str, domains: Sequence[str], min_hourly_views: int, counts: Counter[str]) -> dict[str, int]:
    """Sum the views of the titles in one file, by title, sorted by code point.

    In a title underscores become spaces and percent escapes are decoded. Titles with a colon (another
    namespace), `Main_Page` and `-` are skipped. `counts` gets `lines`, `malformed_lines`, `other_domains`,
    `below_hourly_floor`, `dropped.colon`, `dropped.no_article`, `dropped.not_utf8`, `rows`.

    Raises:
        InputError: a damaged or truncated file, a file without lines, or a file with more than 1 %
            malformed lines, such as an error page.
        TransportError, UnreadableFileError: as `metaclip.io.streams.open_stream`.
    """
    views: Counter[str] = Counter()
    first: list[str] = []
    for raw, number in _rows(path, domains, min_hourly_views, counts, first):
        counts["rows"] += 1
        try:
            title = _decode_title(raw)
        except UnicodeDecodeError:
            counts["dropped.not_utf8"] += 1
            continue
        if ":" in title:
            counts["dropped.colon"] += 1
        elif title in NO_ARTICLES or not title:
            counts["dropped.no_article"] += 1
        else:
            views[title] += number
    check_malformed(path, counts, "`domain title views bytes`", "".join(first))
    return dict(sorted(views.items()))


def _decode_title(raw: bytes) -> str:
    title = raw.decode("utf-8")
    if _ESCAPE.search(title):
        try:
            title = unquote_to_bytes(title).decode("utf-8")
        except UnicodeDecodeError:
            title = raw.decode("utf-8")  # the percent signs are part of the title
    return " ".join(title.replace("_", " ").split())


def _rows(
    path: str, domains: Sequence[str], floor: int, counts: Counter[str], first: list[str]
) -> Iterator[tuple[bytes, int]]:
    wanted = [domain.encode() for domain in domains]
    bounds = np.cumsum([0, *map(len, wanted)]).astype(np.int64)
    letters = frozen(np.frombuffer(b"".join(wanted), np.uint8), np.uint8)
    tallies = np.zeros(len(_COUNTS) + 2, np.int64)
    for piece in read_lines(path):
        data = frozen(np.frombuffer(piece, np.uint8), np.uint8)
        spans = _scan_lines(data, letters, frozen(bounds, np.int64), floor, tallies)
        if tallies[1] and not first:
            at = int(tallies[_FIRST_AT])
            first.append(describe_line(int(tallies[_FIRST_NUMBER]), piece[at : at + 200].partition(b"\n")[0]))
        for begin, end, number in spans.tolist():
            yield piece[begin:end], number
    counts.update(dict(zip(_COUNTS, tallies[: len(_COUNTS)].tolist(), strict=True)))


@kernel
def _scan_lines(data: Bytes, domains: Bytes, bounds: Offsets, floor: Int, tallies: Ints) -> Ints:
    """Return start and end of the title, and the views, of the lines of the domains with enough views."""
    spans = np.empty((len(data) // _LEAST_LINE_BYTES + 1, 3), np.int64)
    found = 0
    at, n = 0, len(data)
    while at < n:
        end = at
        spaces = 0
        title: Any = np.int64(0)
        title_end: Any = np.int64(0)
        views: Any = np.int64(0)
        digits = 0
        good: Any = True
        while end < n and data[end] != 10:
            if data[end] == 32:
                spaces += 1
                if spaces == 1:
                    title = end + 1
                elif spaces == 2:
                    title_end = end
            elif spaces == 2:
                value = np.int64(data[end]) - 48
                good = good and 0 <= value <= 9 and digits < 18
                views = views * 10 + value
                digits += 1
            elif spaces == 3:
                good = good and 48 <= data[end] <= 57
            end += 1
        tallies[0] += 1
        if spaces != 3 or not good or digits == 0 or title_end <= title or title == at + 1:
            if tallies[1] == 0:
                tallies[_FIRST_NUMBER], tallies[_FIRST_AT] = tallies[0], at
            tallies[1] += 1
        else:
            matches: Any = False
            for d in range(len(bounds) - 1):
                same: Any = bounds[d + 1] - bounds[d] == title - 1 - at
                i = 0
                while same and i < title - 1 - at:
                    same = domains[bounds[d] + i] == data[at + i]
                    i += 1
                matches = matches or same
            if not matches:
                tallies[2] += 1
            elif views < floor:
                tallies[3] += 1
            else:
                spans[found, 0], spans[found, 1], spans[found, 2] = title, title_end, views
                found += 1
        at = end + 1
    return spans[:found]
