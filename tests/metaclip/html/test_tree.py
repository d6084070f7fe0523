"""TODO: tests/metaclip/html/test_tree.py."""

import pytest

from metaclip.html.message import PageError
from metaclip.html.tree import parse_page
from metaclip.pairs.page_rules import opts_out


def sources(html: str) -> list[str | None]:
    return [image.get("src") for image in parse_page(html.encode()).images]


@pytest.mark.parametrize(
    ("html", "expected"),
    [
        ("<img src=a><IMG SRC='b'/><p><img\nsrc = \"c\">", ["a", "b", "c"]),
        ("<!-- <img src=a> --><img src=b>", ["b"]),
        ("<script>'<img src=a>'</script><style><img src=b></style><img src=c>", ["c"]),
        ("<textarea><img src=a></textarea><title><img src=b></title><iframe><img src=c></iframe>", []),
        ("<template><img src=a></template>", []),
        ("<noscript><img src=a></noscript>", ["a"]),
        ("<head><noscript><img src=a></noscript></head><img src=b>", ["a", "b"]),
        ("<picture><source srcset=s><img src=a></picture>", ["a"]),
        ("<image src=a>", ["a"]),
        ("<svg><image href=a /></svg>", []),
        ("<table><img src=a><tr><td><img src=b></table>", ["b", "a"]),
        ("<img src=a src=b>", ["a"]),
        ("<img src=a", []),
        ("<p title='<img src=a>'><img src=b>", ["b"]),
        ("plain text", []),
        ("", []),
    ],
)
def test_images(html: str, expected: list[str]) -> None:
    assert sorted(map(str, sources(html))) == sorted(expected)


def test_images_are_in_document_order() -> None:
    html = "".join(f"<div><meta name=x><img src={i}></div>" for i in range(50))
    assert sources(html) == [str(i) for i in range(50)]


def test_attributes_are_decoded_by_the_html_standard() -> None:
    html = "<img alt='R&amp;D &quot;x&quot; &#8211; &eacute; &copy 1 &amp;amp;' src='/x?a=1&amp;b=2&copy=3' title>"
    (image,) = parse_page(html.encode()).images
    assert image["alt"] == 'R&D "x" – é © 1 &amp;'
    assert image["src"] == "/x?a=1&b=2&copy=3"
    assert not image["title"]


def test_bytes_that_are_not_utf8_and_zero_bytes_are_replaced() -> None:
    (image,) = parse_page(b"<img alt='M\xfcller \0' src=x>").images
    assert image["alt"] == "M\ufffdller \ufffd"


@pytest.mark.parametrize(
    ("html", "expected"),
    [
        ("<base href='/a/'><base href=/b/>", "/a/"),
        ("<base target=_top><base href=/b/>", "/b/"),
        ("<body><p><base href=/c/>", "/c/"),
        ("<base target=_top>", None),
        ("<template><base href=/d/></template>", None),
    ],
)
def test_base(html: str, expected: str | None) -> None:
    assert parse_page(html.encode()).base == expected


@pytest.mark.parametrize(
    ("html", "expected"),
    [
        ("<meta name=robots content='index, noai'>", True),
        ("<META NAME=' Robots ' CONTENT='NoImageAI'>", True),
        ("<meta name=ccbot content=noai>", True),
        ("<meta name=img2dataset content=noimageai>", True),
        ("<meta http-equiv=X-Robots-Tag content=noai>", True),
        ("<body><meta name=robots content=noindex,noai>", True),
        ("<meta name=robots content='no&#97;i'>", True),
        ("<meta name=robots content=noindex,nofollow>", False),
        ("<meta name=robots content='noaim, x-noai, noai-x'>", False),
        ("<meta name=robots>", False),
        ("<meta name=keywords content='noai, art'>", False),
        ("<meta name=googlebot content=noai>", False),
        ("<!-- <meta name=robots content=noai> -->", False),
    ],
)
def test_robots(html: str, expected: bool) -> None:
    assert opts_out(parse_page(html.encode()).robots) is expected


def test_pages_that_would_take_the_parser_hours_are_refused() -> None:
    words = " ".join(map(str, range(60_000)))
    for html in (
        "<div>" * 200_000,
        "<div>" * 100_000 + "</div>" * 100_000,
        "<span>" * 99_000 + "</x>" * 99_000,
        f"x < y and <word {words}",
        f"<p>x <word {words}></p>",
    ):
        with pytest.raises(PageError, match="too_complex"):
            parse_page(html.encode())


def test_long_and_deep_pages_are_read() -> None:
    assert len(sources("<p><li><b>x</b><img src=a>" * 60_000)) == 60_000
    assert sources(f"<p>{'some words ' * 60_000}<img src=a>") == ["a"]
    assert sources(f"<script>{'x < 5; ' * 60_000}</script><img src=a>") == ["a"]
    assert sources(f"<img src='data:,{'A' * 300_000}'><img src=a>")[1] == "a"
    assert sources("<div>" * 3000 + "<img src=a>") == ["a"]
