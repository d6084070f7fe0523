"""A srcset's references, read as the HTML standard reads them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metaclip.pairs.srcset import srcset_candidates
from tests.metaclip.pairs.test_collector import collect


def test_srcset_skips_what_cannot_be_used() -> None:
    image = {"src": "", "alt": "x", "srcset": "data:image/png;base64,x 2000w, ok.jpg 100w"}
    assert collect([image])[0].urls == ["http://x.org/p/ok.jpg"]


@pytest.mark.parametrize(
    ("srcset", "expected"),
    [
        ("", []),
        (" , ,", []),
        ("a.jpg", ["a.jpg"]),
        ("a.jpg 1x, b.jpg 2x", ["b.jpg", "a.jpg"]),
        ("a.jpg, b.jpg 1.5x, c.jpg .5x", ["b.jpg", "a.jpg", "c.jpg"]),
        ("a.jpg 480w,b.jpg 1080w, c.jpg 800w", ["b.jpg", "c.jpg", "a.jpg"]),
        ("a.jpg 480w 320h, b.jpg 1080w 720h", ["b.jpg", "a.jpg"]),
        ("a,b.jpg 1x,c.jpg,", ["a,b.jpg", "c.jpg"]),
        ("a.jpg,, b.jpg", ["a.jpg", "b.jpg"]),
        ("data:image/gif;base64,R0lGOD 1x, b.jpg 2x", ["b.jpg", "data:image/gif;base64,R0lGOD"]),
        ("a.jpg 0w, b.jpg -1x, c.jpg 1x 2x, d.jpg 1w 1x, e.jpg big, f.jpg 100h, g.jpg 1x", ["g.jpg"]),
        ("a.jpg (1x, 2x), b.jpg 1x", ["b.jpg"]),
        ("a.jpg\n\t2x\n,\nb.jpg\f3x", ["b.jpg", "a.jpg"]),
        ("a.jpg 1e2x, b.jpg 99x", ["a.jpg", "b.jpg"]),
    ],
)
def test_srcset(srcset: str, expected: list[str]) -> None:
    assert srcset_candidates(srcset) == expected


@given(st.text(alphabet="ab.,()x w12 \n\0-"))
def test_srcset_never_raises(srcset: str) -> None:
    for candidate in srcset_candidates(srcset):
        assert candidate in srcset
