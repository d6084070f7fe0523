"""Image addresses: resolution against page and base, and normal form.

Follows the URL standard (https://url.spec.whatwg.org/, sections 4.4 and 4.5) for http and https, as
browsers do. docs/extraction.md lists the rules and the deviations.

This is the definition; its fast way is `metaclip.pairs.page_bases`.
"""

import enum
import ipaddress
import re
from typing import NamedTuple

import numpy as np


class Fault(enum.Enum):
    """Why a reference gives no address; statistics count by the value."""

    NONE = "no_address"
    DATA = "data_address"
    SCHEME = "scheme"
    BAD = "bad_address"
    LONG = "address_too_long"
    """It has more bytes than `extract.max_address_bytes`; see `collector`."""


class Base(NamedTuple):
    """The base that references of a page are resolved against: the parts of an address in normal form."""

    scheme: str
    """`http` or `https`."""
    origin: str
    """`https://host:port`."""
    path: str
    query: str
    """With its `?`; empty if there is none."""
    folder: str
    """The address up to the last slash of its path, including that slash."""


# Characters that stay as they are in a path; in a query the apostrophe does not.
_PATH_SAFE = "!$%&'()*+,-./:;=@[]_|~"
_QUERY_SAFE = "!$%&()*+,-./:;=?@[\\]^_`{|}~"
_PATH = rf"[A-Za-z0-9{re.escape(_PATH_SAFE)}]"
_QUERY_PART = rf"[A-Za-z0-9{re.escape(_QUERY_SAFE)}]"
_QUERY = rf"(?:\?{_QUERY_PART}*)?"
_SEGMENT = _PATH.replace(":", "").replace("/", "")
_HOST = r"(?=[a-z0-9.-]*[a-z-])[a-z0-9](?:[a-z0-9.-]*[a-z0-9])?"

# References that are in normal form already, or are so after the origin or the folder. A segment that
# may be `.` or `..` takes the slow path.
_PLAIN = re.compile(rf"https?://{_HOST}/{_PATH}*{_QUERY}")
_ROOTED = re.compile(rf"/(?!/){_PATH}*{_QUERY}")
_RELATIVE = re.compile(rf"[A-Za-z0-9_]{_SEGMENT}*(?:/{_PATH}*)?{_QUERY}")
# Letters, digits and `-._~` are safe everywhere.
_NOT_IN_PATH, _NOT_IN_QUERY, _NOT_IN_USER = (
    re.compile(rf"[^A-Za-z0-9{re.escape(safe)}]+") for safe in (_PATH_SAFE, _QUERY_SAFE, "!$%&'()*+,-.:_~")
)
_DOTS = re.compile(r"/(?:\.|%2e)", re.IGNORECASE)

CHARACTERS = np.zeros(256, np.uint8)
"""The same sets for `metaclip.pairs.assembly_kernel`: for each byte, where the character may occur, as bits."""
for _bit, _set in enumerate((_PATH, _QUERY_PART, "[a-z0-9.-]", "[a-z0-9]", "[a-z-]", "[A-Za-z0-9_]")):
    CHARACTERS[[byte for byte in range(128) if re.fullmatch(_set, chr(byte))]] |= 1 << _bit

_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.\-]*):")
_CONTROLS_AND_SPACE = "".join(map(chr, range(0x21)))
_LINE_BREAKS = str.maketrans("", "", "\t\n\r")
_LONE_SURROGATE = re.compile("[\ud800-\udfff]")
_BAD_HOST = re.compile(r"[\x00-\x20\x7f#/:<>?@\[\\\]^|%]")
_PORT = re.compile(r"0*[0-9]{0,5}")
_DEFAULT_PORT = {"http": "80", "https": "443"}


def resolve(reference: str, base: Base) -> str | Fault:
    """Return the absolute http(s) address that `reference` means on a page with this base.

    The result is printable ASCII: scheme and host are in lower case, dot segments are resolved, default
    port and fragment are removed, and what the URL standard percent-encodes is percent-encoded.
    Everything else is unchanged. Never raises.
    """
    # Almost all references are plain; matching them as a whole is three times as fast as parsing them.
    if "/." not in reference and ("%2" not in reference or not _DOTS.search(reference)):
        if _PLAIN.fullmatch(reference):
            return reference
        if _ROOTED.fullmatch(reference):
            return base.origin + reference
        if _RELATIVE.fullmatch(reference):
            return base.folder + reference
    parts = _parse(reference, base)
    return parts if isinstance(parts, Fault) else parts.origin + parts.path + parts.query


