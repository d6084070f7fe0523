import bz2
import csv
import gzip
import io
import json
import lzma
import tracemalloc
from collections import Counter
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

import fsspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard

from metaclip.config.settings import Extract
from metaclip.errors import InputError, UnreadableFileError
from metaclip.rows import lines as module
from metaclip.rows import parquet_rows
from metaclip.rows.json_values import parse_json
from metaclip.sources import samples
from metaclip.sources.pair_files import read_pairs
from tests.servers import listening
from tests.shared import shared_data

URLS = ["https://a.example/1.jpg", "http://a.example/ä.jpg", "https://a.example/3.jpg?x=1"]
TEXTS = ["a red house", "  two\n dogs ", "猫"]
EXPECTED = [
    ("https://a.example/1.jpg", "a red house", "text", ""),
    ("http://a.example/%C3%A4.jpg", "two dogs", "text", ""),
    ("https://a.example/3.jpg?x=1", "猫", "text", ""),
]


def read(path, settings=None, **columns):
    statistics = Counter()
    rows = []
    for batch in read_pairs(str(path), settings or Extract(), statistics, **columns):
        assert len(batch.urls) == len(batch.texts) == len(batch.text_keys) == len(batch.page_urls) > 0
        rows += zip(batch.urls, batch.texts, batch.text_keys, batch.page_urls, strict=True)
    return rows, +statistics


def write_parquet(path, columns, **options):
    pq.write_table(pa.table(columns), path, **options)
    return path


def json_lines(records):
    return "".join(json.dumps(record, ensure_ascii=False) + "\n" for record in records).encode()


LINES = json_lines({"url": url, "text": text} for url, text in zip(URLS, TEXTS, strict=True))


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("x.jsonl", LINES),
        ("x.jsonl", LINES.removesuffix(b"\n")),
        ("x.jsonl", b"\xef\xbb\xbf" + LINES.replace(b"\n", b"\r\n\r\n")),
        ("x.json.gz", gzip.compress(LINES)),
        ("x.jsonl.gz", b"".join(gzip.compress(line) for line in LINES.splitlines(keepends=True))),
        ("x.jsonl.zst", zstandard.compress(LINES)),
        ("x.jsonl.zst", zstandard.compress(LINES[:40]) + zstandard.compress(LINES[40:])),
        ("named-wrongly.parquet", LINES),
    ],
)
def test_json_lines(tmp_path, name, content):
    path = tmp_path / name
    path.write_bytes(content)
    rows, statistics = read(path)
    assert rows == EXPECTED
    assert statistics == {"records": 3, "images": 3, "images_kept": 3, "texts": 3, "bytes_read": len(content)}


@pytest.mark.parametrize(
    "columns",
    [
        {"url": URLS, "text": TEXTS},
        {"uid": [1, 2, 3], "text": pa.array(TEXTS, pa.large_string()), "url": pa.array(URLS).dictionary_encode()},
        {"url": pa.array([u.encode() for u in URLS]), "text": pa.array([t.encode() for t in TEXTS], pa.large_binary())},
    ],
)
@pytest.mark.parametrize("rows_per_group", [1, 2, 100])
def test_parquet(tmp_path, columns, rows_per_group):
    path = write_parquet(tmp_path / "x.parquet", columns, row_group_size=rows_per_group)
    rows, statistics = read(path)
    assert rows == EXPECTED
    assert 0 < statistics.pop("bytes_read") < path.stat().st_size
    assert statistics == {"records": 3, "images": 3, "images_kept": 3, "texts": 3}


def test_both_forms_agree_on_every_batch_size(tmp_path, monkeypatch):
    monkeypatch.setattr(samples, "BATCH_PAIRS", 2)
    monkeypatch.setattr(parquet_rows, "BATCH_ROWS", 2)
    lines = tmp_path / "x.jsonl"
    lines.write_bytes(LINES)
    assert read(lines)[0] == EXPECTED
    assert read(write_parquet(tmp_path / "x.parquet", {"url": URLS, "text": TEXTS}))[0] == EXPECTED


