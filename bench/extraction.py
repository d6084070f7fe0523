"""Measure the parts of extraction against libraries on the same bytes: `python -m bench.extraction`.

Pages: the scanner against selectolax's Lexbor and resiliparse's parser; each finds the images, the base
and the robots tags, on all pages and on those under 20 KB. WAT records: the scanner against msgspec with
typed structs and Python's json; each finds the image links. Addresses and uids: whole columns against
urljoin and xxhash one by one. Figures are MB of plain bytes for each CPU second of one core, medians with
the lowest and highest. Pages are real ones if the shared data exists, else the demo's.
"""

import json
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urljoin

import msgspec
import xxhash
from resiliparse.parse.html import HTMLTree
from selectolax.lexbor import LexborHTMLParser

from bench.crawl_files import bodies_of, crawl_files, pages_of
from bench.timing import SHARED, in_turn, peak_memory_mb, rate_table, rates, report
from metaclip.archive.batches import RecordBatch
from metaclip.config.settings import Extract
from metaclip.html.scanner import scan_pages
from metaclip.html.tree import parse_page
from metaclip.pairs.collector import PairCollector
from metaclip.pairs.uid_columns import uid_columns
from metaclip.sources.wat import add_records
from metaclip.wat.definition import add_metadata
from metaclip.wat.scanner import scan

REPEATS = 5
SMALL = 20_000
_BATCH = 1 << 20  # the amount that extraction scans at once


def measure(repeats: int = REPEATS) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        files = crawl_files(Path(folder))
        pages, records = pages_of(files["warc"]), bodies_of(files["wat"])
    result: dict[str, Any] = {"data": "shared" if SHARED.exists() else "demo (the shared data is not here)"}
    for name, chosen in (("pages", pages), ("pages under 20 KB", [page for page in pages if len(page) < SMALL])):
        result[name] = _pages(chosen, repeats)
    result["WAT records"] = _records(records, repeats)
    result["WAT records to pairs"] = _pairs(records, repeats)
    result["uids"] = _uids(records, repeats)
    return {**result, "peak_memory_mb": peak_memory_mb()}


def show(result: dict[str, Any]) -> str:
    """Return the figures as text."""
    parts = [
        rate_table(f"{name}: {one['unit']}, {one['size']}", one["rates"], "the first")
        for name, one in result.items()
        if isinstance(one, dict)
    ]
    return "".join(parts) + f"peak memory {result['peak_memory_mb']} MB\n"


_One = TypeVar("_One")


def _batches(things: list[_One], size_of: Callable[[_One], int]) -> Iterator[list[_One]]:
    batch: list[_One] = []
    size = 0
    for one in things:
        batch.append(one)
        size += size_of(one)
        if size >= _BATCH:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


def _compare(work: dict[str, Callable[[], Any]], amount: float, unit: str, size: str, repeats: int) -> dict[str, Any]:
    ours = next(iter(work))
    figures = rates(in_turn(work, repeats), amount, ours)
    return {"unit": unit, "size": size, "rates": figures}


def _pages(pages: list[bytes], repeats: int) -> dict[str, Any]:
    batches = list(_batches(pages, len))
    megabytes = sum(map(len, pages)) / 1e6

    def each(parse: Callable[[bytes], Any]) -> Callable[[], None]:
        def all_of_them() -> None:
            for page in pages:
                parse(page)

        return all_of_them

    work: dict[str, Callable[[], Any]] = {
        "scanner, columns": lambda: [scan_pages(batch) for batch in batches],
        "selectolax, tree and attributes": each(parse_page),
        "selectolax, tree alone": each(LexborHTMLParser),
        "resiliparse, tree alone": each(HTMLTree.parse_from_bytes),
    }
    flagged = sum(int(scan_pages(batch).flags.sum()) for batch in batches)
    size = f"{len(pages):,} pages of {megabytes * 1e3 / len(pages):.0f} KB, {flagged} left to the tree"
    return _compare(work, megabytes, "MB/s", size, repeats)


def _record_bytes(record: tuple[str, bytes]) -> int:
    return len(record[1])


class _Link(msgspec.Struct, gc=False):
    path: str | None = None
    url: str | None = None
    alt: str | None = None
    title: str | None = None


class _Html(msgspec.Struct, gc=False):
    links: list[_Link] | None = msgspec.field(default=None, name="Links")


class _Response(msgspec.Struct, gc=False):
    html: _Html | None = msgspec.field(default=None, name="HTML-Metadata")


