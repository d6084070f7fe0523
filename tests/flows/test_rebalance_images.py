"""`metaclip rebalance --images`: from an export to a balanced set of pictures that are there, each once."""

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from flows.cli.main import app
from flows.pictures.remove import remove_pairs
from flows.rebalance import rebalance
from metaclip.config.images import Images
from metaclip.errors import ConfigError
from metaclip.io.temporary import is_temporary
from metaclip.pool.status import pool_status
from metaclip.report.publish import write_sheets
from tests.conftest import MakeConfig, data_files
from tests.pictures import download, encoded, picture, write_export
from tests.servers import Site, serve

pytestmark = [pytest.mark.usefixtures("prefect_server"), pytest.mark.timeout(280)]

GROUPS, ALONE = 8, 30


@pytest.fixture(scope="module")
def site() -> Iterator[Site]:
    """Eight photographs in three copies each, thirty alone, two pages; two are missing."""
    with serve() as found:
        for group in range(GROUPS):
            original = picture(group)
            found.files[f"/g{group}-0.jpg"] = encoded(original, quality=95)
            found.files[f"/g{group}-1.jpg"] = encoded(original, quality=40)
            found.files[f"/g{group}-2.jpg"] = encoded(original.resize((200, 150)), quality=80)
        for number in range(ALONE):
            found.files[f"/a{number}.jpg"] = encoded(picture(100 + number, 150 + 10 * number, 200))
        found.files |= {"/page0.jpg": b"<html>", "/page1.jpg": b"<html>"}
        yield found


def _names() -> list[str]:
    copies = [f"g{group}-{copy}" for group in range(GROUPS) for copy in range(3)]
    return [*copies, *(f"a{number}" for number in range(ALONE)), "page0", "page1", "gone0", "gone1"]


def _pairs(storage: str) -> pa.Table:
    """Return one pair of each image of the pool, sorted."""
    files = sorted(Path(storage).glob("dedup-v*/*/pairs.parquet"))
    table = pa.concat_tables(pq.read_table(file, columns=["uid_hi", "uid_lo", "text"]) for file in files)
    rows = {row["uid_hi"]: row for row in table.to_pylist()}
    return pa.Table.from_pylist([rows[high] for high in sorted(rows)], table.schema)


