"""Inspecting what the real img2dataset wrote: a row for each row of the export, whatever became of it."""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from metaclip.config.images import Inspect
from metaclip.errors import ConfigError, InputError
from metaclip.images.downloaded import downloaded_files, unpadded
from metaclip.images.inspect_job import IMAGES, InspectJob
from metaclip.images.perceptual import describe, distances
from metaclip.pairs.uids import uids
from metaclip.store.store import Store
from tests.pictures import download, encoded, picture, write_export
from tests.servers import Site, serve

SIZES = [(320, 240), (240, 320), (300, 300), (640, 91), (77, 333), (40, 30)]


@pytest.fixture(scope="module")
def site() -> Iterator[Site]:
    """Twelve pictures, a page, an empty file; one is missing."""
    with serve() as found:
        for number in range(12):
            found.files[f"/{number}.jpg"] = encoded(picture(number, *SIZES[number % len(SIZES)]), quality=95)
        found.files |= {"/page.jpg": b"<html>", "/empty.jpg": b""}
        yield found


def table_of(site: Site, names: list[str]) -> pa.Table:
    urls, texts = [f"{site.address}/{name}.jpg" for name in names], [f"text {name}" for name in names]
    high, low = uids(urls, texts)
    return pa.table({"uid_hi": high, "uid_lo": low, "url": urls, "text": texts})


@pytest.fixture(scope="module")
def names() -> list[str]:
    return [*map(str, range(12)), "page", "empty", "missing"]


@pytest.mark.slow
@pytest.mark.parametrize(
    "form", ["webdataset", *(pytest.param(name, marks=pytest.mark.long) for name in ("files", "parquet"))]
)
def test_a_row_for_each_row_and_padding_is_cut_off(site: Site, names: list[str], tmp_path: Path, form: str) -> None:
    export = write_export(tmp_path / "export", [table_of(site, names)])
    how = {"output_format": form, "samples_per_shard": 8, "downloader": "img2dataset"}
    images = download(export, tmp_path / "images", image_size=256, **how)
    (file,) = downloaded_files(str(images))
    store = Store(str(tmp_path / "pool"))
    reference = InspectJob.of(file, Inspect()).run(store)
    table = store.open_parquet(reference, IMAGES).read()
    high = table.column("uid_hi").to_numpy()
    assert (np.sort(high) == high).all()
    assert sorted(high.tolist()) == sorted(table_of(site, names).column("uid_hi").to_pylist())
    assert Counter(table.column("status").to_pylist()) == {"ok": 12, "not_resized": 2, "not_downloaded": 1}
    counts = store.manifest(reference.manifest).statistics["counts"]
    assert (counts["rows"], counts["lost_by_downloader"], counts["status.ok"]) == (15, 0, 12)
    rows = {row["uid_hi"]: row for row in table.to_pylist()}
    for number in range(12):
        row = rows[int(uids([f"{site.address}/{number}.jpg"], ["x"])[0][0])]
        width, height = SIZES[number % len(SIZES)]
        assert (row["width"], row["height"], row["stored_width"], row["stored_height"]) == (width, height, 256, 256)
        original = describe(np.asarray(picture(number, width, height)))
        found = distances(*(np.frombuffer(each, np.uint64) for each in (original.area64, row["area64"])))
        assert int(found) <= 8, (number, width, height)
        assert len(row["bytes_sha256"]) == 32

    # Made again it has the same bytes, and the key changes with what it depends on alone.
    files = store.manifest(reference.manifest).files
    other = Store(str(tmp_path / "other"))
    assert other.manifest(InspectJob.of(file, Inspect()).run(other).manifest).files == files
    assert InspectJob.of(file, Inspect(max_pixels=10)).key != reference.key
    if form == "webdataset":
        few = InspectJob.of(file, Inspect(max_pixels=256 * 256 - 1, max_bytes=1 << 20)).run(store)
        assert store.manifest(few.manifest).statistics["counts"]["status.too_many_pixels"] == 12
        tar = next(images.glob("*/*.tar"))
        tar.write_bytes(tar.read_bytes()[:3000])
        assert downloaded_files(str(images))[0] != file
        with pytest.raises(InputError, match="damaged"):
            InspectJob.of(file, Inspect()).run(store)


def test_what_is_no_folder_of_images_is_told(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no folder of images"):
        downloaded_files(str(tmp_path))
    (tmp_path / "images.settings.json").write_text("{}")
    with pytest.raises(ConfigError, match="no file of the export is finished"):
        downloaded_files(str(tmp_path))


def test_the_part_that_is_not_padding() -> None:
    assert unpadded("border", 256, 320, 240) == (0, 32, 256, 224)
    assert unpadded("border", 256, 91, 640) == (110, 0, 146, 256)
    assert unpadded("border", 256, 300, 300) == (0, 0, 0, 0)
    assert unpadded("keep_ratio", 256, 320, 240) == (0, 0, 0, 0)


@pytest.mark.long
def test_a_file_that_joins_is_inspected_alone(tmp_path: Path) -> None:
    with serve() as one:
        one.files = {f"/{number}.jpg": encoded(picture(number, 64, 64)) for number in range(6)}
        table = table_of(one, [*map(str, range(6))])
        images = download(write_export(tmp_path / "first", [table.slice(3)]), tmp_path / "images")
        before = {InspectJob.of(file, Inspect()).key for file in downloaded_files(str(images))}
        download(write_export(tmp_path / "both", [table.slice(0, 3), table.slice(3)]), images)
    after = {InspectJob.of(file, Inspect()).key for file in downloaded_files(str(images))}
    assert len(before) == 1
    assert len(after) == 2
    assert before < after
