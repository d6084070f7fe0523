"""From a page's bytes in whatever character set to UTF-8 (HTML standard, 13.2.3)."""

import codecs
import re

import numpy as np
import pyarrow as pa
import webencodings
from resiliparse.parse.encoding import detect_encoding

_CHARSET_PARAMETER = re.compile(r"charset\s*=\s*[\"']?\s*([^\s\"';,]+)", re.IGNORECASE)
_COMMENT = re.compile(rb"<!--.*?(?:-->|\Z)", re.DOTALL)
# Without IGNORECASE, for then the first character is looked for at ten times the speed.
_META = re.compile(rb"<[mM][eE][tT][aA][\s/][^>]*")
_META_CHARSET = re.compile(rb"[\s\"'/;]charset\s*=\s*[\"']?\s*([^\s\"'/>;]+)", re.IGNORECASE)
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
    """Return the encoding that a Content-Type header names, or None."""
    parameter = _CHARSET_PARAMETER.search(content_type)
    return _lookup(parameter[1]) if parameter else None


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
    if b"charset" not in start and b"harset" not in start.lower():
        return None
    for meta in _META.finditer(_COMMENT.sub(b"", start) if b"<!--" in start else start):
        tag = meta[0]
        lower = tag.lower()
        # `charset=` inside `content` counts only where that stands for the Content-Type header.
        if b"content" in lower and b"http-equiv" not in lower:
            continue
        if (found := _META_CHARSET.search(tag)) and (encoding := meta_label_encoding(found[1])):
            return encoding
    return None
