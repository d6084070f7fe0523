"""Every block of a bzip2 file is read once, however the file is cut; damage never passes."""

import bz2
import io
import itertools
import random
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from metaclip.errors import InputError
from metaclip.kernels.jit import plainly
from metaclip.metadata.wikipedia import bzip2
from metaclip.metadata.wikipedia.bzip2 import read_blocks
from metaclip.metadata.wikipedia.bzip2_kernel import Unpacker
from tests.shared import shared_data

RANDOM = random.Random(0)
TEXT = " ".join(f"{RANDOM.random():.5f}" for _ in range(40_000)).encode()
LEVEL_1 = bz2.compress(TEXT, 1)  # four blocks at any bit
STREAMS = b"".join(bz2.compress(TEXT[i : i + 50_000], 9) for i in range(0, len(TEXT), 50_000))


def _in_range(path: Path, start: int, end: int | None) -> bytes:
    return b"".join(block.data for block in read_blocks(str(path), start, end) if block.within)


@pytest.mark.slow
@pytest.mark.parametrize(
    "packed", [LEVEL_1, STREAMS, STREAMS + LEVEL_1, bz2.compress(b"") + STREAMS + bz2.compress(b"")]
)
@given(cuts=st.lists(st.integers(1, len(STREAMS) + len(LEVEL_1)), max_size=6))
@settings(max_examples=15)
def test_ranges_share_out_the_file(tmp_path_factory: pytest.TempPathFactory, packed: bytes, cuts: list[int]) -> None:
    path = tmp_path_factory.mktemp("bz2") / "file.bz2"
    path.write_bytes(packed)
    bounds = [0, *sorted({cut for cut in cuts if cut < len(packed)}), len(packed)]
    parts = [_in_range(path, start, end) for start, end in itertools.pairwise(bounds)]
    assert b"".join(parts) == bz2.decompress(packed)


def test_blocks_longer_than_what_is_read_at_a_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("metaclip.metadata.wikipedia.bzip2.CHUNK_BYTES", 17_001)
    path = tmp_path / "file.bz2"
    path.write_bytes(STREAMS + LEVEL_1)
    assert _in_range(path, 0, None) == TEXT + TEXT


