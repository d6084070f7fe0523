import glob
import gzip
import hashlib
import logging
import os
from pathlib import Path
from typing import Any
from uuid import uuid4

import fsspec
import pytest

from metaclip.config.settings import Source
from metaclip.errors import InputError
from metaclip.io.addresses.hosts import is_private
from metaclip.io.inputs import list_inputs
from metaclip.sources import path_lists
from metaclip.sources.common_crawl import COMMON_CRAWL
from metaclip.sources.kinds import kind_of
from metaclip.sources.listing import SourceFile, list_shards
from tests.servers import serve


def listed(*paths: str | Path, **settings: Any) -> list[SourceFile]:
    shards = list_shards(Source(paths=[str(path) for path in paths], **settings))
    return [file for shard in shards for file in shard]


def names(files: list[SourceFile]) -> list[str]:
    return [Path(file.path).name for file in files]


def write(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(name.encode())


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("a.warc", "warc"),
        ("a.warc.gz", "warc"),
        ("A.WARC.ZST", "warc"),
        ("a.arc.gz", "warc"),
        ("a.warc.wat.gz", "wat"),
        ("a.wat", "wat"),
        ("a.wat.zst", "wat"),
        ("a.parquet", "pairs"),
        ("a.jsonl", "pairs"),
        ("a.ndjson.gz", "pairs"),
        ("a.json.zst", "pairs"),
        ("a.tar", "webdataset"),
        ("https://e.org/a.warc.gz?token=1.tar", "warc"),
        ("a.warc.wet.gz", None),
        ("a.txt", None),
        ("warc", None),
    ],
)
def test_names_tell_kinds(name: str, kind: str | None) -> None:
    assert kind_of(name) == kind


def test_a_folder_is_listed_sorted_and_deep_without_hidden_files_and_notes(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    write(tmp_path, "b.warc.gz", "a.warc.gz", "c/d.wat.gz", ".hidden.warc.gz", ".git/x.warc.gz")
    write(tmp_path, "README.md", "00000_stats.json", "notes.txt", "a.warc.wet.gz", "warc.paths.gz")
    files = listed(tmp_path)
    assert [file.path for file in files] == [f"{tmp_path}/{name}" for name in ("a.warc.gz", "b.warc.gz", "c/d.wat.gz")]
    assert [file.kind for file in files] == ["warc", "warc", "wat"]
    assert [file.bytes for file in files] == [9, 9, 10]
    said = "5 files are not read: 1 .json (00000_stats.json), 1 .md, 1 .paths.gz, 1 .txt, 1 .wet.gz"
    assert [(record.levelno, record.getMessage()) for record in caplog.records] == [
        (logging.WARNING, f"{tmp_path}: {said}")
    ]


def test_a_given_kind_leaves_other_kinds_out_of_a_folder_and_takes_unknown_names(tmp_path: Path) -> None:
    write(tmp_path, "a.warc.gz", "b.wat.gz", "part-0001", "notes.txt")
    assert names(listed(tmp_path, kind="wat")) == ["b.wat.gz", "part-0001"]
    assert {file.kind for file in listed(tmp_path, kind="wat")} == {"wat"}


def test_a_file_named_by_itself_is_what_its_kind_says(tmp_path: Path) -> None:
    write(tmp_path, "a.warc.gz", "notes.txt")
    assert [file.kind for file in listed(tmp_path / "a.warc.gz", tmp_path / "notes.txt", kind="pairs")] == [
        "pairs",
        "pairs",
    ]


def test_globs_are_sorted_and_go_through_folders(tmp_path: Path) -> None:
    write(tmp_path, "x/b.warc.gz", "x/a.warc.gz", "y/c.warc.gz", "x/a.wat.gz")
    assert names(listed(tmp_path / "x" / "*.warc.gz")) == ["a.warc.gz", "b.warc.gz"]
    assert names(listed(tmp_path / "**" / "*.warc.gz")) == ["a.warc.gz", "b.warc.gz", "c.warc.gz"]


def test_relative_paths_become_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path, "x/a.warc.gz")
    monkeypatch.chdir(tmp_path)
    for path in ("x", "x/a.warc.gz", "x/../x/*.gz", f"file://{tmp_path}/x"):
        assert [file.path for file in listed(path)] == [f"{tmp_path}/x/a.warc.gz"]


