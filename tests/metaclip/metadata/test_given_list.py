import gzip
import json
from http.server import BaseHTTPRequestHandler, HTTPServer

import fsspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from metaclip.errors import ConfigError, InputError, TransportError
from metaclip.metadata import given_list as module
from metaclip.metadata.given_list import fingerprint, load_entries
from tests.servers import listening
from tests.shared import shared_data

LIST = ["the", "st. louis", "a  b", " edge ", "Katze", "猫", "the", '"quoted"', "n\u2028l"]


def write(folder, name, content):
    path = folder / name
    path.write_bytes(content)
    return str(path)


def parquet_bytes(columns):
    sink = pa.BufferOutputStream()
    pq.write_table(pa.table(columns), sink)
    return sink.getvalue().to_pybytes()


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("list.json", json.dumps(LIST).encode()),
        ("list.json", json.dumps(LIST, ensure_ascii=False, indent=1).encode("utf-8-sig")),
        ("list.json.gz", gzip.compress(json.dumps(LIST).encode())),
        ("gzipped-without-saying-so.json", gzip.compress(json.dumps(LIST).encode())),
        ("no-suffix", b"\n " + json.dumps(LIST).encode()),
        ("list.txt", "\n".join(LIST).encode()),
        ("list.txt", "\r\n".join([*LIST, ""]).encode("utf-8-sig")),
        ("list.txt.gz", gzip.compress("\n".join([*LIST, ""]).encode())),
        ("no-suffix", "\n".join(LIST).encode()),
        ("list.parquet", parquet_bytes({"entry": LIST})),
        ("no-suffix", parquet_bytes({"entry": LIST, "entry_id": range(len(LIST))})),
        ("list.parquet", parquet_bytes({"entry": pa.array(LIST).dictionary_encode(), "more": LIST})),
        ("list.parquet", parquet_bytes({"entry": pa.array(LIST, pa.large_string())})),
    ],
)
def test_every_form_gives_the_same_list(tmp_path, name, content):
    loaded = load_entries(write(tmp_path, name, content))
    assert loaded.entries == LIST
    assert loaded.duplicates == 1
    assert loaded.blank_lines == 0
    assert loaded.sources == [""] * len(LIST)


def test_blank_lines_are_skipped_and_counted(tmp_path):
    loaded = load_entries(write(tmp_path, "list.txt", b"\nfirst\n\n \t\r\n second\n\n"))
    assert loaded.entries == ["first", " second"]
    assert loaded.blank_lines == 4


def test_a_text_list_may_begin_with_a_bracket(tmp_path):
    assert load_entries(write(tmp_path, "list.txt", b"[\n]\n")).entries == ["[", "]"]


def test_sources_are_kept(tmp_path):
    content = parquet_bytes({"entry": ["cat", "dog"], "source": ["wordnet", None]})
    assert load_entries(write(tmp_path, "list.parquet", content)).sources == ["wordnet", ""]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("x.json", b'{"cat": 1, "dog": -1}', "the count of entry 1 is -1"),
        ("x.json", b'{"cat": 1, "dog": "x"}', "the count of entry 1 is a string"),
        ("x.json", b"3", "holds a number; expected one list of strings"),
        ("x.json", b'"cat"', "holds a string"),
        ("x.json", b"cat\ndog\n", r"not valid JSON .* must be named \.txt"),
        ("x.json", b'["cat", "dog"', "not valid JSON"),
        ("x.json", b'["cat", "\\ud800"]', "not valid JSON"),
        ("x.json", b"[]", "holds no entry"),
        ("x.txt", b"", "holds no entry"),
        ("x.txt", b"\n\n", "holds no entry"),
        ("x.json", b'["cat", null]', "entry 1 is null, not a string; correct the list"),
        ("x.json", b'["cat", 5]', "entry 1 is a number"),
        ("x.json", b'["cat", ["dog"]]', "entry 1 is a list"),
        ("x.json", b'["cat", "dog", ""]', "entry 2 is the empty string"),
        ("x.json", b'["cat",\n"\xff"]', r"byte 9 \(line 2\) is not UTF-8"),
        ("x.txt", b"cat\ndog\xe9\n", r"byte 7 \(line 2\) is not UTF-8"),
        ("x.txt.gz", gzip.compress(b"cat\n" * 100)[:-9], "damaged gzip file"),
        ("x.parquet", b"PAR1 and no more", "not a readable Parquet file"),
        ("x.parquet", b"", "not a readable Parquet file"),
        (
            "x.parquet",
            parquet_bytes({"word": ["cat"], "n": [1]}),
            "no column `entry`; its columns are word, n",
        ),
        ("x.parquet", parquet_bytes({"entry": [1, 2]}), "entry 0 is a number"),
        ("x.parquet", parquet_bytes({"entry": ["cat", None]}), "entry 1 is null"),
        (
            "x.parquet",
            parquet_bytes({"entry": ["cat", "dog"], "entry_id": [1, 2]}),
            "row 0 has entry_id 1, but ids are positions",
        ),
    ],
)
def test_lists_that_cannot_be_used_say_why_and_where(tmp_path, name, content, message):
    path = write(tmp_path, name, content)
    with pytest.raises(InputError, match=message) as caught:
        load_entries(path)
    assert str(caught.value).startswith(path)