@pytest.mark.parametrize(
    ("names", "asked", "key"),
    [
        (("url", "TEXT"), {}, "text"),
        (("URL", "TEXT"), {}, "text"),
        (("URL", "caption"), {}, "caption"),
        (("url", "alt"), {}, "alt"),
        (("Adresse", "Titel"), {"url_column": "Adresse", "text_column": "Titel"}, "titel"),
        (("url", "Titel"), {"text_column": "Titel"}, "titel"),
    ],
)
def test_columns_are_recognised_or_given(tmp_path, names, asked, key):
    columns = {names[0]: URLS, names[1]: TEXTS, "similarity": [0.1, 0.2, 0.3]}
    expected = [(url, text, key, page) for url, text, _, page in EXPECTED]
    assert read(write_parquet(tmp_path / "x.parquet", columns), **asked)[0] == expected
    lines = tmp_path / "x.jsonl"
    lines.write_bytes(json_lines({names[0]: url, names[1]: text} for url, text in zip(URLS, TEXTS, strict=True)))
    assert read(lines, **asked)[0] == expected


def test_the_first_recognised_name_wins_and_a_given_one_wins_over_it(tmp_path):
    columns = {"alt": ["an alt"], "text": ["a text"], "URL": ["https://u.example/"], "url": ["https://l.example/"]}
    path = write_parquet(tmp_path / "x.parquet", columns)
    assert read(path)[0] == [("https://l.example/", "a text", "text", "")]
    asked = {"url_column": "URL", "text_column": "alt"}
    assert read(path, **asked)[0] == [("https://u.example/", "an alt", "alt", "")]


@pytest.mark.parametrize("form", ["parquet", "jsonl"])
@pytest.mark.parametrize(
    ("columns", "asked", "message"),
    [
        (
            {"uid": ["1"], "text": ["a"]},
            {},
            r"no column `url` or `URL` or .*; it has: uid, text\..* by source\.url_column",
        ),
        (
            {"url": ["http://a/"], "x": ["a"]},
            {},
            r"no column `text` or `TEXT` or .*; it has: url, x\..* by source\.text_column",
        ),
        ({"url": ["http://a/"], "text": ["a"]}, {"text_column": "body"}, "no column `body`; .* url, text"),
    ],
)
def test_missing_columns_are_named_with_those_that_are_there(tmp_path, form, columns, asked, message):
    path = tmp_path / f"x.{form}"
    if form == "parquet":
        write_parquet(path, columns)
    else:
        path.write_bytes(json_lines([{name: values[0] for name, values in columns.items()}]))
    with pytest.raises(InputError, match=message) as caught:
        read(path, **asked)
    assert not isinstance(caught.value, UnreadableFileError)
    assert str(caught.value).startswith(str(path))


def test_a_column_of_numbers_is_no_column_of_texts(tmp_path):
    with pytest.raises(InputError, match="column `text` holds int64, not text"):
        read(write_parquet(tmp_path / "x.parquet", {"url": URLS, "text": [1, 2, 3]}))


def test_a_field_may_be_missing_from_the_first_lines(tmp_path):
    path = tmp_path / "x.jsonl"
    path.write_bytes(json_lines([{"url": "https://a.example/"}] * 3 + [{"url": "https://b.example/", "alt": "b"}]))
    rows, statistics = read(path)
    assert rows == [("https://b.example/", "b", "alt", "")]
    assert statistics["dropped.image.no_text"] == 3


def test_what_cannot_be_used_is_counted_by_reason(tmp_path):
    good = {"url": "https://a.example/1.jpg", "text": "good"}
    lines = [
        good, {**good, "text": None}, {**good, "text": " \n"}, {**good, "text": 5}, {**good, "text": [5]},
        {**good, "url": None}, {**good, "url": 7}, {**good, "url": " "}, {"text": "no url"},
        {**good, "url": "data:image/gif;base64,R0"}, {**good, "url": "ftp://a.example/1.jpg"},
        {**good, "url": "img/1.jpg"}, {**good, "url": "//a.example/1.jpg"}, {**good, "url": "http://[/"},
        [1, 2], "text", None,
    ]  # fmt: skip
    content = json_lines(lines) + b'{"url": "https://a.example/2.jpg", "te\n' + b"garbage\n\n \n"
    path = tmp_path / "x.jsonl"
    path.write_bytes(content)
    rows, statistics = read(path)
    assert rows == [("https://a.example/1.jpg", "good", "text", "")]
    assert statistics == {
        "bytes_read": len(content), "records": 19, "images": 14, "images_kept": 1, "texts": 1,
        "dropped.image.no_text": 4, "dropped.image.no_address": 4, "dropped.image.data_address": 1,
        "dropped.image.scheme": 1, "dropped.image.bad_address": 3,
        "dropped.record.not_an_object": 2, "dropped.record.bad_json": 3,
    }  # fmt: skip
    # Every record ends somewhere.
    assert sum(count for name, count in statistics.items() if name.startswith("dropped.")) + 1 == 19


