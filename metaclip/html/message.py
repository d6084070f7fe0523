"""From the block of a `response` record to the bytes of an HTML page in UTF-8.

HTTP head (RFC 9112, read tolerantly), transfer and content encodings undone (RFC 9110 section 8.4),
media type, character set (`metaclip.html.charset`). Crawlers store bodies as received, decoded with the
headers corrected, or decoded with the headers left as they were; all three are read.

This is the definition; its fast way is `metaclip.html.responses`.
"""

import re
import zlib
from collections.abc import Callable
from typing import NamedTuple

import brotli
import zstandard

from metaclip.html.charset import to_utf8
from metaclip.pairs.page_rules import is_html


class PageError(Exception):
    """A response that is not a readable HTML page; `reason` is what statistics count by."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class Message(NamedTuple):
    """An HTTP response taken apart."""

    headers: dict[str, list[str]]
    """Values by lower-case name, in order."""
    body: bytes | memoryview
    """As stored: encodings not yet undone; a view where the block was one."""

    def tokens(self, name: str) -> list[str]:
        """All comma-separated values of a header, in lower case, in order."""
        values = ",".join(self.headers.get(name, ())).lower().split(",")
        return [token for value in values if (token := value.strip())]


_HEAD_END = re.compile(rb"\r?\n\r?\n")
_FOLD = re.compile(r"\n[ \t]+")


def parse_message(block: bytes | memoryview) -> Message:
    """Split a response into headers and body. Bare line feeds, folded and non-UTF-8 lines are read.

    Raises:
        PageError: `bad_http` where no status line begins the block or no blank line ends the head.
    """
    end = _HEAD_END.search(block)
    if not end or bytes(block[:5]).upper() != b"HTTP/":
        raise PageError("bad_http")
    head = str(block[: end.start()], "latin-1").replace("\r\n", "\n")
    if "\n " in head or "\n\t" in head:
        head = _FOLD.sub(" ", head)
    headers: dict[str, list[str]] = {}
    for line in head.split("\n")[1:]:
        name, colon, value = line.partition(":")
        if colon:
            headers.setdefault(name.strip().lower(), []).append(value.strip())
    return Message(headers, block[end.end() :])


def html_page(message: Message, max_bytes: int) -> bytes | memoryview:
    """Return the page in UTF-8, its encodings undone; undecodable bytes may remain, for the parser.

    Where nothing had to be done it is (a part of) the body itself.

    Raises:
        PageError: `not_html`, `too_large` (more than `max_bytes` once content-decoded), or `encoding`
            (a content encoding that cannot be undone).
    """
    content_type = ",".join(message.headers.get("content-type", ()))
    typed = is_html(content_type)
    if typed is False:
        raise PageError("not_html")
    body = message.body
    if "chunked" in message.tokens("transfer-encoding"):
        body = unchunk(bytes(body))
    for coding in reversed(message.tokens("content-encoding")):
        body = _undo(coding, bytes(body), max_bytes)
    if len(body) > max_bytes:
        raise PageError("too_large")
    # A server's text/html is believed unless the first bytes say otherwise; no type, only if they agree.
    if bytes(body[:8]).startswith(_BINARY) or (not typed and not _HTML_START.match(body)):
        raise PageError("not_html")
    return to_utf8(body, content_type)


_BINARY = (b"%PDF-", b"\x89PNG", b"GIF8", b"\xff\xd8\xff", b"PK\x03\x04", b"\x1f\x8b\x08")
_HTML_START = re.compile(
    rb"(?:\xef\xbb\xbf)?\s*(?:<!--|<\?xml[^>]*>\s*(?:<!doctype\s+html|<html)"
    rb"|<(?:!doctype\s+html|html|head|script|iframe|h1|div|font|table|a|style|title|b|body|br|p|meta)[\s>])",
    re.IGNORECASE,
)
_MARKUP_START = re.compile(rb"(?:\xef\xbb\xbf)?\s*<[!?a-zA-Z]")
_CHUNK_SIZE = re.compile(rb"[ \t]*([0-9a-fA-F]{1,15})[ \t]*(?:;[^\r\n]*)?\r?\n")


def unchunk(body: bytes) -> bytes:
    """Undo chunked transfer encoding.

    A body that does not begin with a chunk was decoded by the crawler and stays as it is. Where chunks
    break off or go wrong, what was read up to there is returned.
    """
    chunks: list[bytes] = []
    position = 0
    while match := _CHUNK_SIZE.match(body, position):
        size = int(match[1], 16)
        if not size:
            return b"".join(chunks)
        chunks.append(body[match.end() : match.end() + size])
        position = match.end() + size
        if body[position : position + 2] == b"\r\n":
            position += 2
        elif body[position : position + 1] == b"\n":
            position += 1
    return b"".join(chunks) if chunks else body


_IDENTITY = frozenset({"identity", "none", "utf-8", "utf8", "binary", "8bit", "7bit"})


def _undo(coding: str, body: bytes, max_bytes: int) -> bytes:
    # Markup under a content encoding: the crawler undid that, the header stayed.
    if coding in _IDENTITY or not body or _MARKUP_START.match(body):
        return body
    decode = _DECODERS.get(coding)
    decoded = decode(body, max_bytes) if decode else b""
    if not decoded:
        raise PageError("encoding")
    if len(decoded) > max_bytes:
        raise PageError("too_large")
    return decoded


# Every decoder returns what could be decoded, so that a truncated page still counts; little more than
# `max_bytes`, so that a bomb does no harm; and b"" where nothing could be decoded.
_PIECE = 1 << 16
# Deflate grows a thousandfold at most: a step of input gives 4 MB at most.
_DEFLATE_STEP = 1 << 12


def _inflate(body: bytes, max_bytes: int, wbits: int) -> bytes:
    pieces: list[bytes] = []
    size = position = 0
    try:
        while position < len(body) and size <= max_bytes:
            inflater = zlib.decompressobj(wbits)
            while position < len(body) and not inflater.eof and size <= max_bytes:
                step = body[position : position + _DEFLATE_STEP]
                position += len(step)
                piece = inflater.decompress(step)
                pieces.append(piece)
                size += len(piece)
            # A gzip body may be several members one after the other.
            position -= len(inflater.unused_data)
    except zlib.error:
        # What came before the fault is good where a header shows that it was deflate at all.
        return b"" if wbits < 0 else b"".join(pieces)
    return b"".join(pieces)


def _ungzip(body: bytes, max_bytes: int) -> bytes:
    return _inflate(body, max_bytes, zlib.MAX_WBITS | 16)


def _undeflate(body: bytes, max_bytes: int) -> bytes:
    """Undo the standard's zlib format, or the bare deflate that some servers send instead."""
    return _inflate(body, max_bytes, zlib.MAX_WBITS) or _inflate(body, max_bytes, -zlib.MAX_WBITS)


