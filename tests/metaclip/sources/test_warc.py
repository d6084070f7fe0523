import bz2
import gzip
import logging
import math
import zipfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

from metaclip.archive.batches import BATCH_BYTES, RecordBatch
from metaclip.config.settings import Extract
from metaclip.errors import UnreadableFileError
from metaclip.html import responses
from metaclip.html.responses import find_pages
from metaclip.html.tree import Page
from metaclip.pairs.collector import BATCH_PAIRS, PairCollector
from metaclip.sources import warc
from metaclip.sources.warc import add_pages, read_warc
from tests.servers import serve
from tests.shared import shared_data

TYPES = ("request", "response", "metadata")
PAGE = "http://x.org/p/page.html"


def response(body: bytes | str, *headers: str) -> bytes:
    payload = body.encode() if isinstance(body, str) else body
    lines = ["HTTP/1.1 200 OK", *(headers or ["Content-Type: text/html; charset=utf-8"])]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + payload


def pairs(block: bytes, page_url: str = PAGE, **settings: object) -> tuple[list[tuple[str, str]], Counter[str]]:
    configuration = Extract.model_validate(settings)
    collector = PairCollector(configuration, Counter())
    records = RecordBatch.of([(page_url, block)])
    add_pages(find_pages(records, configuration, collector.statistics), configuration, collector)
    batch = collector.take()
    return (list(zip(batch.urls, batch.texts, strict=True)) if batch else []), collector.statistics


def write_warc(path: Path, pages: list[tuple[str, bytes]], types: tuple[str, ...] = TYPES) -> str:
    with path.open("wb") as file:
        for url, block in pages:
            for kind in types:
                head = f"WARC/1.0\r\nWARC-Type: {kind}\r\nWARC-Target-URI: {url}\r\nContent-Length: {len(block)}"
                file.write(gzip.compress(head.encode() + b"\r\n\r\n" + block + b"\r\n\r\n"))
    return str(path)


def test_a_page() -> None:
    html = """<!DOCTYPE html><base href=/b/><title>x</title>
        <img src="a%20b.jpg" alt="hello
        world"><img src=//cdn.org/c.jpg alt=c title=C><img src=d.jpg><img src=data:, alt=e>"""
    found, statistics = pairs(response(html))
    assert found == [
        ("http://x.org/b/a%20b.jpg", "hello world"),
        ("http://cdn.org/c.jpg", "c"),
        ("http://cdn.org/c.jpg", "C"),
    ]
    assert statistics == {
        "responses": 1,
        "pages": 1,
        "images": 4,
        "images_kept": 2,
        "texts": 3,
        "dropped.image.no_text": 1,
        "dropped.image.data_address": 1,
    }


def test_encodings_are_undone() -> None:
    html = "<meta charset=latin1><img src=a.jpg alt='Grüße'>".encode("latin-1")
    zipped = gzip.compress(html)
    body = b"%x\r\n%s\r\n0\r\n\r\n" % (len(zipped), zipped)
    headers = ("content-type:text/html", "CONTENT-ENCODING: gzip", "Transfer-Encoding: chunked")
    assert pairs(response(body, *headers))[0] == [("http://x.org/p/a.jpg", "Grüße")]


@pytest.mark.parametrize(
    ("block", "reason"),
    [
        (b"", "bad_http"),
        (b"<html><img src=a alt=b>", "bad_http"),
        (response("%PDF-1.4 <img src=a alt=b>"), "not_html"),
        (response("<img src=a alt=b>", "Content-Type: application/json"), "not_html"),
        (response("<img src=a alt=b>" + " " * 2000), "too_large"),
        (response(b"\x1f\x8bnot gzip", "Content-Type: text/html", "Content-Encoding: gzip"), "encoding"),
        (response("<meta name=robots content=noai><img src=a alt=b>"), "opt_out"),
        (response("<img src=a alt=b>", "Content-Type: text/html", "X-Robots-Tag: noindex, NoImageAI"), "opt_out"),
        (
            response("<img src=a alt=b>", "Content-Type: text/html", "X-Robots-Tag: all", "x-robots-tag: ccbot: noai"),
            "opt_out",
        ),
        (response("<div>" * 60_000), "too_complex"),
    ],
)
def test_dropped_pages_are_counted(block: bytes, reason: str) -> None:
    limit = 1 << 20 if reason == "too_complex" else 1024
    found, statistics = pairs(block, max_page_bytes=limit)
    assert found == []
    assert statistics == {"responses": 1, f"dropped.page.{reason}": 1}


