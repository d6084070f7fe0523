"""Scanned pages give what their trees give, whatever is in them."""

import os
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from metaclip.archive.records import read_records
from metaclip.html.message import PageError, html_page, parse_message
from metaclip.html.scanner import scan_pages
from metaclip.html.tree import Page, parse_page
from metaclip.pairs.image_columns import ATTRIBUTES
from tests.metaclip.html import html_fuzz
from tests.shared import shared_data

FUZZED = int(os.environ.get("METACLIP_FUZZED_PAGES", "3000"))

Found = tuple[str | None, list[str], list[dict[str, str]]]


def plain(page: Page) -> Found:
    images = [{name: image[name] or "" for name in ATTRIBUTES if name in image} for image in page.images]
    return page.base, page.robots, images


def scanned(pages: list[bytes]) -> list[Found | None]:
    """Give for each page what the scan found, or None where it leaves the page to the tree."""
    scan = scan_pages(pages)
    return [
        None if scan.flags[page] else (scan.bases[page], scan.robots[page], scan.images.attributes(page))
        for page in range(len(pages))
    ]


def check(pages: list[bytes]) -> tuple[int, int]:
    """Compare with the tree; return how many pages were left to it, and the images of the others."""
    left = images = 0
    for page, found in zip(pages, scanned(pages), strict=True):
        if found is None:
            left += 1
        else:
            assert found == plain(parse_page(page)), page
            images += len(found[2])
    return left, images


def real_pages(folder: str) -> list[bytes]:
    pages = []
    for path in sorted(shared_data("crawl", folder).iterdir()):
        for record in read_records(str(path), frozenset({"response"}), Counter()):
            try:
                pages.append(html_page(parse_message(record.body), 1 << 20))
            except PageError:
                continue
    return pages


@pytest.mark.slow
def test_real_pages() -> None:
    pages = real_pages("warc")
    left = images = 0
    for start in range(0, len(pages), 10):
        one_left, some_images = check(pages[start : start + 10])
        left += one_left
        images += some_images
    assert len(pages) > 1200
    assert images > 20_000
    assert left < 0.01 * len(pages)


@pytest.mark.slow
@pytest.mark.parametrize("seed", [0, 1])
def test_soup_and_mutated_pages(seed: int) -> None:
    """METACLIP_FUZZED_PAGES=100000 compares more of them."""
    real = [page for page in real_pages("warc")[:200] if len(page) > 300] if seed else []
    left = images = 0
    for batch in html_fuzz.pages(seed, FUZZED, real):
        some_left, some_images = check(batch)
        left += some_left
        images += some_images
    assert left < 0.3 * FUZZED
    assert images > 0.8 * FUZZED


VALUES = st.sampled_from(html_fuzz.VALUES) | st.text("ax &;#3\"'<>=`/\0\r\n\té日😀", max_size=8)
TAGS = st.tuples(
    st.sampled_from(("<", "<", "<", "</")),
    st.sampled_from(("img", "IMG", "base", "meta", *html_fuzz.COMMON)) | st.sampled_from(html_fuzz.TAGS),
    st.lists(
        st.tuples(
            st.sampled_from((" ", "\n", "/", "")),
            st.sampled_from(html_fuzz.ATTRIBUTES),
            st.sampled_from(("='{}'", '="{}"', "={}", " = {}", "")),
            VALUES,
        ).map(lambda parts: parts[0] + parts[1] + parts[2].format(parts[3])),
        max_size=4,
    ).map("".join),
    st.sampled_from((">", ">", ">", "/>", " >", "")),
).map("".join)
PARTS = TAGS | st.sampled_from(html_fuzz.PIECES) | st.text(max_size=4)
PAGES = st.lists(PARTS, max_size=25).map(lambda parts: "".join(parts).encode("utf-8", "replace"))


@pytest.mark.slow
@settings(max_examples=100)
@given(st.lists(PAGES, max_size=12))
def test_any_pages(pages: list[bytes]) -> None:
    check(pages)