def test_more_entries_than_ids_are_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "MAX_ENTRIES", 2)
    assert load_entries(write(tmp_path, "x.txt", b"a\nb\n")).entries == ["a", "b"]
    with pytest.raises(InputError, match="3 entries, but ids are 32 bits: at most 2"):
        load_entries(write(tmp_path, "x.txt", b"a\nb\nc\n"))


@pytest.mark.parametrize("use", [load_entries, fingerprint])
def test_addresses_that_name_no_file(tmp_path, use):
    with pytest.raises(ConfigError, match=r"metadata\.entries: .*nothere\.json: there is no such file; relative paths"):
        use(str(tmp_path / "nothere.json"))
    with pytest.raises(ConfigError, match="is a folder, not a file; name the file"):
        use(str(tmp_path))
    with pytest.raises(ConfigError, match=r"Protocol not known.*use a local path"):
        use("gopher5://list.json")
    with pytest.raises(ConfigError, match="no such object"):
        use("memory://entries/nothere.json")


def test_fingerprints_are_of_the_content(tmp_path):
    first = write(tmp_path, "a.txt", b"abc")
    second = write(tmp_path, "b.txt", b"abc")
    assert fingerprint(first) == fingerprint(second)
    assert fingerprint(first) == "3-ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    write(tmp_path, "a.txt", b"abd")
    assert fingerprint(first) != fingerprint(second)


def test_paths_may_start_at_home(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    write(tmp_path, "list.txt", b"cat\n")
    fingerprint("~/list.txt")
    assert load_entries("~/list.txt").entries == ["cat"]
    assert fingerprint("~/list.txt") == fingerprint(str(tmp_path / "list.txt"))


def test_in_an_object_store():
    with fsspec.open("memory://entries/list.txt", "wb") as file:
        file.write(b"abc")
    before = fingerprint("memory://entries/list.txt")
    assert before == fingerprint("memory://entries/list.txt")
    assert load_entries("memory://entries/list.txt").entries == ["abc"]
    with fsspec.open("memory://entries/list.txt", "wb") as file:
        file.write(b"abd")
    assert fingerprint("memory://entries/list.txt") != before


@pytest.fixture
def server():
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            if self.path == "/list.json":
                self.send_response(200)
                self.send_header("ETag", 'W/"v1"')
                self.send_header("Content-Length", "14")
                self.end_headers()
                if self.command == "GET":
                    self.wfile.write(b'["cat", "dog"]')
                return
            self.send_error({"/denied.json": 403, "/slow.json": 503}.get(self.path, 404))

        do_HEAD = do_GET  # noqa: N815

        def log_message(self, *arguments):
            pass

    with listening(HTTPServer(("127.0.0.1", 0), Handler)) as address:
        yield address


def test_over_http(server, monkeypatch):
    monkeypatch.setattr("metaclip.io.http.time.sleep", lambda _: None)
    assert load_entries(f"{server}/list.json").entries == ["cat", "dog"]
    assert fingerprint(f"{server}/list.json") == '14-W/"v1'
    for use in (load_entries, fingerprint):
        with pytest.raises(ConfigError, match="no such file"):
            use(f"{server}/nothere.json")
        with pytest.raises(ConfigError, match=r"403.*check its rights"):
            use(f"{server}/denied.json")
        with pytest.raises(TransportError, match="given up after"):
            use(f"{server}/slow.json")
        with pytest.raises(TransportError, match="given up after"):
            use("http://127.0.0.1:9/list.json")


def test_a_list_of_real_size():
    path = str(shared_data("metadata", "standin_500k.json.gz"))
    loaded = load_entries(path)
    with gzip.open(path) as file:
        assert loaded.entries == json.load(file)
    assert len(loaded.entries) == 499_999