def test_shards_hold_files_of_one_entry_in_listing_order(tmp_path: Path) -> None:
    write(tmp_path, *(f"x/{i}.warc.gz" for i in range(5)), *(f"y/{i}.warc.gz" for i in range(3)))
    source = Source(paths=[f"{tmp_path}/y", f"{tmp_path}/x"], files_per_shard=2)
    shards = [[file.path.removeprefix(f"{tmp_path}/")[:3] for file in shard] for shard in list_shards(source)]
    assert shards == [["y/0", "y/1"], ["y/2"], ["x/0", "x/1"], ["x/2", "x/3"], ["x/4"]]


def test_new_entries_leave_the_shards_of_others_as_they_are(tmp_path: Path) -> None:
    write(tmp_path, *(f"x/{i}.warc.gz" for i in range(5)), *(f"y/{i}.warc.gz" for i in range(3)))
    alone = list_shards(Source(paths=[f"{tmp_path}/x"], files_per_shard=2))
    joined = list_shards(Source(paths=[f"{tmp_path}/y", f"{tmp_path}/x"], files_per_shard=2))
    assert joined[-len(alone) :] == alone


def test_the_limit_counts_over_the_whole_listing(tmp_path: Path) -> None:
    write(tmp_path, *(f"x/{i}.warc.gz" for i in range(3)), *(f"y/{i}.warc.gz" for i in range(3)))
    for limit in range(1, 8):
        files = listed(tmp_path / "x", tmp_path / "y", limit=limit)
        assert len(files) == min(limit, 6)
    shards = list_shards(Source(paths=[f"{tmp_path}/x", f"{tmp_path}/y"], limit=4, files_per_shard=2))
    assert [len(shard) for shard in shards] == [2, 1, 1]


