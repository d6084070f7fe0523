"""What a WAT record holds: JSON read whole, one record at a time.

This is the definition; its fast way is `metaclip.wat.scanner`.
"""

import json
import logging
from functools import lru_cache
from typing import Any

import msgspec

from metaclip.config.settings import Extract
from metaclip.pairs.collector import PairCollector
from metaclip.pairs.image_columns import Attributes
from metaclip.pairs.page_rules import is_html, is_robots_name, one_page, opts_out
from metaclip.wat.references import unescape

logger = logging.getLogger(__name__)

_IMAGE_PATH = "IMG@/src"


class _Link(msgspec.Struct, gc=False):
    path: str | None = None
    url: str | None = None
    alt: str | None = None
    title: str | None = None
    data_image_title: str | None = msgspec.field(default=None, name="data-image-title")


class _Meta(msgspec.Struct, gc=False):
    name: str | None = None
    http_equiv: str | None = msgspec.field(default=None, name="http-equiv")
    content: str | None = None


class _Head(msgspec.Struct):
    base: str | None = msgspec.field(default=None, name="Base")
    metas: list[_Meta] | None = msgspec.field(default=None, name="Metas")


class _HtmlMetadata(msgspec.Struct):
    head: _Head | None = msgspec.field(default=None, name="Head")
    links: list[_Link] | None = msgspec.field(default=None, name="Links")


class _Response(msgspec.Struct):
    headers: dict[str, str | list[str]] | None = msgspec.field(default=None, name="Headers")
    html_metadata: _HtmlMetadata | None = msgspec.field(default=None, name="HTML-Metadata")


class _Payload(msgspec.Struct):
    response: _Response | None = msgspec.field(default=None, name="HTTP-Response-Metadata")


class _WarcHeader(msgspec.Struct):
    warc_type: str | None = msgspec.field(default=None, name="WARC-Type")
    target: str | None = msgspec.field(default=None, name="WARC-Target-URI")


class _Envelope(msgspec.Struct):
    warc_header: _WarcHeader | None = msgspec.field(default=None, name="WARC-Header-Metadata")
    payload: _Payload | None = msgspec.field(default=None, name="Payload-Metadata")


class _Wat(msgspec.Struct):
    envelope: _Envelope | None = msgspec.field(default=None, name="Envelope")


_DECODER = msgspec.json.Decoder(_Wat)


@lru_cache(maxsize=1024)
def may_be_html(content_type: bytes) -> bool:
    """Tell whether a Content-Type, in whatever encoding, leaves it possible that a page is HTML."""
    return is_html(content_type.decode("utf-8", "replace")) is not False


def add_metadata(page_url: str, body: bytes, settings: Extract, collector: PairCollector) -> None:
    """Add the pairs of one WAT record, or count why it gives none; the definition of `add_records`.

    Records about other things than responses are passed over without a count: they are no pages.
    """
    statistics = collector.statistics
    try:
        envelope = _decode(body.removeprefix(b"\xef\xbb\xbf")).envelope
    except (ValueError, RecursionError) as error:
        logger.debug("%s: WAT record skipped, not valid JSON: %s", page_url, error)
        statistics["dropped.record.bad_json"] += 1
        return
    if envelope is None:
        statistics["dropped.record.no_envelope"] += 1
        return
    header = envelope.warc_header or _WarcHeader()
    response = envelope.payload.response if envelope.payload else None
    if response is None and header.warc_type != "response":
        if header.warc_type is None:
            statistics["dropped.record.no_payload"] += 1
        return
    statistics["responses"] += 1
    with one_page(page_url, statistics):
        if reason := _add_page(page_url or header.target or "", response, settings, collector):
            statistics["dropped.page." + reason] += 1


def _add_page(page_url: str, response: _Response | None, settings: Extract, collector: PairCollector) -> str | None:
    if response is None:
        return "no_payload"
    content_type = ""
    directives: list[str] = []
    for name, value in (response.headers or {}).items():
        lower = name.lower()
        if lower == "content-type":
            content_type = value if isinstance(value, str) else ",".join(value)
        elif lower == "x-robots-tag":
            directives += [value] if isinstance(value, str) else value
    page = response.html_metadata
    if page is None or not may_be_html(content_type.encode("utf-8", "surrogatepass")):
        return "not_html"
    head = page.head or _Head()
    if settings.respect_opt_out:
        directives += [
            meta.content
            for meta in head.metas or ()
            if meta.content and (is_robots_name(meta.name) or is_robots_name(meta.http_equiv))
        ]
        if opts_out(directives):
            return "opt_out"
    collector.add_page(
        page_url, unescape(head.base), [_image(link) for link in page.links or () if link.path == _IMAGE_PATH]
    )
    return None


def _image(link: _Link) -> Attributes:
    return {
        "src": unescape(link.url),
        "alt": link.alt and unescape(link.alt),
        "title": link.title and unescape(link.title),
        "data-image-title": link.data_image_title and unescape(link.data_image_title),
    }


def _decode(body: bytes) -> _Wat:
    try:
        return _DECODER.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError):
        # Not UTF-8, lone surrogates, control characters in strings, or a part of the wrong type.
        tree = json.loads(body.decode("utf-8", "replace"), strict=False)
    if not isinstance(tree, dict):
        raise ValueError(f"the record is a JSON {type(tree).__name__}, not an object")
    return _Wat(_envelope(tree.get("Envelope")))


def _envelope(value: Any) -> _Envelope | None:
    """Read an envelope leaving out whatever is not of the type that it should be."""
    if not isinstance(value, dict):
        return None
    header = _object(value.get("WARC-Header-Metadata"))
    response: _Response | None = None
    fields = _object(value.get("Payload-Metadata")).get("HTTP-Response-Metadata")
    if isinstance(fields, dict):
        page = fields.get("HTML-Metadata")
        response = _Response(_headers(fields.get("Headers")), _page(page) if isinstance(page, dict) else None)
    return _Envelope(
        _WarcHeader(_text(header.get("WARC-Type")), _text(header.get("WARC-Target-URI"))), _Payload(response)
    )


def _page(page: dict[str, Any]) -> _HtmlMetadata:
    head = _object(page.get("Head"))
    metas = [
        _Meta(_text(meta.get("name")), _text(meta.get("http-equiv")), _text(meta.get("content")))
        for meta in _objects(head.get("Metas"))
    ]
    links = [
        _Link(*(_text(link.get(key)) for key in ("path", "url", "alt", "title", "data-image-title")))
        for link in _objects(page.get("Links"))
    ]
    return _HtmlMetadata(_Head(_text(head.get("Base")), metas), links)


def _headers(value: Any) -> dict[str, str | list[str]]:
    headers: dict[str, str | list[str]] = {}
    for name, content in _object(value).items():
        if isinstance(content, str):
            headers[name] = content
        elif isinstance(content, list):
            headers[name] = [item for item in content if isinstance(item, str)]
    return headers


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) else None


def _object(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _objects(value: Any) -> list[dict[str, Any]]:
    # Some writers put a single object where a list should be.
    items = value if isinstance(value, list) else [value]
    return [item for item in items if isinstance(item, dict)]
