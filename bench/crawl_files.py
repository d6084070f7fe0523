"""The crawl files that the scripts of this folder read: real ones, or else the demo's."""

from collections import Counter
from pathlib import Path

from bench.timing import SHARED
from metaclip.archive.records import read_records
from metaclip.demo import write_demo_crawl
from metaclip.html.message import PageError, html_page, parse_message

KINDS = ("wat", "warc")


def crawl_files(folder: Path, kinds: tuple[str, ...] = KINDS) -> dict[str, list[Path]]:
    """Return the files of each kind; if there are no others, those of the demo are written to `folder`."""
    crawl, pattern = SHARED / "crawl", "*.gz"
    if not SHARED.exists():
        crawl, pattern = folder / "crawl", "*[!1245].warc*.gz"
        write_demo_crawl(crawl)
    return {kind: sorted((crawl / kind).glob(pattern)) for kind in kinds}


def pages_of(files: list[Path]) -> list[bytes]:
    """Return the HTML pages of WARC files, in UTF-8."""
    pages = []
    for path in files:
        for record in read_records(str(path), frozenset({"response"}), Counter()):
            try:
                pages.append(html_page(parse_message(record.body), 1 << 20))
            except PageError:
                continue
    return pages


def bodies_of(files: list[Path]) -> list[tuple[str, bytes]]:
    """Return (page address, body) of the records of WAT files."""
    return [
        (record.url, record.body)
        for path in files
        for record in read_records(str(path), frozenset({"metadata"}), Counter(), 1 << 26)
    ]