def test_a_page_without_address() -> None:
    found, statistics = pairs(response("<img src=http://x.org/a alt=b>"), "dns:x.org")
    assert found == []
    assert statistics == {"responses": 1, "dropped.page.no_address": 1}


def test_opt_out_is_a_setting() -> None:
    block = response("<meta name=robots content=noai><img src=a alt=b>")
    assert pairs(block, respect_opt_out=False)[0] == [("http://x.org/p/a", "b")]


def fail_for_poison(function: Callable[[bytes], Page]) -> Callable[[bytes], Page]:
    def fail(html: bytes) -> Page:
        if b"poison" in bytes(html):
            raise ZeroDivisionError("poison")
        return function(html)

    return fail


@pytest.mark.parametrize(
    ("module", "function", "html"),
    [
        # A frameset is parsed, whatever the setting.
        (warc, "parse_page", "<frameset><frame src=poison></frameset>"),
        (responses, "check_complexity", "<!-- poison" + " x" * 60_000),
    ],
)
def test_an_unforeseen_failure_costs_one_page(
    module: ModuleType,
    function: str,
    html: str,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    tmp_path: Path,
) -> None:
    monkeypatch.setattr(module, function, fail_for_poison(getattr(module, function)))
    good, bad = response("<img src=a alt=b>"), response(html)
    path = write_warc(tmp_path / "x.warc.gz", [(PAGE, good), (PAGE, bad), (PAGE, bad), (PAGE, good)])
    statistics: Counter[str] = Counter()
    with caplog.at_level(logging.WARNING):
        batches = list(read_warc(path, Extract(), statistics))
    assert [len(batch) for batch in batches] == [2]
    assert statistics["pages"] == 2
    assert statistics["dropped.page.error_ZeroDivisionError"] == 2
    assert [PAGE in record.message for record in caplog.records] == [True]


