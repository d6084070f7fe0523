"""What a page's markup says about its images, by the tree that an HTML parser builds.

It also reads the pages that the fast way leaves to it.

This is the definition; its fast way is `metaclip.html.scanner`.
"""

from dataclasses import dataclass

from selectolax.lexbor import LexborHTMLParser

from metaclip.html.complexity import check_complexity
from metaclip.pairs.image_columns import Attributes
from metaclip.pairs.page_rules import is_robots_name


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
