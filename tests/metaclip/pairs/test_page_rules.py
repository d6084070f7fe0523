"""Rules for pages that all sources share."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metaclip.pairs.page_rules import is_html, may_opt_out, media_type, opts_out


@given(st.text(alphabet="noNOimagIAİıeſ-_ ,:é", max_size=14) | st.sampled_from(["noımageaı", "x: NOİMAGEAI", "noaı"]))
def test_no_opt_out_is_overlooked_when_many_are_looked_at_together(directive: str) -> None:
    if opts_out([directive]):
        assert may_opt_out([b"all", directive.encode(), b"noindex"])
    assert not may_opt_out([b"noindex, nofollow, noarchive, max-image-preview:large"])


@pytest.mark.parametrize(
    ("content_type", "html", "charset"),
    [
        ("text/html", True, None),
        ("TEXT/HTML ; Charset=UTF-8", True, "UTF-8"),
        ("application/xhtml+xml", True, None),
        ('text/html;a="b;charset=x\\"";charset="gbk"', True, "gbk"),
        ("text/html;charset=a;charset=b", True, "a"),
        ("text/html,text/html; charset=utf-8", True, "utf-8"),
        ("text/html; charset=utf-8,text/html", True, "utf-8"),
        ("text/html; charset=gbk,text/plain,text/html", True, None),
        ("text/html, charset=utf-8", True, None),
        ("image/png, text/html", True, None),
        ("text/html, image/png", False, None),
        ("text/html, */*", True, None),
        ("text/plain", False, None),
        ('image/png;a="text/html', False, None),
        ("text/html charset=utf-8", None, None),
        ("text/html: charset=utf-8", None, None),
        ('"text/html"', None, None),
        ("text/", None, None),
        ("/html", None, None),
        ("html", None, None),
        ("*/*", None, None),
        ("unknown/unknown", None, None),
        ("Application/Unknown; charset=gbk", None, "gbk"),
        (",,", None, None),
        ("", None, None),
    ],
)
def test_a_content_type_is_read_as_fetch_reads_it(content_type: str, html: bool | None, charset: str | None) -> None:
    assert is_html(content_type) is html
    assert media_type(content_type)[1] == charset


@given(st.text(alphabet='tex/hml,;="\\ charset-*', max_size=40))
def test_any_content_type_is_read(content_type: str) -> None:
    essence, charset = media_type(content_type)
    assert essence is None or essence.count("/") == 1
    assert charset != ""
