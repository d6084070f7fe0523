import bz2
import gzip
import hashlib
import io
import json
import lzma
import tarfile
import time
import tracemalloc
from collections import Counter

import fsspec
import pytest
import zstandard

from metaclip.config.settings import Extract
from metaclip.errors import UnreadableFileError
from metaclip.sources import webdataset as module
from metaclip.sources.webdataset import read_webdataset

JPEG = b"\xff\xd8\xff\xe0" + hashlib.shake_256(b"an image").digest(2000)


def tar(members, *, form=tarfile.GNU_FORMAT):
    """A tar archive of (name, content) pairs."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=form) as archive:
        for name, content in members:
            data = content if isinstance(content, bytes) else json.dumps(content).encode()
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return out.getvalue()


def read(path, settings=None):
    statistics = Counter()
    rows = []
    for batch in read_webdataset(str(path), settings or Extract(), statistics):
        rows += zip(batch.urls, batch.texts, batch.text_keys, batch.page_urls, strict=True)
    return rows, +statistics


def read_members(tmp_path, members, settings=None):
    path = tmp_path / "00000.tar"
    path.write_bytes(tar(members))
    return read(path, settings)


METACLIP = [
    ("00000/a1.jpeg", JPEG),
    (
        "00000/a1.json",
        {"url": "https://a.example/1.jpg", "texts": [["alt", "a red house"], ["title", " The \n house "]]},
    ),
    ("00000/a2.json", {"url": "https://a.example/2.jpg", "texts": [["alt", "two dogs", [17, 23]], ["og", "dogs"]]}),
    ("00000/a2.jpeg", JPEG),
]
METACLIP_ROWS = [
    ("https://a.example/1.jpg", "a red house", "alt", ""),
    ("https://a.example/1.jpg", "The house", "title", ""),
    ("https://a.example/2.jpg", "two dogs", "alt", ""),
    ("https://a.example/2.jpg", "dogs", "og", ""),
]
IMG2DATASET = [
    ("000000000.jpg", JPEG),
    ("000000000.json", {"url": "https://a.example/1.jpg", "caption": "a cat", "key": "000000000", "status": "success"}),
    ("000000000.txt", b"a cat"),
    ("000000001.jpg", JPEG),
    ("000000001.json", {"url": "https://a.example/2.jpg", "key": "000000001", "status": "success"}),
    ("000000001.txt", "eine Kätzin\n".encode()),
]
IMG2DATASET_ROWS = [
    ("https://a.example/1.jpg", "a cat", "caption", ""),
    ("https://a.example/2.jpg", "eine Kätzin", "txt", ""),
]


def test_metaclips_layout(tmp_path):
    rows, statistics = read_members(tmp_path, METACLIP)
    assert rows == METACLIP_ROWS
    size = (tmp_path / "00000.tar").stat().st_size
    assert statistics == {"records": 2, "images": 2, "images_kept": 2, "texts": 4, "bytes_read": size}


def test_img2datasets_layout(tmp_path):
    rows, statistics = read_members(tmp_path, IMG2DATASET)
    assert rows == IMG2DATASET_ROWS
    assert statistics["records"] == statistics["images_kept"] == 2


@pytest.mark.parametrize("form", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
@pytest.mark.parametrize("compress", [bytes, gzip.compress])
def test_every_kind_of_tar(tmp_path, form, compress):
    long = "folder/" * 12 + "name" * 20
    if form == tarfile.USTAR_FORMAT:
        long = "folder/" * 12 + "name"
    path = tmp_path / "x.tar"
    path.write_bytes(compress(tar([*METACLIP, (f"{long}.json", IMG2DATASET[1][1]), (f"{long}.txt", b"x")], form=form)))
    assert read(path)[0] == [*METACLIP_ROWS, IMG2DATASET_ROWS[0]]


def test_samples_are_told_apart_by_name_up_to_the_first_dot(tmp_path):
    members = [
        ("a/1.jpg", JPEG),
        ("a/1.seg.json", {"url": "https://no.example/"}),
        ("a/1.JSON", {"url": "https://a.example/1", "text": "first", "page_url": "https://a.example/p"}),
        ("b/1.json", {"url": "https://b.example/1", "TEXT": "second", "referrer": "https://b.example/p"}),
        ("b.c/1.x.jpg", JPEG),
        ("b.c/1.json", {"URL": "https://c.example/1", "alt": "third"}),
    ]
    rows, statistics = read_members(tmp_path, members)
    assert rows == [
        ("https://a.example/1", "first", "text", "https://a.example/p"),
        ("https://b.example/1", "second", "text", "https://b.example/p"),
        ("https://c.example/1", "third", "alt", ""),
    ]
    assert statistics["records"] == 3


def test_what_cannot_be_used_is_counted_by_reason(tmp_path):
    good = {"url": "https://a.example/1.jpg", "caption": "good"}
    samples = [
        good,
        {"caption": "no address"},
        {**good, "url": None},
        {**good, "url": "1.jpg"},
        {"url": "https://a.example/2.jpg"},
        {"url": "https://a.example/2.jpg", "texts": []},
        {"url": "https://a.example/2.jpg", "texts": ["a", ["alt"], [], None, ["alt", None], ["alt", " "]]},
        {**good, "status": "failed_to_download", "error_message": "404"},
        b'{"url": "https',
        b"[1]",
        {**good, "status": None},
    ]
    rows, statistics = read_members(tmp_path, [(f"{n:04}.json", sample) for n, sample in enumerate(samples)])
    assert rows == [("https://a.example/1.jpg", "good", "caption", "")] * 2
    statistics.pop("bytes_read")
    assert statistics == {
        "records": 11, "images": 9, "images_kept": 2, "texts": 2,
        "dropped.image.no_address": 2, "dropped.image.bad_address": 1, "dropped.image.no_text": 3,
        "dropped.image.not_downloaded": 1, "dropped.record.bad_json": 1, "dropped.record.not_an_object": 1,
    }  # fmt: skip


def test_a_sample_without_json_has_no_address(tmp_path):
    rows, statistics = read_members(tmp_path, [("1.jpg", JPEG), ("1.txt", b"a text"), ("2.jpg", JPEG)])
    assert rows == []
    assert statistics["dropped.image.no_address"] == 1
    assert statistics["dropped.image.no_text"] == 1


def test_text_keys_that_are_not_wanted_are_left_out(tmp_path):
    rows, statistics = read_members(tmp_path, METACLIP, Extract(text_keys=["title"]))
    assert rows == [METACLIP_ROWS[1], METACLIP_ROWS[3]]
    assert statistics["dropped.text.not_wanted"] == 2


def many(count):
    for n in range(count):
        yield f"{n:06}.jpg", hashlib.shake_256(b"%d" % n).digest(2000)
        yield f"{n:06}.json", {"url": f"https://a.example/{n}.jpg", "caption": f"text {n}"}
        yield f"{n:06}.txt", f"text {n}".encode()


def rows_of(count):
    return [(f"https://a.example/{n}.jpg", f"text {n}", "caption", "") for n in range(count)]


@pytest.mark.slow
@pytest.mark.parametrize("compress", [bytes, gzip.compress])
def test_a_shard_cut_anywhere_gives_the_samples_before(tmp_path, compress):
    content = compress(tar(many(30)))
    path = tmp_path / "x.tar"
    sizes = set()
    for cut in range(600, len(content) - 10_240 if compress is bytes else len(content) - 8, 499):
        path.write_bytes(content[:cut])
        rows, statistics = read(path)
        assert rows == rows_of(len(rows))
        assert statistics["dropped.file_tail.truncated"] == 1
        assert statistics["records"] == len(rows) + statistics["dropped.record.truncated"]
        sizes.add(len(rows))
    assert len(sizes) > 20


def test_a_damaged_header_ends_the_shard_and_is_counted(tmp_path):
    content = bytearray(tar(many(30)))
    start = content.index(b"000020.jpg")
    content[start : start + 512] = b"\xff" * 512
    path = tmp_path / "x.tar"
    path.write_bytes(content)
    rows, statistics = read(path)
    assert rows == rows_of(19)  # of sample 19 nobody can say that it was whole
    assert statistics["dropped.file_tail.corrupt"] == 1
    assert statistics["dropped.record.truncated"] == 1


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "empty"),
        (b"<html>403 Forbidden</html>", "not_tar"),
        (b"<html>403 Forbidden</html>" * 1000, "not_tar"),
        (gzip.compress(b"no tar" * 1000), "not_tar"),
    ],
)
def test_files_of_other_kinds_are_refused_with_a_reason(tmp_path, content, reason):
    path = tmp_path / "x.tar"
    path.write_bytes(content)
    with pytest.raises(UnreadableFileError) as caught:
        read(path)
    assert caught.value.reason == reason


def test_a_tar_of_nothing_gives_nothing(tmp_path):
    assert read_members(tmp_path, [])[0] == []


def test_images_and_huge_members_are_not_held_in_memory(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "_MAX_MEMBER_BYTES", 1 << 20)
    members = [
        ("1.jpg", bytes(64 << 20)),
        ("1.json", IMG2DATASET[1][1]),
        ("2.json", b" " * (32 << 20)),
        *IMG2DATASET[3:],
    ]
    path = tmp_path / "x.tar"
    path.write_bytes(tar(members))
    del members
    tracemalloc.start()
    rows, statistics = read(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert rows == IMG2DATASET_ROWS
    assert statistics["dropped.record.too_large"] == 1
    assert peak < 16 << 20


def test_batches_are_bounded_and_remote_shards_read_alike(tmp_path, monkeypatch):
    monkeypatch.setattr("metaclip.sources.samples.BATCH_PAIRS", 100)
    path = tmp_path / "x.tar"
    path.write_bytes(tar(many(350)))
    sizes = [len(batch) for batch in read_webdataset(str(path), Extract(), Counter())]
    assert sizes == [100, 100, 100, 50]
    with fsspec.open("memory://shards/x.tar", "wb") as file:
        file.write(path.read_bytes())
    assert read("memory://shards/x.tar") == read(path)
    assert read(path)[0] == rows_of(350)


@pytest.mark.parametrize("pack", [bytes, gzip.compress, bz2.compress, lzma.compress, zstandard.compress])
def test_packed_shards(tmp_path, pack):
    path = tmp_path / "x.tgz"
    path.write_bytes(pack(tar(METACLIP)))
    assert read(path)[0] == METACLIP_ROWS


def test_lists_of_captions_marks_and_other_names(tmp_path):
    members = [
        ("1.json", {"image_url": "https://a.example/1", "captions": ["one", "eins"], "status": None}),
        ("2.json", b'\xef\xbb\xbf{"url": "https://a.example/2"}'),
        ("2.txt", "\ufefftwo".encode()),
    ]
    assert [row[:3] for row in read_members(tmp_path, members)[0]] == [
        ("https://a.example/1", "one", "captions"),
        ("https://a.example/1", "eins", "captions"),
        ("https://a.example/2", "two", "txt"),
    ]


def test_names_with_more_dots_get_a_reason_that_says_so(tmp_path):
    fields = IMG2DATASET[1][1]
    odd = [(f"img.{n:03}.{end}", part) for n in range(5) for end, part in (("jpg", JPEG), ("json", fields))]
    rows, statistics = read_members(tmp_path, [*IMG2DATASET[:3], *odd, ("z.jpg", JPEG), ("z.a.json", {})])
    assert rows == IMG2DATASET_ROWS[:1]
    assert statistics["dropped.record.name_with_dots"] == 6
    assert statistics["records"] == 7


def unfinished(members):
    """A tar archive without its end."""
    sound = tar(members).rstrip(b"\0")
    return sound + bytes(-len(sound) % 512)


def header(name, size, kind=tarfile.REGTYPE):
    member = tarfile.TarInfo(name)
    member.size, member.type = size, kind
    return member.tobuf(tarfile.GNU_FORMAT)


def test_sizes_that_headers_claim_are_not_believed(tmp_path):
    good = unfinished(IMG2DATASET)
    note = b"28 size=4611686018427387904\n"
    claims = {
        "pax size": header("pax", len(note), tarfile.XHDTYPE) + note.ljust(512, b"\0") + header("x.jpg", 9),
        "size": header("x.jpg", 1 << 62),
        "4 GB": header("x.json", 4 << 30),
        "pax of 4 GB": header("pax", 4 << 30, tarfile.XHDTYPE),
        "name of 4 GB": header("name", 4 << 30, tarfile.GNUTYPE_LONGNAME),
    }
    for what, claim in claims.items():
        path = tmp_path / "x.tar"
        path.write_bytes(good + claim + b"\1" * 700)
        tracemalloc.start()
        started = time.monotonic()
        rows, statistics = read(path)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert rows[0] == IMG2DATASET_ROWS[0], what
        assert statistics["dropped.file_tail.truncated"] + statistics["dropped.file_tail.bad_header"] == 1, what
        assert time.monotonic() - started < 2, what
        assert peak < 8 << 20, what


def test_a_long_note_that_is_there_is_not_read_as_a_whole(tmp_path):
    path = tmp_path / "x.tar"
    bomb = gzip.compress(header("pax", 200 << 20, tarfile.XHDTYPE) + bytes(200 << 20), 1)
    path.write_bytes(gzip.compress(unfinished(IMG2DATASET)) + bomb)
    tracemalloc.start()
    _, statistics = read(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert statistics["dropped.file_tail.bad_header"] == 1
    assert peak < 16 << 20
