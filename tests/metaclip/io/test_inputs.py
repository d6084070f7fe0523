"""One rule for every setting that names files: what a path names, and what an error says."""

import hashlib
import os
from pathlib import Path
from uuid import uuid4

import fsspec
import pytest

from metaclip.config.loading import parse_config
from metaclip.config.settings import Source
from metaclip.errors import ConfigError, InputError, MetaclipError, UnreadableFileError
from metaclip.io.inputs import fingerprint, inputs_of, list_inputs
from metaclip.language.model_file import model_fingerprint
from metaclip.metadata.jobs import metadata_plan
from metaclip.sources.listing import list_shards
from metaclip.survivors.lists import survivor_files
from tests.s3 import S3Server

NAMES = ["b.parquet", "a.parquet", "deep/er/c.parquet", ".hidden.parquet", ".folder/d.parquet", "deep/.e.parquet"]
SEEN = ["a.parquet", "b.parquet", "deep/er/c.parquet"]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in NAMES:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(name.encode())
    return tmp_path


def _words(*paths: str) -> list[str]:
    metadata = {"wordnet": {"use": "none"}, "words": {"paths": list(paths)}}
    config = parse_config({"pool": "p", "source": {"paths": ["x"]}, "metadata": metadata})
    return [job.path for job in metadata_plan(config).ngrams]


def _crawl(*paths: str) -> list[str]:
    return [file.path for shard in list_shards(Source(paths=list(paths))) for file in shard]


def _survivors(*paths: str) -> list[str]:
    return [file.path for file in survivor_files(paths)]


all_settings = pytest.mark.parametrize("listed", [_words, _crawl, _survivors])


@all_settings
def test_a_folder_is_all_files_in_it_at_any_depth_but_hidden_ones(listed, folder: Path) -> None:
    assert listed(str(folder)) == [f"{folder}/{name}" for name in SEEN]
    assert listed(f"file://{folder}/") == [f"{folder}/{name}" for name in SEEN]


@all_settings
def test_globs_go_through_folders_and_pass_hidden_files_by(listed, folder: Path) -> None:
    assert listed(f"{folder}/*.parquet") == [f"{folder}/{name}" for name in SEEN[:2]]
    assert listed(f"{folder}/**/*.parquet") == [f"{folder}/{name}" for name in SEEN]
    assert listed(f"{folder}/.*.parquet") == [f"{folder}/.hidden.parquet"]


@all_settings
def test_paths_start_at_home_or_here(listed, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(folder))
    monkeypatch.chdir(folder / "deep")
    assert listed("~/a.parquet") == [f"{folder}/a.parquet"]
    assert listed("~/*.parquet") == [f"{folder}/{name}" for name in SEEN[:2]]
    assert listed("er") == [f"{folder}/deep/er/c.parquet"]
    assert listed("../a.parquet") == [f"{folder}/a.parquet"]


@all_settings
def test_folders_and_globs_of_stores_go_by_the_same_rule(listed) -> None:
    root = f"memory://{uuid4()}"
    for name in NAMES:
        with fsspec.open(f"{root}/{name}", "wb") as file:
            file.write(name.encode())
    assert [path.partition(root[9:])[2] for path in listed(root)] == [f"/{name}" for name in SEEN]
    assert [path.partition(root[9:])[2] for path in listed(f"{root}/*.parquet")] == [f"/{name}" for name in SEEN[:2]]
    assert listed(f"{root}/a.parquet") == [f"{root}/a.parquet"]


@all_settings
def test_a_folder_of_a_store_that_is_named_like_a_file_ends_in_a_slash(
    listed, bucket: str, s3_server: S3Server
) -> None:
    folder = f"{bucket}/pairs.parquet"
    s3_server.client().pipe_file(f"{folder}/a.parquet", b"x")
    assert listed(f"{folder}/") == [f"{folder}/a.parquet"]
    with pytest.raises(MetaclipError, match=r"pairs\.parquet: is a folder, not a file \(a folder's name ends in /\)"):
        listed(folder)


@all_settings
def test_a_file_whose_name_looks_like_a_glob_is_that_file(listed, tmp_path: Path) -> None:
    for name in ("a[1].parquet", "a1.parquet"):
        (tmp_path / name).write_bytes(b"x")
    assert listed(f"{tmp_path}/a[1].parquet") == [f"{tmp_path}/a[1].parquet"]


@pytest.mark.parametrize(
    ("listed", "field", "kind"),
    [
        (_words, "metadata.words.paths", ConfigError),
        (_crawl, "source.paths", InputError),
        (_survivors, "survivors", ConfigError),
    ],
)
def test_every_setting_says_the_same_of_what_cannot_be_used(
    listed, field: str, kind: type[MetaclipError], tmp_path: Path
) -> None:
    missing = f"{tmp_path}/none.parquet"
    text = f"{field}: {missing}: there is no such file; relative paths start at the folder that the command runs in"
    with pytest.raises(kind) as caught:
        listed(missing)
    assert str(caught.value) == text
    os.mkfifo(tmp_path / "pipe.parquet")
    with pytest.raises(kind, match=rf"{field}: .*pipe\.parquet: is a device or a pipe, not a file; name the file"):
        listed(f"{tmp_path}/pipe.parquet")


def test_fingerprints_are_size_and_hash_of_local_files(tmp_path: Path) -> None:
    content = b"some pairs"
    (tmp_path / "a").write_bytes(content)
    known = f"{len(content)}-{hashlib.sha256(content).hexdigest()}"
    assert fingerprint(str(tmp_path / "a")) == known
    assert fingerprint(f"file://{tmp_path}/a") == known
    assert model_fingerprint(tmp_path / "a") == known
    (found,) = inputs_of([str(tmp_path)], "words")
    assert (found.bytes, found.fingerprint) == (len(content), known)
    with pytest.raises(UnreadableFileError, match="is a folder"):
        fingerprint(str(tmp_path))


def test_a_store_is_asked_once_whether_an_address_is_a_folder_and_never_of_one_that_ends_like_a_file() -> None:
    (file,) = list_inputs("nosuch://e.org/a.parquet")
    assert (file.named_by, file.bytes) == ("name", None)
    with pytest.raises(InputError, match="another fsspec scheme"):
        list(list_inputs("nosuch://e.org/a"))