def test_a_file_listed_twice_is_used_once_and_said_to_be(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    write(tmp_path, "a.warc.gz", "b.warc.gz")
    (tmp_path / "l.paths").write_text("b.warc.gz\nb.warc.gz\na.warc.gz\n")
    files = listed(tmp_path / "l.paths", tmp_path, f"{tmp_path}/./a.warc.gz", limit=2)
    assert names(files) == ["b.warc.gz", "a.warc.gz"]
    assert "1 files are listed more than once" in caplog.text
    assert names(listed(tmp_path / "l.paths", tmp_path)) == ["b.warc.gz", "a.warc.gz"]


def test_lists_stay_as_written_and_blank_lines_are_passed_over(tmp_path: Path) -> None:
    write(tmp_path, "b.warc.gz", "a.warc.gz", "c.wat")
    lines = f"b.warc.gz\r\n\n  a.warc.gz \n{tmp_path}/c.wat\nhttps://e.org/d.warc\ns3://b/e.warc\n"
    (tmp_path / "plain.paths").write_text(lines)
    # Two members, as `cat` of two lists makes them.
    (tmp_path / "packed.paths.gz").write_bytes(gzip.compress(lines[:20].encode()) + gzip.compress(lines[20:].encode()))
    expected = [
        f"{tmp_path}/b.warc.gz", f"{tmp_path}/a.warc.gz", f"{tmp_path}/c.wat", "https://e.org/d.warc", "s3://b/e.warc",
    ]  # fmt: skip
    for name in ("plain.paths", "packed.paths.gz"):
        assert [file.path for file in listed(tmp_path / name)] == expected


CRAWL_LINE = "crawl-data/CC-MAIN-2024-10/segments/1/warc/a.warc.gz"


def test_crawl_lines_of_a_local_list_are_common_crawls(tmp_path: Path) -> None:
    (tmp_path / "warc.paths").write_text(CRAWL_LINE)
    (file,) = listed(tmp_path / "warc.paths")
    assert file == SourceFile(COMMON_CRAWL + CRAWL_LINE, "warc", None, COMMON_CRAWL + CRAWL_LINE)


def test_a_base_comes_before_all_relative_lines(tmp_path: Path) -> None:
    (tmp_path / "warc.paths").write_text(f"{CRAWL_LINE}\nb.warc\nhttps://e.org/c.warc\n")
    files = listed(tmp_path / "warc.paths", base="s3://commoncrawl/")
    assert [file.path for file in files] == [
        f"s3://commoncrawl/{CRAWL_LINE}", "s3://commoncrawl/b.warc", "https://e.org/c.warc",
    ]  # fmt: skip
    write(tmp_path, f"mirror/{CRAWL_LINE}", "mirror/b.warc")
    files = listed(tmp_path / "warc.paths", base=f"{tmp_path}/mirror")
    assert files[0].path == f"{tmp_path}/mirror/{CRAWL_LINE}"


def test_lines_of_a_remote_list_are_of_its_server() -> None:
    with serve() as site:
        site.files["/mirror/crawl-data/CC-MAIN-2024-10/warc.paths.gz"] = gzip.compress(CRAWL_LINE.encode())
        site.files["/lists/warc.paths"] = f"{CRAWL_LINE}\nb.warc\n".encode()
        (file,) = listed(f"{site.address}/mirror/crawl-data/CC-MAIN-2024-10/warc.paths.gz")
        assert file.path == f"{site.address}/mirror/{CRAWL_LINE}"
        files = listed(f"{site.address}/lists/warc.paths")
        assert [file.path for file in files] == [
            f"{site.address}/lists/{CRAWL_LINE}",
            f"{site.address}/lists/b.warc",
        ]
        # Nothing but the lists was asked for: a crawl has 90,000 files.
        assert len(site.requests) == 2


def test_folders_and_globs_of_object_stores() -> None:
    root = f"memory://{uuid4()}"
    for name in ("x/b.warc.gz", "x/a.warc.gz", "x/.c.warc.gz", "x/y/d.wat", "x/README.md"):
        with fsspec.open(f"{root}/{name}", "wb") as file:
            file.write(b"12345")
    files = listed(f"{root}/x")
    assert names(files) == ["a.warc.gz", "b.warc.gz", "d.wat"]
    assert all(file.path.startswith("memory://") and file.bytes == 5 for file in files)
    assert names(listed(f"{root}/x/*.warc.gz")) == ["a.warc.gz", "b.warc.gz"]
    assert names(listed(f"{root}/x/a.warc.gz")) == ["a.warc.gz"]
    with pytest.raises(InputError, match="no data files found"):
        listed(f"{root}/none/*.warc.gz")


def test_fingerprints_of_crawl_files_are_their_paths_and_of_others_their_content(tmp_path: Path) -> None:
    write(tmp_path, "a.warc.gz", "b.wat", "c.parquet", "d.tar")
    warc, wat, pairs, tar = listed(tmp_path)
    assert warc.fingerprint == warc.path
    assert wat.fingerprint == wat.path
    assert pairs.fingerprint == f"9-{hashlib.sha256(b'c.parquet').hexdigest()}"
    (tmp_path / "d.tar").write_bytes(b"other")
    *same, other = listed(tmp_path)
    assert same == [warc, wat, pairs]
    assert other.fingerprint != tar.fingerprint


def test_fingerprints_of_remote_pairs_are_tag_and_size() -> None:
    with serve() as site:
        site.files["/a.parquet"] = b"12345"
        (file,) = listed(f"{site.address}/a.parquet")
        assert (file.bytes, file.fingerprint) == (5, "5-v1")
        site.tag = None
        with pytest.raises(InputError, match="copy the file"):
            listed(f"{site.address}/a.parquet")


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("none.warc.gz", r"source\.paths: .*/none.warc.gz: there is no such file; relative paths start"),
        ("none/", r"source\.paths: .*/none: there is no such file; relative paths start"),
        ("*.tar", r"\*.tar: no data files found"),
        ("empty", "empty: no data files found"),
        ("notes", r"notes: no data files found \(1 files of other kinds\)"),
        ("notes/a.txt", "set source.kind"),
        ("a.warc.wet.gz", "set source.kind"),
        ("missing.paths", "no such file"),
        ("dangling.paths", "gone.warc.gz: there is no such file"),
        ("markup.paths", "error page"),
        ("torn.paths.gz", "download it anew"),
        ("blank.paths", "no data files found"),
        ("https://e.org/*.warc.gz", "cannot be searched"),
        ("nosuch://e/x", "another fsspec scheme"),
    ],
)
def test_what_cannot_be_used_is_refused_by_name(
    path: str, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "empty").mkdir()
    write(tmp_path, "notes/a.txt", "a.warc.wet.gz")
    (tmp_path / "dangling.paths").write_text("gone.warc.gz")
    (tmp_path / "markup.paths").write_text("<?xml version='1.0'?>\n<Error/>")
    (tmp_path / "torn.paths.gz").write_bytes(gzip.compress(b"a.warc.gz")[:-6])
    (tmp_path / "blank.paths").write_text("\n\n")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match=message):
        listed(path)


PAIR = b'{"url": "https://a.org/1.jpg", "caption": "a cat"}\n'
PAGES = b'{"format": "json-pages-1.0", "id": "pages", "title": "Pages"}\n'


