"""Write a generated crawl in Common Crawl's layout: `python -m bench.make_crawl --pages N --to DIR [--seed S]`.

DIR gets `crawl-data/NAME/` with `warc.paths.gz`, `wat.paths.gz` and the files that they list, with one
gzip member for each record: pages of 100 KB with 175 links, 17 % of them images. The same seed gives the
same records, and a smaller crawl is the beginning of a larger one. Only one page is in memory at a time.
To read it: `source: {paths: [DIR/crawl-data/NAME/wat.paths.gz], base: DIR}`.
"""

import argparse
import gzip
import html
import sys
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import msgspec
from isal import isal_zlib

from bench.made_pages import Page, PageMaker

NAME = "CC-MAIN-2000-01"
PAGES_PER_FILE = 1000
_DATE = "2000-01-01T00:00:00Z"


@dataclass(frozen=True)
class MadeCrawl:
    """The folder and the amount of what was written."""

    warc_paths: Path
    wat_paths: Path
    warc_files: list[Path]
    wat_files: list[Path]
    pages: int
    images: int
    plain_bytes: int
    """Bytes of all records before they were compressed."""


def make_crawl(folder: Path, pages: int, seed: int = 0, pages_per_file: int = PAGES_PER_FILE) -> MadeCrawl:
    """Write the crawl to a folder; files with the same names are replaced.

    The records are the same on every machine; their compression depends on the library.

    Raises:
        OSError: if the folder cannot be written.
    """
    maker = PageMaker(seed)
    segment = folder / "crawl-data" / NAME / "segments" / "0946684800.00"
    files: dict[str, list[Path]] = {"warc": [], "wat": []}
    images = plain = 0
    for kind in files:
        (segment / kind).mkdir(parents=True, exist_ok=True)
    for number, start in enumerate(range(0, pages, pages_per_file)):
        stem = f"CC-MAIN-20000101000000-20000101010000-{number:05}"
        files["warc"].append(segment / "warc" / f"{stem}.warc.gz")
        files["wat"].append(segment / "wat" / f"{stem}.warc.wat.gz")
        with files["warc"][-1].open("wb") as warc, files["wat"][-1].open("wb") as wat:
            plain += _write_info(warc, number) + _write_info(wat, number)
            for index, page in enumerate(maker.pages(number, min(pages_per_file, pages - start))):
                images += len(page.images)
                plain += _write_page(warc, wat, page, start + index)
    lists = {}
    for kind, written in files.items():
        lists[kind] = folder / "crawl-data" / NAME / f"{kind}.paths.gz"
        lines = "".join(f"{path.relative_to(folder).as_posix()}\n" for path in written)
        lists[kind].write_bytes(gzip.compress(lines.encode(), mtime=0))
    return MadeCrawl(lists["warc"], lists["wat"], files["warc"], files["wat"], pages, images, plain)


def _write_info(out: BinaryIO, number: int) -> int:
    block = b"software: bench.make_crawl\r\nformat: WARC File Format 1.0\r\n"
    return _write(out, "warcinfo", "", f"info {number}", "application/warc-fields", block)


def _write_page(warc: BinaryIO, wat: BinaryIO, page: Page, number: int) -> int:
    """Write a page's request, response and metadata records, and the WAT record of each."""
    body = to_html(page)
    head = f"HTTP/1.1 200 OK\r\nContent-Type: text/html; charset=utf-8\r\nContent-Length: {len(body)}\r\n\r\n"
    host, _, path = page.url.removeprefix("https://").partition("/")
    request = f"GET /{path} HTTP/1.1\r\nUser-Agent: CCBot/2.0\r\nAccept-Encoding: br,gzip\r\nHost: {host}\r\n\r\n"
    blocks = {
        "request": ("application/http; msgtype=request", request.encode()),
        "response": ("application/http; msgtype=response", head.encode() + body),
        "metadata": ("application/warc-fields", b"fetchTimeMs: 42\r\ncharset-detected: UTF-8\r\n\r\n"),
    }
    written = 0
    for kind, (content_type, block) in blocks.items():
        written += _write(warc, kind, page.url, f"{kind} {number}", content_type, block)
        described = msgspec.json.encode(_envelope(page, kind, content_type, len(block)))
        written += _write(wat, "metadata", page.url, f"wat {kind} {number}", "application/json", described)
    return written


