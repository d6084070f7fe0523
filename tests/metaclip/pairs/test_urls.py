from urllib.parse import urljoin

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metaclip.pairs import urls
from metaclip.pairs.urls import Base, Fault, page_base, resolve

PAGE = "https://Example.com/a/b/page.html?q=1#top"


def base(page: str = PAGE, href: str | None = None) -> Base:
    found = page_base(page, href)
    assert isinstance(found, Base)
    return found


@pytest.mark.parametrize(
    ("reference", "expected"),
    [
        # relative
        ("x.jpg", "https://example.com/a/b/x.jpg"),
        ("./x.jpg", "https://example.com/a/b/x.jpg"),
        ("../x.jpg", "https://example.com/a/x.jpg"),
        ("../../../x.jpg", "https://example.com/x.jpg"),
        ("/x.jpg", "https://example.com/x.jpg"),
        ("/i/../x/./y.jpg", "https://example.com/x/y.jpg"),
        ("/i/%2E%2e/x.jpg", "https://example.com/x.jpg"),
        ("/i/..", "https://example.com/"),
        ("/i/j/.", "https://example.com/i/j/"),
        ("/...", "https://example.com/..."),
        ("/.hidden/x.jpg", "https://example.com/.hidden/x.jpg"),
        ("?image=2", "https://example.com/a/b/page.html?image=2"),
        ("a:b", Fault.SCHEME),
        ("a/b:c.jpg", "https://example.com/a/b/a/b:c.jpg"),
        # protocol-relative, odd slashes, same scheme without slashes: as browsers do
        ("//cdn.example.org/x.jpg", "https://cdn.example.org/x.jpg"),
        ("///cdn.example.org/x.jpg", "https://cdn.example.org/x.jpg"),
        ("\\\\cdn.example.org\\x.jpg", "https://cdn.example.org/x.jpg"),
        ("images\\x.jpg", "https://example.com/a/b/images/x.jpg"),
        ("/x.php?f=a\\b", "https://example.com/x.php?f=a\\b"),
        ("https:x.jpg", "https://example.com/a/b/x.jpg"),
        ("https:/x.jpg", "https://example.com/x.jpg"),
        ("http:x.org/y.jpg", "http://x.org/y.jpg"),
        ("http:/x.org/y.jpg", "http://x.org/y.jpg"),
        ("http:////x.org/y.jpg", "http://x.org/y.jpg"),
        # absolute: scheme, host and port normalised, the rest as it is
        ("HTTP://X.Org/A/B.JPG", "http://x.org/A/B.JPG"),
        ("http://x.org", "http://x.org/"),
        ("http://x.org?q", "http://x.org/?q"),
        ("http://x.org:80/y", "http://x.org/y"),
        ("http://x.org:0080/y", "http://x.org/y"),
        ("http://x.org:443/y", "http://x.org:443/y"),
        ("https://x.org:443/y", "https://x.org/y"),
        ("http://x.org:/y", "http://x.org/y"),
        ("http://user:pa%20ss@X.org/y", "http://user:pa%20ss@x.org/y"),
        ("http://[2001:DB8:0::1]:8080/y", "http://[2001:db8::1]:8080/y"),
        ("http://127.0.0.1/y", "http://127.0.0.1/y"),
        ("http://a_b.x.org/y", "http://a_b.x.org/y"),
        ("http://bücher.example/ü.jpg?ü", "http://xn--bcher-kva.example/%C3%BC.jpg?%C3%BC"),
        # trimming and encoding
        (" \t\n http://x.org/y.jpg \0", "http://x.org/y.jpg"),
        ("http://x.org/a\n\tb.jpg", "http://x.org/ab.jpg"),
        ("/a b.jpg", "https://example.com/a%20b.jpg"),
        ("/a%20b%zz.jpg", "https://example.com/a%20b%zz.jpg"),
        ('/a"<>`{}^.jpg', "https://example.com/a%22%3C%3E%60%7B%7D%5E.jpg"),
        ("/a'b[1]|2.jpg?c='d'", "https://example.com/a'b[1]|2.jpg?c=%27d%27"),
        ("/\x01\x7f\ud800.jpg", "https://example.com/%01%7F%EF%BF%BD.jpg"),
        ("/x.jpg#part", "https://example.com/x.jpg"),
        ("/x.jpg?", "https://example.com/x.jpg?"),
        ("HTTP://X.org/x.jpg?", "http://x.org/x.jpg?"),
        ("/t//x.jpg", "https://example.com/t//x.jpg"),
        ("/w_100,h_100/f(1);v=2/x@2x.jpg", "https://example.com/w_100,h_100/f(1);v=2/x@2x.jpg"),
        # no address
        ("", Fault.NONE),
        (" \n", Fault.NONE),
        ("#", Fault.NONE),
        ("data:image/gif;base64,R0lGOD", Fault.DATA),
        (" DATA:image/gif;base64,R0lGOD", Fault.DATA),
        ("da\nta:image/png,x", Fault.DATA),
        ("javascript:void(0)", Fault.SCHEME),
        ("blob:https://x.org/1", Fault.SCHEME),
        ("about:blank", Fault.SCHEME),
        ("ftp://x.org/y.jpg", Fault.SCHEME),
        ("cid:part1", Fault.SCHEME),
        ("http://", Fault.BAD),
        ("http:///", Fault.BAD),
        ("//", Fault.BAD),
        ("http://user@/x", Fault.BAD),
        ("http://a b/x", Fault.BAD),
        ("http://[::1/x", Fault.BAD),
        ("http://[x]/y", Fault.BAD),
        ("http://[::1]x/y", Fault.BAD),
        ("http://x.org:70000/y", Fault.BAD),
        ("http://x.org:8o/y", Fault.BAD),
        ("http://x.org:" + "9" * 5000 + "/y", Fault.BAD),
        ("http://%41.org/y", Fault.BAD),
        ("http://" + "ü" * 70 + ".org/y", Fault.BAD),
        ("http://" + "ü." * 200_000 + "org/y", Fault.BAD),
    ],
)
def test_resolve(reference: str, expected: str | Fault) -> None:
    assert resolve(reference, base()) == expected


