"""JSON files of every layout give their records, in pieces of any size and in bounded memory."""

import json
import tracemalloc
from collections import Counter
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from metaclip.rows import lines as lines_module
from metaclip.rows.json_values import parse_json, split_values, value_depth
from metaclip.rows.lines import lines_of

RECORDS = [{"url": f"https://a.org/{n}.jpg", "caption": f'a "cat" [{n}] \\'} for n in range(5)]
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(alphabet='ab"\\[]{},:\n é日', max_size=6),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4), inner, max_size=4),
    max_leaves=12,
)


def in_pieces(data: bytes, size: int) -> list[bytes]:
    return [data[start : start + size] for start in range(0, len(data), size)]


def split(data: bytes, level: int, size: int = 1 << 16) -> tuple[list[Any], Counter[str]]:
    statistics: Counter[str] = Counter()
    values = [parse_json(value) for value in split_values(in_pieces(data, size), level, statistics)]
    return values, +statistics


@pytest.mark.slow
@settings(max_examples=300)
@given(st.lists(JSON, max_size=6), st.integers(1, 9), st.sampled_from([None, 1, 4]), st.booleans())
def test_the_values_of_an_array_are_those_of_json(
    values: list[Any], size: int, indent: int | None, plain: bool
) -> None:
    data = json.dumps(values, indent=indent, ensure_ascii=plain).encode()
    assert split(data, 1, size) == (values, Counter())


@pytest.mark.slow
@settings(max_examples=150)
@given(st.lists(st.dictionaries(st.text(max_size=3), JSON, max_size=3), max_size=5), st.integers(1, 9))
def test_objects_over_several_lines_and_arrays_in_an_object(records: list[Any], size: int) -> None:
    several = "\n".join(json.dumps(record, indent=2) for record in records).encode()
    assert split(several, 0, size) == (records, Counter())
    wrapped = {"info": {"note": ["x", {"no": 1}], "a": "]"}, "tags": ["t"], "annotations": records, "end": [1]}
    assert split(json.dumps(wrapped).encode(), 2, size) == (records, Counter())


@pytest.mark.parametrize(
    ("head", "level"),
    [
        (json.dumps(RECORDS), 1),
        (json.dumps(RECORDS, indent=1), 1),
        ("\ufeff \n[" + ",\n".join(map(json.dumps, RECORDS)) + "]", 1),
        ("[]", 1),
        ("[\n", 1),
        ('["url", "text"]\n' + json.dumps(RECORDS[0]), None),
        ("\n".join(map(json.dumps, RECORDS)), None),
        (json.dumps(RECORDS[0]), None),
        (json.dumps({"url": "https://a.org/1.jpg", "faces": [{"x": 1}]}), None),
        ('{"url": "https://a.org/1.jpg", "te\n' + json.dumps(RECORDS[0]), None),
        (json.dumps(RECORDS[0], indent=2) + json.dumps(RECORDS[1], indent=2), 0),
        (json.dumps({"info": {"url": "x"}, "annotations": RECORDS}), 2),
        (json.dumps({"info": {"url": "x"}, "annotations": RECORDS}, indent=2), 2),
        (json.dumps({"info": 1, "annotations": RECORDS * 1000})[:65536], 2),
        ("<html>", None),
        ("", None),
    ],
)
def test_the_first_bytes_tell_how_deep_records_lie(head: str, level: int | None) -> None:
    assert value_depth(head.encode()) == level


@pytest.mark.parametrize("cut", [1, 20, 90])
def test_an_array_that_breaks_off_is_counted(cut: int) -> None:
    values, statistics = split(json.dumps(RECORDS).encode()[:-cut], 1)
    assert values == RECORDS[: len(values)]
    assert 3 <= len(values) <= 5
    assert statistics == {"dropped.file_tail.truncated": 1}


def test_a_giant_value_takes_no_memory_and_costs_itself_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lines_module, "MAX_BYTES", 1 << 20)
    giant = b'{"url": "' + b"a\\\\" * (8 << 20) + b'"}'
    small = json.dumps(RECORDS[0]).encode()
    pieces = in_pieces(b"[" + b",".join([small, giant, small, giant]) + b"]", 64 << 10)
    statistics: Counter[str] = Counter()
    tracemalloc.start()
    assert list(split_values(pieces, 1, statistics)) == [small, small]
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert statistics == {"records": 2, "dropped.record.too_long": 2}
    assert peak < 4 << 20


@settings(max_examples=100)
@given(st.lists(st.binary(max_size=5).filter(lambda line: b"\n" not in line), max_size=6), st.integers(1, 5))
def test_lines_are_those_of_split(lines: list[bytes], size: int) -> None:
    data = b"\n".join([b"first", *lines])
    found = list(lines_of(in_pieces(b"\xef\xbb\xbf" + data, max(size, 3)), Counter()))
    assert found == (data.split(b"\n") if not data.endswith(b"\n") else data.split(b"\n")[:-1])


def test_parse_json_takes_a_byte_order_mark() -> None:
    assert parse_json(b'\xef\xbb\xbf{"a": 1}') == {"a": 1}