def test_objects_of_columns_are_no_rows(tmp_path):
    columns = {"url": URLS, "text": TEXTS}
    path = tmp_path / "x.json"
    for record in (columns, {name: dict(enumerate(values)) for name, values in columns.items()}):
        path.write_text(json.dumps(record))
        rows, statistics = read(path)
        assert rows == []
        assert statistics["dropped.record.no_row"] == statistics["records"] == 1


def test_nulls_in_parquet(tmp_path):
    columns = {
        "url": ["https://a.example/1.jpg", None, "https://a.example/3.jpg"],
        "text": [None, "two", "three"],
        "page_url": pa.nulls(3),
    }
    rows, statistics = read(write_parquet(tmp_path / "x.parquet", columns))
    assert rows == [("https://a.example/3.jpg", "three", "text", "")]
    assert statistics["dropped.image.no_text"] == 1
    assert statistics["dropped.image.no_address"] == 1


def test_bytes_that_are_not_utf8_do_not_end_a_file(tmp_path):
    texts = pa.array([b"caf\xe9", b"fine"])
    broken = pa.Array.from_buffers(pa.string(), 2, texts.buffers())
    rows, _ = read(write_parquet(tmp_path / "x.parquet", {"url": URLS[:2], "text": broken}))
    assert [row[1] for row in rows] == ["caf\ufffd", "fine"]
    path = tmp_path / "x.jsonl"
    path.write_bytes(
        b'{"url": "https://a.example/", "text": "caf\xe9"}\n{"url": "https://a.example/", "text": "\\ud800"}\n'
    )
    rows, _ = read(path)
    assert [row[1] for row in rows] == ["caf\ufffd", "\ufffd"]


def test_pages_and_text_keys_are_kept_and_relative_addresses_resolved(tmp_path):
    columns = {
        "url": ["img/1.jpg", "https://a.example/2.jpg", "/3.jpg"],
        "text": TEXTS,
        "text_key": ["title", None, "alt"],
        "page_url": ["https://a.example/p/q.html", " https://a.example/ ", None],
    }
    rows, statistics = read(write_parquet(tmp_path / "x.parquet", columns))
    assert rows == [
        ("https://a.example/p/img/1.jpg", "a red house", "title", "https://a.example/p/q.html"),
        ("https://a.example/2.jpg", "two dogs", "text", "https://a.example/"),
    ]
    assert statistics["dropped.image.bad_address"] == 1


def test_text_keys_that_are_not_wanted_are_left_out(tmp_path):
    columns = {"url": URLS, "caption": TEXTS, "text_key": ["alt", "title", "caption"]}
    path = write_parquet(tmp_path / "x.parquet", columns)
    rows, statistics = read(path, Extract(text_keys=["alt"]))
    assert [row[2] for row in rows] == ["alt", "caption"]
    assert statistics["dropped.text.not_wanted"] == 1
    assert statistics["dropped.image.no_text"] == 1


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "empty"),
        (b"PAR1", "bad_parquet"),
        (b"PAR1" + b"\0" * 1000, "bad_parquet"),
        (b"<html><body>404 Not Found</body></html>", "not_json_lines"),
        (b"[\n1,\n2]", "not_json_lines"),
        (gzip.compress(b""), "not_json_lines"),
        (b"\x1f\x8b\x08\x00garbage", "not_json_lines"),
    ],
)
def test_files_of_other_kinds_are_refused_with_a_reason(tmp_path, content, reason):
    path = tmp_path / "x.parquet"
    path.write_bytes(content)
    with pytest.raises(UnreadableFileError) as caught:
        read(path)
    assert caught.value.reason == reason
    assert caught.value.path == str(path)


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be", "utf-32"])
@pytest.mark.parametrize("form", ["jsonl", "json", "csv", "tsv", "txt", "csv.gz"])
def test_text_in_wide_letters_is_read(tmp_path, encoding, form):
    rows = list(zip(URLS, TEXTS, strict=True))
    records = [{"url": url, "text": text} for url, text in rows]
    text = {
        "jsonl": json_lines(records).decode(),
        "json": json.dumps(records),
        "csv": "url,text\r\n" + "".join(f'{url},"{text}"\r\n' for url, text in rows),
        "tsv": "url\ttext\n" + "".join(f'{url}\t"{text}"\n' for url, text in rows),
    }
    content = text.get(form.removesuffix(".gz"), text["tsv"]).encode(encoding)
    path = tmp_path / f"x.{form}"
    path.write_bytes(gzip.compress(content) if form.endswith("gz") else content)
    assert read(path)[0] == EXPECTED


