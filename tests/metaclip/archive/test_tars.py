"""Tars whose headers claim what is not there end at once, wherever they are read."""

import io
import tarfile
from collections import Counter
from pathlib import Path

import pytest

from metaclip.archive.tars import open_tar
from metaclip.errors import InputError
from metaclip.images.blur import _copy as blur
from metaclip.images.downloaded import tar_pictures
from metaclip.images.purge import _copy as purge
from metaclip.store.store import Store


def tar(**claims: str) -> bytes:
    """Return an archive of two members, of which the second claims something in its list of attributes."""
    sink = io.BytesIO()
    with tarfile.open(fileobj=sink, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for name in ("one.jpg", "two.jpg"):
            member = tarfile.TarInfo(name)
            member.size = 5
            if name == "two.jpg":
                member.pax_headers = dict(claims)
            archive.addfile(member, io.BytesIO(b"hello"))
    return sink.getvalue()


HOSTILE = [
    tar(size=str(1 << 62)),
    tar(size="-1"),
    tar(comment="c" * (2 << 20)),
    tar(size=str(1 << 49)),
    tar()[:1538],
]


@pytest.mark.parametrize("content", HOSTILE)
def test_what_a_header_claims_is_not_waited_for(content: bytes) -> None:
    names = []

    def read() -> None:
        with open_tar(io.BytesIO(content)) as archive:
            for member in archive:
                names.append(member.name)
                archive.extractfile(member).read()

    with pytest.raises(tarfile.TarError):
        read()
    assert names[:1] == ["one.jpg"]


@pytest.mark.parametrize("content", HOSTILE[:3])
def test_pictures_are_read_from_such_a_tar_up_to_there(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.tar").write_bytes(content)
    found = []
    with pytest.raises(InputError, match="damaged"):
        found += tar_pictures(Store(str(tmp_path)), "a.tar", 1 << 20)
    for copy in (lambda a, b: blur(a, b, {}, Counter()), lambda a, b: purge(a, b, frozenset(), set())):
        with pytest.raises(tarfile.TarError):
            copy(io.BytesIO(content), io.BytesIO())


def test_a_sound_tar_is_read_to_its_end() -> None:
    with open_tar(io.BytesIO(tar())) as archive:
        assert [member.name for member in archive] == ["one.jpg", "two.jpg"]
