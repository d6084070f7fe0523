"""Odd pictures are counted by a reason, in a process that no picture can make take the machine's memory or time."""

import io
import os
import signal
import struct
import subprocess
import zlib
from pathlib import Path

import numpy as np
import psutil
import pytest
from PIL import Image

from metaclip.images.decoder import Decoder, decoder_name
from metaclip.images.decoding import WHOLE, Bounds, inspect, open_picture, upright_rgb
from tests.pictures import encoded, picture


def bomb(side: int) -> bytes:
    """Return a PNG of some kilobytes whose header says side by side, and which decodes to that."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    packer = zlib.compressobj(9)
    rows = b"".join(packer.compress(bytes(side + 1)) for _ in range(side)) + packer.flush()
    head = struct.pack(">IIBBBBB", side, side, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


def _claims() -> dict[str, bytes]:
    """Return files of other kinds whose headers state very many pixels."""
    small = Image.new("RGB", (64, 64))
    extended = b"VP8X" + struct.pack("<II", 10, 0) + (16_382).to_bytes(3, "little") * 2
    webp, lossless = encoded(small, "WEBP"), encoded(small, "WEBP", lossless=True)
    jpeg, gif = encoded(small), encoded(small, "GIF")
    frame = jpeg.index(b"\xff\xc0") + 5
    return {
        "webp": webp[:26] + struct.pack("<HH", 16_383, 16_383) + webp[30:],
        "lossless": lossless[:21] + struct.pack("<I", (1 << 28) - 1) + lossless[25:],
        "extended": webp[:4] + struct.pack("<I", len(webp) + 10) + webp[8:12] + extended + webp[12:],
        "jpeg": jpeg[:frame] + struct.pack(">HH", 65_500, 65_500) + jpeg[frame + 4 :],
        "gif": gif[:6] + struct.pack("<HH", 65_535, 65_535) + gif[10:],
    }


def _odd() -> dict[str, tuple[bytes, str]]:
    good = encoded(picture(1))
    animated = io.BytesIO()
    picture(1).save(animated, "GIF", save_all=True, append_images=[picture(2)])
    deep = Image.fromarray((np.arange(64 * 64, dtype=np.uint32) * 16).astype(np.uint16).reshape(64, 64))
    return {
        "good": (good, "ok"),
        "empty": (b"", "empty"),
        "page": (b"<html><body>not found</body></html>", "not_an_image"),
        "svg": (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "not_an_image"),
        "postscript": (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "not_an_image"),
        "cut": (good[: len(good) // 2], "truncated"),
        "bomb": (bomb(12_000), "too_many_pixels"),
        **{f"large_{kind}": (data, "too_many_pixels") for kind, data in _claims().items()},
        "animated": (animated.getvalue(), "ok"),
        "deep": (encoded(deep, "PNG"), "ok"),
        "cmyk": (encoded(picture(1).convert("CMYK")), "ok"),
        "pixel": (encoded(Image.new("L", (1, 1)), "GIF"), "ok"),
    }


@pytest.mark.slow
def test_odd_pictures_are_counted_and_cost_no_memory() -> None:
    odd = _odd()
    with Decoder(89_478_485, 50 << 20, 30.0) as decoder:
        found = decoder.describe([(data, WHOLE) for data, _ in odd.values()])
        assert {name: each.status for name, each in zip(odd, found, strict=True)} == {
            name: status for name, (_, status) in odd.items()
        }
        assert decoder.restarts == 0
        child = decoder._child
        assert child is not None
        assert psutil.Process(child.process.pid).memory_info().rss < 600 << 20
    assert found[list(odd).index("bomb")].width == 12_000


@pytest.mark.slow
def test_a_picture_within_the_bound_of_pixels_may_not_take_the_memory() -> None:
    with Decoder(200_000_000, 50 << 20, 60.0) as decoder:
        large, good = decoder.describe([(bomb(13_500), WHOLE), (encoded(picture(3)), WHOLE)])
    assert (large.status, good.status) == ("too_many_pixels", "ok")


@pytest.mark.slow
def test_too_slow_too_large_and_killed() -> None:
    good = encoded(picture(1))
    with Decoder(10**9, len(good), 30.0) as decoder:
        found = decoder.describe([(good, WHOLE), (good + b"x", WHOLE), (good, WHOLE)])
        assert [each.status for each in found] == ["ok", "too_many_bytes", "ok"]
        child = decoder._child
        assert child is not None
        os.kill(child.process.pid, signal.SIGKILL)
        assert [each.status for each in decoder.describe([(good, WHOLE)] * 2)] == ["decoder_error", "ok"]
        child = decoder._child
        assert child is not None
        os.kill(child.process.pid, signal.SIGSTOP)
        decoder._seconds = 0.5
        first = decoder.describe([(good, WHOLE)])
        decoder._seconds = 30.0
        assert [each.status for each in (*first, *decoder.describe([(good, WHOLE)]))] == ["time", "ok"]
        assert decoder.restarts == 2


def test_upright_on_white_and_of_the_first_frame() -> None:
    original = picture(5)
    turned = original.transpose(Image.Transpose.ROTATE_90)
    exif = Image.Exif()
    exif[0x0112] = 6
    found = inspect(encoded(turned, "PNG", exif=exif), WHOLE, Bounds())
    assert (found.width, found.height) == original.size
    assert found.content == inspect(encoded(original, "PNG"), WHOLE, Bounds()).content
    clear = Image.new("RGBA", (30, 20), (255, 0, 0, 0))
    with open_picture(encoded(clear, "PNG"), Bounds.max_pixels) as opened:
        assert (upright_rgb(opened) == 255).all()
    frames = io.BytesIO()
    Image.new("RGB", (9, 9), (255, 0, 0)).save(
        frames, "GIF", save_all=True, append_images=[Image.new("RGB", (9, 9), (0, 0, 255))]
    )
    with open_picture(frames.getvalue(), Bounds.max_pixels) as opened:
        assert upright_rgb(opened)[0, 0].tolist() == [255, 0, 0]


def test_a_box_cuts_padding_off() -> None:
    inner = picture(6, 256, 160)
    padded = Image.new("RGB", (256, 256), (255, 255, 255))
    padded.paste(inner, (0, 48))
    found = inspect(encoded(padded, "PNG"), (0, 48, 256, 208), Bounds())
    assert (found.width, found.height) == (256, 256)
    assert found.content == inspect(encoded(inner, "PNG"), WHOLE, Bounds()).content


def test_the_decoder_is_named_for_keys() -> None:
    assert decoder_name().startswith("pillow ")


@pytest.mark.slow
def test_decoding_opens_and_connects_nothing(tmp_path: Path) -> None:
    """No connection is made, and no file is opened for writing, while pictures are decoded."""
    import shutil
    import sys

    if shutil.which("strace") is None:
        pytest.skip("strace is not installed")
    script = (
        "from metaclip.images.decoding import *\nimport sys\n"
        "print(inspect(open(sys.argv[1],'rb').read(), WHOLE, Bounds()).status)"
    )
    (tmp_path / "a.jpg").write_bytes(encoded(picture(1)))
    command = ["strace", "-f", "-e", "trace=connect,openat", sys.executable, "-c", script, str(tmp_path / "a.jpg")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=100)
    assert "ok" in done.stdout
    assert "AF_INET" not in done.stderr
    assert not [
        line for line in done.stderr.splitlines() if "O_WRONLY" in line or ("O_RDWR" in line and "/dev" not in line)
    ]
