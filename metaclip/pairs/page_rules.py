"""Rules for pages of all sources: opt-out, media type, and that an error drops only one page."""

import logging
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import lru_cache

logger = logging.getLogger(__name__)

ROBOTS_NAMES = frozenset({"robots", "ccbot", "img2dataset", "x-robots-tag"})
"""`name` (or `http-equiv`) of the meta tags whose opt-out counts: those for every robot, for Common
Crawl's robot, which fetched the page, and for img2dataset, which would fetch the image."""

_OPT_OUT = re.compile(r"(?<![\w-])no(?:image)?ai(?![\w-])", re.IGNORECASE)
# Every match of the pattern above contains one of these in UTF-8; i has two more forms (U+0130, U+0131).
_LIKE_OPT_OUT = re.compile(rb"no(?:(?:i|\xc4[\xb0\xb1])mage)?a(?:i|\xc4[\xb0\xb1])", re.IGNORECASE)


def is_robots_name(name: str | None) -> bool:
    """Return whether the opt-out of a meta tag with this name counts."""
    return name is not None and name.strip().lower() in ROBOTS_NAMES


def opts_out(directives: list[str]) -> bool:
    """Return whether any of these robots directives is `noai` or `noimageai`.

    Directives come from meta tags and X-Robots-Tag headers. In a header, `agent: noai` counts for any
    agent, because this project does not guess whom else the author wants to exclude.
    """
    return any(_OPT_OUT.search(directive) for directive in directives)


def may_opt_out(directives: Iterable[bytes]) -> bool:
    """Return quickly whether `opts_out` could be true for any of many directives, in UTF-8 or almost UTF-8."""
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
    """Catch exceptions in the block, so that only one page is dropped; count them by type and log them."""
    try:
        yield
    except MemoryError:
        raise
    except Exception as error:
        reason = "dropped.page.error_" + type(error).__name__
        # Only the first of each type is a warning; the count says how many there were.
        level = logging.DEBUG if statistics[reason] else logging.WARNING
        statistics[reason] += 1
        logger.log(level, "%s: page skipped: %s", page_url, error, exc_info=True)
