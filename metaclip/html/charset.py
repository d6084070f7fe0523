"""From a page's bytes in whatever character set to UTF-8 (HTML standard, 13.2.3)."""

import codecs
import re

import numpy as np
import pyarrow as pa
import webencodings
from resiliparse.parse.encoding import detect_encoding

from metaclip.pairs.page_rules import media_type

_CHARSET_PARAMETER = re.compile(r"charset\s*=\s*[\"']?\s*([^\s\"';,]+)", re.IGNORECASE)
_CONTENT_CHARSET = re.compile(rb"charset[\t\n\x0c\r ]*=[\t\n\x0c\r ]*", re.IGNORECASE)
_CONTENT_LABEL = re.compile(rb"[^;\t\n\x0c\r ]*")
_SPACE = b"\t\n\x0c\r "
_TAG_NAME_END = re.compile(rb"[\t\n\x0c\r >]")
# The end of a tag, or an attribute. Only a name begins with "="; a quote without a partner goes to the end.
_ATTRIBUTE = re.compile(
    rb"""[/_]*(?:>|(?P<name>=?[^/_>=]*)[_]*
    (?:=[_]*(?:"(?P<double>[^"]*)(?:"|\Z)|'(?P<single>[^']*)(?:'|\Z)|(?P<bare>[^_>]*)))?)""".replace(b"_", _SPACE),
    re.VERBOSE,
)
_BYTE_ORDER_MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF16_LE, "utf-16le"),
    (codecs.BOM_UTF16_BE, "utf-16be"),
)
# Pure ASCII by its bytes, which detection does not look behind; its escapes give it away.
_ISO_2022_JP = re.compile(rb"\x1b\$[@B]")
PRESCAN_BYTES = 1024
"""In so many bytes a meta tag that names the character set has to begin (HTML standard, 13.2.3.2)."""
_LATE_PRESCAN_BYTES = 1 << 16


def to_utf8(body: bytes | memoryview, content_type: str = "") -> bytes | memoryview:
    """Return a page's bytes in UTF-8.

    The character set is that of the byte-order mark, else of the Content-Type header, else of a meta tag
    in the first 1024 bytes, else UTF-8 if the page is valid UTF-8, else of a later meta tag (a browser,
    too, starts over when it meets one), else what detection guesses. Undecodable bytes become U+FFFD;
    a page that is UTF-8 is returned as it is, its byte-order mark aside, and its parser does that.
    """
    for mark, label in _BYTE_ORDER_MARKS:
        if body[: len(mark)] == mark:
            return _transcode(body[len(mark) :], webencodings.lookup(label))
    encoding = header_encoding(content_type) or _meta_encoding(bytes(body[:PRESCAN_BYTES]))
    if encoding is None:
        copy = bytes(body)
        if b"\x1b" in copy and _ISO_2022_JP.search(copy) and copy.isascii():
            encoding = _lookup("iso-2022-jp")
        elif is_utf8(copy):
            return body
        else:
            encoding = _meta_encoding(copy[:_LATE_PRESCAN_BYTES]) or _lookup(detect_encoding(copy) or "")
    return _transcode(body, encoding or webencodings.UTF8)


def header_encoding(content_type: str) -> webencodings.Encoding | None:
    """Return the encoding that Content-Type names, or None.

    Where it holds no list, `charset=` counts wherever it stands: servers write it without a semicolon too.
    """
    _, charset = media_type(content_type)
    if charset is None and "," not in content_type and (parameter := _CHARSET_PARAMETER.search(content_type)):
        charset = parameter[1]
    # Some servers write single quotes, which mean nothing in HTTP.
    return None if charset is None else _lookup(charset.strip("'"))


def meta_label_encoding(label: bytes) -> webencodings.Encoding | None:
    """Return what a label means in a meta tag, or None if nothing."""
    encoding = _lookup(label.decode("latin-1"))
    # A page whose meta tag could be read is not in UTF-16, whatever it says.
    if encoding and encoding.name.startswith("utf-16"):
        return webencodings.UTF8
    return webencodings.lookup("windows-1252") if encoding and encoding.name == "x-user-defined" else encoding