def test_a_magic_within_the_data_of_a_block_is_no_border(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "file.bz2"
    path.write_bytes(bz2.compress(TEXT[:70_000], 1))
    # What two bytes of this block hold stands for the magic: the block falls apart and is put together again.
    find = bzip2._find_magics
    monkeypatch.setattr(
        bzip2,
        "_find_magics",
        lambda data, start: sorted([*find(data, start), *([(12_345, False), (99_999, True)] if not start else [])]),
    )
    assert _in_range(path, 0, None) == TEXT[:70_000]


@pytest.mark.parametrize("length", [len(STREAMS) - 1, len(STREAMS) - 5, len(STREAMS) // 2, 50, 12])
def test_a_file_cut_short_is_refused(tmp_path: Path, length: int) -> None:
    path = tmp_path / "file.bz2"
    path.write_bytes(STREAMS[:length])
    with pytest.raises(InputError, match=r"file\.bz2.*(ends at byte|damaged)"):
        _in_range(path, 0, None)


@pytest.mark.parametrize("at", [4, 9, 3000, len(LEVEL_1) // 2, len(LEVEL_1) - 12])
def test_a_damaged_block_is_refused(tmp_path: Path, at: int) -> None:
    path = tmp_path / "file.bz2"
    path.write_bytes(LEVEL_1[:at] + bytes([LEVEL_1[at] ^ 16]) + LEVEL_1[at + 1 :] + STREAMS)
    with pytest.raises(InputError, match=r"fetch the file again|no bzip2 file"):
        _in_range(path, 0, None)


@pytest.mark.parametrize("content", [b"", b"BZh9", b"<html><title>Not found</title></html>", TEXT])
def test_what_is_no_bzip2_file_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "file.bz2"
    path.write_bytes(content)
    with pytest.raises(InputError, match="no bzip2 file"):
        _in_range(path, 0, None)


def test_bytes_after_the_end_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "file.bz2"
    path.write_bytes(STREAMS + b"more")
    with pytest.raises(InputError, match="after the end"):
        _in_range(path, 0, None)


UNPACKER = Unpacker()
RUNS = st.lists(st.tuples(st.sampled_from(b"ab \x00\xff"), st.integers(1, 600)), max_size=40)
CONTENTS = st.one_of(
    st.binary(max_size=3000),
    st.text("ab=' é漢", max_size=3000).map(str.encode),
    RUNS.map(lambda runs: b"".join(bytes([byte]) * times for byte, times in runs)),
)


def _pieces(packed: bytes) -> list[bzip2._Piece]:
    return [piece for piece in bzip2._magics("file.bz2", io.BytesIO(packed), 0) if piece.is_block]


def _fast(pieces: list[bzip2._Piece]) -> list[bytes | None]:
    return [UNPACKER.unpack(piece.data, piece.at % 8, piece.bits) for piece in pieces]


@given(st.lists(CONTENTS, min_size=1, max_size=3), st.integers(1, 9))
@settings(max_examples=200)
def test_blocks_are_as_the_library_unpacks_them(contents: list[bytes], level: int) -> None:
    found = _fast(_pieces(b"".join(bz2.compress(content, level) for content in contents)))
    for content, expected in zip(found, [content for content in contents if content], strict=True):
        assert content in (None, expected)


def test_almost_no_block_is_left_to_the_library(tmp_path: Path) -> None:
    (dump,) = shared_data("wikipedia").glob("*.bz2")
    for packed in (LEVEL_1, STREAMS, dump.read_bytes(), bz2.compress(random.Random(1).randbytes(899_981))):
        found = _fast(_pieces(packed))
        assert None not in found
        assert b"".join(content or b"" for content in found) == bz2.decompress(packed)
    # The bytes of a block that repeats itself are in several circles.
    assert _fast(_pieces(bz2.compress(b"ab" * 5000))) == [None]


def test_long_runs_take_more_room_than_other_blocks() -> None:
    content = b"a" + bytes(40_000_000) + b"b"
    assert _fast(_pieces(bz2.compress(content))) == [content]


@given(st.integers(80, len(LEVEL_1) * 8 - 81), st.sampled_from([1, 3, 0xFF, 0x8001, 0xFFFFFFFF]))
@settings(max_examples=100)
def test_damage_is_never_unpacked_to_something_else(bit: int, flipped: int) -> None:
    packed = bytearray(LEVEL_1)
    for at, byte in enumerate((flipped << bit % 8).to_bytes(5, "little"), bit // 8):
        packed[at] ^= byte
    packed[-10:] = LEVEL_1[-10:]
    pieces = _pieces(bytes(packed))
    for piece, content in zip(pieces, _fast(pieces), strict=True):
        assert content is None or content == bzip2._unpack([piece])


@given(st.integers(80, 900), st.binary(min_size=1, max_size=12))
@settings(max_examples=300)
def test_a_head_of_any_bits_is_unpacked_as_by_the_library_or_left_to_it(at: int, put: bytes) -> None:
    (piece,) = _pieces(bz2.compress(TEXT[:2000], 1))
    data = piece.data[: at // 8] + put + piece.data[at // 8 + len(put) :]
    content = UNPACKER.unpack(data, 0, piece.bits)
    assert content is None or content == bzip2._unpack([bzip2._Piece(piece.at, data, piece.bits, is_block=True)])


def test_the_plain_way_leaves_blocks_to_the_library(tmp_path: Path) -> None:
    path = tmp_path / "file.bz2"
    path.write_bytes(bz2.compress(TEXT[:20_000]) + bz2.compress(TEXT[20_000:30_000]))
    with plainly():
        assert _in_range(path, 0, None) == TEXT[:30_000]