def _images(site: Site, storage: str, folder: Path, halves: int = 2) -> tuple[Path, dict[str, int]]:
    """Download pictures under the uids of pairs of the pool; return the folder, and the uid of each name."""
    names = _names()
    table = _pairs(storage).slice(0, len(names))
    order = list(range(len(names)))
    random.Random(1).shuffle(order)
    urls = [f"{site.address}/{names[place]}.jpg" for place in order]
    table = table.append_column("url", pa.array(urls))
    step = -(-len(names) // halves)
    parts = [table.slice(start, step) for start in range(0, len(names), step)]
    images = download(write_export(folder / "export", parts), folder / "images", samples_per_shard=20)
    high = table.column("uid_hi").to_pylist()
    return images, {names[place]: high[row] for row, place in enumerate(order)}


def _exported(folder: Path) -> list[dict[str, Any]]:
    files = sorted((folder / "export").glob("*.parquet"))
    return [row for file in files for row in pq.read_table(file, columns=["uid"]).to_pylist()]


def _computed(summary: dict[str, Any]) -> dict[str, int]:
    stages = {stage["stage"]: stage["tasks"] - stage["cached"] for stage in summary["stages"]}
    return {stage: count for stage, count in stages.items() if count}


def _in_set(summary: dict[str, Any]) -> set[int]:
    files = [pq.read_table(file) for file in Path(summary["curated"]).glob("*.parquet")]
    return {int(uid[:16], 16) for table in files for uid in table["uid"].to_pylist()}


@pytest.mark.long
@pytest.mark.slow
def test_pictures_are_inspected_once_and_each_is_kept_once(site: Site, finished: MakeConfig, tmp_path: Path) -> None:
    storage = finished().storage
    record = Path(storage, "pools", "small.json").read_bytes()
    images, uid = _images(site, storage, tmp_path)
    first = rebalance("small", storage, "inf", images=str(images))
    assert first["pool"] == "small-images"
    kept = _in_set(first)
    assert len(kept) == GROUPS + ALONE
    assert {uid[f"a{number}"] for number in range(ALONE)} < kept
    for group in range(GROUPS):
        assert len({uid[f"g{group}-{copy}"] for copy in range(3)} & kept) == 1
    computed = _computed(first)
    assert (computed["inspect"], computed["image-filter"], computed["image-cover"]) == (2, 2, 1)
    assert Path(storage, "pools", "small.json").read_bytes() == record

    # The report says what became of the pictures, and shows them; trace tells of one.
    images_of = json.loads(Path(first["report"]).read_text())["images"]
    assert (images_of["rows"], images_of["passed"], images_of["stay"]) == (58, 54, GROUPS + ALONE)
    assert sum(images_of["duplicates"].values()) == 2 * GROUPS
    assert images_of["reasons"]["not_downloaded"] == {"first": 2, "alone": 2}
    page = Path(first["report_page"]).read_text()
    assert page.count("<img ") == ALONE + GROUPS + 2 * 2 * GROUPS
    done = CliRunner().invoke(
        app, ["images", "sheet", "small-images", "--storage", storage, "--to", str(tmp_path / "s.html"), "--json"]
    )
    assert json.loads(done.stdout)["reasons"] == {"kept": GROUPS + ALONE, "duplicate": 2 * GROUPS}
    full = {int(row["uid"][:16], 16): row["uid"] for row in _exported(tmp_path)}
    gone = next(uid[f"g0-{copy}"] for copy in range(3) if uid[f"g0-{copy}"] not in kept)
    command = ["trace", "small-images", full[gone], "--storage", storage, "--json"]
    fate = json.loads(CliRunner().invoke(app, command).stdout)["picture"]
    assert fate["reason"] == "duplicate"
    assert int(fate["keeper"], 16) in {uid[f"g0-{copy}"] for copy in range(3)} & kept

    # What is taken out is on no sheet any more, nor is a copy beside it; every later run keeps to it.
    keeper = next(iter({uid[f"g1-{copy}"] for copy in range(3)} & kept))
    (tmp_path / "gone").write_text(f"image {keeper:016x}\nimage {uid['a3']:016x}\n")
    shutil.copytree(storage, tmp_path / "taken")
    taken = str(tmp_path / "taken")
    remove_pairs("small-images", taken, str(tmp_path / "gone"))
    for _ in range(2):
        told = write_sheets(taken, "small-images", str(tmp_path / "s.html"))
        assert told["reasons"] == {"kept": GROUPS + ALONE - 2, "duplicate": 2 * GROUPS - 2}
        assert full[keeper] not in (tmp_path / "s.html").read_text()
        rebalance("small", taken, "inf", images=str(images))

    # A threshold decodes nothing; the same again does nothing; another t keeps the stages of pictures.
    filtered = Images.model_validate({"filter": {"min_side": 190}})
    second = rebalance("small", storage, "inf", images=str(images), image_settings=filtered)
    assert "inspect" not in _computed(second)
    alone = {uid[f"a{number}"] for number in range(ALONE)}
    # The smallest copies fall too, and the others of their groups stay.
    assert _in_set(second) & alone == {uid[f"a{number}"] for number in range(4, ALONE)}
    assert len(_in_set(second) - alone) == GROUPS
    again = rebalance("small", storage, "inf", images=str(images))
    assert _computed(again) == {}
    assert data_files(again["curated"]) == data_files(first["curated"])
    other_t = rebalance("small-images", storage, 1)
    assert "image-cover" not in _computed(other_t)
    found = pool_status(storage, "small-images")
    assert found["missing"] == 0
    assert {"inspect", "image-filter", "image-keys", "image-pairs", "image-cover"} <= {
        stage["stage"] for stage in found["stages"]
    }
    collected = CliRunner().invoke(app, ["gc", "--storage", storage, "--dry-run", "--grace", "0", "--json"])
    assert collected.exit_code == 0, collected.output
    assert {"stage": "inspect-v1", "outputs": 2}.items() <= next(
        each for each in json.loads(collected.output)["kept"] if each["stage"] == "inspect-v1"
    ).items()

    # The command, with settings; the same folder inspected alone is found.
    command = ["rebalance", "small", "--storage", storage, "--t", "inf", "--images", str(images), "--json"]
    done = CliRunner().invoke(app, [*command, "--set", "images.dedup.by=none", "--as", "all"])
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)["funnel"]["survived"] == 3 * GROUPS + ALONE
    done = CliRunner().invoke(
        app, ["images", "inspect", "small", "--storage", storage, "--images", str(images), "--json"]
    )
    told = json.loads(done.stdout)
    assert told["status"] == {"ok": 3 * GROUPS + ALONE, "not_downloaded": 2, "not_resized": 2}
    assert (told["rows"], told["stages"][0]["cached"]) == (len(_names()), 2)


