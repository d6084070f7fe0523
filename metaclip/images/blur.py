"""Copies of tars in which parts of pictures are blurred, such as faces (MetaCLIP's models were trained on such)."""

import hashlib
import io
import tarfile
from collections import Counter
from collections.abc import Mapping
from pathlib import PurePosixPath
from typing import Any, BinaryIO, Literal

from metaclip.archive.tars import open_tar
from metaclip.errors import ConfigError
from metaclip.export.images import SETTINGS
from metaclip.images.boxes import Box, in_pixels, read_boxes
from metaclip.images.decoder import require_pillow
from metaclip.images.downloaded import ENDINGS, Downloaded, downloaded_files, rewrite_tar, rows_of
from metaclip.pairs.uids import parse_uids
from metaclip.store.store import Store

_QUALITY = 95
_MARGIN = 0.1
"""By this share of its diagonal a box is made larger on each side."""
_STRENGTH = 6
"""The radius of the blur is the diagonal by this."""

Boxes = Mapping[tuple[int, int], list[Box]]


def blur_pictures(images: str, boxes: str, to: str) -> dict[str, Any]:
    """Copy a folder of images with the given boxes blurred; pictures without a box are copied byte for byte.

    What is copied is a folder of images like the first. The same boxes and pictures give the same bytes.

    Returns:
        `pictures` that were blurred, `boxes`, those `outside` of their picture, the number of uids that are `unknown`,
        pictures that are `damaged` and were left out of the copy, and `shards`.

    Raises:
        ConfigError: no such folder, its pictures are not in tars, `to` holds another copy, or a row is no box.
        InputError: a tar is damaged.
        StoreError: a file cannot be written.
    """
    require_pillow()
    files = downloaded_files(images)
    if files[0].output_format != "webdataset":
        raise ConfigError(f"{images}: the pictures are not in tars, which alone are copied; download as webdataset")
    known = read_boxes(boxes)
    source, target = Store(images), Store(to)
    if target.address("") == source.address(""):
        raise ConfigError(f"--to {to}: is the folder of the pictures itself; name another one")
    identity = _identity(known)
    settings = {**(source.read_json(SETTINGS) or {}), "blurred": identity}
    found = target.read_json(SETTINGS)
    if found is None:
        target.write_json(SETTINGS, settings)
    elif found != settings:
        raise ConfigError(f"{to}: holds other images, or a copy with other boxes; name another folder")
    counts: Counter[str] = Counter()
    met: set[tuple[int, int]] = set()
    for file in files:
        for shard in file.shards:
            _copy_shard(source, target, file, shard.name, known, met, counts)
        target.write_json(f"{file.key}.json", source.read_json(f"{file.key}.json"))
    names = ("pictures", "boxes", "outside", "damaged", "shards")
    return {"images": images, "to": to, **{name: counts[name] for name in names}, "unknown": len(known.keys() - met)}


def _identity(boxes: Boxes) -> str:
    """Return what identifies boxes, whatever the order of their rows."""
    rows = sorted(f"{high:016x}{low:016x} {box}" for (high, low), some in boxes.items() for box in some)
    return hashlib.sha256("\n".join(rows).encode()).hexdigest()[:32]


def _copy_shard(
    source: Store,
    target: Store,
    file: Downloaded,
    shard: str,
    boxes: Boxes,
    met: set[tuple[int, int]],
    counts: Counter[str],
) -> None:
    table = rows_of(source, file.key, shard)
    uids = map(tuple, parse_uids(table.column("uid")).tolist())
    of_keys: dict[str, list[Box]] = {}
    for key, uid in zip(table.column("key").to_pylist(), uids, strict=True):
        if uid in boxes:
            met.add(uid)
            of_keys[key] = sorted(boxes[uid])
    stem = f"{file.key}/{shard}"
    counts["shards"] += 1
    for name in (f"{stem}.parquet", f"{stem}_stats.json"):
        content = source.read(name)
        if content is not None:
            target.write_whole(name, content)
    rewrite_tar(
        *(source, target, f"{stem}.tar"),
        lambda before, sink: _copy(before, sink, of_keys, counts),
        "download its file again",
    )


def _copy(source: BinaryIO, sink: BinaryIO, boxes: Mapping[str, list[Box]], counts: Counter[str]) -> Literal[True]:
    """Copy a tar with boxes blurred; even where it has none, the copy is wanted."""
    damaged: set[str] = set()
    with (
        open_tar(source) as before,
        tarfile.open(fileobj=sink, mode="w|", format=tarfile.USTAR_FORMAT) as after,
    ):
        for member in before:
            path = PurePosixPath(member.name)
            if path.stem in damaged:
                continue
            content = before.extractfile(member) if member.isfile() else None
            if content is None or path.stem not in boxes or path.suffix.lstrip(".").lower() not in ENDINGS:
                after.addfile(member, content)
                continue
            blurred = _blurred(content.read(), boxes[path.stem], counts)
            if blurred is None:
                damaged.add(path.stem)
                counts["damaged"] += 1
                continue
            member.size = len(blurred)
            after.addfile(member, io.BytesIO(blurred))
    return True


def _blurred(data: bytes, boxes: list[Box], counts: Counter[str]) -> bytes | None:
    """Return a picture with boxes blurred; None where it cannot be decoded, which is safer than to copy it."""
    from PIL import Image, ImageDraw, ImageFilter

    from metaclip.images.decoding import Bounds, open_picture, white_behind

    try:
        with open_picture(data, Bounds.max_pixels) as opened:
            form = opened.format or "JPEG"
            picture = white_behind(opened)
    except Exception:  # noqa: BLE001 (decoders raise whatever they like; the picture is counted)
        return None
    inside = [each for box in boxes if (each := in_pixels(box, *picture.size)) is not None]
    counts.update({"boxes": len(inside), "outside": len(boxes) - len(inside), "pictures": bool(inside)})
    if not inside:
        return data
    for left, upper, right, lower in inside:
        diagonal = ((right - left) ** 2 + (lower - upper) ** 2) ** 0.5
        margin, radius = round(diagonal * _MARGIN) + 1, max(2.0, diagonal / _STRENGTH)
        # What lies around the box is blurred with it, so that its border takes nothing from behind the margin.
        reach = margin + round(3 * radius)
        around = _within((left - reach, upper - reach, right + reach, lower + reach), picture.size)
        part = picture.crop(around)
        mask = Image.new("L", part.size, 0)
        inner = (left - margin, upper - margin, right + margin - 1, lower + margin - 1)
        shape = tuple(value - around[place % 2] for place, value in enumerate(inner))
        ImageDraw.Draw(mask).rectangle(shape, fill=255)
        soft = mask.filter(ImageFilter.GaussianBlur(margin / 2))
        # The box itself is blurred in full; only the margin is soft.
        whole = tuple(value - around[place % 2] for place, value in enumerate((left, upper, right - 1, lower - 1)))
        ImageDraw.Draw(soft).rectangle(whole, fill=255)
        part.paste(part.filter(ImageFilter.GaussianBlur(radius)), mask=soft)
        picture.paste(part, around[:2])
    sink = io.BytesIO()
    picture.save(sink, form, **({"quality": _QUALITY} if form in ("JPEG", "WEBP") else {}))
    return sink.getvalue()


def _within(box: tuple[int, int, int, int], size: tuple[int, int]) -> tuple[int, int, int, int]:
    left, upper, right, lower = box
    return max(0, left), max(0, upper), min(size[0], right), min(size[1], lower)
