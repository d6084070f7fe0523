"""Character references of HTML, decoded once."""

import pytest

from metaclip.wat.references import unescape


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("R&amp;D", "R&D"),
        ("&quot;x&quot; &#39;y&#x27; &ndash; &eacute;", "\"x\" 'y' – é"),
        ("/x?a=1&amp;b=2", "/x?a=1&b=2"),
        ("/x?a=1&copy=2&reg", "/x?a=1&copy=2&reg"),
        ("/x?a=1&lang;en", "/x?a=1\u27e8en"),
        ("AT&T; fish & chips &", "AT&T; fish & chips &"),
        ("&amp;amp;", "&amp;"),
        ("&notit; &unheard;", "&notit; &unheard;"),
        ("&#0; &#xD800; &#9999999;", "\ufffd \ufffd \ufffd"),
        ("", ""),
        (None, None),
    ],
)
def test_unescape(value: str | None, expected: str | None) -> None:
    assert unescape(value) == expected
