"""Blurred copies of tars: what is in a box cannot be seen any more, and all else is as it was."""

import io
import json
import shutil
import tarfile
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image, ImageDraw
from typer.testing import CliRunner

from flows.cli.main import app
from metaclip.config.images import Inspect
from metaclip.errors import ConfigError
from metaclip.images.blur import blur_pictures
from metaclip.images.boxes import in_pixels
from metaclip.images.downloaded import downloaded_files
from metaclip.images.inspect_job import IMAGES, InspectJob
from metaclip.pairs.uids import format_uids
from metaclip.store.store import Store
from tests.metaclip.images.test_inspect_job import table_of
from tests.pictures import download, encoded, picture, write_export
from tests.servers import serve

FACE = (100, 60, 60, 80)


def _with_face(seed: int) -> Image.Image:
    """Return a picture with a chequered part, which has nothing but detail."""
    image = picture(seed, 256, 256)
    draw = ImageDraw.Draw(image)
    for across in range(0, FACE[2], 4):
        for down in range(0, FACE[3], 4):
            shade = 255 * ((across // 4 + down // 4) % 2)
            x, y = FACE[0] + across, FACE[1] + down
            draw.rectangle((x, y, x + 3, y + 3), fill=(shade, shade, shade))
    return image


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[str]]:
    tmp_path = tmp_path_factory.mktemp("blur")
    with serve() as site:
        site.files = {f"/{number}.jpg": encoded(_with_face(number), quality=95) for number in range(6)}
        table = table_of(site, [*map(str, range(6)), "lost"])
        folder = download(write_export(tmp_path / "export", [table]), tmp_path / "images", samples_per_shard=4)
    return folder, format_uids(table["uid_hi"].to_numpy(), table["uid_lo"].to_numpy()).to_pylist()


def _members(folder: Path) -> dict[str, bytes]:
    found: dict[str, bytes] = {}
    for path in sorted(folder.glob("*/*.tar")):
        with tarfile.open(path) as archive:
            for member in archive:
                content = archive.extractfile(member)
                assert content is not None
                found[member.name] = content.read()
    return found


def _pixels(data: bytes) -> npt.NDArray[np.float64]:
    return np.asarray(Image.open(io.BytesIO(data)).convert("L"), float)


def _detail(pixels: npt.NDArray[np.float64]) -> float:
    x, y, w, h = FACE
    part = pixels[y : y + h, x : x + w]
    return float(np.abs(np.diff(part, axis=1)).mean())


def test_what_is_in_a_box_cannot_be_seen(images: tuple[Path, list[str]], tmp_path: Path) -> None:
    folder, uids = images
    rows = [dict(zip("xywh", FACE, strict=True)) | {"uid": uids[1]}]
    rows += [{"uid": uids[4], "x": 100 / 256, "y": 60 / 256, "w": 60 / 256, "h": 80 / 256}]  # the same in shares
    rows += [{"uid": uids[4], "x": 250, "y": 250, "w": 50, "h": 50}, {"uid": uids[4], "x": 300, "y": 3, "w": 9, "h": 9}]
    rows += [{"uid": "0" * 32, "x": 1, "y": 1, "w": 2, "h": 2}, {"uid": uids[6], "x": 1, "y": 1, "w": 2, "h": 2}]
    listed = tmp_path / "boxes.jsonl"
    listed.write_text("".join(json.dumps(row) + "\n" for row in rows))
    done = blur_pictures(str(folder), str(listed), str(tmp_path / "blurred"))
    told = {name: done[name] for name in ("pictures", "boxes", "outside", "unknown", "damaged", "shards")}
    assert told == {"pictures": 2, "boxes": 3, "outside": 1, "unknown": 1, "damaged": 0, "shards": 2}
    before, after = _members(folder), _members(tmp_path / "blurred")
    assert list(before) == list(after)
    changed = {name for name in before if before[name] != after[name]}
    assert changed == {"000000001.jpg", "000010000.jpg"} or len(changed) == 2
    for name in changed:
        one, other = _pixels(before[name]), _pixels(after[name])
        assert _detail(one) > 40
        assert _detail(other) < 4
        # Outside of the margin it is the same picture, encoded again.
        assert np.abs(one - other)[:30].mean() < 3
        assert np.abs(one - other)[:, :60].mean() < 3

    # The same rows in another order and form: the same bytes. It is a folder of images like the first.
    pq.write_table(pa.Table.from_pylist(rows[::-1]), tmp_path / "boxes.parquet")
    blur_pictures(str(folder), str(tmp_path / "boxes.parquet"), str(tmp_path / "again"))
    contents = [
        {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()}
        for root in (tmp_path / "blurred", tmp_path / "again")
    ]
    assert contents[0] == contents[1]
    (file,) = downloaded_files(str(tmp_path / "blurred"))
    store = Store(str(tmp_path / "store"))
    statuses = store.open_parquet(InspectJob.of(file, Inspect()).run(store), IMAGES).read()["status"].to_pylist()
    assert sorted(statuses) == ["not_downloaded"] + ["ok"] * 6

    # By the command, over what is there: the same; other boxes need another folder.
    command = ["images", "blur", str(folder), "--boxes", str(listed), "--to", str(tmp_path / "blurred"), "--json"]
    result = CliRunner().invoke(app, command)
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout)["pictures"] == 2
    listed.write_text(json.dumps(rows[0]))
    with pytest.raises(ConfigError, match="other boxes"):
        blur_pictures(str(folder), str(listed), str(tmp_path / "blurred"))


