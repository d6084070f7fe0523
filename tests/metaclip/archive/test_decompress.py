"""Gzip members into a buffer, by libdeflate and by isal, against Python's gzip."""

import gzip
import io
import random
import sys
import zlib
from collections.abc import Callable
from contextlib import closing

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from isal import isal_zlib

from metaclip.archive import decompress as inflate
from metaclip.archive.decompress import DAMAGE, Inflater


def noise(size: int) -> bytes:
    return random.Random(size).randbytes(size)


def words(size: int) -> bytes:
    rest = random.Random(size)
    return b" ".join(b"word%d" % rest.randrange(1000) for _ in range(size // 7))


def inflated(data: bytes, room: int = 1 << 16, give: Callable[[int], int] = lambda size: size) -> bytes:
    """Decompress as a reader does whose buffer is emptied each time, and grown where a member needs more."""

    class Slow(io.BytesIO):
        def readinto(self, buffer: object) -> int:
            view = memoryview(buffer)  # type: ignore[arg-type]
            return super().readinto(view[: give(len(view))])

    whole = b""
    with closing(Inflater(Slow(data))) as inflater:
        while not inflater.ended:
            buffer = np.full(room + 8, 7, np.uint8)
            end = inflater.fill(buffer, 0, room)
            assert buffer[end:].tolist() == [7] * (room + 8 - end) or end < room  # nothing beyond the room
            assert buffer[room:].tolist() == [7] * 8
            whole += buffer[:end].tobytes()
            if inflater.blocked and not end:
                room *= 2
    return whole


@pytest.fixture(params=["libdeflate", "isal"])
def library(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Do it with libdeflate, then as where its wheel does not show it."""
    if request.param == "isal":
        monkeypatch.setattr(inflate, "_libdeflate", lambda: None)
    return str(request.param)


@pytest.mark.skipif(
    sys.platform != "linux", reason="whether wheels for other systems show libdeflate's names is not known"
)
def test_libdeflate_is_there() -> None:
    found = inflate._libdeflate()
    assert found is not None
    assert found.function


@pytest.mark.parametrize("give", [lambda size: size, lambda size: min(size, 1000)], ids=["much", "little"])
def test_members_of_all_sizes(library: str, give: Callable[[int], int]) -> None:
    parts = [b"", b"a", words(100), noise(50_000), b"", words(3 << 20), noise(3 << 20), b"", words(10)]
    packed = [gzip.compress(part, level) for level, part in enumerate(parts)]
    assert inflated(b"".join(packed), give=give) == b"".join(parts)


@pytest.mark.slow
def test_many_members(library: str) -> None:
    parts = [words(20 * i) for i in range(600)]
    assert inflated(b"".join(map(gzip.compress, parts))) == b"".join(parts)


def test_a_member_too_large_for_libdeflate_is_streamed(library: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inflate, "_HELD", 1 << 16)
    monkeypatch.setattr(inflate, "_LARGEST", 1 << 18)
    parts = [words(1000), noise(3 << 18), words(1000)]
    packed = b"".join(map(gzip.compress, parts))
    assert inflated(packed, room=1 << 20) == b"".join(parts)


def test_what_was_held_is_not_lost_when_isal_takes_over() -> None:
    parts = [words(1000 * i) for i in range(20)]
    whole = b""
    with closing(Inflater(io.BytesIO(b"".join(map(gzip.compress, parts))))) as inflater:
        buffer = np.empty(len(parts[0] + parts[1] + parts[2]) + 10, np.uint8)
        while not inflater.blocked:
            whole += buffer[: inflater.fill(buffer, 0, len(buffer))].tobytes()
        inflater.stream()
        while not inflater.ended:
            whole += buffer[: inflater.fill(buffer, 0, len(buffer))].tobytes()
    assert whole == b"".join(parts)


PACKED = [gzip.compress(words(200 * i)) for i in range(1, 5)]


@pytest.mark.parametrize("cut", range(1, len(b"".join(PACKED)), 13))
def test_what_breaks_off_is_told(library: str, cut: int) -> None:
    whole = sum(len(b"".join(PACKED[:count])) == cut for count in range(1, 4))
    if whole:
        assert inflated(b"".join(PACKED)[:cut])
    else:
        with pytest.raises(DAMAGE):
            inflated(b"".join(PACKED)[:cut])


@given(st.integers(0, len(b"".join(PACKED)) - 1), st.integers(1, 255))
def test_an_altered_byte_is_told_or_does_not_matter(place: int, change: int) -> None:
    packed = bytearray(b"".join(PACKED))
    packed[place] ^= change
    expected: bytes | None
    try:
        expected = gzip.decompress(packed)
    except (EOFError, OSError, zlib.error):
        expected = None
    try:
        found = inflated(bytes(packed))
    except DAMAGE:
        found = None
    assert found == expected


@pytest.mark.parametrize("wrong", ["checksum", "length"])
def test_checksum_and_length_are_looked_at(library: str, wrong: str) -> None:
    packed = bytearray(gzip.compress(words(1000)))
    packed[-8 if wrong == "checksum" else -4] ^= 1
    with pytest.raises(DAMAGE):
        inflated(gzip.compress(b"before") + bytes(packed) + gzip.compress(b"after"))


def test_zeros_between_members_and_names_in_headers(library: str) -> None:
    named = io.BytesIO()
    with gzip.GzipFile("a name", "wb", fileobj=named) as stream:
        stream.write(b"named")
    packed = gzip.compress(b"first") + bytes(100) + named.getvalue() + isal_zlib.compress(b"last", 1, 31) + bytes(3)
    assert inflated(packed) == b"firstnamedlast"


def test_an_empty_source(library: str) -> None:
    assert inflated(b"") == b""
