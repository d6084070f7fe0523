"""The flows of pictures outside of a pool's stages, as their deployments run them."""

import json
import sys
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import yaml
from prefect.utilities.importtools import import_object

from flows.pictures.files import blur_images, hash_images, purge_images
from metaclip.pairs.uids import format_uids
from tests.examples import ROOT
from tests.metaclip.images.test_inspect_job import table_of
from tests.pictures import download, encoded, picture, write_export
from tests.servers import serve

pytestmark = [pytest.mark.usefixtures("prefect_server"), pytest.mark.timeout(200)]


@pytest.mark.slow
def test_pictures_are_hashed_blurred_and_taken_out(tmp_path: Path) -> None:
    with serve() as site:
        site.files = {f"/{number}.jpg": encoded(picture(number)) for number in range(3)}
        table = table_of(site, [*map(str, range(3))])
        images = download(write_export(tmp_path / "export", [table]), tmp_path / "images")
    uids = format_uids(table["uid_hi"].to_numpy(), table["uid_lo"].to_numpy()).to_pylist()
    hashed = hash_images(str(images), str(tmp_path / "hashes.parquet"))
    assert (hashed["status"], hashed["other_files"]) == ({"ok": 3}, 4)
    assert pq.read_table(tmp_path / "hashes.parquet").num_rows == 3
    boxes = tmp_path / "boxes"
    boxes.write_text(json.dumps({"uid": uids[0], "x": 10, "y": 90, "w": 40, "h": 40}))
    assert blur_images(str(images), str(boxes), str(tmp_path / "blurred"))["pictures"] == 1
    (tmp_path / "list").write_text(uids[1])
    assert purge_images(str(images), str(tmp_path / "list"))["pictures"] == 1


def test_every_deployment_names_a_flow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", [*sys.path])  # Prefect leaves folders there
    deployments = yaml.safe_load((ROOT / "prefect.yaml").read_text())["deployments"]
    for deployment in deployments:
        found = import_object(str(ROOT / deployment["entrypoint"]))
        assert found.fn.__doc__
        assert set(deployment.get("parameters", {})) <= set(found.parameters.properties)
