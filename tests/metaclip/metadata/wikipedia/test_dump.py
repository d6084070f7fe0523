"""Each article of a dump is read once, however the dump is cut; no damage makes it shorter silently."""

import bz2
import gzip
import itertools
from collections import Counter
from pathlib import Path

import pytest

from metaclip.errors import InputError
from metaclip.metadata.wikipedia.dump import is_dump, read_articles
from tests.servers import serve
from tests.shared import shared_data

HEAD = '<mediawiki xmlns="http://www.mediawiki.org/xml/export-0.10/" xml:lang="en">\n  <siteinfo/>\n'


def page(title: str, text: str, *, ns: int = 0, extra: str = "") -> str:
    return (
        f"  <page>\n    <title>{title}</title>\n    <ns>{ns}</ns>\n    <id>1</id>\n{extra}    <revision>\n"
        f"      <model>wikitext</model>\n      <text bytes='3' xml:space=\"preserve\">{text}</text>\n    </revision>\n"
        "  </page>\n"
    )


PAGES = [page(f"P{i}", f"The {i} fox &amp; &lt;b&gt; " + f"w{i} " * (i * 37 % 400)) for i in range(300)]
DUMP = HEAD + "".join(PAGES) + "</mediawiki>\n"


def multistream(pages: int) -> bytes:
    parts = ["".join(PAGES[i : i + pages]) for i in range(0, len(PAGES), pages)]
    return b"".join(bz2.compress(part.encode()) for part in [HEAD, *parts, "</mediawiki>"])


@pytest.fixture
def small(tmp_path: Path) -> Path:
    path = tmp_path / "enwiki-pages-articles.xml"
    path.write_text(HEAD + page("A", "One &amp; two") + page("T", "x", ns=10) + "</mediawiki>\n")
    return path


def test_articles_alone_are_given_and_others_are_counted(tmp_path: Path) -> None:
    path = tmp_path / "d.xml"
    pages = [
        page("A", "One &amp;amp; &lt;ref&gt; &quot;é&quot;"),
        page("Talk:A", "x", ns=1),
        page("R", "#REDIRECT [[A]]", extra='    <redirect title="A" />\n'),
        page("Empty", ""),
        page("S", "x").replace("wikitext", "sanitized-css"),
        page("Old", "older").replace("</revision>", "</revision><revision><text>newer</text></revision>"),
        '<page><title>Gone</title><ns>0</ns><revision><text bytes="0" /></revision></page>',
    ]
    path.write_text(HEAD + "".join(pages) + "</mediawiki>")
    counts: Counter[str] = Counter()
    assert list(read_articles(str(path), counts)) == ['One &amp; <ref> "é"', "newer"]
    assert counts.pop("bytes_unpacked") == path.stat().st_size
    assert counts == {
        "pages": 7,
        "articles": 2,
        "skipped.namespace": 1,
        "skipped.redirect": 1,
        "skipped.no_text": 2,
        "skipped.model": 1,
    }


@pytest.mark.parametrize("packed", [bz2.compress(DUMP.encode(), 1), multistream(7), multistream(300)])
def test_ranges_share_out_the_articles(tmp_path: Path, packed: bytes) -> None:
    path = tmp_path / "d.xml.bz2"
    path.write_bytes(packed)
    whole: Counter[str] = Counter()
    expected = list(read_articles(str(path), whole))
    assert len(expected) == 300
    for pieces in (2, 3, 11, 40):
        bounds = [len(packed) * i // pieces for i in range(pieces + 1)]
        counts: Counter[str] = Counter()
        found = [text for a, b in itertools.pairwise(bounds) for text in read_articles(str(path), counts, a, b)]
        assert found == expected
        assert counts == whole


@pytest.mark.slow
def test_a_real_dump_is_shared_out() -> None:
    (dump,) = shared_data("wikipedia").glob("*.bz2")
    counts: Counter[str] = Counter()
    expected = list(read_articles(str(dump), counts))
    assert counts["pages"] == 206
    assert counts["articles"] == len(expected) == 106
    size = dump.stat().st_size
    cuts = [0, size // 3, size // 2, size]
    assert [text for a, b in itertools.pairwise(cuts) for text in read_articles(str(dump), Counter(), a, b)] == expected


def test_gzip_and_plain_dumps_are_read(small: Path) -> None:
    packed = small.with_name("d.xml.gz")
    packed.write_bytes(gzip.compress(small.read_bytes()))
    assert list(read_articles(str(packed), Counter())) == list(read_articles(str(small), Counter())) == ["One & two"]


def test_a_dump_cut_short_is_refused(small: Path) -> None:
    content = small.read_bytes()
    for length in (len(content) - 14, len(content) - 30, 300):
        small.write_bytes(content[:length])
        with pytest.raises(InputError, match=r"ends (before its end|within a page)"):
            list(read_articles(str(small), Counter()))
    packed = bz2.compress(content)
    path = small.with_name("d.xml.bz2")
    path.write_bytes(packed[:-4])
    with pytest.raises(InputError, match="ends at byte"):
        list(read_articles(str(path), Counter()))
    path = small.with_name("d.xml.gz")
    path.write_bytes(gzip.compress(content)[:-4])
    with pytest.raises(InputError, match="in the middle of its data"):
        list(read_articles(str(path), Counter()))


@pytest.mark.parametrize("content", [b"", b"<html><title>404</title></html>", b"\x00" * 5000])
def test_what_is_no_dump_is_refused(tmp_path: Path, content: bytes) -> None:
    plain, packed = tmp_path / "d.xml", tmp_path / "d.xml.bz2"
    plain.write_bytes(content)
    packed.write_bytes(bz2.compress(content))
    for path in (plain, packed):
        with pytest.raises(InputError, match=r"is no Wikipedia dump|empty"):
            list(read_articles(str(path), Counter()))


@pytest.mark.parametrize(
    ("name", "dump"),
    [
        ("enwiki-latest-pages-articles.xml.bz2", True),
        ("https://host/enwiki-20240101-pages-articles-multistream.xml.bz2", True),
        ("enwiki-latest-pages-articles1.xml-p1p41242.bz2", True),
        ("enwiki-latest-pages-articles1.xml-p000000010p000030302-shortened.bz2", True),
        ("d.xml", True),
        ("d.xml.gz", True),
        ("counts.tsv.gz", False),
        ("counts.txt.bz2", False),
    ],
)
def test_dumps_are_known_by_their_names(name: str, dump: bool) -> None:
    assert is_dump(name) == dump


def test_a_remote_dump_is_shared_out_too() -> None:
    packed = multistream(7)
    with serve() as site:
        site.files["/d.xml.bz2"] = packed
        cuts = [0, len(packed) // 2, len(packed)]
        found = [
            text
            for a, b in itertools.pairwise(cuts)
            for text in read_articles(f"{site.address}/d.xml.bz2", Counter(), a, b)
        ]
        assert len(found) == 300
        assert any(headers.get("Range") == f"bytes={cuts[1]}-" for _, headers in site.requests)
