"""CSV and TSV as sets are published: with a header or without, quoted or not, in bounded memory."""

import csv
import io
import tracemalloc
from collections import Counter
from itertools import chain
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from metaclip.errors import InputError, UnreadableFileError
from metaclip.rows.delimited import looks_delimited, read_delimited

A, B = "https://a.org/1.jpg", "http://b.org/2.jpg"
BOTH = [(A, "a cat, sitting"), (B, "two dogs")]


def rows_of(text: str | bytes, url: str | None = None, caption: str | None = None) -> tuple[list[Any], Counter[str]]:
    statistics: Counter[str] = Counter()
    data = text.encode() if isinstance(text, str) else text
    rows = [
        (row.url, *(value for _, value in row.texts))
        for row in read_delimited("x.csv", iter([data]), statistics, (url, caption))
    ]
    return rows, +statistics


@pytest.mark.parametrize(
    "text",
    [
        f'url,caption\n{A},"a cat, sitting"\n{B},two dogs\n',
        f'\ufeffcaption,url\r\n"a cat, sitting",{A}\r\ntwo dogs,{B}\r\n',
        f"caption;image_url;x\na cat, sitting;{A};1\ntwo dogs;{B};2\n",
        f"TEXT|URL\na cat, sitting|{A}\ntwo dogs|{B}",
        f"image_url\tcaption\n{A}\ta cat, sitting\n\n{B}\ttwo dogs\n",
        f"a cat, sitting\t{A}\ntwo dogs\t{B}\n",
        f"{A}\ta cat, sitting\n{B}\ttwo dogs\n",
        f'{A},"a cat, sitting"\n{B},two dogs\n',
        f"7\t{A}\ta cat, sitting\n8\t{B}\ttwo dogs\n",
        f'page_url\timage_url\tcaption_reference_description\n\t{A}\t"a cat, sitting"\nhttp://w/\t{B}\ttwo dogs\n',
    ],
)
def test_layouts_of_published_sets(text: str) -> None:
    rows, statistics = rows_of(text)
    assert rows == BOTH
    assert statistics == {"records": 2}


def test_columns_by_name_and_by_number() -> None:
    text = f"id,adresse,titel,url\n1,{A},a cat,no\n"
    assert rows_of(text, "adresse", "titel")[0] == [(A, "a cat")]
    assert rows_of(text, "2", "3")[0] == [(A, "a cat")]
    assert rows_of(f"{B}\t{A}\tx\ta cat\n", "2", "4")[0] == [(A, "a cat")]
    assert rows_of(f"{B}\ta cat\t{A}\n", "3")[0] == [(A, "a cat")]


def test_what_cannot_be_told_is_an_error_that_says_how_to_tell() -> None:
    with pytest.raises(InputError, match=r"columns 1, 2 all hold addresses; .* source\.url_column"):
        rows_of(f"{A}\t{B}\ta cat\n")
    with pytest.raises(InputError, match=r"its first row is no header.*'adresse'.*as a number from 1 on"):
        rows_of(f"{A}\ta cat\n", "adresse")
    with pytest.raises(InputError, match="none of them '9'"):
        rows_of(f"{A}\ta cat\n", "9")
    with pytest.raises(InputError, match=r"no column `url`.*it has: a, b"):
        rows_of("a,b\n1,2\n")
    with pytest.raises(InputError, match=r"x\.csv: has two columns named 'url'"):
        rows_of(f"url,url,text\n{A},{B},x\n")
    with pytest.raises(UnreadableFileError):
        rows_of("some notes\nwithout any rows\n")


def test_quotation_marks_in_texts_that_are_not_quoted() -> None:
    text = f'{A}\t"Sit," he said\n{B}\t"open\n{A}\t5" nails\n{B}\tthe "end"\n'
    assert rows_of(text)[0] == [(A, '"Sit," he said'), (B, '"open'), (A, '5" nails'), (B, 'the "end"')]


def test_a_long_quoted_field_beside_a_text_costs_no_row() -> None:
    page = "<p>one, two</p>" * 20_000
    rows, statistics = rows_of(f'url,html,caption\n{A},"{page}","a cat, sitting"\n{B},,two dogs\n')
    assert rows == BOTH
    assert statistics == {"records": 2}


def test_a_quoted_text_may_go_over_lines() -> None:
    assert rows_of(f'url,text\n{A},"a\ncat ""Tom"""\n{B},x\n')[0] == [(A, 'a\ncat "Tom"'), (B, "x")]


def test_a_mark_that_is_never_closed_costs_no_other_row() -> None:
    body = "".join(f"{A}?{n}\ttext {n}\n" for n in range(1000))
    rows, statistics = rows_of(f'{A}\t"never closed\n{body}')
    assert len(rows) == 1001
    assert statistics == {"records": 1001}


def test_rows_of_another_length_are_counted() -> None:
    rows, statistics = rows_of(f"url,text,n\n{A},x,1\n{A}\n{A},y\n{A},a,b,c\n")
    assert rows == [(A, "x"), (A, "y")]
    assert statistics == {"records": 4, "dropped.record.bad_row": 2}


@pytest.mark.parametrize("text", ["{A}\t%s\n", '{A},"%s"\n', "url;caption\n" + "{A};%s\n"])
def test_long_rows_are_not_held_to_tell_the_columns(text: str) -> None:
    *header, line = text.format(A=A).splitlines(keepends=True)
    pieces = ((line % ("word " * (1 << 19))).encode() for _ in range(40))
    tracemalloc.start()
    lengths = [len(row.texts[0][1]) for row in read_delimited("x.csv", chain((h.encode() for h in header), pieces),
               Counter(), (None, None))]  # fmt: skip
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert lengths == [5 << 19] * 40
    assert peak < 64 << 20


def test_a_field_with_a_json_list_makes_a_pair_each() -> None:
    assert rows_of(f'url\tcaptions\n{A}\t["a cat", "a pet"]\n{B}\t[red] car\n')[0] == [
        (A, "a cat", "a pet"),
        (B, "[red] car"),
    ]


def test_failed_downloads_are_told_and_an_empty_status_says_nothing() -> None:
    rows = read_delimited(
        "x.csv", iter([f"url,caption,status\n{A},x,success\n{A},y,failed\n{A},z,\n".encode()]), Counter(), (None, None)
    )
    assert [row.status for row in rows] == ["success", "failed", None]


@settings(max_examples=200)
@given(
    st.lists(
        st.tuples(st.integers(0, 9), st.text(alphabet='ab ,"\té\n', min_size=1, max_size=9)), min_size=1, max_size=8
    ),
    st.sampled_from([",", "\t"]),
)
def test_what_csv_writes_is_read(rows: list[tuple[int, str]], separator: str) -> None:
    out = io.StringIO()
    writer = csv.writer(out, delimiter=separator, lineterminator="\n")
    writer.writerow(["url", "caption"])
    expected = [(f"{A}?{number}", text) for number, text in rows]
    writer.writerows(expected)
    # Empty lines within a quoted text are passed over.
    assert [(url, "".join(text.split())) for url, text in rows_of(out.getvalue())[0]] == [
        (url, "".join(text.split())) for url, text in expected
    ]


@pytest.mark.parametrize(
    ("head", "expected"),
    [
        (f"{A}\tcat", True),
        ("url,caption\n", True),
        ("seed,depth\n1,2\n", False),
        ("Read me first\n", False),
        ("see http://a.org for more", False),
        ("", False),
    ],
)
def test_what_looks_like_rows_of_pairs(head: str, expected: bool) -> None:
    assert looks_delimited(head.encode(), (None, None), sure=True) is expected
