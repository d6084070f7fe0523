"""What two copies of a picture have in common, and what tells two pictures apart."""

import hashlib

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from metaclip.images import perceptual
from metaclip.images.decoding import WHOLE, Bounds, inspect
from metaclip.images.perceptual import Description, colour_distances, describe, distances
from tests.pictures import encoded, picture


def _array(image: Image.Image) -> npt.NDArray[np.uint8]:
    return np.asarray(image.convert("RGB"))


def _area(found: Description) -> npt.NDArray[np.uint64]:
    return np.frombuffer(found.area64, np.uint64)


def _distance(one: Description, other: Description) -> int:
    return int(distances(_area(one), _area(other)))


def test_averages_are_those_of_the_definition() -> None:
    random = np.random.default_rng(1)
    for height, width in ((64, 64), (130, 77), (5, 3), (1, 1), (300, 1000)):
        values = random.integers(0, 256, (height, width)).astype(np.uint8)
        found = perceptual._averages(perceptual._bands(values), height, width, 64, 16)
        # Sums of pixels and parts of pixels, in Python's whole numbers.
        columns = np.zeros((height, 64), object)
        for place in range(64):
            first, end = place * width, (place + 1) * width
            for pixel in range(first // 64, -(-end // 64)):
                columns[:, place] += values[:, pixel].astype(object) * (
                    min(end, (pixel + 1) * 64) - max(first, pixel * 64)
                )
        rows = np.zeros((64, 64), object)
        for place in range(64):
            first, end = place * height, (place + 1) * height
            for pixel in range(first // 64, -(-end // 64)):
                rows[place] += columns[pixel] * (min(end, (pixel + 1) * 64) - max(first, pixel * 64))
        assert found.tolist() == [[(2 * 16 * v + height * width) // (2 * height * width) for v in row] for row in rows]


def test_the_description_of_a_picture_is_the_same_on_every_machine() -> None:
    ramp = (np.arange(48 * 64 * 3, dtype=np.int64) ** 2 // 7 % 251).astype(np.uint8).reshape(48, 64, 3)
    found = describe(ramp)
    digest = hashlib.sha256(b"%d %d" % (found.pixels, found.quality) + found.area64 + found.colour).hexdigest()
    assert digest[:16] == "e30801999926951b"
    assert describe(np.asfortranarray(ramp)) == found


@pytest.mark.parametrize("seed", range(4))
def test_copies_are_near_and_others_far(seed: int) -> None:
    original = picture(seed)
    found = describe(_array(original))
    assert found.quality >= 50
    copies = {
        "q40": encoded(original, quality=40),
        "webp": encoded(original, "WEBP", quality=50),
        "thumb": encoded(original.resize((160, 120), Image.Resampling.LANCZOS)),
        "grey": encoded(original.convert("L")),
        "double": encoded(original.resize((640, 480), Image.Resampling.BICUBIC)),
    }
    for name, data in copies.items():
        seen = inspect(data, WHOLE, Bounds())
        assert seen.status == "ok"
        assert _distance(found, seen.content) <= 12, name
        near = colour_distances(*(np.frombuffer(each.colour, np.uint8)[None] for each in (found, seen.content)))
        assert (near[0] <= 6 * 48) == (name != "grey")
    other = describe(_array(picture(seed + 100)))
    assert _distance(found, other) > 80
    mirrored = describe(np.ascontiguousarray(_array(original)[:, ::-1]))
    assert _distance(found, mirrored) > 80


def test_flat_pictures_have_no_quality() -> None:
    for colour in (0, 128, 255):
        assert describe(np.full((100, 150, 3), colour, np.uint8)).quality == 0
    assert describe(np.zeros((1, 1, 3), np.uint8)).quality == 0
