"""The character set of a page, and its bytes in UTF-8."""

import codecs
import re
import tarfile

import pytest
import webencodings
from hypothesis import given
from hypothesis import strategies as st

from metaclip.html.charset import PRESCAN_BYTES, _meta_encoding, to_utf8
from tests.examples import ROOT
from tests.metaclip.html.test_message import GERMAN, JAPANESE, RUSSIAN


@pytest.mark.parametrize(
    ("text", "codec", "content_type", "start"),
    [
        (GERMAN, "utf-8", "", ""),
        (GERMAN, "utf-8-sig", "text/html; charset=iso-8859-1", ""),
        (GERMAN, "utf-16", "text/html", ""),
        (GERMAN, "utf-16-be", "text/html; charset=utf-16be", ""),
        (GERMAN, "cp1252", "text/html; charset=ISO-8859-1", "<meta charset=utf-8>"),
        (GERMAN, "cp1252", 'text/html;charset="windows-1252"', ""),
        (GERMAN, "cp1252", "text/html; charset=no-such-thing", "<meta charset=latin1>"),
        (GERMAN, "cp1252", "text/html", "<META CHARSET='latin1'>"),
        (GERMAN, "cp1252", "", '<meta http-equiv=content-type content="text/html; charset=iso-8859-1">'),
        (GERMAN, "cp1252", "", "<!-- <meta charset=koi8-r> --><meta charset=latin1>"),
        (GERMAN, "cp1252", "", "<meta name=x content='charset=koi8-r'><meta charset=latin1>"),
        (GERMAN, "cp1252", "", "<script>" + " " * 2000 + "</script><meta charset=latin1>"),
        (GERMAN, "cp1252", "", ""),
        (GERMAN, "utf-8", "", "<meta charset=utf-16>"),
        (GERMAN, "utf-8", "", "<meta charset=replacement>"),
        (RUSSIAN, "cp1251", "", "<meta charset=windows-1251>"),
        (RUSSIAN, "koi8-r", "", ""),
        (JAPANESE, "shift_jis", "", ""),
        (JAPANESE, "euc-jp", "text/html; charset=euc-jp", ""),
        (JAPANESE, "iso2022-jp", "", ""),
    ],
)
def test_character_set(text: str, codec: str, content_type: str, start: str) -> None:
    assert to_utf8((start + text).encode(codec), content_type).decode() == start + text


def test_undecodable_bytes_are_replaced() -> None:
    assert to_utf8(b"<meta charset=shift_jis>\x82", "").decode().endswith("\ufffd")
    assert to_utf8(b"<meta charset=utf-8>\xff", "") == b"<meta charset=utf-8>\xff"


@given(
    st.binary(max_size=200), st.sampled_from(["", "utf-8", "utf-16", "iso-2022-jp", "gbk", "x-user-defined", "\udc80"])
)
def test_character_set_never_raises(body: bytes, label: str) -> None:
    to_utf8(body, f"text/html; charset={label}")
    to_utf8(b"<meta charset=" + label.encode("utf-8", "replace") + b">" + body)


SCRIPTED = b"document.write('<meta charset=\"ISO-8859-' + '2\">')"
"""What a script writes is not there before the script has run, and no script is run here."""


def encoding_tests() -> list[tuple[bytes, str]]:
    """The tests of html5lib: a page's bytes, and the encoding that a browser whose default is windows-1252 takes."""
    with tarfile.open(ROOT / "tests" / "data" / "html5lib-tests.tar.xz") as archive:
        files = [archive.extractfile(member) for member in archive.getmembers() if member.name.startswith("encoding/")]
        content = [file.read() for file in files if file]
    tests = [test for one in content for test in re.findall(rb"#data\n(.*?)\n#encoding\n([^\n]*)", one, re.DOTALL)]
    return [(data, webencodings.lookup(label.decode().strip()).name) for data, label in tests]


def taken(data: bytes) -> str:
    """The encoding of an unlabelled response, by its byte-order mark or a meta tag, a late one too."""
    if data.startswith(codecs.BOM_UTF8):
        return "utf-8"
    found = _meta_encoding(data[:PRESCAN_BYTES]) or _meta_encoding(data)
    return found.name if found else "windows-1252"


def test_html5lib_and_the_prescan_agree_on_every_page_that_needs_no_script() -> None:
    tests = encoding_tests()
    assert len(tests) > 80
    differing = [data for data, expected in tests if taken(data) != expected]
    assert [SCRIPTED in data for data in differing] == [True], differing


@pytest.mark.parametrize(
    ("tag", "named"),
    [
        ('<meta http-equiv="Content-Type" content="text/html; charset=koi8-r">', True),
        ('<meta content="text/html; charset=koi8-r" http-equiv=content-type>', True),
        ('<meta http-equiv="refresh" content="0; url=/?charset=koi8-r">', False),
        ('<meta http-equiv="X-UA-Compatible" content="charset=koi8-r">', False),
        ('<meta http-equiv="Content-Language" content="en; charset=koi8-r">', False),
        ('<meta name="description" content="how to say charset=koi8-r">', False),
        ('<a title="<meta charset=koi8-r>">', False),
        ("<!doctype html [<meta charset=koi8-r>]>", False),
        ('<meta name=x content="a>b" charset=koi8-r>', True),
        ("<meta/charset=koi8-r>", True),
        ("<meta charset=nope><meta charset=koi8-r>", True),
        ("<meta http-equiv=content-type content='charset=nope' charset=koi8-r>", True),
    ],
)
def test_only_content_type_names_the_character_set_in_an_http_equiv(tag: str, named: bool) -> None:
    found = _meta_encoding(tag.encode())
    assert (found.name if found else None) == ("koi8-r" if named else None)