KILLS = int(os.environ.get("METACLIP_KILLS", "3"))
"""How often a run is killed; twenty take some minutes."""
STAGES = ("inspect", "image-filter", "image-keys", "image-pairs", "image-cover", "image-sheets")
_MADE = (*STAGES, "survive", "count", "balance", "curve", "survey", "curate", "report")


@pytest.mark.long
@pytest.mark.slow
@pytest.mark.timeout(60 * (KILLS + 5))
def test_killed_at_random_it_ends_with_the_same_bytes(site: Site, finished: MakeConfig, tmp_path: Path) -> None:
    storage = finished().storage
    images, _ = _images(site, storage, tmp_path)
    shutil.copytree(storage, tmp_path / "other")
    shutil.copytree(storage, tmp_path / "before")
    expected = rebalance("small", str(tmp_path / "other"), "inf", images=str(images))
    command = [sys.executable, "-m", "flows", "rebalance", "small", "--storage", storage, "--t", "inf"]
    command += ["--images", str(images), "--json"]
    generator = random.Random(7)
    hit = 0
    while hit < KILLS:
        outputs = _manifests(storage)
        killed = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        # Not before it works: most of the time of so small a run is its start.
        while _manifests(storage) == outputs and killed.poll() is None:
            time.sleep(0.02)
        time.sleep(generator.uniform(0.0, 2.0))
        if killed.poll() is not None:  # it had ended: from the beginning
            shutil.rmtree(storage)
            shutil.copytree(tmp_path / "before", storage)
            continue
        os.kill(killed.pid, signal.SIGKILL)
        killed.wait()
        hit += 1
    done = subprocess.run(command, capture_output=True, text=True, timeout=200)
    assert done.returncode == 0, done.stderr
    assert data_files(json.loads(done.stdout)["curated"]) == data_files(expected["curated"])
    for stage in STAGES:
        both = [
            {path.relative_to(root): path.read_bytes() for path in root.glob(f"{stage}-v*/*/*") if _is_data(path)}
            for root in (Path(storage), tmp_path / "other")
        ]
        assert both[0] == both[1]
        assert both[0]


def _manifests(storage: str) -> int:
    return sum(len(list(Path(storage).glob(f"{stage}-v*/*/manifest.json"))) for stage in _MADE)


def _is_data(path: Path) -> bool:
    return path.name != "manifest.json" and not is_temporary(path.name)


def test_mistakes_are_told(finished: MakeConfig, tmp_path: Path) -> None:
    storage = finished().storage
    with pytest.raises(ConfigError, match="no folder of images"):
        rebalance("small", storage, 10, images=str(tmp_path))
    with pytest.raises(ConfigError, match="not both"):
        rebalance("small", storage, 10, images=str(tmp_path), survivors=["x"])
    command = ["rebalance", "small", "--storage", storage, "--t", "10"]
    done = CliRunner().invoke(app, [*command, "--set", "images.filter.min_side=3"])
    assert done.exit_code == ConfigError.exit_code
    assert "give --images too" in done.output
    done = CliRunner().invoke(app, ["images", str(tmp_path / "export"), "--to", "somewhere"])
    assert done.exit_code == 2
    assert "metaclip images download" in " ".join(done.output.replace("│", " ").split())