def test_damage_ends_a_text_in_wide_letters(tmp_path):
    path = tmp_path / "x.jsonl.gz"
    lines = json_lines({"url": URLS[0], "text": f"cat {number} {number * 7919 % 10_007}"} for number in range(20_000))
    path.write_bytes(gzip.compress(lines.decode().encode("utf-16"))[:40_000])
    rows, statistics = read(path)
    assert 100 < len(rows) < 20_000
    assert statistics["dropped.file_tail.truncated"] == 1


def test_a_parquet_file_without_rows_gives_none(tmp_path):
    empty = pa.array([], pa.string())
    assert read(write_parquet(tmp_path / "x.parquet", {"url": empty, "text": empty}))[0] == []
    assert read(write_parquet(tmp_path / "x.parquet", {}))[0] == []


def many(count=20_000):
    return [{"url": f"https://a.example/{n}.jpg", "text": f"text {n * 7919 % 10007}"} for n in range(count)]


@pytest.mark.parametrize("compress", [gzip.compress, zstandard.compress])
def test_a_file_cut_short_gives_what_came_before(tmp_path, compress):
    content = compress(json_lines(many()))
    path = tmp_path / "x.jsonl.gz"
    path.write_bytes(content[: len(content) * 2 // 3])
    rows, statistics = read(path)
    assert 5_000 < len(rows) < 20_000
    assert rows == [(row["url"], row["text"], "text", "") for row in many()[: len(rows)]]
    assert statistics["dropped.file_tail.truncated"] == 1


def test_a_damaged_row_group_costs_only_itself(tmp_path):
    columns = {name: [row[name] for row in many(3000)] for name in ("url", "text")}
    path = write_parquet(tmp_path / "x.parquet", columns, row_group_size=1000, compression="zstd")
    chunk = pq.ParquetFile(path).metadata.row_group(1).column(0)
    content = bytearray(path.read_bytes())
    start = chunk.dictionary_page_offset or chunk.data_page_offset
    content[start : start + chunk.total_compressed_size] = b"\xff" * chunk.total_compressed_size
    path.write_bytes(content)
    rows, statistics = read(path)
    assert [row[0] for row in rows] == columns["url"][:1000] + columns["url"][2000:]
    assert statistics["records"] == 2000
    assert statistics["dropped.file_part.corrupt_row_group"] == 1
    assert statistics["dropped.record.corrupt_row_group"] == 1000


def test_a_line_without_end_takes_no_memory(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "MAX_BYTES", 1000)
    path = tmp_path / "x.jsonl"
    path.write_bytes(LINES + b'{"url": "' + b"a" * 500_000 + b'"}\n' + LINES + b"b" * 300_000)
    rows, statistics = read(path)
    assert rows == EXPECTED * 2
    assert statistics["dropped.record.too_long"] == 2
    assert statistics["records"] == 8


def test_json_with_oddities():
    assert parse_json(b'{"a": "tab\there"}') == {"a": "tab\there"}
    assert parse_json(b'{"a": "\xff"}') == {"a": "\ufffd"}
    assert parse_json(b"[" * 100_000) is None
    assert parse_json(b"") is None
    assert parse_json(b'{"a": NaN}') is not None


@pytest.fixture
def server(tmp_path):
    handler = partial(SimpleHTTPRequestHandler, directory=str(tmp_path))
    handler.log_message = None
    with listening(ThreadingHTTPServer(("127.0.0.1", 0), handler)) as address:
        yield address


@pytest.mark.parametrize("name", ["x.parquet", "x.jsonl.gz"])
def test_remote_files_are_read_as_local_ones(tmp_path, server, name):
    columns = {key: [row[key] for row in many()] for key in ("url", "text")}
    path = tmp_path / name
    if name == "x.parquet":
        write_parquet(path, columns, row_group_size=7000)
    else:
        path.write_bytes(gzip.compress(json_lines(many())))
    with fsspec.open(f"memory://pairs/{name}", "wb") as file:
        file.write(path.read_bytes())
    local = read(path)
    assert len(local[0]) == 20_000
    assert read(f"{server}/{name}") == local
    assert read(f"memory://pairs/{name}") == local
    with pytest.raises(UnreadableFileError, match="no such"):
        read(f"{server}/nothere.parquet")


def test_real_captions():
    rows, statistics = read(shared_data("captions", "web_alt_texts_10k.parquet"))
    assert statistics["records"] == 10_000
    assert len(rows) == statistics["texts"] == 9_999
    assert statistics["dropped.image.bad_address"] == 1
    assert all(url.startswith(("http://", "https://")) and text and key == "text" for url, text, key, _ in rows)


PACKED = [bytes, gzip.compress, zstandard.compress, bz2.compress, lzma.compress]


@pytest.mark.parametrize("pack", PACKED)
@pytest.mark.parametrize("layout", ["compact", "pretty", "lines", "wrapped", "several"])
def test_arrays_of_every_layout_are_read(tmp_path, pack, layout):
    records = [{"image_url": url, "captions": [text]} for url, text in zip(URLS, TEXTS, strict=True)]
    content = {
        "compact": json.dumps(records),
        "pretty": json.dumps(records, indent=2),
        "lines": "[\n" + ",\n".join(map(json.dumps, records)) + "\n]\n",
        "wrapped": json.dumps({"info": {"url": "https://a.example/"}, "annotations": records}),
        "several": "\n".join(json.dumps(record, indent=1) for record in records),
    }[layout]
    path = tmp_path / "x.json"
    path.write_bytes(pack(content.encode()))
    rows, statistics = read(path)
    assert rows == [(url, text, "captions", page) for url, text, _, page in EXPECTED]
    assert statistics["records"] == 3


@pytest.mark.parametrize("pack", PACKED)
@pytest.mark.parametrize("name", ["x.csv", "x.tsv.gz", "x.txt", "part-00000"])
def test_text_with_separators_is_read(tmp_path, pack, name):
    separator = "," if name == "x.csv" else "\t"
    out = io.StringIO()
    csv.writer(out, delimiter=separator).writerows(zip(TEXTS, URLS, strict=True))
    path = tmp_path / name
    path.write_bytes(pack(out.getvalue().encode()))
    rows, statistics = read(path)
    assert rows == [(url, text, "caption", page) for url, text, _, page in EXPECTED]
    assert statistics["bytes_read"] == path.stat().st_size


def test_columns_of_mixed_lines_are_told_row_by_row(tmp_path):
    path = tmp_path / "x.jsonl"
    path.write_bytes(
        json_lines(
            [
                {"url": "https://a.example/1", "caption": "one"},
                {"image_url": "https://a.example/2", "alt_text": "two", "text": ""},
                {"URL": "https://a.example/3", "texts": [["alt", "three"], ["title", "drei"]], "text": "no"},
                {"img": "https://a.example/4", "captions": ["four", None, "vier", 4]},
            ]
        )
    )
    assert [row[:3] for row in read(path)[0]] == [
        ("https://a.example/1", "one", "caption"),
        ("https://a.example/2", "two", "alt_text"),
        ("https://a.example/3", "three", "alt"),
        ("https://a.example/3", "drei", "title"),
        ("https://a.example/4", "four", "captions"),
        ("https://a.example/4", "vier", "captions"),
    ]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("x.json", b""), ("x.jsonl.gz", b""), ("x.jsonl.gz", gzip.compress(b"")), ("x.csv", b""), ("x.json", b"[]\n"),
        ("x.json.zst", zstandard.compress(b"")), ("x.tsv.bz2", bz2.compress(b"")), ("part-00001", b""),
        ("x.json", b"\xef\xbb\xbf"), ("x.jsonl", b"\n\n"), ("x.jsonl.gz", gzip.compress(b"\r\n")), ("x.json", b" [ ]"),
        ("x.json", b"\xff\xfe"),
    ],
)  # fmt: skip
def test_an_empty_part_is_a_file_without_rows(tmp_path, name, content):
    path = tmp_path / name
    path.write_bytes(content)
    rows, statistics = read(path)
    assert rows == []
    assert statistics in ({}, {"bytes_read": len(content)})


