"""One picture from its bytes: what it is, or the reason why it is none. Runs in a process of its own."""

import io
import struct
import warnings
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageFile, UnidentifiedImageError

from metaclip.images.perceptual import Description, describe

FORMATS = ("JPEG", "MPO", "PNG", "GIF", "WEBP", "BMP", "DIB", "TIFF", "AVIF", "JPEG2000", "ICO", "PPM")
"""What is opened. Others of Pillow's start programs (EPS), or have no beginning by which they are known."""

STATUSES = (
    "ok",
    "empty",
    "not_an_image",
    "truncated",
    "too_many_pixels",
    "too_many_bytes",
    "time",
    "decoder_error",
)
"""What can be said of bytes, in the order of their codes."""

OK = STATUSES.index("ok")

Box = tuple[int, int, int, int]
"""Left, upper, right, lower, in pixels of the stored picture; all zero for the whole picture."""
WHOLE: Box = (0, 0, 0, 0)

_ORIENTATION = 0x0112
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


@dataclass(frozen=True)
class Bounds:
    """What one picture may take."""

    max_pixels: int = 89_478_485
    max_bytes: int = 50 << 20
    seconds: float = 10.0


class Decoded(NamedTuple):
    """What is known of one picture; the description is that of nothing where the status is not ok."""

    status: str
    width: int = 0
    height: int = 0
    content: Description = Description(0, bytes(32), 0, bytes(48))


def inspect(data: bytes, box: Box, bounds: Bounds) -> Decoded:
    """Describe the picture in a file's bytes; of an animation the first frame.

    The size is read from the header before anything is decoded. Width and height are those of the upright
    picture with its padding; what is described is the part in `box`, where the picture is as large as the box asks.
    """
    if not data:
        return Decoded("empty")
    if len(data) > bounds.max_bytes:
        return Decoded("too_many_bytes")
    width = height = 0
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of odd metadata, which no picture depends on
            with open_picture(data, bounds.max_pixels) as picture:
                width, height = picture.size
                rgb = upright_rgb(picture)
    except TooManyPixelsError as error:
        return Decoded("too_many_pixels", error.width, error.height)
    except UnidentifiedImageError:
        return Decoded("not_an_image")
    except MemoryError:
        return Decoded("too_many_pixels", width, height)
    except Exception as error:  # noqa: BLE001 (decoders raise whatever they like; the reason is counted)
        return Decoded("truncated" if "truncated" in str(error).lower() else "decoder_error", width, height)
    height, width = rgb.shape[:2]
    try:
        return Decoded("ok", width, height, describe(_cut(rgb, box)))
    except MemoryError:
        return Decoded("too_many_pixels", width, height)


class TooManyPixelsError(Exception):
    """A picture whose header states more pixels than are decoded."""

    def __init__(self, width: int, height: int) -> None:
        super().__init__(f"{width} x {height} pixels")
        self.width, self.height = width, height


def open_picture(data: bytes, max_pixels: int) -> Image.Image:
    """Open a picture without decoding it.

    Raises:
        UnidentifiedImageError: the bytes are no picture.
        TooManyPixelsError: its header states more than `max_pixels`.
    """
    Image.MAX_IMAGE_PIXELS = None  # there is a bound of our own
    ImageFile.LOAD_TRUNCATED_IMAGES = False
    _check_size(*_webp_size(data), max_pixels)
    picture = Image.open(io.BytesIO(data), formats=_known())
    try:
        _check_size(*picture.size, max_pixels)
    except TooManyPixelsError:
        picture.close()
        raise
    return picture


def _check_size(width: int, height: int, max_pixels: int) -> None:
    if width * height > max_pixels:
        raise TooManyPixelsError(width, height)


def _webp_size(data: bytes) -> tuple[int, int]:
    """Return the size that a WebP file states, for which its decoder takes memory as it opens; zero for others.

    RFC 9649, sections 2.5 to 2.7.
    """
    if data[:4] != b"RIFF" or data[8:12] != b"WEBP" or len(data) < 30:
        return 0, 0
    if data[12:16] == b"VP8X":
        return int.from_bytes(data[24:27], "little") + 1, int.from_bytes(data[27:30], "little") + 1
    if data[12:16] == b"VP8L":
        bits = int.from_bytes(data[21:25], "little")
        return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    width, height = struct.unpack("<HH", data[26:30])
    return width & 0x3FFF, height & 0x3FFF


@lru_cache(maxsize=1)
def _known() -> tuple[str, ...]:
    """Return those of FORMATS that this build of Pillow has a decoder for."""
    Image.init()
    return tuple(name for name in FORMATS if name in Image.OPEN)


def upright_rgb(picture: Image.Image) -> npt.NDArray[np.uint8]:
    """Decode a picture to 8-bit RGB, uint8[height, width, 3]: turned by EXIF, alpha on white."""
    found = white_behind(picture)
    turn = orientation(picture)  # which some formats have behind their pixels
    if found.mode != "RGB":
        found = found.convert("RGB")
    return np.asarray(turned(found, turn))


def white_behind(picture: Image.Image) -> Image.Image:
    """Decode a picture to 8 bits, in RGB or grey: alpha on white."""
    picture.load()
    if picture.mode.startswith("I") or picture.mode == "F":
        values = np.asarray(picture)
        # 16 bits are cut to the upper 8, as for colour pictures of 16 bits.
        grey = np.clip(values, 0, 255) if picture.mode == "F" else np.clip(values.astype(np.int64), 0, 65535) >> 8
        picture = Image.fromarray(grey.astype(np.uint8), "L")
    if picture.has_transparency_data:
        with_alpha = picture.convert("RGBA")
        picture = Image.new("RGB", with_alpha.size, (255, 255, 255))
        picture.paste(with_alpha, mask=with_alpha.getchannel("A"))
    return picture if picture.mode in ("RGB", "L") else picture.convert("RGB")


def orientation(picture: Image.Image) -> int | None:
    """Return how EXIF says that a picture is turned, from 2 to 8; None where it is upright."""
    try:
        found = picture.getexif().get(_ORIENTATION)
    except (SyntaxError, ValueError, TypeError, KeyError, IndexError, OSError, struct.error):
        return None  # broken metadata: the picture is taken as it is
    return found if isinstance(found, int) and found in _TURNS else None


def turned(picture: Image.Image, turn: int | None) -> Image.Image:
    """Return a picture upright, given its `orientation`."""
    return picture if turn is None else picture.transpose(_TURNS[turn])


def _cut(rgb: npt.NDArray[np.uint8], box: Box) -> npt.NDArray[np.uint8]:
    left, upper, right, lower = box
    if box == WHOLE or right > rgb.shape[1] or lower > rgb.shape[0]:
        return rgb
    return rgb[upper:lower, left:right]
