"""Rules for pages of all sources: opt-out, media type, and that an error drops only one page."""

import logging
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

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


def is_html_type(media_type: str) -> bool:
    """Return whether a media type is that of HTML pages; parameters and case are ignored."""
    return media_type.partition(";")[0].strip().lower() in ("text/html", "application/xhtml+xml")


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
