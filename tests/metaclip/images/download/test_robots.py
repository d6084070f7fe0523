"""RFC 9309: which rules of a robots.txt are for a crawler, and which paths they are about."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metaclip.images.download.robots import MOST_BYTES, Rules, parse_robots


def _allows(text: str, path: str, token: str = "img2dataset") -> bool:
    return parse_robots(text.encode(), token).allow(path)


@pytest.mark.parametrize(
    ("pattern", "matching", "other"),
    [  # the examples of section 2.2.2, 2.2.3 and 5
        ("/fish", ["/fish", "/fish.html", "/fish/salmon", "/fishheads", "/fish.php?id=1"], ["/Fish.asp", "/catfish"]),
        ("/*.php", ["/index.php", "/folder/any.php.file", "/filename.php?a"], ["/", "/windows.PHP"]),
        ("/*.php$", ["/filename.php", "/a/b.php"], ["/filename.php?a", "/filename.php5"]),
        ("/fish*.php", ["/fish.php", "/fishheads/catfish.php?a"], ["/Fish.PHP"]),
        ("/foo/bar/ツ", ["/foo/bar/%E3%83%84", "/foo/bar/ツ"], ["/foo/bar/x"]),
        ("/foo/bar/%62%61%7A", ["/foo/bar/baz"], ["/foo/bar/b"]),
        ("/path/file-with-a-%2A.html", ["/path/file-with-a-%2a.html"], ["/path/file-with-a-xx.html"]),
        ("/a*b*c$", ["/abc", "/axbxc", "/abcbc"], ["/abcx", "/ab"]),
        ("*/private", ["/private", "/a/private/b"], ["/priv"]),
        ("/x$", ["/x"], ["/x/", "/xx"]),
    ],
)
def test_patterns(pattern: str, matching: list[str], other: list[str]) -> None:
    text = f"User-agent: *\nDisallow: {pattern}\n"
    assert [path for path in matching if _allows(text, path)] == []
    assert [path for path in other if not _allows(text, path)] == []


def test_the_longest_pattern_decides_and_allow_at_a_tie() -> None:
    text = "User-agent: *\nAllow: /example/page/\nDisallow: /example/page/disallowed.gif\nDisallow: /b\nAllow: /b\n"
    assert _allows(text, "/example/page/a.gif")
    assert not _allows(text, "/example/page/disallowed.gif")
    assert _allows(text, "/b/c")


@pytest.mark.parametrize(
    ("text", "allowed"),
    [
        ("", True),
        ("User-agent: *\nDisallow:\n", True),
        ("Disallow: /\n", True),  # of no group
        ("user-AGENT : img2dataset # us\n disallow : / # all\n", False),
        ("User-agent: img2dataset/1.0\nDisallow: /\n", False),
        ("User-agent: img2dataset-extra\nDisallow: /\n", True),
        ("User-agent: other\nDisallow: /\n", True),
        ("User-agent: *\nDisallow: /\n\nUser-agent: img2dataset\nAllow: /x\n", True),
        ("User-agent: img2dataset\nUser-agent: other\nDisallow: /\n", False),
        ("User-agent: other\nUser-agent: IMG2DATASET\nDisallow: /\n", False),
        (
            "User-agent: img2dataset\nAllow: /a\n\nUser-agent: *\n\nUser-agent: img2dataset\nDisallow: /\n",
            False,
        ),
        ("User-agent: img2dataset\nSitemap: http://a/b.xml\nCrawl-delay: 3\nDisallow: /\n", False),
        ("User-agent: *\rDisallow: /\r", False),
        ("\ufeffUser-agent: *\r\nDisallow: /\r\n", False),
        ("User-agent: *\nDisallow /\n", True),
    ],
)
def test_groups(text: str, *, allowed: bool) -> None:
    assert _allows(text, "/picture.jpg") is allowed


def test_only_so_much_is_read() -> None:
    filler = b"#" * MOST_BYTES + b"\n"
    assert parse_robots(b"User-agent: *\n" + filler + b"Disallow: /\n", "a").allow("/")
    assert not parse_robots(b"User-agent: *\nDisallow: /\n" + filler, "a").allow("/")


def test_a_pattern_of_stars_takes_no_time() -> None:
    rules = parse_robots(f"User-agent: *\nDisallow: /{'*a' * 2000}b\n".encode(), "a")
    start = time.perf_counter()
    assert rules.allow("/" + "a" * 8000)
    assert time.perf_counter() - start < 1


@given(st.binary(max_size=300), st.text(max_size=30))
def test_anything_is_read(content: bytes, path: str) -> None:
    found = parse_robots(content, "a")
    assert isinstance(found, Rules)
    assert found.allow(path) in (True, False)