class _Payload(msgspec.Struct, gc=False):
    response: _Response | None = msgspec.field(default=None, name="HTTP-Response-Metadata")


class _Envelope(msgspec.Struct, gc=False):
    payload: _Payload | None = msgspec.field(default=None, name="Payload-Metadata")


class _Record(msgspec.Struct, gc=False):
    envelope: _Envelope | None = msgspec.field(default=None, name="Envelope")


def _records(records: list[tuple[str, bytes]], repeats: int) -> dict[str, Any]:
    bodies = [body for _, body in records]
    batches = list(_batches(records, _record_bytes))
    megabytes = sum(map(len, bodies)) / 1e6
    decode = msgspec.json.Decoder(_Record).decode

    def with_structs() -> int:
        images = 0
        for body in bodies:
            try:
                record = decode(body)
            except (msgspec.DecodeError, UnicodeDecodeError):
                continue
            response = record.envelope and record.envelope.payload and record.envelope.payload.response
            if response and response.html:
                images += sum(link.path == "IMG@/src" for link in response.html.links or ())
        return images

    def with_json() -> int:
        images = 0
        for body in bodies:
            record = json.loads(body.decode("utf-8", "replace"), strict=False)
            response = record["Envelope"].get("Payload-Metadata", {}).get("HTTP-Response-Metadata", {})
            links = response.get("HTML-Metadata", {}).get("Links", ())
            images += sum(link.get("path") == "IMG@/src" for link in links)
        return images

    work: dict[str, Callable[[], Any]] = {
        "scanner, columns": lambda: [scan(RecordBatch.of(batch)) for batch in batches],
        "msgspec, typed": with_structs,
        "json": with_json,
    }
    size = f"{len(bodies):,} records of {megabytes * 1e3 / len(bodies):.1f} KB"
    return _compare(work, megabytes, "MB/s", size, repeats)


def _pairs(records: list[tuple[str, bytes]], repeats: int) -> dict[str, Any]:
    """Compare the whole way from a record's bytes to pairs: texts cleaned, addresses resolved."""
    settings = Extract()
    megabytes = sum(len(body) for _, body in records) / 1e6
    groups = list(_batches(records, _record_bytes))

    def in_columns() -> int:
        collector = PairCollector(settings, Counter())
        for group in groups:
            add_records(RecordBatch.of(group), settings, collector)
        return len(collector.take() or ())

    def by_definition() -> int:
        collector = PairCollector(settings, Counter())
        for page_url, body in records:
            add_metadata(page_url, body, settings, collector)
        return len(collector.take() or ())

    def plainly() -> int:
        pairs = []
        for page_url, body in records:
            record = json.loads(body.decode("utf-8", "replace"), strict=False)
            response = record["Envelope"].get("Payload-Metadata", {}).get("HTTP-Response-Metadata", {})
            page = response.get("HTML-Metadata", {})
            base = page.get("Head", {}).get("Base", page_url)
            for link in page.get("Links", ()):
                if link.get("path") == "IMG@/src" and link.get("alt") and link.get("url"):
                    try:
                        url = urljoin(base, link["url"])
                    except ValueError:  # brackets that are no host
                        continue
                    pairs.append((url, " ".join(link["alt"].split())))
        return len(pairs)

    assert in_columns() == by_definition()
    work: dict[str, Callable[[], Any]] = {
        "columns": in_columns,
        "the definition, one by one": by_definition,
        "json and urljoin": plainly,
    }
    return _compare(work, megabytes, "MB/s", f"{in_columns():,} pairs", repeats)


def _uids(records: list[tuple[str, bytes]], repeats: int) -> dict[str, Any]:
    settings = Extract()
    collector = PairCollector(settings, Counter())
    add_records(RecordBatch.of(records), settings, collector)
    batch = collector.take()
    assert batch is not None
    urls, texts = batch.table.column("url"), batch.table.column("text")
    pairs = list(zip(urls.to_pylist(), texts.to_pylist(), strict=True))

    def one_by_one() -> list[tuple[int, int]]:
        digest = xxhash.xxh3_64_intdigest
        return [(digest(url.encode()), digest(f"{url}\n{text}".encode())) for url, text in pairs]

    work: dict[str, Callable[[], Any]] = {
        "columns": lambda: uid_columns(urls, texts),
        "xxhash, one by one": one_by_one,
    }
    return _compare(work, len(pairs), "pairs/s", f"{len(pairs):,} pairs", repeats)


if __name__ == "__main__":
    report(measure, show)