def test_a_picture_that_cannot_be_decoded_is_not_copied(images: tuple[Path, list[str]], tmp_path: Path) -> None:
    folder, uids = Path(shutil.copytree(images[0], tmp_path / "images")), images[1]
    tar = sorted(folder.glob("*/*.tar"))[0]
    content = tar.read_bytes()
    start = content.index(b"\xff\xd8\xff")
    tar.write_bytes(content[:start] + b"no picture" + content[start + 10 :])
    with tarfile.open(tar) as archive:
        key = archive.getnames()[0].partition(".")[0]
    listed = tmp_path / "boxes.jsonl"
    listed.write_text("".join(json.dumps({"uid": uid, "x": 9, "y": 9, "w": 9, "h": 9}) + "\n" for uid in uids))
    done = blur_pictures(str(folder), str(listed), str(tmp_path / "blurred"))
    assert (done["pictures"], done["damaged"]) == (5, 1)
    assert {name.partition(".")[0] for name in _members(folder)} - {
        name.partition(".")[0] for name in _members(tmp_path / "blurred")
    } == {key}


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("", "has no box"),
        ("uid,x,y", "row 1: neither Parquet nor a line of JSON"),
        ("[1, 2]", "row 1: no object"),
        ('{"uid": "0", "x": 1, "y": 1, "w": 1, "h": 1}', "row 1: .*32 hex digits"),
        ('{"uid": "%s", "x": 1, "y": 1, "w": 1}', "row 1: lacks 'h'"),
        ('{"uid": "%s", "x": 1, "y": 1, "w": 0, "h": 3}', "row 1: no box"),
        ('{"uid": "%s", "x": NaN, "y": 1, "w": 1, "h": 3}', "row 1: no box"),
        ('{"uid": "%s", "x": "a", "y": 1, "w": 1, "h": 3}', "row 1: could not convert"),
    ],
)
def test_what_is_no_box_is_told(images: tuple[Path, list[str]], tmp_path: Path, line: str, message: str) -> None:
    listed = tmp_path / "boxes"
    listed.write_text(line.replace("%s", images[1][0]))
    with pytest.raises(ConfigError, match=message):
        blur_pictures(str(images[0]), str(listed), str(tmp_path / "to"))
    assert not (tmp_path / "to").exists()


def test_the_folder_itself_is_no_target(images: tuple[Path, list[str]], tmp_path: Path) -> None:
    listed = tmp_path / "boxes"
    listed.write_text(json.dumps({"uid": images[1][0], "x": 1, "y": 1, "w": 1, "h": 3}))
    with pytest.raises(ConfigError, match="itself"):
        blur_pictures(str(images[0]), str(listed), str(images[0]) + "/")


def test_boxes_in_pixels() -> None:
    assert in_pixels((0.5, 0.25, 0.5, 0.5), 100, 200) == (50, 50, 100, 150)
    assert in_pixels((-5, -5, 10.5, 8), 100, 200) == (0, 0, 6, 3)
    assert in_pixels((99.5, 0, 3, 3), 100, 200) == (99, 0, 100, 3)
    assert in_pixels((100, 0, 3, 3), 100, 200) is None
