"""The pages of the demo crawl, with the variety of real pages, and their HTML."""

import html
from dataclasses import dataclass, field
from urllib.parse import quote, urlsplit

from metaclip.demo.texts import Captions, Draws, zipf

PAGES = 600
PLACEHOLDER = "data:image/gif;base64,R0lGODlhAQABAIAAAAAAAP///yH5BAEAAAAALAAAAAABAAEAAAIBRAA7"

# Language of a site, and the character sets of its pages in turn.
_SITES: tuple[tuple[str, tuple[str, ...], int], ...] = (
    ("en", ("utf-8",), 30),
    ("en", ("windows-1252", "utf-8"), 6),
    ("de", ("iso-8859-1", "utf-8"), 3),
    ("fr", ("windows-1252", "utf-8"), 3),
    ("es", ("iso-8859-15", "utf-8"), 2),
    ("it", ("iso-8859-1",), 1),
    ("nl", ("utf-8",), 1),
    ("ru", ("windows-1251", "koi8-r"), 2),
    ("ja", ("shift_jis", "euc-jp"), 2),
)
_TOPICS = "garden travel recipes news museum shop sports birds music houses".split()  # noqa: SIM905
_LOGO = {
    "en": "logo", "de": "Startseite des Vereins", "fr": "Page d'accueil du site", "es": "Página de inicio",
    "it": "Vai alla pagina iniziale", "nl": "Naar de voorpagina", "ru": "На главную страницу",
    "ja": "トップページへ戻る",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Image:
    """An `<img>`: its attributes before escaping."""

    attributes: dict[str, str]
    noscript: dict[str, str] = field(default_factory=dict)
    """Attributes of the copy in the `<noscript>` next to a lazily loaded image."""


@dataclass(frozen=True, slots=True)
class Page:
    """The content of a page."""

    url: str
    language: str
    charset: str
    charset_in: str
    """Place of the character set's name: `header`, `meta` or `bom`."""
    title: str
    base: str
    """`<base href>`, empty for none."""
    robots: str
    """Content of the robots meta tag, empty for none."""
    robots_header: str
    """X-Robots-Tag, empty for none."""
    images: tuple[Image, ...]
    paragraphs: tuple[str, ...]


def make_pages() -> list[Page]:
    """Return the demo's PAGES pages, the same ones every time.

    The pages of a site are spread over the list, so that each part of the list has all sites.
    """
    draws = Draws("metaclip demo")
    captions = Captions(draws)
    sites = [(language, charsets) for language, charsets, count in _SITES for _ in range(count)]
    agency = [(f"https://cdn.agency.example/p/{n:04}.jpg", captions.make("en")) for n in range(400)]
    agency_weights = zipf(len(agency), 0.7)
    pages = []
    for number in range(PAGES):
        turn, site = divmod(number, len(sites))
        language, charsets = sites[site]
        origin = f"https://{_TOPICS[site % len(_TOPICS)]}-{site:02}.example"
        url = f"{origin}/{language}/{turn // 4}/page-{number:03}.html" + ("?ref=a&lang=b" if turn % 5 == 3 else "")
        # The style of addresses depends on the site; every fourth site with relative ones has a base.
        style = ("absolute", "root", "relative", "scheme")[site % 4]
        base = "/static/" if style == "relative" and turn % 4 == 1 else ""
        images = [Image({"src": f"{origin}/logo.png", "alt": _LOGO[language], "title": _LOGO[language]})]
        for index in range(10 + draws.below(5)):
            address = _address(style, f"{captions.make('en')} {number}-{index}", origin)
            images.append(_image(draws, address, captions, language))
        for _ in range(3 if language == "en" else 1):
            address, caption = draws.by_weight(agency, agency_weights)
            images.append(Image({"src": address, "alt": caption}))
        images.append(Image({"src": f"//ads.example/banner?id={draws.below(9)}&w=300", "alt": "banner"}))
        images.append(Image({"src": f"https://count.example/pixel.gif?{number}", "alt": ""}))
        charset = charsets[turn % len(charsets)]
        pages.append(
            Page(
                url=url,
                language=language,
                charset="utf-16" if number == 77 else charset,
                charset_in="bom" if number in (77, 78) else ("header", "meta")[turn % 2],
                title=captions.make(language),
                base=base,
                robots={41: "noai", 42: "index, noimageai", 401: "noai"}.get(
                    number, "index,follow" if turn % 3 else ""
                ),
                robots_header={43: "noai, noimageai", 402: "noai"}.get(number, ""),
                images=tuple(images),
                paragraphs=tuple(captions.make(language) + "." for _ in range(12)),
            )
        )
    return pages


def _address(style: str, name: str, origin: str) -> str:
    slug = "-".join(name.lower().split())
    file = quote("".join(c for c in slug if c.isalnum() or c == "-")) + ".jpg"
    return {
        "absolute": f"{origin}/images/{file}",
        "root": f"/images/{file}?w=640&h=480",
        "relative": f"../img/{file}" if len(file) % 2 else f"img/{file}",
        "scheme": f"//{urlsplit(origin).netloc}/photos/{file}",
    }[style]


def _image(draws: Draws, address: str, captions: Captions, language: str) -> Image:
    """Return an image with an alternative text and sometimes more texts, written in one of the usual ways."""
    alt = captions.make(language)
    if draws.chance(0.05):
        alt = "\n   ".join(alt.split(" "))  # wrapped by an editor
    attributes = {"alt": alt}
    if draws.chance(0.2):
        attributes["title"] = alt if draws.chance(0.3) else captions.make(language)
    if draws.chance(0.05):
        attributes["data-image-title"] = captions.make(language)
    way = draws.below(100)
    if way < 8:
        lazy = {"src": PLACEHOLDER, "data-src": address, **attributes}
        return Image(lazy, noscript={"src": address, **attributes} if way < 4 else {})
    if way < 10:
        return Image({"src": "", "data-original": address, **attributes})
    if way < 13:
        small = address.replace(".jpg", "-320.jpg")
        return Image({"src": PLACEHOLDER, "srcset": f"{small} 320w, {address} 1024w", **attributes})
    if way < 15:
        return Image({"src": PLACEHOLDER, **attributes})
    if way < 16:
        return Image({"src": "about:blank" if way % 2 else "ftp://files.example/a.jpg", **attributes})
    return Image({"src": address, **attributes})


def to_html(page: Page) -> bytes:
    """Write a page as HTML in its character set."""
    head = [f"<title>{html.escape(page.title)}</title>"]
    if page.charset_in == "meta":
        head.insert(0, f'<meta http-equiv="Content-Type" content="text/html; charset={page.charset}">')
    if page.base:
        head.append(f'<base href="{page.base}">')
    if page.robots:
        head.append(f'<META NAME="robots" CONTENT="{page.robots}">')
    body = []
    for index, image in enumerate(page.images):
        body.append(_to_tag(image.attributes, index))
        if image.noscript:
            body.append(f"<noscript>{_to_tag(image.noscript, index)}</noscript>")
        if index < len(page.paragraphs):
            body.append(f"<p>{html.escape(page.paragraphs[index])} <a href='/more/{index}'>...</a></p>")
    lines = ["<!DOCTYPE html>", f'<html lang="{page.language}"><head>', *head, "</head><body>", *body, "</body></html>"]
    mark = "\ufeff" if page.charset_in == "bom" and page.charset == "utf-8" else ""
    # The codec of UTF-16 writes the byte-order mark itself.
    return (mark + "\n".join(lines) + "\n").encode(page.charset, "xmlcharrefreplace")


def _to_tag(attributes: dict[str, str], index: int) -> str:
    """Return a tag, quoted in one of the ways that occur in HTML."""
    name, quote_mark = (("img", '"'), ("IMG", '"'), ("img", "'"))[index % 3]
    written = []
    for key, value in attributes.items():
        escaped = html.escape(value, quote=True)
        bare = index % 3 == 1 and value.isalnum() and value.isascii()
        written.append(f"{key}={escaped}" if bare else f"{key}={quote_mark}{escaped}{quote_mark}")
    return f"<{name} {' '.join(written)}>"