def is_utf8(body: bytes | memoryview) -> bool:
    """Tell whether a page is valid UTF-8, by Arrow, which makes no string of it: seven times as fast."""
    if len(body) >= 1 << 31:  # an Arrow string is shorter
        return bytes(body).isascii()
    array = pa.StringArray.from_buffers(1, pa.py_buffer(np.array([0, len(body)], np.int32)), pa.py_buffer(body))
    try:
        array.validate(full=True)
    except pa.ArrowInvalid:
        return False
    return True


def _transcode(body: bytes | memoryview, encoding: webencodings.Encoding) -> bytes | memoryview:
    if encoding is webencodings.UTF8:
        return body
    text: str = encoding.codec_info.decode(bytes(body), "replace")[0]
    return text.encode("utf-8", "replace")


def _lookup(label: str) -> webencodings.Encoding | None:
    # Labels are ASCII; webencodings lower-cases through UTF-8, which a lone surrogate would break.
    encoding = webencodings.lookup(label) if label.isascii() else None
    # What the standard maps to `replacement` is not to be decoded at all: as good as unlabelled.
    return None if encoding is None or encoding.name == "replacement" else encoding


def _meta_encoding(start: bytes) -> webencodings.Encoding | None:
    """Return the encoding that a meta tag names, by the standard's prescan of a byte stream (13.2.3.2)."""
    if b"charset" not in start and b"charset" not in start.lower():
        return None
    try:
        return _prescan(start)
    except IndexError:  # the bytes end within a tag, and the prescan with them
        return None


def _prescan(data: bytes) -> webencodings.Encoding | None:
    """As `_meta_encoding`.

    Raises:
        IndexError: where the data ends within a tag.
    """
    at = 0
    while (at := data.find(b"<", at)) >= 0:
        follows = data[at + 1]
        if data.startswith(b"<!--", at):
            at = _behind(data, b"-->", at + 2)
        elif data[at : at + 5].lower() == b"<meta" and data[at + 5] in _SPACE + b"/":
            attributes, at = _attributes(data, at + 5)
            if encoding := _named_by(attributes):
                return encoding
        elif data[at + 1 : at + 2].isalpha() or (follows == 0x2F and data[at + 2 : at + 3].isalpha()):
            end = _TAG_NAME_END.search(data, at)
            if end is None:
                return None
            _, at = _attributes(data, end.start())
        elif follows in b"!/?":
            at = _behind(data, b">", at)
        else:
            at += 1
    return None


def _behind(data: bytes, end: bytes, at: int) -> int:
    found = data.find(end, at)
    return len(data) if found < 0 else found + len(end)


def _named_by(attributes: dict[bytes, bytes]) -> webencodings.Encoding | None:
    """Return the encoding that the attributes of a meta tag name."""
    label = attributes.get(b"charset")
    if label is None and attributes.get(b"http-equiv") == b"content-type":
        label = _label_in(attributes.get(b"content", b""))
    return None if label is None else meta_label_encoding(label)


def _label_in(content: bytes) -> bytes | None:
    """Return the label in a `content` attribute ("extracting a character encoding from a meta element")."""
    found = _CONTENT_CHARSET.search(content)
    if not found:
        return None
    quote = content[found.end() : found.end() + 1]
    if quote in (b'"', b"'"):
        label, partner, _ = content[found.end() + 1 :].partition(quote)
        return label if partner else None
    label_match = _CONTENT_LABEL.match(content, found.end())
    return label_match[0] if label_match else None


def _attributes(data: bytes, at: int) -> tuple[dict[bytes, bytes], int]:
    """Read the attributes of a tag; return the first of each name, in lower case, and where the tag ends.

    This is the standard's "get an attribute", repeated; in a few ends it differs from the tokenizer of HTML.

    Raises:
        IndexError: where the data ends before the tag does.
    """
    found: dict[bytes, bytes] = {}
    while True:
        one = _ATTRIBUTE.match(data, at)
        assert one is not None  # where nothing else is, it matches the empty string
        at, name = one.end(), one["name"]
        if name is None:
            return found, at
        if at == len(data):
            raise IndexError("the tag does not end")
        value: bytes = one["double"] or one["single"] or one["bare"] or b""
        found.setdefault(name.lower(), value.lower())
