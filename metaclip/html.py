"""What a page's markup says about its images, by the tree that an HTML parser builds.

`metaclip.html_scan` finds the same without a tree; this is its definition, and takes the pages that
it cannot do.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass

from selectolax.lexbor import LexborHTMLParser

from metaclip.complexity import check_complexity
from metaclip.images import Attributes


@dataclass(slots=True)
class Page:
    """What extraction needs of a page."""

    base: str | None
    """`href` of the first `<base>` that has one, as written."""
    robots: list[str]
    """What robots meta tags say (see `ROBOTS_NAMES`), as written."""
    images: list[Attributes]
    """The attributes of every `<img>` in document order, character references decoded. An attribute
    given twice has its first value."""


ROBOTS_NAMES = frozenset({"robots", "ccbot", "img2dataset", "x-robots-tag"})
"""`name` (or `http-equiv`) of the meta tags whose opt-out counts: those for every robot, for Common
Crawl's, which fetched the page, and for img2dataset, which would fetch the image."""

_OPT_OUT = re.compile(r"(?<![\w-])no(?:image)?ai(?![\w-])", re.IGNORECASE)
# Whatever the former finds holds one of these in UTF-8, where i has two more forms (U+0130, U+0131).
_LIKE_OPT_OUT = re.compile(rb"no(?:(?:i|\xc4[\xb0\xb1])mage)?a(?:i|\xc4[\xb0\xb1])", re.IGNORECASE)


def parse_page(html: bytes) -> Page:
    """Find images, base and robots directives in a page of UTF-8 bytes.

    The tree is the one that the HTML standard prescribes with scripting off. So images inside comments,
    scripts, styles, text areas, iframes and `<template>` are not images; those inside `<noscript>` are,
    and `<image>` is `<img>`. `<source>` of `<picture>` is not looked at: its `<img>` names the same
    picture and carries the text. Bytes that are not UTF-8 become U+FFFD in the values.

    Raises:
        PageError: `too_complex`, for a page whose tree would take some ten seconds or more to build.
    """
    check_complexity(html)
    # One walk over the tree for all three costs half of three walks.
    base: str | None = None
    robots: list[str] = []
    images: list[Attributes] = []
    for node in LexborHTMLParser(html).css("img,base,meta"):
        attributes = node.attributes
        tag = node.tag
        if tag == "img":
            images.append(attributes)
        elif tag == "base":
            if base is None:
                base = attributes.get("href")
        elif is_robots_name(attributes.get("name") or attributes.get("http-equiv")):
            robots.append(attributes.get("content") or "")
    return Page(base, robots, images)


def is_robots_name(name: str | None) -> bool:
    """Tell whether a meta tag of this name speaks to robots that matter here."""
    return name is not None and name.strip().lower() in ROBOTS_NAMES


def opts_out(directives: list[str]) -> bool:
    """Tell whether any of these robots directives is `noai` or `noimageai`.

    Directives come from meta tags and X-Robots-Tag headers. In a header, `agent: noai` counts whoever
    the agent is: whom else the author did not want is not for this project to guess.
    """
    return any(_OPT_OUT.search(directive) for directive in directives)


def may_opt_out(directives: Iterable[bytes]) -> bool:
    """Tell at once whether `opts_out` is worth asking about any of many directives, in UTF-8 or nearly so."""
    return _LIKE_OPT_OUT.search(b"\n".join(directives)) is not None
