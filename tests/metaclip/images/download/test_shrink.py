"""Pictures as img2dataset stores them, in processes that a picture cannot take with it."""

import asyncio
import io
import json
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import psutil
import pytest
from PIL import Image

from metaclip.images.decoding import Bounds, inspect
from metaclip.images.download.shrink import Shrunk, shrink
from metaclip.images.download.shrinkers import Shrinkers
from metaclip.images.downloaded import unpadded
from metaclip.images.perceptual import distances
from tests.hostile import bomb
from tests.pictures import encoded, picture

MODES = ("border", "no", "keep_ratio", "keep_ratio_largest", "center_crop")
PIXELS = 89_478_485


def _area(data: bytes, box: tuple[int, int, int, int] = (0, 0, 0, 0)) -> npt.NDArray[np.uint64]:
    found = inspect(data, box, Bounds())
    assert found.status == "ok"
    return np.frombuffer(found.content.area64, np.uint64)[None]


@pytest.mark.slow
@pytest.mark.parametrize("mode", MODES)
def test_it_stores_what_img2dataset_stores(mode: str) -> None:
    from img2dataset.resizer import Resizer

    theirs = Resizer(256, mode, resize_only_if_bigger=False)
    for width, height in ((1000, 400), (333, 500), (120, 90), (256, 256), (31, 700), (2000, 2000)):
        data = encoded(picture(3, width, height), quality=90)
        found = shrink(data, 256, mode, PIXELS)
        other, *sides, error = theirs(io.BytesIO(data))
        assert error is None
        assert [found.width, found.height, found.original_width, found.original_height] == sides
        box = unpadded(mode, 256, width, height)
        # Of 31 pixels eleven are left, which say little.
        assert distances(_area(found.picture, box), _area(other, box))[0] <= (16 if width == 31 else 4)
        ours, its = (np.asarray(Image.open(io.BytesIO(each)).convert("RGB"), int) for each in (found.picture, other))
        assert ours.shape == its.shape
        left, upper, right, lower = box if any(box) else (0, 0, *ours.shape[1::-1])
        assert np.abs(ours - its)[upper:lower, left:right].mean() < 3


def test_it_stands_upright_with_its_exif() -> None:
    image, exif = picture(5, 400, 200), Image.Exif()
    exif[0x0112], exif[0x010F] = 6, "A camera"
    found = shrink(encoded(image, exif=exif), 256, "keep_ratio_largest", PIXELS)
    assert (found.width, found.height, found.original_width, found.original_height) == (128, 256, 200, 400)
    upright = encoded(image.transpose(Image.Transpose.ROTATE_270))
    assert distances(_area(found.picture), _area(upright))[0] <= 6
    told = json.loads(found.exif or "")
    assert told["Image Make"] == "A camera"
    assert "Image Orientation" not in told
    assert shrink(encoded(image), 256, "border", PIXELS).exif == "{}"


def test_every_kind_of_picture() -> None:
    image = picture(6, 300, 200)
    clear = image.copy()
    clear.putalpha(0)
    sixteen = Image.fromarray(np.asarray(image.convert("L")).astype(np.uint16) << 8)
    for data in (
        encoded(image, "PNG"),
        encoded(image, "WEBP"),
        encoded(image, "GIF"),
        encoded(image.convert("CMYK"), "JPEG"),
        encoded(image.convert("L"), "JPEG"),
        encoded(sixteen, "PNG"),
        encoded(clear, "PNG"),
    ):
        found = shrink(data, 64, "border", PIXELS)
        assert (found.reason, found.width, found.original_width) == ("", 64, 300)
    white = np.asarray(Image.open(io.BytesIO(shrink(encoded(clear, "PNG"), 64, "border", PIXELS).picture)))
    assert white.min() > 250


def _shrunk(pictures: Sequence[bytes], seconds: float = 10.0) -> list[Shrunk]:
    async def all_of_them() -> list[Shrunk]:
        async with Shrinkers(2, 256, "border", PIXELS, seconds) as shrinkers:
            return list(await asyncio.gather(*map(shrinkers.shrink, pictures)))

    return asyncio.run(all_of_them())


@pytest.mark.slow
def test_a_bad_picture_costs_itself() -> None:
    good = encoded(picture(7))
    huge = bomb(9_000)  # within the pixels, and beyond the memory in colour where its process holds it twice
    bad = (bomb(), good[:3000], b"<html>", b"", b"\x89PNG\r\n\x1a\n" + bytes(100))
    found = _shrunk([good, *bad, huge, good])
    reasons = ["", "too many pixels", "truncated", "not an image", "empty", "not an image"]
    assert [each.reason for each in found[:6]] == reasons
    assert found[6].reason in ("", "too many pixels")
    assert found[0] == found[7]
    assert found[0].picture


@pytest.mark.long
def test_a_picture_that_takes_too_long_is_told() -> None:
    slow = encoded(picture(8, 4000, 4000), "PNG", compress_level=1)
    assert [each.reason for each in _shrunk([slow, slow], seconds=0.01)] == ["decoding time"] * 2


@pytest.mark.long
def test_a_picture_that_takes_too_long_ends_its_process_and_no_other() -> None:
    """Its process is stopped, which takes longer than any bound, whatever else the machine does."""
    good = encoded(picture(7, 64, 64))

    async def with_one_that_hangs() -> tuple[psutil.Process, list[str], list[str]]:
        async with Shrinkers(2, 256, "border", PIXELS, 5.0) as shrinkers:
            await asyncio.gather(*map(shrinkers.shrink, [good] * 2))  # both processes are there
            child = shrinkers._all[0]._child
            assert child is not None
            hung = psutil.Process(child.process.pid)
            hung.suspend()
            during = await asyncio.gather(*map(shrinkers.shrink, [good] * 4))
            after = await asyncio.gather(*map(shrinkers.shrink, [good] * 2))
            return hung, [each.reason for each in during], [each.reason for each in after]

    hung, during, after = asyncio.run(with_one_that_hangs())
    assert sorted(during) == ["", "", "", "decoding time"]
    assert after == ["", ""]
    assert not hung.is_running()
