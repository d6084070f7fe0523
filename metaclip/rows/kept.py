"""Own columns that files of pairs have and a pool keeps: their types, and values that fit them."""

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from itertools import islice
from typing import Any

import pyarrow as pa

from metaclip.errors import InputError
from metaclip.rows.arrow_types import is_text
from metaclip.rows.columns import MOST_NAMES, listed

LOOKED_AT = 1_000
"""Rows of a file without types (JSON, text with separators, tar) by which those of its columns are told."""

_SIMPLE = (pa.types.is_boolean, pa.types.is_integer, pa.types.is_floating, pa.types.is_string)


def parquet_field(path: str, schema: pa.Schema, name: str) -> pa.Field:
    """Return a column of a Parquet file as it is kept: numbers and booleans with their types, texts as strings.

    Raises:
        InputError: it has no such column, or several, or one of another kind.
    """
    places = schema.get_all_field_indices(name)
    if not places:
        raise _missing(path, name, schema.names)
    kind = schema.field(places[0]).type
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    if is_text(kind):
        kind = pa.string()
    if pa.types.is_float16(kind):
        kind = pa.float32()
    if not pa.types.is_null(kind) and not any(test(kind) for test in _SIMPLE):
        raise InputError(
            f"{path}: column {name!r} of source.keep_columns holds {kind}; only numbers, booleans and texts can be kept"
        )
    return pa.field(name, kind)


def told_fields(path: str, names: Sequence[str], rows: Iterable[Mapping[str, object]]) -> list[pa.Field]:
    """Return the columns of a file without types by its first rows: whole numbers are int64, others double.

    Raises:
        InputError: no row has such a column, or its values are neither numbers, booleans nor texts.
    """
    types: dict[str, set[type]] = {name: set() for name in names}
    there: dict[str, None] = {}
    for row in rows:  # values may be of many megabytes: none is held
        for name in types.keys() & row.keys():
            types[name].add(type(row[name]))
        if len(there) < MOST_NAMES:
            there.update(dict.fromkeys(islice(row, MOST_NAMES)))
    found = []
    for name, held in types.items():
        if there and not held:
            raise _missing(path, name, list(there))
        kinds = held - {type(None)}
        if not kinds <= {bool, int, float, str}:
            raise InputError(
                f"{path}: column {name!r} of source.keep_columns holds lists or objects; only numbers, booleans and"
                " texts can be kept"
            )
        found.append(pa.field(name, _type_of(kinds)))
    return found


def _type_of(kinds: set[type]) -> pa.DataType:
    if not kinds:
        return pa.null()
    if kinds == {bool}:
        return pa.bool_()
    if kinds == {int}:
        return pa.int64()
    return pa.float64() if kinds <= {int, float} else pa.string()


def _missing(path: str, name: str, names: Sequence[str]) -> InputError:
    there = f"; it has: {listed(names)}" if names else ""
    return InputError(f"{path}: has no column {name!r}, which source.keep_columns names{there}")


def joined(where: str, schemas: Iterable[Sequence[pa.Field]]) -> list[pa.Field]:
    """Return columns that take the values of the same columns of several files, wide enough for all.

    Raises:
        InputError: one is text in one file and a number in another.
    """
    try:
        whole = pa.unify_schemas([pa.schema(fields) for fields in schemas], promote_options="permissive")
    except pa.ArrowException as error:
        raise InputError(
            f"{where}: a column of source.keep_columns has values that do not go together: {error}; write the files"
            " with one type, or leave the column out"
        ) from error
    return [pa.field(field.name, pa.string() if pa.types.is_null(field.type) else field.type) for field in whole]


def column_of(values: Sequence[object], field: pa.Field, statistics: Counter[str]) -> pa.Array:
    """Return values as an Arrow array; one that does not fit becomes null: `dropped.value.other_type` counts them."""
    try:
        return pa.array(values, field.type)
    except (pa.ArrowException, OverflowError, TypeError, ValueError):
        fitted = [_fitted(value, field.type) for value in values]
        lost = sum(one is None and value is not None for one, value in zip(fitted, values, strict=True))
        statistics["dropped.value.other_type"] += lost
        return pa.array(fitted, field.type)


def _fitted(value: object, kind: pa.DataType) -> Any:
    if pa.types.is_string(kind):
        return value if value is None or isinstance(value, str) else str(value)
    if pa.types.is_boolean(kind):
        return value if isinstance(value, bool) else None
    if not isinstance(value, int | float) or isinstance(value, bool):
        return None
    if pa.types.is_floating(kind):
        return float(value) if abs(value) < 1e308 or not math.isfinite(value) else None
    try:
        return pa.scalar(int(value), kind).as_py() if value == int(value) else None
    except (pa.ArrowException, OverflowError, ValueError):
        return None
