from pathlib import Path
from uuid import uuid4

import fsspec
import pytest

from metaclip.errors import InputError, TransportError, UnreadableFileError
from metaclip.io.streams import call_store, filesystem, identify, open_stream, scheme
from tests.servers import serve


def test_schemes_are_told_from_local_paths() -> None:
    assert [scheme(path) for path in ("a/b", "/a:b", "HTTPS://x", "s3://b/k", "C:\\x", "xy://")] == [
        "", "", "https", "s3", "", "xy",
    ]  # fmt: skip


@pytest.mark.parametrize("kind", ["local", "file", "memory", "http"])
def test_every_kind_of_path_is_read_from_any_offset(kind: str, tmp_path: Path) -> None:
    content = bytes(range(256)) * 3000
    (tmp_path / "a").write_bytes(content)
    memory = f"memory://{uuid4()}/a"
    with fsspec.open(memory, "wb") as file:
        file.write(content)
    with serve() as site:
        site.files["/a"] = content
        path = {
            "local": str(tmp_path / "a"),
            "file": f"file://{tmp_path}/a",
            "memory": memory,
            "http": f"{site.address}/a",
        }[kind]
        for offset in (0, 70_000):
            with open_stream(path, offset) as stream:
                assert stream.tell() == offset
                assert stream.read(10) == content[offset : offset + 10]
                assert stream.read() == content[offset + 10 :]


def test_what_is_missing_or_a_folder_is_unreadable(tmp_path: Path) -> None:
    for path, reason in (
        (str(tmp_path / "none"), "not_found"),
        (str(tmp_path), "not_a_file"),
        (f"memory://{uuid4()}/none", "not_found"),
    ):
        with pytest.raises(UnreadableFileError) as caught:
            open_stream(path)
        assert caught.value.reason == reason
        assert path in str(caught.value)


def test_a_scheme_without_its_library_names_the_way_out() -> None:
    with pytest.raises(InputError, match=r"nosuch://x/y: .*another fsspec scheme"):
        filesystem("nosuch://x/y")


@pytest.mark.parametrize(
    ("fault", "expected"),
    [
        (FileNotFoundError("x"), UnreadableFileError),
        (PermissionError("x"), UnreadableFileError),
        (TimeoutError("x"), TransportError),
        (ConnectionResetError("x"), TransportError),
    ],
)
def test_faults_of_stores_become_this_projects_errors(fault: Exception, expected: type[Exception]) -> None:
    def fail() -> None:
        raise fault

    with pytest.raises(expected, match="s3://b/k"):
        call_store("s3://b/k", fail)


def test_missing_credentials_name_the_way_out() -> None:
    botocore = pytest.importorskip("botocore.exceptions")

    def fail() -> None:
        raise botocore.NoCredentialsError

    with pytest.raises(InputError, match="AWS_ACCESS_KEY_ID"):
        call_store("s3://b/k", fail)


def test_a_remote_object_is_known_by_its_tag_or_date() -> None:
    with serve() as site:
        site.files["/a"] = b"abc"
        assert (identify(f"{site.address}/a").tag, identify(f"{site.address}/a").bytes) == ("v1", 3)
        site.tag = None
        with pytest.raises(InputError, match="neither an ETag nor a date"):
            identify(f"{site.address}/a")
    memory = f"memory://{uuid4()}/a"
    with fsspec.open(memory, "wb") as file:
        file.write(b"abc")
    first = identify(memory)
    assert first.bytes == 3
    assert identify(memory) == first
    with fsspec.open(memory, "wb") as file:
        file.write(b"xyz")
    assert identify(memory) != first