@pytest.mark.parametrize(
    ("files", "read", "said"),
    [
        (
            {"archive/rec.warc.gz": b"", "pages/pages.jsonl": PAIR, "pages/extraPages.jsonl": b'{"id": 1}\n'},
            ["rec.warc.gz"],
            "2 .jsonl (extraPages.jsonl, pages.jsonl)",
        ),
        (
            {"archive/rec.warc.gz": b"", "pages/seedPages.jsonl": PAGES + PAIR, "long.jsonl.gz": gzip.compress(PAGES)},
            ["rec.warc.gz"],
            "1 .jsonl (seedPages.jsonl), 1 .jsonl.gz (long.jsonl.gz)",
        ),
        (
            {"data/t.parquet": b"", "dataset_infos.json": b"{}", "dataset_dict.json": b"{}", "data/state.json": b"{}"},
            ["t.parquet"],
            "3 .json (state.json, dataset_dict.json, dataset_infos.json)",
        ),
        ({"a.jsonl": PAIR, "run.json": b'{\n "n": 1\n}', "b.csv": b"seed,n\n1,2\n"}, ["a.jsonl"], "1 .csv (b.csv)"),
        ({"a.warc.gz": b"", "seeds.tsv": b"a\tb\n", "x.json": PAIR}, ["a.warc.gz", "x.json"], "1 .tsv (seeds.tsv)"),
        ({"0/1.tar": b"", "0/1.parquet": b"", "0/2.parquet": b"", "0/1_stats.json": b""}, ["1.tar", "2.parquet"], ""),
        ({"1.parquet": b"", "1/000.json": PAIR, "1/000.txt": b"a\thttp://b/", "1/000.jpg": b""}, ["1.parquet"], ""),
        (
            {"a.csv": b"url,text\n", "b.tsv.gz": b"", "c.txt": b"a cat\thttps://a.org/1.jpg\n", "d.txt": b"notes\n",
             "e.md": b"", "f.pdf": b"", "g.md": b"", "h": b"", "_log.json": PAIR},
            ["a.csv", "b.tsv.gz", "c.txt"],
            "6 files are not read: 2 .md, 1 without an ending, 1 .json (_log.json), 1 .pdf, 1 .txt",
        ),
        ({"a.wacz": b"", "b.warc.bz2": b"", "c.warc.xz": b"", "d.tgz": b"", "e.tar.gz": b"", "f.arrow": b""},
         ["a.wacz", "b.warc.bz2", "c.warc.xz", "d.tgz", "e.tar.gz"], "1 files are not read: 1 .arrow"),
    ],
)  # fmt: skip
def test_side_files_are_left_out_and_listed(
    files: dict[str, bytes], read: list[str], said: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for name, content in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(content)
    assert names(listed(tmp_path)) == read
    (message,) = [record.getMessage() for record in caplog.records]
    assert message.startswith(f"{tmp_path}: {len(files) - len(read)} files are not read: ")
    assert said in message
    for name in files:
        if name.endswith(".json"):  # named by itself a file is read
            assert names(listed(tmp_path / name)) == [Path(name).name]


def test_a_link_that_leads_back_lists_no_file_twice(tmp_path: Path) -> None:
    write(tmp_path, "x/a.warc.gz", "x/y/b.warc.gz")
    (tmp_path / "x/again").symlink_to("..")
    (tmp_path / "x/y/up").symlink_to(tmp_path / "x")
    (tmp_path / "x/0.warc.gz").symlink_to("a.warc.gz")
    for folder in (tmp_path, tmp_path / "x", tmp_path / "x/y/up"):
        assert names(listed(folder)) == ["a.warc.gz", "b.warc.gz"]
    write(tmp_path, "elsewhere/c.warc.gz")
    (tmp_path / "x/linked").symlink_to(tmp_path / "elsewhere")
    assert names(listed(tmp_path / "x")).count("c.warc.gz") == 1
    (tmp_path / "x/again").unlink()
    assert f"{tmp_path}/x/linked/c.warc.gz" in [file.path for file in listed(tmp_path / "x")]


def test_a_link_that_leads_back_gives_no_file_twice_in_a_glob(tmp_path: Path) -> None:
    write(tmp_path, "x/a.warc.gz", "x/y/b.warc.gz", "x/y/data.bin")
    for number in range(3):  # of several such links the paths are without number
        (tmp_path / f"x/again{number}").symlink_to("..")
    both = [f"{tmp_path}/x/a.warc.gz", f"{tmp_path}/x/y/b.warc.gz"]
    for pattern in ("**/*.warc.gz", "x/**/*.warc.gz", "x/**"):
        assert [file.path for file in listed(tmp_path / pattern)] == both
    behind = [file.path for file in listed(tmp_path / "x/again0/**/*.warc.gz")]
    assert list(map(os.path.realpath, behind)) == both
    (tmp_path / "x/link.wat.gz").symlink_to("y/data.bin")
    assert names(listed(tmp_path / "**/*.wat.gz")) == ["link.wat.gz"]
    (tmp_path / "x/0.warc.gz").symlink_to("a.warc.gz")
    assert names(listed(tmp_path / "x/*.warc.gz")) == ["a.warc.gz"]


@pytest.mark.parametrize(
    "pattern",
    [
        "**/*.warc", "**/a/**/*.warc", "a/**/1.warc", "**/[12].*", "**/.3.warc", "**/.h/*.warc", ".g/**/*.warc",
        "?/**/*.wat", "*/**/b/*.w??", "**", "a/**", "**/b/**", "**/*", "*/*.warc", "**/**/2.wat", "**/.*/*.warc",
    ],
)  # fmt: skip
def test_globs_match_what_those_of_python_match(pattern: str, tmp_path: Path) -> None:
    folders = ["", "a/", "a/b/", "a/.h/", "c/a/b/", ".g/", ".g/a/"]
    write(tmp_path, *(folder + name for folder in folders for name in ("1.warc", "2.wat", ".3.warc")))
    expected = {path for path in glob.glob(f"{tmp_path}/{pattern}", recursive=True) if Path(path).is_file()}  # noqa: PTH207
    assert [file.path for file in list_inputs(f"{tmp_path}/{pattern}")] == sorted(expected)


def test_file_addresses_are_percent_decoded(tmp_path: Path) -> None:
    write(tmp_path, "a b/ü%.warc.gz")
    encoded = f"file://{tmp_path}/a%20b/%C3%BC%25.warc.gz"
    for path in (encoded, encoded.replace("file://", "file://localhost"), f"file://{tmp_path}/a%20b"):
        assert [file.path for file in listed(path)] == [f"{tmp_path}/a b/ü%.warc.gz"]
    (tmp_path / "l.paths").write_text(encoded)
    assert names(listed(f"file://{tmp_path}/l.paths")) == ["ü%.warc.gz"]


@pytest.mark.parametrize(
    "line",
    [
        "/etc/x.warc.gz",
        "file:///etc/x.warc.gz",
        "FILE:///etc/x.warc",
        "s3://b/x.warc.gz",
        "memory://x.warc",
        "~/x.warc",
    ],
)
def test_a_list_from_a_server_names_files_of_servers_only(line: str, tmp_path: Path) -> None:
    with serve() as site:
        site.files["/evil.paths"] = f"good.warc.gz\n{line}\n".encode()
        for settings in ({}, {"allow_private": True}, {"base": str(tmp_path)}):
            write(tmp_path, "good.warc.gz")
            with pytest.raises(InputError, match=r"evil\.paths: names .*, which is not on a web server"):
                listed(f"{site.address}/evil.paths", **settings)
        site.files["/evil.paths"] = b"x/../../secret.warc.gz"
        with pytest.raises(InputError, match=r"leads out of source\.base"):
            listed(f"{site.address}/evil.paths", base=str(tmp_path))


@pytest.mark.parametrize("host", ["169.254.169.254", "10.1.2.3", "[::1]", "localhost:80", "127.0.0.1", "2130706433"])
def test_a_list_from_a_public_server_names_no_private_host(host: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with serve() as site:
        site.files["/l.paths"] = f"http://{host}/x.warc.gz".encode()
        assert len(listed(f"{site.address}/l.paths")) == 1  # the list is there itself
        monkeypatch.setattr(path_lists, "is_private", lambda url: not url.startswith(site.address) and is_private(url))
        with pytest.raises(InputError, match=r"in a private network; .* source\.allow_private: true"):
            listed(f"{site.address}/l.paths")
        assert len(listed(f"{site.address}/l.paths", allow_private=True)) == 1


@pytest.mark.parametrize("content", [b"a.warc.gz\n" * 3000, b"a" * 40_000, gzip.compress(b"a.warc\n" * 9000)])
def test_a_list_without_an_end_is_refused(content: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(path_lists, "_MOST_BYTES", 20_000)
    with serve() as site:
        site.files["/l.paths"] = content
        with pytest.raises(InputError, match=r"l\.paths: not a list of paths: it has no end"):
            listed(f"{site.address}/l.paths")
