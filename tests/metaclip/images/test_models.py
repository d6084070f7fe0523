"""Models that a user gives: boxes that a blur takes, and scores that a filter takes, by uid."""

import json
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image
from typer.testing import CliRunner

from flows.cli.main import app
from metaclip.config.images import Filter
from metaclip.errors import ConfigError
from metaclip.images.blur import blur_pictures
from metaclip.images.dedup.filter_job import FilterFiles
from metaclip.images.models import run_model
from metaclip.pairs.uids import format_uids
from tests.metaclip.images.test_inspect_job import table_of
from tests.onnx_files import bright_faces, red_scores
from tests.pictures import download, encoded, write_export
from tests.servers import serve


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[str]]:
    """A dark picture with two white spots, one without, and a red one."""
    tmp_path = tmp_path_factory.mktemp("models")
    dark, red = Image.new("RGB", (256, 256), (20, 20, 20)), Image.new("RGB", (256, 128), (220, 10, 10))
    spots = dark.copy()
    for left, upper in ((40, 60), (180, 200)):
        spots.paste((255, 255, 255), (left, upper, left + 4, upper + 4))
    with serve() as site:
        site.files = {"/0.jpg": encoded(spots, "PNG"), "/1.jpg": encoded(dark, "PNG"), "/2.jpg": encoded(red, "PNG")}
        table = table_of(site, ["0", "1", "2", "lost"])
        folder = download(
            write_export(tmp_path / "export", [table]), tmp_path / "images", resize_mode="keep_ratio_largest"
        )
    return folder, format_uids(table["uid_hi"].to_numpy(), table["uid_lo"].to_numpy()).to_pylist()


@pytest.fixture(autouse=True)
def _models(tmp_path: Path) -> None:
    (tmp_path / "faces.onnx").write_bytes(bright_faces(256))
    (tmp_path / "nsfw.onnx").write_bytes(red_scores())


def test_boxes_are_where_the_model_sees_faces(images: tuple[Path, list[str]], tmp_path: Path) -> None:
    folder, uids = images
    to = tmp_path / "boxes.parquet"
    done = run_model(str(folder), "faces", str(tmp_path / "faces.onnx"), str(to))
    assert (done["pictures"], done["rows"], done["damaged"]) == (3, 2, 0)
    rows = pq.read_table(to).to_pylist()
    assert {row["uid"] for row in rows} == {uids[0]}
    # 32 wide and 48 high around the middles of the spots, in shares of 256.
    found = sorted([round(row[side] * 256) for side in "xywh"] for row in rows)
    assert np.abs(np.array(found) - [[26, 38, 32, 48], [166, 178, 32, 48]]).max() <= 1
    assert all(row["score"] > 0.9 for row in rows)
    again = tmp_path / "again.parquet"
    run_model(str(folder), "faces", str(tmp_path / "faces.onnx"), str(again))
    assert again.read_bytes() == to.read_bytes()
    assert blur_pictures(str(folder), str(to), str(tmp_path / "blurred"))["boxes"] == 2


def test_scores_are_those_of_the_model(images: tuple[Path, list[str]], tmp_path: Path) -> None:
    folder, uids = images
    to = tmp_path / "scores.parquet"
    command = ["images", "score", str(folder), "--with", "nsfw", "--model", str(tmp_path / "nsfw.onnx")]
    done = CliRunner().invoke(app, [*command, "--to", str(to), "--json"])
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)["rows"] == 3
    scores = {row["uid"]: row["nsfw"] for row in pq.read_table(to).to_pylist()}
    # The mean of the red picture less the model's means is about (-94, -107, 97) in blue, green and red.
    assert scores[uids[2]] > 0.99
    assert max(scores[uids[0]], scores[uids[1]]) < 0.5
    settings = Filter.model_validate({"score_files": [str(to)], "scores": {"nsfw": [None, 0.5]}})
    assert FilterFiles.of(settings).scores


@pytest.mark.parametrize(
    ("kind", "model", "message"),
    [
        ("faces", "none.onnx", "no such file"),
        ("faces", "text", "cannot read it as ONNX"),
        ("faces", "nsfw.onnx", "no CenterFace"),
        ("nsfw", "faces.onnx", "no open_nsfw"),
    ],
)
def test_what_is_no_such_model_is_told(
    images: tuple[Path, list[str]], tmp_path: Path, kind: str, model: str, message: str
) -> None:
    (tmp_path / "text").write_text("no model")
    with pytest.raises(ConfigError, match=message):
        run_model(str(images[0]), kind, str(tmp_path / model), str(tmp_path / "to.parquet"))  # type: ignore[arg-type]
    assert not (tmp_path / "to.parquet").exists()