def _unbrotli(body: bytes, max_bytes: int) -> bytes:
    decompressor = brotli.Decompressor()
    pieces: list[bytes] = []
    size = 0
    try:
        piece = decompressor.process(body, output_buffer_limit=_PIECE)
        while piece and size <= max_bytes:
            pieces.append(piece)
            size += len(piece)
            piece = decompressor.process(b"", output_buffer_limit=_PIECE)
    except brotli.error:
        # Brotli has no header: other bytes may pass for it for a while.
        return b""
    return b"".join(pieces)


def _unzstd(body: bytes, max_bytes: int) -> bytes:
    pieces: list[bytes] = []
    size = 0
    # RFC 9659 lets a page ask for windows of up to 8 MB.
    decompressor = zstandard.ZstdDecompressor(max_window_size=8 << 20)
    try:
        with decompressor.stream_reader(body, read_across_frames=True) as reader:
            while size <= max_bytes and (piece := reader.read(_PIECE)):
                pieces.append(piece)
                size += len(piece)
    except zstandard.ZstdError:
        return b"".join(pieces)
    return b"".join(pieces)


_DECODERS: dict[str, Callable[[bytes, int], bytes]] = {
    "gzip": _ungzip,
    "x-gzip": _ungzip,
    "deflate": _undeflate,
    "br": _unbrotli,
    "zstd": _unzstd,
}