@pytest.mark.parametrize("form", ["parquet", "jsonl", "csv", "tsv"])
def test_failed_downloads_are_left_out_of_every_form(tmp_path, form):
    statuses = ["success", "failed_to_download", None]
    path = tmp_path / f"x.{form}"
    rows = [{"url": u, "caption": t, "status": s} for u, t, s in zip(URLS, TEXTS, statuses, strict=True)]
    if form == "parquet":
        write_parquet(path, {name: [row[name] for row in rows] for name in rows[0]})
    elif form == "jsonl":
        path.write_bytes(json_lines(rows))
    else:
        with path.open("w", newline="") as file:
            writer = csv.DictWriter(file, list(rows[0]), delimiter="," if form == "csv" else "\t")
            writer.writeheader()
            writer.writerows(rows)
    found, statistics = read(path)
    assert [row[0] for row in found] == [EXPECTED[0][0], EXPECTED[2][0]]
    assert statistics["dropped.image.not_downloaded"] == 1
    assert statistics["images"] == 3


@pytest.mark.slow
def test_giant_lines_and_long_addresses_are_bounded_in_bytes(tmp_path, monkeypatch):
    monkeypatch.setattr(samples, "BATCH_BYTES", 1 << 20)
    path = tmp_path / "x.jsonl.gz"
    line = b'{"url": "http://a.example/x.png", "text": "' + b"a" * (4 << 20) + b'", "alt": "x"}\n'
    path.write_bytes(b"".join([gzip.compress(line)] * 40))
    tracemalloc.start()
    sizes = [len(batch) for batch in read_pairs(str(path), Extract(max_text_bytes=8 << 20), Counter())]
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert sizes == [1] * 40
    assert peak < 64 << 20
    rows, statistics = read(path)
    assert rows == []
    assert statistics["dropped.text.too_long"] == statistics["dropped.image.no_text"] == 40
    long = "https://a.example/" + "p" * 9000
    path = tmp_path / "y.jsonl"
    path.write_bytes(
        json_lines([{"url": long, "text": "x"}, {"url": URLS[0], "captions": ["cat"] * 9, "page_url": long}])
    )
    rows, statistics = read(path, Extract(max_pairs_bytes=1024, max_address_bytes=8192))
    assert rows == [(URLS[0], "cat", "captions", "")] * 9
    assert statistics["dropped.image.address_too_long"] == statistics["dropped.page_url.too_long"] == 1
    rows, statistics = read(path, Extract(max_pairs_bytes=20 << 10, max_address_bytes=10_000))
    assert len(rows) == 3
    assert statistics["dropped.text.too_many"] == 7


