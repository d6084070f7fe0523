"""Small ONNX models, written by hand: what `onnx` would write, without needing it (onnx.proto3 has the numbers)."""

import struct
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float32]


def _number(value: int) -> bytes:
    found = b""
    while True:
        value, last = value >> 7, value & 0x7F
        found += bytes([last | (0x80 if value else 0)])
        if not value:
            return found


def _field(number: int, value: "int | bytes | str") -> bytes:
    if isinstance(value, int):
        return _number(number << 3) + _number(value)
    content = value.encode() if isinstance(value, str) else value
    return _number(number << 3 | 2) + _number(len(content)) + content


def _tensor(name: str, values: Array) -> bytes:
    dims = b"".join(_field(1, size) for size in values.shape)
    return dims + _field(2, 1) + _field(8, name) + _field(9, values.astype("<f4").tobytes())


def _attribute(name: str, value: Any) -> bytes:
    if isinstance(value, float):
        return _field(1, name) + _number(2 << 3 | 5) + struct.pack("<f", value) + _field(20, 1)
    if isinstance(value, int):
        return _field(1, name) + _field(3, value) + _field(20, 2)
    return _field(1, name) + b"".join(_field(8, each) for each in value) + _field(20, 7)


def node(kind: str, inputs: Sequence[str], output: str, **attributes: Any) -> bytes:
    """Return a NodeProto."""
    content = b"".join(_field(1, name) for name in inputs) + _field(2, output) + _field(3, output) + _field(4, kind)
    return content + b"".join(_field(5, _attribute(*each)) for each in attributes.items())


def _described(name: str, shape: Sequence[int]) -> bytes:
    dims = b"".join(_field(1, _field(1, size)) for size in shape)
    return _field(1, name) + _field(2, _field(1, _field(1, 1) + _field(2, dims)))


def model(
    nodes: Sequence[bytes], constants: dict[str, Array], given: dict[str, Sequence[int]], told: dict[str, Sequence[int]]
) -> bytes:
    """Return a ModelProto of nodes, with constants, inputs and outputs by name."""
    graph = b"".join(_field(1, each) for each in nodes) + _field(2, "graph")
    graph += b"".join(_field(5, _tensor(*each)) for each in constants.items())
    graph += b"".join(_field(11, _described(*each)) for each in given.items())
    graph += b"".join(_field(12, _described(*each)) for each in told.items())
    return _field(1, 7) + _field(7, graph) + _field(8, _field(1, "") + _field(2, 11))


def bright_faces(side: int) -> bytes:
    """Return a model with CenterFace's outputs, for which each white area of 4 by 4 pixels is the middle of a face.

    All faces are 32 pixels wide and 48 high.
    """
    cells = side // 4
    nodes = [
        node("Conv", ["input.1", "mean"], "537", kernel_shape=[4, 4], strides=[4, 4]),
        node("Conv", ["input.1", "none", "sizes"], "538", kernel_shape=[4, 4], strides=[4, 4]),
        node("Conv", ["input.1", "none"], "539", kernel_shape=[4, 4], strides=[4, 4]),
    ]
    constants = {
        "mean": np.full((1, 3, 4, 4), 1 / (48 * 255), np.float32),
        "none": np.zeros((2, 3, 4, 4), np.float32),
        "sizes": np.log(np.array([48 / 4, 32 / 4], np.float32)),
    }
    told = {"537": (1, 1, cells, cells), "538": (1, 2, cells, cells), "539": (1, 2, cells, cells)}
    return model(nodes, constants, {"input.1": (1, 3, side, side)}, told)


def red_scores() -> bytes:
    """Return a model that takes what open_nsfw takes, and whose second score is high for red pictures."""
    weights = np.array([[0, -0.02], [0, -0.02], [0, 0.05]], np.float32)  # of blue, green and red
    nodes = [
        node("Transpose", ["input"], "planes", perm=[0, 3, 1, 2]),
        node("GlobalAveragePool", ["planes"], "mean"),
        node("Flatten", ["mean"], "flat", axis=1),
        node("Gemm", ["flat", "weights", "bias"], "both", alpha=1.0, beta=1.0, transA=0, transB=0),
        node("Softmax", ["both"], "scores", axis=1),
    ]
    constants = {"weights": weights, "bias": np.zeros(2, np.float32)}
    return model(nodes, constants, {"input": (1, 224, 224, 3)}, {"scores": (1, 2)})