def page_base(page_url: str, base_href: str | None) -> Base | Fault:
    """Return the base that a page's references are resolved against.

    `base_href` (of `<base>`, or `Head.Base` in WAT) is itself resolved against the page. If it is not a
    usable http(s) address, it is ignored, as in browsers. A page without a usable http(s) address is a
    Fault.
    """
    # Some crawlers write WARC-Target-URI in angle brackets, as in the grammar of WARC/1.0.
    page_url = page_url.strip().removeprefix("<").removesuffix(">")
    page = _plain_page(page_url) if _PLAIN.fullmatch(page_url) else _parse(page_url, None)
    if isinstance(page, Fault) or not base_href:
        return page
    base = _parse(base_href, page)
    return page if isinstance(base, Fault) else base


def _plain_page(address: str) -> Base | Fault:
    """Split an address in normal form; five times as fast as the general parser."""
    if _DOTS.search(address):
        return _parse(address, None)
    path_start = address.index("/", len("https://"))
    path, mark, query = address[path_start:].partition("?")
    origin = address[:path_start]
    return Base(origin[: origin.index(":")], origin, path, mark + query, origin + path[: path.rindex("/") + 1])


def _parse(reference: str, base: Base | None) -> Base | Fault:
    """Split any reference; without a base only absolute ones can be used."""
    if not reference.isascii() and _LONE_SURROGATE.search(reference):
        reference = _LONE_SURROGATE.sub("\ufffd", reference)
    reference = reference.strip(_CONTROLS_AND_SPACE).partition("#")[0]
    if not reference.isprintable():
        reference = reference.translate(_LINE_BREAKS)
    scheme_match = _SCHEME.match(reference)
    scheme = base.scheme if base else ""
    rest = reference
    if scheme_match:
        scheme = scheme_match[1].lower()
        if scheme == "data":
            return Fault.DATA
        if scheme not in _DEFAULT_PORT:
            return Fault.SCHEME
        rest = reference[scheme_match.end() :]
    path, mark, query = rest.partition("?")
    path = path.replace("\\", "/")
    query = _encode(mark + query, _NOT_IN_QUERY) if mark else ""
    if path.startswith("//") or (scheme_match and (base is None or scheme != base.scheme)):
        authority, _, path = path.lstrip("/").partition("/")
        origin = _origin(scheme, authority)
        if origin is None or not scheme:
            return Fault.BAD
        path = "/" + path
    elif base is None:
        return Fault.BAD if reference else Fault.NONE
    elif not path and not mark:
        return Fault.NONE
    else:
        origin = base.origin
        if not path:
            path = base.path
            return Base(scheme, origin, path, query, base.folder)
        if not path.startswith("/"):
            path = base.folder[len(origin) :] + path
    path = _encode(path, _NOT_IN_PATH)
    if _DOTS.search(path):
        path = _without_dot_segments(path)
    return Base(scheme, origin, path, query, origin + path[: path.rindex("/") + 1])


def _encode(text: str, unsafe: re.Pattern[str]) -> str:
    """Percent-encode what must be encoded; `urllib.parse.quote` would process every byte in Python."""
    return unsafe.sub(_percent, text)


def _percent(match: re.Match[str]) -> str:
    return "%" + match[0].encode().hex("%").upper()


def _without_dot_segments(path: str) -> str:
    kept: list[str] = []
    dots = False
    for segment in path[1:].split("/"):
        plain = segment.lower().replace("%2e", ".")
        dots = plain in (".", "..")
        if not dots:
            kept.append(segment)
        elif plain == ".." and kept:
            kept.pop()
    # A path that ends in a dot segment is that of a folder.
    return "/" + "/".join(kept) + ("/" if dots and kept else "")


def _origin(scheme: str, authority: str) -> str | None:
    user, at, host_port = authority.rpartition("@")
    if host_port.startswith("["):
        literal, bracket, port = host_port[1:].partition("]")
        try:
            host = f"[{ipaddress.IPv6Address(literal).compressed}]" if bracket else ""
        except ValueError:
            return None
        if port and not port.startswith(":"):
            return None
        port = port[1:]
    else:
        name, _, port = host_port.partition(":")
        host = _host(name)
    if not host or not _PORT.fullmatch(port) or int(port or 0) > 65535:
        return None
    port = str(int(port)) if port else ""
    if port == _DEFAULT_PORT.get(scheme):
        port = ""
    user = _encode(user, _NOT_IN_USER) + at if at else ""
    return f"{scheme}://{user}{host}" + (f":{port}" if port else "")


def _host(name: str) -> str:
    if not name.isascii():
        # No host name is longer than 253 characters, and Punycode takes quadratic time.
        if len(name) > 253:
            return ""
        try:
            name = name.encode("idna").decode("ascii")
        except UnicodeError:
            return ""
    return "" if _BAD_HOST.search(name) else name.lower()
