"""TODO: tests/metaclip/html/test_message.py."""

import gzip
import tracemalloc
import zlib

import brotli
import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from metaclip.html.message import Message, PageError, html_page, parse_message, unchunk

HTML = b"<!DOCTYPE html><title>x</title>" + b"<p>some text</p>" * 200
LIMIT = 1 << 20


def raw_deflate(data: bytes) -> bytes:
    compressor = zlib.compressobj(wbits=-15)
    return compressor.compress(data) + compressor.flush()


def chunked(data: bytes, size: int = 100, end: bytes = b"0\r\n\r\n") -> bytes:
    pieces = [data[i : i + size] for i in range(0, len(data), size)]
    return b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in pieces) + end


def page(body: bytes, limit: int = LIMIT, **headers: str) -> bytes:
    named = {name.replace("_", "-"): [value] for name, value in headers.items()}
    return html_page(Message({"content-type": ["text/html"], **named}, body), limit)


def refusal(body: bytes, limit: int = LIMIT, **headers: str) -> str:
    with pytest.raises(PageError) as caught:
        page(body, limit, **headers)
    return caught.value.reason


@pytest.mark.parametrize(
    ("block", "headers", "body"),
    [
        (b"HTTP/1.1 200 OK\r\nA: b\r\n\r\nxyz", {"a": ["b"]}, b"xyz"),
        (b"HTTP/1.1 200 OK\nA: b\nA:c\n\nx\r\n\r\ny", {"a": ["b", "c"]}, b"x\r\n\r\ny"),
        (b"HTTP/1.0 200\r\n\r\n", {}, b""),
        (b"http/2 200\r\nX: a\r\n  b\r\n\r\n", {"x": ["a b"]}, b""),
        (b"HTTP/1.1 200 \xfc\r\nX-\xfc: \xfc\r\nno colon\r\n: empty\r\n\r\n-", {"x-ü": ["ü"], "": ["empty"]}, b"-"),
        (b"HTTP/1.1 200 OK\r\nA: b\r\n\r\n\r\n\r\n<p>", {"a": ["b"]}, b"\r\n\r\n<p>"),
    ],
)
def test_parse_message(block: bytes, headers: dict[str, list[str]], body: bytes) -> None:
    assert parse_message(block) == Message(headers, body)


@pytest.mark.parametrize(
    "block", [b"", b"HTTP/1.1 200 OK\r\nA: b", b"<html>\n\n</html>", b"\r\n\r\n", b"220 FTP\r\n\r\n"]
)
def test_bad_http(block: bytes) -> None:
    with pytest.raises(PageError, match="bad_http"):
        parse_message(block)


@pytest.mark.parametrize(
    ("coding", "encode"),
    [
        ("gzip", gzip.compress),
        ("X-GZIP", gzip.compress),
        ("deflate", zlib.compress),
        ("deflate", raw_deflate),
        ("br", brotli.compress),
        ("zstd", zstandard.compress),
        ("identity", bytes),
        ("utf-8", bytes),
        ("deflate, gzip", lambda data: gzip.compress(zlib.compress(data))),
        ("gzip", lambda data: gzip.compress(data[:1000]) + gzip.compress(data[1000:])),
    ],
)
def test_content_encodings(coding: str, encode) -> None:
    assert page(encode(HTML), content_encoding=coding) == HTML
    assert page(chunked(encode(HTML)), content_encoding=coding, transfer_encoding="chunked") == HTML


@pytest.mark.parametrize("coding", ["gzip", "deflate", "br", "zstd", "x-unheard-of"])
def test_the_header_stayed_but_the_crawler_decoded(coding: str) -> None:
    assert page(HTML, content_encoding=coding) == HTML
    assert page(b"\xef\xbb\xbf\n" + HTML, content_encoding=coding) == b"\n" + HTML
    assert page(b"", content_encoding=coding) == b""


@pytest.mark.parametrize("coding", ["gzip", "deflate", "br", "zstd", "x-unheard-of"])
def test_undecodable(coding: str) -> None:
    assert refusal(b"\x07\xff neither this nor that \x81" * 9, content_encoding=coding) == "encoding"


@pytest.mark.parametrize(
    ("coding", "encode"), [("gzip", gzip.compress), ("deflate", zlib.compress), ("br", brotli.compress)]
)
def test_a_truncated_page_gives_what_is_there(coding: str, encode) -> None:
    long = b"".join(b"<p>%d</p>" % i for i in range(30_000))
    decoded = page(encode(long)[:-2000], content_encoding=coding)
    assert long.startswith(decoded)
    assert len(decoded) > len(long) // 2


