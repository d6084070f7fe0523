"""Bases of many pages are what `urls.page_base` gives for each."""

from hypothesis import example, given
from hypothesis import strategies as st

from metaclip.pairs.page_bases import PageBases
from metaclip.pairs.texts import clean_text
from metaclip.pairs.urls import Base, page_base

_STARTS = st.sampled_from(["http://x.org", "https://x.org/", "https://1.2.3.4/", "http://x.org/a/b?c=/d/e", "<", ""])
ADDRESSES = st.builds("{}{}".format, _STARTS, st.text(alphabet="aA0./:?#%2e&=+-_~ '@[]<>ü\t", max_size=12))
HREFS = st.one_of(st.none(), st.just(""), ADDRESSES)


def check(pages: list[tuple[str, str | None]]) -> None:
    bases = PageBases([url for url, _ in pages], [href for _, href in pages])
    assert bases.addresses.to_pylist() == [clean_text(url) for url, _ in pages]
    for page, (url, href) in enumerate(pages):
        expected = page_base(url, href)
        assert bases.base(page) == expected
        assert bases.usable[page] == isinstance(expected, Base)
        start, *ends = bases.layout[page].tolist()
        parts = [bases.data[start:end].tobytes().decode() for end in ends]
        if isinstance(expected, Base):
            assert parts == [expected.scheme + ":", expected.origin, expected.folder]
        else:
            assert parts == ["", "", ""]


@given(st.lists(st.tuples(ADDRESSES, HREFS), max_size=5))
@example([("https://x.org/a/b?c=/d/e", None), ("<http://x.org/>", None), ("http://x.org/?a#b", "/c/"), ("dns:x", None)])
@example([("http://x.org/\ud800", None), ("http://x.org/a/%2e%2e/b", None), ("http://0x7f.1/", "?x")])
def test_bases_are_those_of_each_page(pages: list[tuple[str, str | None]]) -> None:
    check(pages)


def test_no_pages() -> None:
    check([])
