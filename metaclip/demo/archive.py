"""Write pages as WARC and WAT files in Common Crawl's layout, with the faults of real files."""

import gzip
import hashlib
import html
import io
import json
import uuid
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import brotli
from warcio.statusandheaders import StatusAndHeaders
from warcio.warcwriter import WARCWriter

from metaclip.demo.pages import Page, to_html

_DATE = "2024-08-15T12:00:00Z"
_USER_AGENT = "CCBot/2.0 (https://commoncrawl.org/faq/)"

# A valid gzip member that is not a record, as when a crawler writes a log message into its file.
NOT_A_RECORD = gzip.compress(b"<html><body>504 Gateway Time-out</body></html>\r\n" * 20, mtime=0)
# A member whose compressed data is damaged: its first block has the type that the format reserves.
DAMAGED = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x03\x07" + hashlib.shake_256(b"damaged").digest(600)


def write_warc(path: Path, pages: Sequence[Page], *, damaged: bool, cut: bool) -> None:
    """Write a request, a response and a metadata record for each page.

    Args:
        path: the file, whose folder must exist.
        pages: the pages to write. The first of them also show every content and transfer encoding, and
            responses that are not HTML.
        damaged: insert a member that is not a record, and a damaged one.
        cut: end the file in the middle of its last response.
    """
    out = io.BytesIO()
    writer = WARCWriter(out, gzip=True)
    _write_info(writer, path.name, "demo of metaclip", "https://iipc.github.io/warc-specifications/")
    for index, page in enumerate(pages):
        if damaged and index == len(pages) // 2:
            out.write(NOT_A_RECORD)
        if damaged and index == len(pages) * 4 // 5:
            out.write(DAMAGED)
        headers, body = _encode_body(page, index)
        _write_exchange(writer, page.url, headers, body)
    for name, kind, body in _NOT_HTML:
        _write_exchange(writer, f"https://files.example/{path.stem}/{name}", [("Content-Type", kind)], body)
    if cut:
        _write_exchange(writer, "https://files.example/cut.html", [("Content-Type", "text/html")], to_html(pages[0]))
        # A request, 400 bytes of the response, and no more.
        out.truncate(_last_response(out.getvalue()) + 400)
    path.write_bytes(out.getvalue())


