"""The character set of a page, and its bytes in UTF-8."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from metaclip.html.charset import to_utf8
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


@settings(deadline=None)
@given(
    st.binary(max_size=200), st.sampled_from(["", "utf-8", "utf-16", "iso-2022-jp", "gbk", "x-user-defined", "\udc80"])
)
def test_character_set_never_raises(body: bytes, label: str) -> None:
    to_utf8(body, f"text/html; charset={label}")
    to_utf8(b"<meta charset=" + label.encode("utf-8", "replace") + b">" + body)
