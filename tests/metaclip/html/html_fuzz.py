"""Pages that no author wrote, for comparing the scanner with the tree: tag soup and mutated pages."""

import random
from collections.abc import Iterator

_TAGS = (
    "a b body br button caption center col colgroup dd desc div dl dt em embed font foreignObject form frame frameset"
    " g h1 head hr html i iframe image img input li listing main map mark marquee math menu meta mi mn mo ms mtext"
    " annotation-xml mglyph nav nobr noembed noframes noscript object ol optgroup option p path picture plaintext pre"
    " base script section select selectedcontent source span strike style sub svg table tbody td template textarea"
    " tfoot th thead title tr tt u ul use var video xmp plaintex templates textareas colgroups framesets scripts x-a"
)
_COMMON = "table tr td th caption tbody thead svg g title desc select option template script style div p a b"
_ATTRIBUTES = (
    "src alt title data-image-title data-src data-original srcset href name http-equiv content x sr\0c data-origina"
    " data-originals data-image-titles SRC aLt = type /"
)
TAGS, COMMON, ATTRIBUTES = (names.split() for names in (_TAGS, _COMMON, _ATTRIBUTES))
VALUES = [
    "", "a", "x y", "robots", "Robots", "noai", "ccbot", "img2dataset", "X-Robots-Tag", "<img src=q>", "a>b", "it's",
    'say "x"', "&amp;", "&amp", "&ampx", "&amp=", "&copy;1", "&copy", "&notin;", "&notit;", "&notin", "&#65;", "&#x41",
    "&#0;", "&#128;", "&#x9f;", "&#xD800;", "&#1114112;", "&#99999999999999999999;", "&#", "&#x", "&#;", "&nGt;",
    "&NotEqualTilde;", "&", "&&amp;", "&CounterClockwiseContourIntegral;", "&amp;amp;", "r\r\ns", "r\rs", "\r", "\0",
    "&\0", "é", "日本", "\u00a0", "a/", "a=b", "a`b", "hidden", "text/html", "\f", "&#13;\n", "&Eacute", "&AMP;x",
]  # fmt: skip
PIECES = [
    "<!--", "-->", "--!>", "<!-->", "<!--->", "<!---->", "<!--x--", "->", "--", "<!", "<!x>", "<?x>", "</>", "</ x>",
    "</1>", "<", "<<", ">", "<1", "<![CDATA[", "]]>", "]]", "<!DOCTYPE html>", "<!doctype '>'>", "x", " ", "\n", "\r\n",
    "\0", "&lt;", "'", '"', "=", "/", "/>", "<script", "</script", "</script\t>", "<scrip", "</textarea", "</title/>",
    "<!--<script>", "<img", "<img ", "src=", "alt='", 'alt="', "<svg/>", "<svg>", "</svg>", "</select>", "</table>",
    "</template>", "é", "\ufeff", "<IMG SRC=U ALT=V>", "<a href='", "<table><tr><td>", "</td></tr></table>",
]  # fmt: skip
_GAPS = (" ", " ", " ", "\n", "\t", "\f", "\r", "/", "", "\v", "  ")
_ENDS = ("", "", "", " ", "/", ' x=">"')


def _tag(rng: random.Random, number: int) -> str:
    pick = rng.random()
    name = "img" if pick < 0.25 else rng.choice(COMMON if pick < 0.75 else TAGS)
    if rng.random() < 0.05:
        name = name.upper()
    if rng.random() < 0.35 and name != "img":
        return f"</{name}{rng.choice(_ENDS)}>"
    text = "<" + name
    if name == "img":
        text += f" src=i{number}"
    for _ in range(rng.choice((0, 0, 0, 1, 1, 2, 3))):
        value = rng.choice(VALUES)
        quote = rng.choice(('"', '"', "'", ""))
        equals = rng.choice(("=", "=", "=", " = ", "", "=\n"))
        text += rng.choice(_GAPS) + rng.choice(ATTRIBUTES) + equals + quote + value + quote
    return text + rng.choice((">", ">", ">", ">", "/>", " />", " ", ""))


def soup(rng: random.Random) -> bytes:
    """Return a page of tags and odd pieces in any order; its images are numbered."""
    parts = [_tag(rng, number) if rng.random() < 0.8 else rng.choice(PIECES) for number in range(rng.randrange(1, 40))]
    return "".join(parts).encode("utf-8", "surrogatepass")


def mutated(rng: random.Random, pages: list[bytes]) -> bytes:
    """Return a part of a page with bytes changed, pieces put in, stretches cut, repeated and moved."""
    page = rng.choice(pages)
    size = rng.choice((300, 1500, 6000))
    start = rng.randrange(max(1, len(page) - size))
    data = bytearray(page[start : start + size])
    for _ in range(rng.randrange(1, 12)):
        at, to = rng.randrange(len(data) + 1), rng.randrange(len(data) + 1)
        pick = rng.random()
        if pick < 0.2:
            data[at:at] = rng.choice(PIECES).encode()
        elif pick < 0.6:
            data[at:at] = _tag(rng, at).encode()
        elif pick < 0.7:
            data[at : at + 1] = bytes([rng.randrange(256)])
        elif pick < 0.8:
            del data[at : at + rng.choice((1, 5, 40))]
        elif pick < 0.9:
            data[at:at] = data[to : to + rng.choice((5, 40, 300))]
        else:
            del data[rng.randrange(len(data) // 2, len(data) + 1) :]
    return bytes(data)


def pages(seed: int, count: int, real: list[bytes]) -> Iterator[list[bytes]]:
    """Give `count` pages in batches, the same ones for a seed."""
    rng = random.Random(seed)
    for start in range(0, count, 200):
        yield [mutated(rng, real) if real and rng.random() < 0.4 else soup(rng) for _ in range(min(200, count - start))]
