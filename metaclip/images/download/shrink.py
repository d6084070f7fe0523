"""A picture as img2dataset stores it: shrunk, padded and encoded; runs in a process of its own.

Geometry as in img2dataset 1.47 (`resizer.py`, which uses albumentations 1.4). Three things differ: the picture is
turned upright where EXIF says so, large JPEGs are decoded at a fraction of their size, at least twice the one wanted,
and 16 bits become 8.
"""

import hashlib
import io
import json
import logging
import math
import warnings
from typing import NamedTuple

from PIL import Image, UnidentifiedImageError

from metaclip.images.decoding import TooManyPixelsError, open_picture, orientation, turned, white_behind

QUALITY = 95
_TURNED = "Image Orientation"


class Shrunk(NamedTuple):
    """A stored picture, or the reason why there is none."""

    reason: str = ""
    picture: bytes = b""
    width: int = 0
    height: int = 0
    original_width: int = 0
    original_height: int = 0
    """Of the upright picture."""
    sha256: bytes = bytes(32)
    """Of the bytes as served."""
    exif: str | None = None
    """A JSON object, as img2dataset writes it."""


def shrink(data: bytes, size: int, mode: str, max_pixels: int) -> Shrunk:
    """Return a picture in img2dataset's mode: border, no, keep_ratio, keep_ratio_largest or center_crop."""
    if not data:
        return Shrunk("empty")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of odd metadata, which no picture depends on
            with open_picture(data, max_pixels) as opened:
                width, height = opened.size
                inner = inner_size(mode, size, width, height)
                # Twice what is wanted, so that averages over areas have something to average.
                opened.draft(None, (inner[0] * 2, inner[1] * 2))
                picture = white_behind(opened)
                turn = orientation(opened)  # which some formats have behind their pixels
                has_exif = "exif" in opened.info
                if picture.size != inner:
                    picture = picture.resize(inner, _resampling(mode, size, width, height), reducing_gap=None)
                picture = turned(picture, turn)
                if turn is not None and turn > 4:
                    width, height = height, width
    except UnidentifiedImageError:
        return Shrunk("not an image")
    except (MemoryError, TooManyPixelsError):
        return Shrunk("too many pixels")
    except Exception as error:  # noqa: BLE001 (decoders raise whatever they like; the reason is counted)
        return Shrunk("truncated" if "truncated" in str(error).lower() else "decoder error")
    picture = _framed(picture, mode, size)
    sink = io.BytesIO()
    picture.save(sink, "JPEG", quality=QUALITY)
    digest = hashlib.sha256(data).digest()
    exif = _exif(data, is_turned=turn is not None) if has_exif else "{}"
    return Shrunk("", sink.getvalue(), *picture.size, width, height, digest, exif)


def inner_size(mode: str, size: int, width: int, height: int) -> tuple[int, int]:
    """Return width and height of a picture before it is padded or cropped: rounded, half to even."""
    if mode == "no":
        return width, height
    side = min(width, height) if mode in ("keep_ratio", "center_crop") else max(width, height)
    scale = size / side
    return max(1, round(width * scale)), max(1, round(height * scale))


def _resampling(mode: str, size: int, width: int, height: int) -> Image.Resampling:
    """Return averages over areas for a picture that becomes smaller, else Lanczos."""
    side = min(width, height) if mode in ("keep_ratio", "center_crop") else max(width, height)
    return Image.Resampling.BOX if side > size else Image.Resampling.LANCZOS


def _framed(picture: Image.Image, mode: str, size: int) -> Image.Image:
    width, height = picture.size
    if mode == "center_crop":
        left, upper = (width - size) // 2, (height - size) // 2
        return picture.crop((left, upper, left + size, upper + size))
    if mode == "border" and (width, height) != (size, size):
        framed = Image.new(picture.mode, (size, size), "white")
        framed.paste(picture, (math.floor((size - width) / 2), math.floor((size - height) / 2)))
        return framed
    return picture


def _exif(data: bytes, *, is_turned: bool) -> str | None:
    """Return the EXIF as img2dataset does; the orientation is left out where it was followed."""
    import exifread  # type: ignore[import-untyped]

    logging.getLogger("exifread").setLevel(logging.CRITICAL)
    try:
        tags = exifread.process_file(io.BytesIO(data), details=False)
        told = {name: str(value).strip() for name, value in tags.items() if value is not None}
    except Exception:  # noqa: BLE001 (as img2dataset: broken metadata takes no picture away)
        return None
    if is_turned:
        told.pop(_TURNED, None)
    return json.dumps(told)