@pytest.mark.slow
@pytest.mark.parametrize(
    ("coding", "encode"),
    [
        ("gzip", gzip.compress),
        ("deflate", zlib.compress),
        ("deflate", raw_deflate),
        ("br", brotli.compress),
        ("zstd", zstandard.compress),
    ],
)
def test_bombs_are_not_unpacked(coding: str, encode) -> None:
    bomb = encode(b"<p>" + b" " * (64 << 20))
    tracemalloc.start()
    try:
        assert refusal(bomb, content_encoding=coding) == "too_large"
        assert tracemalloc.get_traced_memory()[1] < 16 << 20
    finally:
        tracemalloc.stop()


def test_the_limit_is_on_the_decoded_page() -> None:
    assert len(page(HTML, len(HTML))) == len(HTML)
    assert refusal(HTML, len(HTML) - 1) == "too_large"
    assert page(gzip.compress(HTML), len(HTML), content_encoding="gzip") == HTML
    assert refusal(gzip.compress(HTML), len(HTML) - 1, content_encoding="gzip") == "too_large"


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b"5\r\nhello\r\n6\r\n world\r\n0\r\nTrailer: x\r\n\r\n", b"hello world"),
        (b"5;ext=1\nhello\n0\n\n", b"hello"),
        (b"  A  \r\n0123456789\r\n0\r\n\r\n", b"0123456789"),
        (b"5\r\nhello\r\n9\r\n cut", b"hello cut"),
        (b"5\r\nhello\r\nnot a size\r\n", b"hello"),
        (b"5\r\nhello", b"hello"),
        (b"<html>was decoded</html>", b"<html>was decoded</html>"),
        (b"0\r\n\r\n", b""),
        (b"", b""),
        (b"ffffffffffffffffffff\r\nx", b"ffffffffffffffffffff\r\nx"),
    ],
)
def test_unchunk(body: bytes, expected: bytes) -> None:
    assert unchunk(body) == expected


@given(st.binary(max_size=300), st.integers(1, 50))
def test_unchunk_undoes_chunking(data: bytes, size: int) -> None:
    assert unchunk(chunked(data, size)) == data


def test_crawler_headers_are_not_the_servers() -> None:
    assert page(HTML, x_crawler_transfer_encoding="chunked", x_crawler_content_encoding="gzip") == HTML


@pytest.mark.parametrize(
    ("content_type", "body", "is_html"),
    [
        ("text/html; charset=utf-8", HTML, True),
        ("TEXT/HTML", b"anything", True),
        ("application/xhtml+xml", HTML, True),
        ("text/html", b"%PDF-1.4 ...", False),
        ("text/html", b"\x89PNG\r\n", False),
        ("application/pdf", HTML, False),
        ("text/plain", HTML, False),
        ("image/svg+xml", HTML, False),
        ("", HTML, True),
        ("", b" \n<HTML><body>", True),
        ("", b"<?xml version='1.0'?>\n<html>", True),
        ("html", b"<!-- x --><p>", True),
        ("", b"plain", False),
        ("", b"<?xml version='1.0'?><rss>", False),
        ("", b"<pre", False),
        ("", b"", False),
    ],
)
def test_only_html(content_type: str, body: bytes, is_html: bool) -> None:
    message = Message({"content-type": [content_type]} if content_type else {}, body)
    if is_html:
        assert html_page(message, LIMIT) == body
    else:
        with pytest.raises(PageError, match="not_html"):
            html_page(message, LIMIT)


def test_the_last_content_type_counts() -> None:
    message = Message({"content-type": ["image/png", "text/html"]}, HTML)
    assert html_page(message, LIMIT) == HTML


GERMAN = "Grüße aus Köln: schöne Straßen, hübsche Mädchen und viele Bäume über dem Fluss. " * 20
RUSSIAN = "Съешь же ещё этих мягких французских булок, да выпей чаю. " * 20
JAPANESE = "吾輩は猫である。名前はまだ無い。どこで生れたかとんと見当がつかぬ。" * 20


@given(st.binary(max_size=300), st.sampled_from(["gzip", "deflate", "br", "zstd", "gzip, br"]), st.booleans())
def test_any_bytes_are_read_or_refused(data: bytes, coding: str, is_chunked: bool) -> None:
    block = b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Encoding: " + coding.encode()
    block += b"\r\nTransfer-Encoding: chunked" if is_chunked else b""
    reason = ""
    try:
        html_page(parse_message(block + b"\r\n\r\n" + data), LIMIT)
    except PageError as error:
        reason = error.reason
    assert reason in {"", "not_html", "encoding", "too_large"}
