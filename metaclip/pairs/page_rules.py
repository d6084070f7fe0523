"""Rules for pages that all sources share: opt-out, media type, and a fault costs one page."""

import logging
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import lru_cache

logger = logging.getLogger(__name__)

ROBOTS_NAMES = frozenset({"robots", "ccbot", "img2dataset", "x-robots-tag"})
"""`name` (or `http-equiv`) of the meta tags whose opt-out counts: those for every robot, for Common
Crawl's, which fetched the page, and for img2dataset, which would fetch the image."""

_OPT_OUT = re.compile(r"(?<![\w-])no(?:image)?ai(?![\w-])", re.IGNORECASE)
# Whatever the former finds holds one of these in UTF-8, where i has two more forms (U+0130, U+0131).
_LIKE_OPT_OUT = re.compile(rb"no(?:(?:i|\xc4[\xb0\xb1])mage)?a(?:i|\xc4[\xb0\xb1])", re.IGNORECASE)


def is_robots_name(name: str | None) -> bool:
    """Return whether a meta tag of this name speaks to robots that matter here."""
    return name is not None and name.strip().lower() in ROBOTS_NAMES


def opts_out(directives: list[str]) -> bool:
    """Return whether any of these robots directives is `noai` or `noimageai`.

    Directives come from meta tags and X-Robots-Tag headers. In a header, `agent: noai` counts whoever
    the agent is: whom else the author did not want is not for this project to guess.
    """
    return any(_OPT_OUT.search(directive) for directive in directives)


def may_opt_out(directives: Iterable[bytes]) -> bool:
    """Tell at once whether `opts_out` is worth asking about any of many directives, in UTF-8 or nearly so."""
    return _LIKE_OPT_OUT.search(b"\n".join(directives)) is not None


_HTML_TYPES = frozenset({"text/html", "application/xhtml+xml"})
_UNKNOWN_TYPES = frozenset({"unknown/unknown", "application/unknown", "*/*"})
_TOKEN = r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+"
_LISTED = re.compile(r'(?:[^",]|"(?:[^"\\]|\\.)*\\?(?:"|\Z))+', re.DOTALL)
_ESSENCE = re.compile(rf"[\t\n\r ]*({_TOKEN}/{_TOKEN})[\t\n\r ]*(?:;|\Z)")
_PARAMETER = re.compile(r'[\t\n\r ]*([^;=]*)(?:=(?:"((?:[^"\\]|\\.)*)\\?(?:"[^;]*|\Z)|([^;]*)))?(?:;|\Z)', re.DOTALL)


@lru_cache(maxsize=1024)
def media_type(content_type: str) -> tuple[str | None, str | None]:
    """Return essence and charset of a Content-Type, each None if it is not stated.

    A list is read to its end, and what is no media type is passed over, so `text/html, text/html` is HTML.

    Args:
        content_type: the values of all such headers, joined by commas.

    Source: Fetch, "extract a MIME type"; MIME sniffing, "parse a MIME type".
    """
    essence: str | None = None
    charset: str | None = None
    for listed in _LISTED.findall(content_type):
        found = _ESSENCE.match(listed)
        if not found or found[1] == "*/*":
            continue
        stated = _charset(listed, found.end())
        charset = stated or (charset if found[1].lower() == essence else None)
        essence = found[1].lower()
    return essence, charset


def _charset(listed: str, at: int) -> str | None:
    while at < len(listed) and (parameter := _PARAMETER.match(listed, at)):
        value = parameter[2] if parameter[2] is not None else (parameter[3] or "").strip()
        if parameter[1].lower() == "charset" and value:
            return value
        at = parameter.end()
    return None


def is_html(content_type: str) -> bool | None:
    """Return whether a Content-Type is that of HTML pages; None if the page's first bytes have to tell.

    Source: MIME sniffing, section 7: no type, one that cannot be parsed, and those that mean "unknown".
    """
    essence, _ = media_type(content_type)
    return None if essence is None or essence in _UNKNOWN_TYPES else essence in _HTML_TYPES


@contextmanager
def one_page(page_url: str, statistics: Counter[str]) -> Iterator[None]:
    """Let whatever goes wrong within cost one page: it is counted by exception and logged."""
    try:
        yield
    except MemoryError:
        raise
    except Exception as error:
        reason = "dropped.page.error_" + type(error).__name__
        # The first of a kind is worth a line; the count says how many there were.
        level = logging.DEBUG if statistics[reason] else logging.WARNING
        statistics[reason] += 1
        logger.log(level, "%s: page skipped: %s", page_url, error, exc_info=True)
