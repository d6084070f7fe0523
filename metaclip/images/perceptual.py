"""What two copies of a picture have in common, in integers of integer arithmetic: the same on every machine.

`area64` is the idea of PDQ (ThreatExchange, `pdq/cpp/hashing/pdqhashing.cpp`) with another way of shrinking: the
average over areas, so that it does not depend on the size of the picture.

Sums are taken by products of float64 matrices of whole numbers. All sums are below 2^53, so every order of adding
gives the same number.
"""

import math
import struct
from functools import lru_cache
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import xxhash

SIDE = 64
"""Width and height that a picture is averaged to."""
COEFFICIENTS = 16
"""Of the cosine transform, in each direction; those of no change (0) are left out."""
COLOUR_SIDE = 4
_SCALE = 16
"""Steps of the averages between two grey values."""
_COSINE_BITS = 13
_BAND = 256
_EXACT = 1 << 24
"""Whole numbers up to this are exact in float32."""


class Description(NamedTuple):
    """What is kept of a picture's content."""

    pixels: int
    """XXH3-64 of width, height and RGB bytes."""
    area64: bytes
    """256 bits."""
    quality: int
    """PDQ's measure of gradients, 0 to 100; below 50 a picture is too flat to be told from others."""
    colour: bytes
    """RGB means of 4 by 4 areas, row by row: 48 bytes."""


def describe(rgb: npt.NDArray[np.uint8]) -> Description:
    """Describe a picture, uint8[height, width, 3], upright and without padding."""
    height, width = rgb.shape[:2]
    rgb = np.ascontiguousarray(rgb)
    grey = _averages(_grey_bands(rgb), height, width, SIDE, _SCALE)
    colour = np.stack(
        [_averages(_bands(rgb[:, :, channel]), height, width, COLOUR_SIDE, 1) for channel in range(3)], axis=2
    )
    digest = xxhash.xxh3_64(struct.pack("<II", width, height))
    digest.update(rgb.data)
    return Description(digest.intdigest(), area64(grey), quality(grey), colour.astype(np.uint8).tobytes())


def area64(grey: npt.NDArray[np.int64]) -> bytes:
    """Return the 256 bits of averages, int64[64, 64]: which of the coefficients 1 to 16 exceed the median.

    The bits are in the order of rows; of the two middle coefficients the smaller one is the median.
    """
    cosines = _cosines()
    coefficients = (cosines @ grey.astype(np.float64) @ cosines.T).ravel()
    median = np.sort(coefficients)[len(coefficients) // 2 - 1]
    return np.packbits(coefficients > median).tobytes()


def quality(grey: npt.NDArray[np.int64]) -> int:
    """Return PDQ's measure of averages, int64[64, 64]: the sum of differences of neighbours in percent, over 90."""
    steps = sum(int((np.abs(np.diff(grey, axis=axis)) * 100 // (255 * _SCALE)).sum()) for axis in (0, 1))
    return min(steps // 90, 100)


def distances(area: npt.NDArray[np.uint64], other: npt.NDArray[np.uint64]) -> npt.NDArray[np.int64]:
    """Return the number of bits that differ, int64[n], between hashes as uint64[n, 4]."""
    return np.asarray(np.bitwise_count(area ^ other).sum(axis=-1, dtype=np.int64))


def colour_distances(colour: npt.NDArray[np.uint8], other: npt.NDArray[np.uint8]) -> npt.NDArray[np.int64]:
    """Return the sum of the differences of 48 means, int64[n], of uint8[n, 48]."""
    return np.asarray(np.abs(colour.astype(np.int16) - other).sum(axis=-1, dtype=np.int64))


_Bands = list[tuple[int, npt.NDArray[np.uint8]]]


def _bands(channel: npt.NDArray[np.uint8]) -> _Bands:
    return [(start, channel[start : start + _BAND]) for start in range(0, len(channel), _BAND)]


def _grey_bands(rgb: npt.NDArray[np.uint8]) -> _Bands:
    """Return grey values by Rec. 601 in 16 bits of fraction, rounded."""
    found = []
    for start in range(0, len(rgb), _BAND):
        red, green, blue = (rgb[start : start + _BAND, :, channel].astype(np.uint32) for channel in range(3))
        grey = (red * 19595 + green * 38470 + blue * 7471 + 0x8000) >> 16
        found.append((start, grey.astype(np.uint8)))
    return found


def _averages(bands: _Bands, height: int, width: int, side: int, scale: int) -> npt.NDArray[np.int64]:
    """Return averages over side by side areas in 1/scale of a value, rounded, int64[side, side]."""
    across, down = _weights(width, side), _weights(height, side)
    kind = np.float32 if 255 * width < _EXACT else np.float64
    total = np.zeros((side, side), np.float64)
    for start, band in bands:
        rows = (band.astype(kind) @ across.astype(kind)).astype(np.float64)
        total += down[start : start + len(band)].T @ rows
    area = height * width
    return (total.astype(np.int64) * (2 * scale) + area) // (2 * area)


@lru_cache(maxsize=64)
def _weights(size: int, side: int) -> npt.NDArray[np.float64]:
    """Return how much of each pixel lies in each area, in 1/side of a pixel: float64[size, side]."""
    pixel, area = np.arange(size)[:, None], np.arange(side)[None, :]
    end = np.minimum((pixel + 1) * side, (area + 1) * size)
    start = np.maximum(pixel * side, area * size)
    found: npt.NDArray[np.float64] = np.maximum(end - start, 0).astype(np.float64)
    return found


@lru_cache(maxsize=1)
def _cosines() -> npt.NDArray[np.float64]:
    """Return round(2^13 cos(pi (2 x + 1) k / 128)) for k from 1 to 16, float64[16, 64]."""
    return np.array(
        [
            [round(math.cos(math.pi * (2 * x + 1) * k / (2 * SIDE)) * (1 << _COSINE_BITS)) for x in range(SIDE)]
            for k in range(1, COEFFICIENTS + 1)
        ],
        np.float64,
    )