# From the sections of the HTML standard named; each also cut off after every byte.
CASES = [
    # 13.2.5.6 to 13.2.5.8, tags; 13.2.5.32 to 13.2.5.40, attributes
    "<img src=a><IMG SRC='b'/><img\nsrc = \"c\"><img\fsrc=d\ralt\t=\n'e'><img/src=f/alt=g/><img\vsrc=h>",
    "<img =src=a src=b><img src==c><img src='d'alt=\"e\"title=f><img src=a\"b'c<d=e`f><img 'src=a><img src=>",
    "<img alt src><img alt=x alt=y><img ALT=x alt=y><img alt alt=y><img src=a / alt=b><img src = / alt=b>",
    "</img src=a><img src=a/></ img src=b><//img src=c><1img src=d>< img src=e><img src='>' alt='<img src=f>'>",
    "<imgsrc=a><image src=b><images src=c><im\0g src=d><img s\0rc=e>",
    # 13.2.5.42 to 13.2.5.52, comments; 13.2.5.53 on, doctypes; 13.2.5.69, CDATA
    "<!--><img src=a>--><img src=b><!---><img src=c>--><!----><img src=d><!--x--!><img src=e><!----!><img src=f>",
    "<!-- <!-- --><img src=a><!-- <!--><img src=b><!-- <!---><img src=c><!-- -- > - -> ---!><img src=d>",
    "<!--><img src=a>--><!--->x--><!-- > -- --!--><img src=b><!---!><img src=c>--><!--->-><img src=d>",
    "<!doctype html '><img src=a>'><!DOCTYPE><img src=b><!x <img src=c>><?x '<img src=d>' ?><img src=e></><img src=f>",
    "<![CDATA[<img src=a>]]><img src=b><svg><![CDATA[</svg><img src=c>]]]]></svg><img src=d>]]></svg><img src=e>",
    # 13.2.5.2 to 13.2.5.3 and 13.2.5.9 to 13.2.5.14, text
    "<title><img src=a></titles></title x='>'><img src=b><textarea><!--</TextArea/><img src=c>--><title/></title>",
    "<style><img src=a></style\n><xmp></style><img></xmp><iframe><img src=b></iframe><noembed></iframe></noembed>",
    "<noframes><img src=a></noframes><noscript><img src=b></noscript><img src=c><plaintext></plaintext><img src=d>",
    "<plaintex><img src=a></plaintex><templates><img src=b><textareas><img src=c><framesetting><img src=d>",
    # 13.2.5.15 to 13.2.5.31, scripts
    "<script>'<img src=a>'</scripts></script ><img src=b><script>a</script x='>'><img src=c><script/></script/>",
    "<script><!--<script></script><img src=a>--></script><img src=b>",
    "<script><!--<script></script></script><img src=a><script><!--<script>--></script><img src=b>",
    "<script><!--></script><img src=a><script><!---></script><img src=b><script><!--<scripts></script><img src=c>",
    "<script><!-- <SCRIPT/ </script\t --!> -- > </script><img src=a>--></script><img src=b><script><!-</script>",
    "<script><!--<script <script></script></script><img src=a></script><script><!--</script><img src=b>",
    # 13.2.5.72 to 13.2.5.84, references in attributes; 13.2.3.5, line ends
    "<img alt='R&amp;D &quot;x&quot; &#8211; &eacute; &copy 1 &amp;amp;' src='/x?a=1&amp;b=2&copy=3&amp' title>",
    "<img alt='&notin;&notit;&not;&notx&not &not=&not' src='&AMP;&AmP;&amp1;&ampé' title='&Counter;'>",
    "<img alt='&#0;&#128;&#x9F;&#x81;&#xd800;&#XDFFF;&#x110000;&#99999999999999999999;&#x;&#;&#-1;&#65a&#x41g&#13;'>",
    "<img alt='a\r\nb\rc\r\r\nd\r' src=x&#13;\r title='\r\n&#10;\r'><img alt='&#x1F600;&#233;&#x20AC&#xFFFE;'>",
    # 13.2.6.4.4, base and meta
    "<base target=x><base href><base href=><base href='' ><base href=/b/><meta name=robots content=' noai&#33;'>",
    "<meta name='' http-equiv=x-robots-tag content=noai><meta name=' RoBots\n' content><meta name=robots>",
    "<meta name=xrobots content=a><meta content=b name=&#114;obots><meta http-equiv=robots name=ccbot content=c>",
    # 13.2.6.4.1 on, what becomes elements
    "<template><img src=a><base href=x><template></template><meta name=robots></template></template><img src=b>",
    "<table><tr><td><template><table><td></table></template><img src=a></table><img src=b>",
    "<table><tr><td><img src=a><th><img src=b></th></table><table><caption><img src=c></caption></table><img src=d>",
    "<table><thead><td></tbody><img src=a></th><img src=b><table><td><img src=c></table><img src=d></thead></table>",
    "<table><td></caption><img src=a></tr></table></table><img src=b><table><table><td><img src=c></table><img src=d>",
    "<select><img src=a><option><img src=b></select><img src=c><table><td><select><tr><td><img src=d></select></table>",
    "<svg><g><path/><title>x</title><image href=a /><style></style></g></svg><img src=a><svg/><img src=b>",
    "<svg><a><script>x</script></A></svg><img src=a><math><mi>x</mi><mo>+</mo><mspace/></math><img src=b>",
    "<p></svg><svg></svg></svg><img src=a><svg><svg></svg><desc>x</desc></svg><img src=b><svg><title></svg><img src=c>",
    "<a><p><img src=a></a><img src=b><b><div></b><img src=c></p></div></body><img src=d></html><img src=e>",
]  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_cases_whole_and_cut_off(case: str) -> None:
    html = case.encode()
    left, _ = check([html])
    assert left == 0
    check([html[:end] for end in range(len(html))])


