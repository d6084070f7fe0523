"""Every block of a bzip2 file is read once, however the file is cut; damage never passes."""

import bz2
import itertools
import random
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from metaclip.errors import InputError
from metaclip.metadata.wikipedia.bzip2 import read_blocks

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
@settings(max_examples=15, deadline=None)
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
    from metaclip.metadata.wikipedia import bzip2

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