def write_wat(path: Path, pages: Sequence[Page], *, entities: bool, damaged: bool, cut: bool) -> None:
    """Write a WAT file as Common Crawl's, for the same kind of pages.

    Args:
        path: the file, whose folder must exist.
        pages: the pages to write.
        entities: leave the HTML entities of attributes undecoded, as older crawls do.
        damaged: insert a record with truncated JSON, one without Payload-Metadata, and one that is not JSON.
        cut: end the file in the middle of its last record.
    """
    out = io.BytesIO()
    writer = WARCWriter(out, gzip=True)
    _write_info(writer, path.name, "demo of metaclip", "http://bibnum.bnf.fr/WARC/")
    for index, page in enumerate(pages):
        for kind in ("request", "response", "metadata"):
            envelope = _envelope(page, kind, entities=entities)
            body = json.dumps(envelope, ensure_ascii=False).encode()
            _write(writer, page.url, f"wat {kind}", "metadata", body, "application/json", refers=kind)
        if damaged and index == len(pages) // 2:
            whole = json.dumps(_envelope(page, "response", entities=entities)).encode()
            for name, body in {
                "cut": whole[: len(whole) // 2],
                "none": b'{"Container": {"Compressed": true}, "Envelope": {"Format": "WARC"}}',
                "text": b"upstream connect error or disconnect/reset before headers",
            }.items():
                _write(writer, page.url, f"wat {name}", "metadata", body, "application/json")
    data = out.getvalue()
    path.write_bytes(data[:-200] if cut else data)


_NOT_HTML = [
    ("report.pdf", "application/pdf", b"%PDF-1.4\n%\xe2\xe3\xcf\xd3\n<img src='a.jpg' alt='not a page'>\n%%EOF\n"),
    ("list.json", "application/json", b'{"image": "<img src=a.jpg alt=no>"}'),
    ("dot.gif", "image/gif", b"GIF89a\x01\x00\x01\x00\x80\x00\x00\x00\x00\x00\xff\xff\xff;"),
]


def _encode_body(page: Page, index: int) -> tuple[list[tuple[str, str]], bytes]:
    """Return headers and body; Common Crawl's bodies are decoded, other crawlers keep the encoded ones."""
    body = to_html(page)
    declared = f"text/html; charset={page.charset}" if page.charset_in == "header" else "text/html"
    headers = [("Content-Type", declared), ("Server", "nginx")]
    if page.robots_header:
        headers.append(("X-Robots-Tag", page.robots_header))
    encodings: dict[int, tuple[str, Callable[[bytes], bytes]]] = {
        3: ("gzip", lambda data: gzip.compress(data, mtime=0)),
        4: ("", bytes),
        5: ("gzip", lambda data: gzip.compress(data, mtime=0)),
        6: ("br", brotli.compress),
        7: ("deflate", zlib.compress),
    }
    if index not in encodings:
        return [*headers, ("X-Crawler-content-encoding", "gzip"), ("Content-Length", str(len(body)))], body
    name, encode = encodings[index]
    body = encode(body)
    if name:
        headers.append(("Content-Encoding", name))
    if index in (4, 5):
        headers.append(("Transfer-Encoding", "chunked"))
        chunks = [body[start : start + 1000] for start in range(0, len(body), 1000)]
        body = b"".join(b"%x\r\n%s\r\n" % (len(chunk), chunk) for chunk in chunks) + b"0\r\n\r\n"
    return headers, body


def _write_info(writer: Any, name: str, software: str, conforms: str) -> None:
    body = f"software: {software}\r\nformat: WARC File Format 1.0\r\nconformsTo: {conforms}\r\n".encode()
    _write(writer, name, "warcinfo", "warcinfo", body, "application/warc-fields")


def _write_exchange(writer: Any, url: str, headers: list[tuple[str, str]], body: bytes) -> None:
    parts = urlsplit(url)
    target = parts.path + (f"?{parts.query}" if parts.query else "")
    asked = f"GET {target} HTTP/1.1\r\nUser-Agent: {_USER_AGENT}\r\nHost: {parts.netloc}\r\n\r\n".encode()
    _write(writer, url, "request", "request", asked, "application/http; msgtype=request")
    status = StatusAndHeaders("200 OK", headers, protocol="HTTP/1.1")
    _write(writer, url, "response", "response", body, "application/http; msgtype=response", http=status)
    _write(writer, url, "metadata", "metadata", b"fetchTimeMs: 42\r\n", "application/warc-fields")


def _write(
    writer: Any,
    url: str,
    name: str,
    kind: str,
    body: bytes,
    content_type: str,
    *,
    http: StatusAndHeaders | None = None,
    refers: str = "",
) -> None:
    # Ids and dates that warcio generates would differ from run to run.
    headers = {"WARC-Record-ID": _record_id(name, url), "WARC-Date": _DATE}
    if refers:
        headers["WARC-Refers-To"] = _record_id(refers, url)
    record = writer.create_warc_record(
        url,
        kind,
        payload=io.BytesIO(body),
        length=len(body),
        warc_content_type=content_type,
        warc_headers_dict=headers,
        http_headers=http,
    )
    writer.write_record(record)


def _record_id(name: str, url: str) -> str:
    return f"<urn:uuid:{uuid.uuid5(uuid.NAMESPACE_URL, f'{name} {url}')}>"


def _last_response(data: bytes) -> int:
    """Return the offset of the last but one member: the members of a page are request, response, metadata."""
    starts = []
    position = 0
    while position < len(data):
        if data.startswith(DAMAGED, position):
            position += len(DAMAGED)
            continue
        starts.append(position)
        member = zlib.decompressobj(zlib.MAX_WBITS + 16)
        member.decompress(data[position:])
        position = len(data) - len(member.unused_data)
    return starts[-2]


def _envelope(page: Page, kind: str, *, entities: bool) -> dict[str, Any]:
    content_type = "application/warc-fields" if kind == "metadata" else f"application/http; msgtype={kind}"
    payload: dict[str, Any] = {"Actual-Content-Type": content_type}
    if kind == "response":
        headers = {"Content-Type": "text/html"}
        if page.robots_header:
            headers["X-Robots-Tag"] = page.robots_header
        payload["HTTP-Response-Metadata"] = {
            "Response-Message": {"Status": "200", "Version": "HTTP/1.1", "Reason": "OK"},
            "Headers": headers,
            "HTML-Metadata": _html_metadata(page, entities=entities),
        }
    return {
        "Container": {"Filename": "demo.warc.gz", "Compressed": True, "Offset": "0"},
        "Envelope": {
            "Format": "WARC",
            "WARC-Header-Metadata": {
                "WARC-Type": kind,
                "WARC-Date": _DATE,
                "WARC-Record-ID": _record_id(kind, page.url),
                "WARC-Target-URI": page.url,
                "Content-Type": content_type,
            },
            "Payload-Metadata": payload,
        },
    }


def _html_metadata(page: Page, *, entities: bool) -> dict[str, Any]:
    head: dict[str, Any] = {"Title": page.title}
    if page.base:
        head["Base"] = page.base
    if page.robots:
        head["Metas"] = [{"name": "robots", "content": page.robots}]
    links = []
    for index, image in enumerate(page.images):
        for attributes in (image.attributes, image.noscript):
            if "src" in attributes:
                link = {"path": "IMG@/src", "url": attributes["src"]}
                link.update((key, attributes[key]) for key in ("alt", "title") if key in attributes)
                if entities:
                    link = {key: html.escape(value) for key, value in link.items()}
                links.append(link)
        if index < len(page.paragraphs):
            links.append({"path": "A@/href", "url": f"/more/{index}", "text": "..."})
    return {"Head": head, "Links": links}
