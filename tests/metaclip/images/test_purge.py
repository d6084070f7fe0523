"""Purged pictures leave what was downloaded, and inspecting it again says so."""

import tarfile
from collections import Counter
from pathlib import Path

import pytest

from metaclip.config.images import Inspect
from metaclip.errors import ConfigError
from metaclip.images.downloaded import downloaded_files
from metaclip.images.inspect_job import IMAGES, InspectJob
from metaclip.images.purge import purge_pictures
from metaclip.store.store import Store
from tests.metaclip.images.test_inspect_job import table_of
from tests.pictures import download, encoded, picture, write_export
from tests.servers import serve


@pytest.mark.long
@pytest.mark.parametrize("form", ["webdataset", "files", "parquet"])
def test_pictures_leave_the_shards(tmp_path: Path, form: str) -> None:
    with serve() as site:
        site.files = {f"/{number}.jpg": encoded(picture(number)) for number in range(6)}
        table = table_of(site, [*map(str, range(6))])
        how = {"output_format": form, "samples_per_shard": 4}
        how["downloader"] = "careful" if form == "webdataset" else "img2dataset"
        images = download(write_export(tmp_path / "export", [table]), tmp_path / "images", **how)
    store = Store(str(tmp_path / "pool"))
    before = InspectJob.of(downloaded_files(str(images))[0], Inspect()).run(store)
    (row,) = [
        each for each in store.open_parquet(before, IMAGES).read().to_pylist() if each["uid_hi"] == high(table, 1)
    ]
    listed = tmp_path / "list"
    listed.write_text(
        f"image {high(table, 0):016x}\nsha256 {row['bytes_sha256'].hex()}\n{table['url'][2].as_py()}\nuid {'0' * 32}\n"
    )
    if form == "parquet":
        with pytest.raises(ConfigError, match="Parquet"):
            purge_pictures(str(images), str(listed))
        return
    done = purge_pictures(str(images), str(listed))
    assert (done["pictures"], done["unknown"]) == (3, [4])
    if form == "webdataset":
        names: list[str] = []
        for path in images.glob("*/*.tar"):
            with tarfile.open(path) as archive:
                names += archive.getnames()
        assert len(names) == 3 * 3
    after = InspectJob.of(downloaded_files(str(images))[0], Inspect()).run(store)
    assert after.key != before.key
    rows = store.open_parquet(after, IMAGES).read().to_pylist()
    assert Counter(each["status"] for each in rows) == {"ok": 3, "missing": 3}
    assert {each["uid_hi"] for each in rows if each["status"] == "missing"} == {high(table, n) for n in range(3)}
    again = purge_pictures(str(images), str(listed))
    assert again["pictures"] == 0
    listed.write_text("host a.example")
    with pytest.raises(ConfigError, match="known by uid"):
        purge_pictures(str(images), str(listed))


def high(table: "object", row: int) -> int:
    return int(table["uid_hi"][row].as_py())  # type: ignore[index]
