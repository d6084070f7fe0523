"""Parquet of every type of text, and none that becomes more than it is."""

import logging
from collections import Counter
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from metaclip.errors import InputError
from metaclip.rows import parquet_rows
from metaclip.rows.parquet_rows import read_parquet

URLS = ["https://a.org/1.jpg", "https://a.org/2.jpg"]
TEXTS = ["a cat", "two dogs"]


def rows_of(path: Path, table: pa.Table | dict[str, Any], wanted: Any = (None, None)) -> tuple[list[Any], Counter[str]]:
    pq.write_table(table if isinstance(table, pa.Table) else pa.table(table), path)
    statistics: Counter[str] = Counter()
    with path.open("rb") as source:
        rows = [tuple(row)[:4] for row in read_parquet(str(path), source, statistics, wanted)]
    return rows, statistics


PLAIN = [(url, (("text", text),), None, None) for url, text in zip(URLS, TEXTS, strict=True)]


@pytest.mark.parametrize(
    "kind", [pa.string(), pa.large_string(), pa.string_view(), pa.binary(), pa.large_binary(), pa.binary_view()]
)
def test_every_type_of_text(tmp_path: Path, kind: pa.DataType) -> None:
    table = {"url": pa.array(URLS).cast(kind), "text": pa.array([text.encode() for text in TEXTS]).cast(kind)}
    assert rows_of(tmp_path / "a.parquet", table)[0] == PLAIN


def test_bytes_of_fixed_size_are_texts(tmp_path: Path) -> None:
    texts = pa.array([text.encode().ljust(12, b"\0") for text in TEXTS], pa.binary(12))
    assert rows_of(tmp_path / "a.parquet", {"url": URLS, "text": texts})[0] == PLAIN
    urls = pa.array([url.encode() for url in URLS], pa.binary(19))
    assert rows_of(tmp_path / "a.parquet", {"url": urls, "text": TEXTS})[0] == PLAIN


@pytest.mark.parametrize(
    "kind",
    [
        pa.list_(pa.string()),
        pa.large_list(pa.large_string()),
        pa.list_(pa.binary()),
        pa.list_(pa.string_view()),
        pa.list_view(pa.string()),
        pa.large_list_view(pa.large_string()),
    ],
)
def test_each_text_of_a_list_makes_a_pair(tmp_path: Path, kind: pa.DataType) -> None:
    rows, _ = rows_of(tmp_path / "a.parquet", {"image_url": URLS, "captions": pa.array([TEXTS, None], kind)})
    assert rows == [
        (URLS[0], [("captions", "a cat"), ("captions", "two dogs")], None, None),
        (URLS[1], (("captions", None),), None, None),
    ]


def test_a_known_name_of_another_type_gives_way_to_one_that_holds_text(tmp_path: Path) -> None:
    image = pa.array([{"bytes": b"x"}, None])
    rows, _ = rows_of(tmp_path / "a.parquet", {"image": image, "img": URLS, "title": [1, 2], "description": TEXTS})
    assert [(url, texts[0]) for url, texts, _, _ in rows] == [
        (url, ("description", text)) for url, text in zip(URLS, TEXTS, strict=True)
    ]


@pytest.mark.parametrize("name", ["page_url", "referrer", "text_key"])
@pytest.mark.parametrize("values", [[1, 2], [[1], [2]], [{"a": 1}, None]])
def test_an_optional_column_of_another_type_is_left_out_with_a_warning(
    tmp_path: Path, name: str, values: Any, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        assert rows_of(tmp_path / "a.parquet", {"url": URLS, "text": TEXTS, name: values})[0] == PLAIN
    assert f"a.parquet: column `{name}` holds" in caplog.text


def test_a_page_is_that_of_the_first_column_that_holds_texts(tmp_path: Path) -> None:
    pages = ["https://p.example/1", "https://p.example/2"]
    rows, _ = rows_of(tmp_path / "a.parquet", {"url": URLS, "text": TEXTS, "page_url": [1, 2], "referrer": pages})
    assert [row[2] for row in rows] == pages


def test_two_columns_of_one_name_are_an_input_error_that_names_the_file(tmp_path: Path) -> None:
    table = pa.Table.from_arrays([pa.array(URLS), pa.array(TEXTS), pa.array(TEXTS)], ["url", "text", "text"])
    with pytest.raises(InputError, match=r"a\.parquet: has two columns named 'text'"):
        rows_of(tmp_path / "a.parquet", table)
    unused = pa.Table.from_arrays(
        [pa.array(URLS), pa.array(TEXTS), pa.array(URLS), pa.array(URLS)], ["url", "text", "x", "x"]
    )
    assert rows_of(tmp_path / "a.parquet", unused)[0] == PLAIN


@pytest.mark.parametrize("size", [1 << 20, 20 << 20])
def test_a_value_for_very_many_rows_is_decoded_a_few_at_a_time(
    tmp_path: Path, size: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parquet_rows, "BATCH_BYTES", 32 << 20)
    path = tmp_path / "a.parquet"
    text = pa.DictionaryArray.from_arrays(pa.array([0] * 4000, pa.int32()), pa.array(["a" * size]))
    url = pa.DictionaryArray.from_arrays(pa.array([0] * 4000, pa.int32()), pa.array(URLS[:1]))
    pq.write_table(pa.table({"url": url, "text": text}), path, compression="zstd", store_schema=False)
    assert path.stat().st_size < 10_000
    before = pa.total_allocated_bytes()
    most = count = 0
    with path.open("rb") as source:
        for row in read_parquet(str(path), source, Counter(), (None, None)):
            most = max(most, pa.total_allocated_bytes() - before)
            count += len(row.texts)
            if count == 200:
                break
    assert count == 200
    assert most < 5 * (32 << 20)


def test_a_row_group_that_expands_beyond_all_measure_is_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parquet_rows, "_BOMB_BYTES", 1 << 20)
    path = tmp_path / "a.parquet"
    texts = ["a" * 100_000 + str(n) for n in range(100)]
    table = pa.table({"url": [URLS[0]] * 100, "text": texts})
    pq.write_table(table, path, compression="zstd", use_dictionary=False)
    statistics: Counter[str] = Counter()
    with path.open("rb") as source:
        assert list(read_parquet(str(path), source, statistics, (None, None))) == []
    assert statistics["dropped.record.expands_too_far"] == statistics["records"] == 100
