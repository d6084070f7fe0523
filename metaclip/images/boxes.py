"""Boxes in stored pictures, by the uid of their pair: what a blur covers."""

import json
from collections.abc import Iterator
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from metaclip.errors import ConfigError, InputError
from metaclip.io.inputs import naming
from metaclip.io.streams import open_stream
from metaclip.pairs.uids import parse_uid

Box = tuple[float, float, float, float]
"""Left, upper, width and height: in pixels of the stored picture, or all four in shares of its sides."""

_SIDES = ("x", "y", "w", "h")


def read_boxes(path: str) -> dict[tuple[int, int], list[Box]]:
    """Read boxes: Parquet or JSON Lines, with the `uid`, `x`, `y`, `w` and `h` of one box in each row.

    Boxes whose four numbers are all at most 1 are shares of the sides of the picture.

    Raises:
        ConfigError: it lacks a column, or a row is no box; the message names it.
        InputError: it cannot be read.
    """
    with naming("boxes"), open_stream(path) as stream:
        content = stream.read()
    found: dict[tuple[int, int], list[Box]] = {}
    for number, row in _rows(path, content):
        try:
            uid = parse_uid(str(row["uid"]))
            left, upper, width, height = (float(row[side]) for side in _SIDES)
        except (KeyError, TypeError, ValueError) as error:
            why = f"lacks {error}" if isinstance(error, KeyError) else str(error)
            raise ConfigError(
                f"{path}: row {number}: {why}; each row needs a uid of 32 hex digits, and x, y, w and h"
            ) from error
        if not (width > 0 and height > 0 and all(map(_is_finite, (left, upper, width, height)))):
            raise ConfigError(f"{path}: row {number}: no box of {left:g}, {upper:g}, {width:g}, {height:g}")
        found.setdefault(uid, []).append((left, upper, width, height))
    if not found:
        raise ConfigError(f"{path}: has no box; give a row of uid, x, y, w and h for each")
    return found


def in_pixels(box: Box, width: int, height: int) -> tuple[int, int, int, int] | None:
    """Return left, upper, right and lower of the part of a box inside of a picture; None where there is none."""
    left, upper, across, down = box
    if max(box) <= 1:
        left, across, upper, down = left * width, across * width, upper * height, down * height
    right, lower = min(width, _up(left + across)), min(height, _up(upper + down))
    left, upper = max(0, int(left)), max(0, int(upper))
    return (left, upper, right, lower) if left < right and upper < lower else None


def _up(value: float) -> int:
    return int(value) + (value > int(value))


def _is_finite(value: float) -> bool:
    return abs(value) < 1e9


def _rows(path: str, content: bytes) -> Iterator[tuple[int, dict[str, Any]]]:
    if content[:4] == b"PAR1":
        try:
            table = pq.read_table(pa.BufferReader(content))
        except pa.ArrowException as error:
            raise InputError(f"{path}: cannot be read as Parquet: {error}") from error
        names = [name for name in ("uid", *_SIDES) if name in table.column_names]
        yield from enumerate(table.select(names).to_pylist(), start=1)
        return
    for number, line in enumerate(content.decode("utf-8-sig", "replace").splitlines(), start=1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except ValueError as error:
            raise ConfigError(f"{path}: row {number}: neither Parquet nor a line of JSON: {error}") from error
        if not isinstance(row, dict):
            raise ConfigError(f'{path}: row {number}: no object, such as {{"uid": …, "x": 0, "y": 0, "w": 9, "h": 9}}')
        yield number, row