@pytest.mark.parametrize(
    ("page", "href", "expected"),
    [
        ("http://x.org", "", "http://x.org/y.jpg"),
        ("http://x.org/a/b", None, "http://x.org/a/y.jpg"),
        ("<http://x.org/a/b>", None, "http://x.org/a/y.jpg"),
        ("http://x.org/a/b", "/c/", "http://x.org/c/y.jpg"),
        ("http://x.org/a/b", "c/d", "http://x.org/a/c/y.jpg"),
        ("http://x.org/a/b", "//cdn.org/c/", "http://cdn.org/c/y.jpg"),
        ("http://x.org/a/b", " https://cdn.org/c/d?e#f ", "https://cdn.org/c/y.jpg"),
        ("http://x.org/a/b", "data:text/html,", "http://x.org/a/y.jpg"),
        ("http://x.org/a/b", "javascript:0", "http://x.org/a/y.jpg"),
        ("http://x.org/a/b", "http://[", "http://x.org/a/y.jpg"),
        ("http://x.org/a/b", "#", "http://x.org/a/y.jpg"),
    ],
)
def test_base(page: str, href: str | None, expected: str) -> None:
    assert resolve("y.jpg", base(page, href)) == expected


@pytest.mark.parametrize("page", ["", "dns:example.com", "ftp://x.org/", "/a/b", "http://", "//x.org/", "x"])
def test_page_without_http_address(page: str) -> None:
    assert isinstance(page_base(page, "http://x.org/"), Fault)


SEGMENTS = st.lists(st.sampled_from(["a", "B9", "x.jpg", "..", ".", "", "a b", "ü", "%41", "a:b"]), max_size=5)


@given(SEGMENTS.filter(lambda page: not {".", ".."} & set(page)), SEGMENTS, st.sampled_from(["", "/"]))
def test_paths_agree_with_rfc_3986(page: list[str], reference: list[str], start: str) -> None:
    """`urljoin` follows RFC 3986; where segments are empty it drops some that browsers keep."""
    page_url = "http://example.com/" + "/".join(page).replace(" ", "%20").replace("ü", "%C3%BC")
    text = start + "/".join(filter(None, reference))
    if not text or "//" in page_url[7:] or text.startswith("a:"):
        return
    assert resolve(text, base(page_url)) == urljoin(page_url, text.replace(" ", "%20").replace("ü", "%C3%BC"))


@given(st.text(), st.text(max_size=20), st.text(max_size=20))
def test_never_raises_and_is_idempotent(reference: str, page: str, href: str) -> None:
    page_base(page, href)
    found = resolve(reference, base("http://example.com/a/b", href))
    if isinstance(found, str):
        assert found.isascii()
        assert found.isprintable()
        assert " " not in found
        assert resolve(found, base()) == found


@given(st.text(alphabet="abAB09/.:?#%&=+-_~ '\"\\@[]|üé\t", max_size=30))
def test_short_way_equals_long_way(reference: str) -> None:
    for text in (reference, "http://x.org/" + reference, "/" + reference, "a" + reference):
        long_way = urls._parse(text, base())
        expected = long_way if isinstance(long_way, Fault) else long_way.origin + long_way.path + long_way.query
        assert resolve(text, base()) == expected