def _write(out: BinaryIO, kind: str, url: str, name: str, content_type: str, block: bytes) -> int:
    identity = uuid.uuid5(uuid.NAMESPACE_URL, name)
    target = f"WARC-Target-URI: {url}\r\n" if url else ""
    head = (
        f"WARC/1.0\r\nWARC-Type: {kind}\r\nWARC-Date: {_DATE}\r\nWARC-Record-ID: <urn:uuid:{identity}>\r\n"
        f"{target}Content-Type: {content_type}\r\nContent-Length: {len(block)}\r\n\r\n"
    )
    record = head.encode() + block + b"\r\n\r\n"
    out.write(isal_zlib.compress(record, 2, 31))
    return len(record)


def to_html(page: Page) -> bytes:
    """Return a page as markup."""
    parts = [f'<!DOCTYPE html>\n<html><head><meta charset="utf-8"><title>{html.escape(page.title)}</title>\n']
    parts += [f"<script>{script}</script>\n" for script in page.scripts]
    parts.append("</head>\n<body>\n")
    parts += [f'<li class="menu-item"><a href="{html.escape(url)}">{text}</a></li>\n' for url, text in page.links]
    for number, (url, alt) in enumerate(page.images):
        text = "" if alt is None else f' alt="{html.escape(alt)}"'
        parts.append(f'<div class="figure"><img class="photo lazy" width="640" src="{url}"{text}></div>\n')
        parts += [f"<p>{text}</p>\n" for text in page.paragraphs[number :: len(page.images)]]
    parts.append("</body></html>\n")
    return "".join(parts).encode()


def _envelope(page: Page, kind: str, content_type: str, length: int) -> dict[str, object]:
    payload: dict[str, object] = {"Actual-Content-Type": content_type, "Actual-Content-Length": str(length)}
    if kind == "response":
        links = [{"path": "A@/href", "url": url, "text": text} for url, text in page.links]
        for url, alt in page.images:
            links.append({"path": "IMG@/src", "url": url} | ({} if alt is None else {"alt": alt}))
        payload["HTTP-Response-Metadata"] = {
            "Response-Message": {"Status": "200", "Version": "HTTP/1.1", "Reason": "OK"},
            "Headers": {"Content-Type": "text/html; charset=utf-8"},
            "HTML-Metadata": {"Head": {"Title": page.title, "Metas": [{"charset": "utf-8"}]}, "Links": links},
        }
    header = {"WARC-Type": kind, "WARC-Date": _DATE, "WARC-Target-URI": page.url, "Content-Type": content_type}
    return {
        "Container": {"Filename": "made.warc.gz", "Compressed": True, "Offset": "0"},
        "Envelope": {"Format": "WARC", "WARC-Header-Metadata": header, "Payload-Metadata": payload},
    }


def _main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.make_crawl", description="Write a made-up crawl.")
    parser.add_argument("--pages", type=int, required=True, help="how many pages")
    parser.add_argument("--to", type=Path, required=True, help="the folder to write into")
    parser.add_argument("--seed", type=int, default=0, help="which crawl of that size (default 0)")
    parser.add_argument("--pages-per-file", type=int, default=PAGES_PER_FILE)
    given = parser.parse_args()
    if given.pages < 1 or given.pages_per_file < 1 or given.seed < 0:
        parser.error("--pages and --pages-per-file must be at least 1, --seed at least 0")
    made = make_crawl(given.to, given.pages, given.seed, given.pages_per_file)
    sizes = [sum(path.stat().st_size for path in paths) / 1e6 for paths in (made.warc_files, made.wat_files)]
    sys.stdout.write(
        f"{made.pages} pages with {made.images} images, {made.plain_bytes / 1e6:.0f} MB plain:"
        f" {made.warc_paths} ({sizes[0]:.1f} MB), {made.wat_paths} ({sizes[1]:.1f} MB)\n"
    )


if __name__ == "__main__":
    _main()
