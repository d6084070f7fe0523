"""Own columns of files of pairs: their types, and values that do not fit."""

import tracemalloc
from collections import Counter

import pyarrow as pa
import pytest

from metaclip.errors import InputError
from metaclip.rows.kept import column_of, joined, parquet_field, told_fields


@pytest.mark.parametrize(
    ("kind", "kept"),
    [
        (pa.float32(), pa.float32()),
        (pa.int16(), pa.int16()),
        (pa.bool_(), pa.bool_()),
        (pa.large_string(), pa.string()),
        (pa.dictionary(pa.int8(), pa.string()), pa.string()),
        (pa.float16(), pa.float32()),
        (pa.string_view(), pa.string()),
        (pa.binary_view(), pa.string()),
        (pa.binary(4), pa.string()),
        (pa.dictionary(pa.int8(), pa.large_binary()), pa.string()),
    ],
)
def test_columns_of_parquet_keep_their_types(kind: pa.DataType, kept: pa.DataType) -> None:
    assert parquet_field("f", pa.schema([pa.field("x", kind)]), "x").type == kept


def test_what_cannot_be_kept_is_told() -> None:
    schema = pa.schema([pa.field("x", pa.list_(pa.int8()))])
    with pytest.raises(InputError, match=r"f: column 'x' of source.keep_columns holds list"):
        parquet_field("f", schema, "x")
    with pytest.raises(InputError, match=r"f: has no column 'y'.*it has: x"):
        parquet_field("f", schema, "y")
    with pytest.raises(InputError, match="holds lists or objects"):
        told_fields("f", ["x"], [{"x": [1]}])
    with pytest.raises(InputError, match=r"has no column 'y'.*a, b"):
        told_fields("f", ["y"], [{"a": 1}, {"b": 2}])
    with pytest.raises(InputError, match="do not go together"):
        joined("source", [[pa.field("x", pa.string())], [pa.field("x", pa.float64())]])


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        ([1, None, 2], pa.int64()),
        ([1, 0.5], pa.float64()),
        (["a"], pa.string()),
        ([True, False], pa.bool_()),
        (["a", 1], pa.string()),
    ],
)
def test_types_of_files_without_types_are_told_by_their_values(values: list[object], kind: pa.DataType) -> None:
    assert told_fields("f", ["x"], [{"x": value} for value in values]) == [pa.field("x", kind)]


def test_columns_of_several_files_are_joined() -> None:
    one, two = (
        [pa.field("x", pa.int32()), pa.field("y", pa.null())],
        [pa.field("x", pa.float64()), pa.field("y", pa.null())],
    )
    assert joined("source", [one, two]) == [pa.field("x", pa.float64()), pa.field("y", pa.string())]


@pytest.mark.parametrize(
    ("kind", "values", "fitted", "lost"),
    [
        (pa.int64(), [1, 2.0, 2.5, "3", None, 1e300, True], [1, 2, None, None, None, None, None], 4),
        (pa.float32(), [1, 0.5, "x", None], [1.0, 0.5, None, None], 1),
        (pa.string(), ["a", 1, None, 0.5], ["a", "1", None, "0.5"], 0),
        (pa.bool_(), [True, 1, "x"], [True, None, None], 2),
        (pa.int8(), [1, 300], [1, None], 1),
    ],
)
def test_values_that_do_not_fit_are_null_and_counted(
    kind: pa.DataType, values: list[object], fitted: list[object], lost: int
) -> None:
    counts: Counter[str] = Counter()
    assert column_of(values, pa.field("x", kind), counts).to_pylist() == fitted
    assert counts["dropped.value.other_type"] == lost


def test_no_value_of_the_first_rows_is_held() -> None:
    tracemalloc.start()
    rows = ({"x": "v" * (1 << 20), "n" * (1 << 20): number} for number in range(40))
    assert told_fields("f", ["x"], rows) == [pa.field("x", pa.string())]
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 8 << 20
    with pytest.raises(InputError) as error:
        told_fields("f", ["y"], [{"n" * (1 << 20): 1}])
    assert len(str(error.value)) < 500
