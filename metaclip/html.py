"""What a page's markup says about its images, by the tree that an HTML parser builds.

`metaclip.html_scan` finds the same without a tree; this is its definition, and takes the pages that
it cannot do.
"""

import math
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from selectolax.lexbor import LexborHTMLParser

from metaclip.http_message import PageError
from metaclip.images import Attributes
from metaclip.jit import frozen, kernel


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


# For each tag the parser walks the elements that are open, for each attribute those of its tag that
# came before, at 3 ns a step. A tag takes three bytes or more, an attribute two.
_MAX_STEPS = 3_000_000_000
_SMALL = 100_000
_MANY_TAGS = math.isqrt(_MAX_STEPS)
_MAX_ATTRIBUTES = 30_000
_WINDOW = _MAX_ATTRIBUTES
_TAG = re.compile(rb"<(/?)([a-zA-Z][a-zA-Z0-9]*)")
# Elements without an end tag, and those that the next of their kind ends.
_NOT_NESTED = frozenset(
    b"area base br col embed hr img image input link meta param source track wbr"
    b" p li dd dt tr td th thead tbody tfoot option optgroup rt rp".split()
)


def check_complexity(html: bytes | memoryview) -> None:
    """Refuse pages whose tree would take some ten seconds or more to build.

    Raises:
        PageError: `too_complex`
    """
    if len(html) > _SMALL and _is_too_complex(html):
        raise PageError("too_complex")


@kernel
def _count_tags(data: Any) -> Any:
    """Count `<`, in blocks short enough for a byte, which is the form that processors count fastest in."""
    count, at = 0, 0
    while at + 128 <= data.size:
        block: Any = np.uint8(0)
        for k in range(128):
            block = np.uint8(block + np.uint8(data[at + k] == np.uint8(0x3C)))
        count += block
        at += 128
    while at < data.size:
        count += data[at] == np.uint8(0x3C)
        at += 1
    return count


@kernel
def _bare_window(data: Any, window: Any) -> Any:
    """Return where the first of the windows side by side starts that lies whole in the data and has no `>`, or -1."""
    for start in range(0, data.size - window + 1, window):
        k = start
        while k < start + window and data[k] != 0x3E:
            k += 1
        if k == start + window:
            return start
    return -1


def _is_too_complex(page: bytes | memoryview) -> bool:
    data = frozen(np.frombuffer(page, np.uint8), np.uint8)
    if len(page) > 3 * _MANY_TAGS:
        tags = _count_tags(data)
        if tags > _MANY_TAGS and tags * _depth(bytes(page)) > _MAX_STEPS:
            return True
    # Text files served as HTML may hold one `<word` and no `>`: all words to the end are attributes.
    position = _bare_window(data, _WINDOW)
    if position < 0:
        return False
    html = bytes(page)
    while position + _WINDOW <= len(html):
        if html.find(b">", position, position + _WINDOW) >= 0:
            position += _WINDOW
            continue
        start = html.rfind(b">", 0, position) + 1
        end = html.find(b">", position)
        end = len(html) if end < 0 else end
        tag = _TAG.search(html, start, end)
        if tag and len(html[tag.end() : end].split()) > _MAX_ATTRIBUTES:
            return True
        position = end
    return False


def _depth(html: bytes) -> int:
    """Estimate how many elements are open at once, at most."""
    depth = deepest = 0
    for tag in _TAG.finditer(html):  # all at once would take a hundred bytes for each
        if tag[2].lower() in _NOT_NESTED:
            continue
        if tag[1]:
            depth = max(0, depth - 1)
        else:
            depth += 1
            deepest = max(deepest, depth)
    return deepest


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