def test_pages_that_could_not_be_scanned_are_parsed(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(*pages: object) -> None:
        raise ZeroDivisionError("scanner")

    monkeypatch.setattr(warc, "scan_places", fail)
    found, statistics = pairs(response("<img src=a.jpg alt=b>"))
    assert found == [("http://x.org/p/a.jpg", "b")]
    assert statistics == {"responses": 1, "pages": 1, "images": 1, "images_kept": 1, "texts": 1}
    assert [record.message for record in caplog.records] == ["1 pages are not scanned but parsed: scanner"]


@pytest.mark.parametrize("error", [MemoryError, KeyboardInterrupt])
def test_what_must_not_be_held_back(error: type[BaseException], monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*arguments: object) -> None:
        raise error

    for module, function in ((responses, "html_page"), (warc, "scan_places"), (warc, "parse_page")):
        with monkeypatch.context() as patch:
            patch.setattr(module, function, fail)
            with pytest.raises(error):
                pairs(response("<frameset>", "Content-Type: text/html", "X-Robots-Tag: all"))


def test_read_warc_takes_responses_in_order_and_in_batches(tmp_path: Path) -> None:
    html = "".join(f"<img src={i}.jpg alt='text {i}'>" for i in range(1000)) + " " * 316_000
    count = 20
    path = write_warc(tmp_path / "x.warc.gz", [(f"http://x.org/{n}/", response(html)) for n in range(count)])
    statistics: Counter[str] = Counter()
    batches = list(read_warc(path, Extract(), statistics))
    # Pages are scanned together that lie in what is decompressed at once, some megabytes of requests,
    # responses and metadata, here of one length; a batch is handed on once it is full.
    together = 2 * BATCH_BYTES // (3 * len(html))
    pages = together * math.ceil(BATCH_PAIRS / (1000 * together))
    assert [len(batch) for batch in batches] == [1000 * n for n in (pages, 20 - pages)]
    urls = [url for batch in batches for url in batch.urls]
    assert urls == [f"http://x.org/{n}/{i}.jpg" for n in range(count) for i in range(1000)]
    assert statistics["pages"] == statistics["responses"] == statistics["records.response"] == count
    assert statistics["texts"] == len(urls)


def columns(path: Path, settings: Extract) -> tuple[list[list[object]], Counter[str]]:
    statistics: Counter[str] = Counter()
    lists: list[list[object]] = [[], [], [], []]
    try:
        for batch in read_warc(str(path), settings, statistics):
            for column, part in zip(lists, (batch.urls, batch.texts, batch.text_keys, batch.page_urls), strict=True):
                column += list(part)
    except UnreadableFileError as error:
        statistics[error.reason] += 1
    return lists, statistics


@pytest.mark.slow
def test_both_parsers_give_the_same_pairs_in_the_same_order_and_count_alike() -> None:
    paths = [*sorted(shared_data("crawl", "warc").iterdir()), *sorted(shared_data("wild").iterdir())]
    texts = 0
    for path in paths:
        # Nothing is gained by parsing the one gigantic page of the wild files.
        scanned, parsed = (
            columns(path, Extract(html_parser=parser, max_page_bytes=4 << 20)) for parser in ("scanner", "tree")
        )
        assert scanned == parsed, path
        texts += scanned[1]["texts"]
    assert texts > 20_000


def test_real_pages_add_up() -> None:
    statistics: Counter[str] = Counter()
    path = shared_data("crawl", "warc", "CC-MAIN-PUBLIC-00000.warc.gz")
    texts = sum(len(batch) for batch in read_warc(str(path), Extract(), statistics))
    assert texts == statistics["texts"] > 1000
    assert_sums(statistics)


def assert_sums(statistics: Counter[str]) -> None:
    def total(prefix: str) -> int:
        return sum(count for name, count in statistics.items() if name.startswith(prefix))

    assert statistics["responses"] == statistics["pages"] + total("dropped.page.")
    assert statistics["images"] == statistics["images_kept"] + total("dropped.image.")
    assert statistics["texts"] >= statistics["images_kept"]


WILD_REASONS = {"bad_http", "not_html", "no_address", "encoding", "too_large", "opt_out"}


def test_wild_archives_add_up() -> None:
    """Whatever a crawler wrote, no page ends a run and none fails for a reason nobody thought of."""
    seen: Counter[str] = Counter()
    for path in sorted(shared_data("wild").iterdir()):
        statistics: Counter[str] = Counter()
        try:
            for batch in read_warc(str(path), Extract(), statistics):
                for url, text in zip(batch.urls, batch.texts, strict=True):
                    assert url.isascii()
                    assert text.encode()
        except UnreadableFileError:
            assert not statistics["responses"]
        assert_sums(statistics)
        seen += statistics
    assert {name.removeprefix("dropped.page.") for name in seen if name.startswith("dropped.page.")} <= WILD_REASONS
    assert seen["pages"] > 150
    assert seen["texts"] > 2000


def wacz(path: Path, members: dict[str, bytes], compression: int = zipfile.ZIP_STORED) -> Path:
    with zipfile.ZipFile(path, "w", compression) as file:
        for name, content in members.items():
            file.writestr(name, content)
    return path


def pairs_of(path: Path | str) -> tuple[list[str], Counter[str]]:
    statistics: Counter[str] = Counter()
    return [url for batch in read_warc(str(path), Extract(), statistics) for url in batch.urls], statistics


@pytest.mark.parametrize("compression", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_the_archives_of_a_wacz_are_read_each_once(compression: int, tmp_path: Path) -> None:
    one, two = (
        Path(write_warc(tmp_path / f"{name}.warc.gz", [(f"http://{name}.org/", response("<img src=/a alt=cat>"))]))
        for name in ("one", "two")
    )
    members = {
        "archive/one.warc.gz": one.read_bytes(),
        "archive/two.warc.bz2": bz2.compress(gzip.decompress(two.read_bytes())),
        "archive/three.warc.gz": b"no archive",
        "pages/pages.jsonl": b'{"url": "http://no.org/", "text": "no"}',
        "indexes/index.cdx.gz": b"x",
        "datapackage.json": b"{}",
    }
    path = wacz(tmp_path / "a b!.wacz", members, compression)
    urls, statistics = pairs_of(path)
    assert urls == ["http://one.org/a", "http://two.org/a"]
    assert statistics["pages"] == 2
    assert statistics["dropped.file_part.not_an_archive"] == 1
    with serve() as site:
        site.files["/a.wacz?x=1"] = path.read_bytes()
        assert pairs_of(f"{site.address}/a.wacz?x=1")[0] == urls


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "empty_file"),
        (b"PK\x03\x04 no zip", "bad_zip"),
        ({"pages/pages.jsonl": b"{}"}, "no_archives"),
        ({"archive/a.warc.gz": b"x"}, "not_an_archive"),
    ],
)
def test_a_wacz_that_gives_nothing_says_why(content: bytes | dict[str, bytes], reason: str, tmp_path: Path) -> None:
    path = tmp_path / "a.wacz"
    if isinstance(content, bytes):
        path.write_bytes(content)
    else:
        wacz(path, content)
    with pytest.raises(UnreadableFileError) as caught:
        pairs_of(path)
    assert (caught.value.reason, caught.value.path) == (reason, str(path))
    with pytest.raises(UnreadableFileError, match="no such file"):
        pairs_of(tmp_path / "none.wacz")