def test_keys_and_own_values_are_bounded_as_texts_are(tmp_path):
    path = tmp_path / "x.jsonl"
    captions = [f"cat {number}" for number in range(9)]
    own = {"url": URLS[0], "captions": captions}
    path.write_bytes(json_lines([{**own, "text_key": "k" * 5000, "x": "v" * 5000}]))
    keep = [pa.field("x", pa.string())]
    rows, statistics = read(path, Extract(max_pairs_bytes=20 << 10), keep=keep)
    assert [row[1] for row in rows] == captions[:2]
    assert statistics["dropped.text.too_many"] == 7
    rows, statistics = read(path, Extract(max_text_bytes=4096), keep=keep)
    assert rows == []
    assert statistics["dropped.text.too_long"] == 9
    path.write_bytes(json_lines([{**own, "x": "v" * 5000}, {**own, "x": ["v" * 5000]}, {**own, "x": 5}]))
    (batch,) = read_pairs(str(path), Extract(max_text_bytes=4096), statistics := Counter(), keep=keep)
    assert batch.table.column("x").to_pylist() == [None] * 18 + ["5"] * 9
    assert statistics["dropped.value.too_long"] == 2


def test_names_of_columns_that_are_no_names_are_not_held(tmp_path):
    path = tmp_path / "x.jsonl.gz"
    path.write_bytes(b"".join(gzip.compress(b'{"%d%s": 1}\n' % (n, b"k" * (2 << 20))) for n in range(40)))
    tracemalloc.start()
    with pytest.raises(InputError, match="has no column"):
        read(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 32 << 20