# Only a tree knows where these images stand, if they do.
ONLY_TREES = [
    "<table><img src=a><tr><td><img src=b></table>",
    "<table><tr><td><img src=a></td><img src=b></table>",
    "<table><tr><td></table><table><meta name=robots content=noai></table>",
    "<frameset><img src=a></frameset>",
    "<svg><p><img src=a>",
    "<svg><foreignObject><img src=a></foreignObject></svg>",
    "<svg><title><img src=a></title></svg>",
    "<div><svg></div><img src=a>",
    "<template><col><textarea><img src=a></template><img src=b>",
    "<select><button><selectedcontent></selectedcontent></button><option><img src=a></select>",
    "<img alt='\0'>",
    "<img alt='&nGt;'>",
    "<table><td>" * 100 + "<img src=a>",
    "<svg>" + "<g>" * 100,
]


@pytest.mark.parametrize("case", ONLY_TREES)
def test_pages_left_to_the_tree_cost_only_themselves(case: str) -> None:
    good = b"<base href=/x/><meta name=robots content=y><img src='a&amp;b' alt=c>"
    expected = ("/x/", ["y"], [{"src": "a&b", "alt": "c"}])
    assert scanned([good, good + case.encode(), good]) == [expected, None, expected]


def test_pages_do_not_run_into_each_other() -> None:
    pages = [
        b"<img src=a",
        b" alt=b><img src=c>",
        b"<",
        b"img src=d>",
        b"",
        b"<!--",
        b"--><img src=e>",
        b"<script>",
        b"<p",
    ]
    assert [found and found[2] for found in scanned(pages)] == [
        [],
        [{"src": "c"}],
        [],
        [],
        [],
        [],
        [{"src": "e"}],
        [],
        [],
    ]
    assert scanned([]) == []


def test_values_keep_bytes_that_are_no_utf8() -> None:
    scan = scan_pages([b"<img src=\xff\xfe alt='M\xfcller &amp; S\xc3'>"])
    assert scan.images.attributes(0) == [{"src": "\ufffd\ufffd", "alt": "M\ufffdller & S\ufffd"}]
    start, end = scan.images.spans[0, 1]
    assert scan.images.data[start:end].tobytes() == b"M\xfcller & S\xc3"


ATTRIBUTES_IN_THE_WAY = [
    "b='>'", 'b="\'>"', '="x>"',
    'b= ">"', 'b =">"', 'b=c"d>"', 'b"c=">"', 'b="c"="d>"', 'b="c"d=">"', '/b=">"', '/="b>"', "b=",
    'b=">', "'", '"', 'b="" c=">"', "b=/", "b=''c=\"'>\"", 'b="=">', 'b==">"', "/ ", "/", "\v=\">\"",
]  # fmt: skip


@pytest.mark.parametrize("attribute", ATTRIBUTES_IN_THE_WAY)
def test_a_tag_ends_where_it_ends_wherever_its_attributes_lie(attribute: str) -> None:
    starts = [(f'<a b="{"x" * gap}" ', f"<svg {'y' * gap} ", f'</p b="{"=" * gap}"') for gap in range(70)]
    rest = "><img src=a alt='>'><p c=\"d\"><img src=b>" + " " * 64
    pages = [f"{start}{attribute}{rest}".encode() for some in starts for start in some]
    left, images = check(pages)
    assert left <= len(pages) // 3
    assert images > 0


@pytest.mark.parametrize("gap", [*range(60, 70), *range(2040, 2056)])
def test_tags_are_found_wherever_they_lie(gap: int) -> None:
    texts = ("x" * gap, "x" * (gap - 7) + "<b></b>", "<" * gap, "<!--" + "<" * gap + "-->", f"<p a='{'<' * gap}'>")
    assert [
        found and found[2] for found in scanned([f"{text}<img src=a>{text}<img src=b>".encode() for text in texts])
    ] == [[{"src": "a"}, {"src": "b"}] for _ in texts]


def test_many_images_and_meta_tags() -> None:
    """More than there is room for at first."""
    page = b"".join(b"<img src=%d alt='&amp;amp;%d'><meta name=robots content=%d>" % (i, i, i) for i in range(5000))
    first, second = scanned([b"<img src=x>", page])
    assert first == (None, [], [{"src": "x"}])
    assert second is not None
    assert second[2] == [{"src": str(i), "alt": f"&amp;{i}"} for i in range(5000)]
    assert second[1] == [str(i) for i in range(5000)]
