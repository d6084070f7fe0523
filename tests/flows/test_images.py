"""Images of an export, with both downloaders, from a server on this machine."""

import io
import json
import os
import shutil
import signal
import subprocess
import sys
import tarfile
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image
from typer.testing import CliRunner

from flows.cli.main import app
from flows.pictures.download import download_images
from metaclip.errors import ConfigError, StageError, StoreError
from metaclip.export.images import Effort, ImageSettings
from metaclip.pairs.uids import format_uids, parse_uids, uids
from metaclip.schemas import CURATED
from metaclip.store.delivery import Target
from metaclip.store.manifest import StoredFile
from metaclip.survivors.lists import read_survivors, survivor_files
from metaclip.tables.parquet import write_parquet
from tests.servers import Site, serve

THEIRS: dict[str, Any] = {"image_size": 16, "threads": 4, "downloader": "img2dataset"}

pytestmark = [pytest.mark.usefixtures("prefect_server"), pytest.mark.timeout(200)]


@pytest.fixture(scope="module")
def site() -> Iterator[Site]:
    """A hundred images; of ten, 8 is missing and 9 is no image."""
    with serve() as found:
        for number in range(100):
            if number % 10 == 8:
                continue
            content = io.BytesIO()
            Image.new("RGB", (32, 24), (number, 0, 255 - number)).save(content, "PNG")
            found.files[f"/{number}.png"] = b"<html>" if number % 10 == 9 else content.getvalue()
        yield found


def _export(site: Site, to: Path, ranges: list[range]) -> Path:
    """Write an export of some files; images are known by number."""
    files: list[StoredFile] = []
    target = Target(str(to), "export.json", f"{ranges}")
    for part, numbers in enumerate(ranges):
        urls = [f"{site.address}/{number}.png" for number in numbers]
        texts = [f"image {number}" for number in numbers]
        table = pa.table(
            {
                "uid": format_uids(*uids(urls, texts)),
                "url": urls,
                "caption": texts,
                "text_key": ["alt"] * len(urls),
                "page_url": [""] * len(urls),
                "lang": ["en"] * len(urls),
                "lang_score": pa.array([1.0] * len(urls), pa.float32()),
                "entry_ids": [[1]] * len(urls),
                "min_t": np.arange(len(urls), dtype=float),
            }
        ).cast(CURATED)
        with target.file(f"part-{part:05d}-00000.parquet", files) as sink:
            sink.rows = write_parquet(sink, CURATED, iter([table]))
    target.finish({"format": "img2dataset"}, files)
    return to


def _captions(images: Path) -> list[str]:
    """Return the captions of all samples in tars that hold an image."""
    found = []
    for path in images.glob("*/*.tar"):
        with tarfile.open(path) as archive:
            members = {member.name: member for member in archive}
            for name in members:
                if name.endswith(".jpg"):
                    caption = archive.extractfile(members[name.replace(".jpg", ".txt")])
                    assert caption is not None
                    found.append(caption.read().decode())
    return sorted(found)


def _good(numbers: range) -> list[str]:
    return sorted(f"image {number}" for number in numbers if number % 10 < 8)


@pytest.mark.long
@pytest.mark.slow
def test_downloads_once_and_a_file_that_joins_shifts_none(site: Site, tmp_path: Path) -> None:
    to = tmp_path / "images"
    first = download_images(str(_export(site, tmp_path / "a", [range(40, 60)])), str(to), **THEIRS)
    assert (first["files"], first["cached"], first["success"]) == (1, 0, 16)
    assert (first["failed_to_download"], first["failed_to_resize"]) == (2, 2)
    assert any("404" in reason for reason in first["reasons"])
    assert _captions(to) == _good(range(40, 60))
    agents = {headers["User-Agent"] for _, headers in site.requests}
    assert all("compatible; img2dataset" in agent for agent in agents)

    site.requests.clear()
    again = download_images(str(tmp_path / "a"), str(to), **THEIRS)
    assert (again["cached"], again["success"]) == (1, 16)
    assert site.requests == []

    # The file that joins comes before the one that is there.
    more = download_images(str(_export(site, tmp_path / "b", [range(20), range(40, 60)])), str(to), **THEIRS)
    assert (more["files"], more["cached"], more["success"]) == (2, 1, 32)
    assert sorted({path for path, _ in site.requests}) == sorted(f"/{number}.png" for number in range(20))
    assert _captions(to) == sorted(_good(range(20)) + _good(range(40, 60)))

    # What came through is read off img2dataset's Parquet, and off the tars alone.
    table = pa.concat_tables(pq.read_table(path) for path in (tmp_path / "b").glob("*.parquet"))
    good = [int(caption.split()[1]) % 10 < 8 for caption in table["caption"].to_pylist()]
    wanted = {tuple(uid) for uid in parse_uids(table["uid"].filter(pa.array(good))).tolist()}
    for path in (to, to / "*" / "*.tar"):
        pieces = [ids for file in survivor_files([str(path)]) for ids in read_survivors(file.path, Counter())]
        assert {tuple(uid) for ids in pieces for uid in ids.uids.tolist()} == wanted

    with pytest.raises(ConfigError, match="image_size 16"):
        download_images(str(tmp_path / "a"), str(to), image_size=17, downloader="img2dataset")


@pytest.mark.long
@pytest.mark.slow
def test_killed_in_the_middle_and_started_again(site: Site, tmp_path: Path) -> None:
    export = _export(site, tmp_path / "export", [range(100)])
    to = tmp_path / "images"
    command = [sys.executable, "-m", "flows", "images", "download", str(export), "--to", str(to), "--json"]
    command += [
        "--samples-per-shard",
        "20",
        "--threads",
        "1",
        "--processes",
        "1",
        "--image-size",
        "16",
        "--downloader",
        "img2dataset",
    ]
    release = site.hold("/70.png")
    site.requests.clear()
    killed = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        while not any(path == "/70.png" for path, _ in site.requests):
            assert killed.poll() is None
            time.sleep(0.05)
        children = psutil.Process(killed.pid).children(recursive=True)
        os.kill(killed.pid, signal.SIGKILL)
        killed.wait()
        _, alive = psutil.wait_procs(children, timeout=15)
        assert alive == [], "img2dataset outlived the command"
    finally:
        del site.held["/70.png"]
        release()
    finished = len(list(to.glob("*/*_stats.json")))
    assert 0 < finished < 5
    assert not list(to.glob("*[0-9a-f].json"))
    site.requests.clear()
    done = subprocess.run(command, capture_output=True, text=True, timeout=150)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["success"] == 80
    assert _captions(to) == _good(range(100))
    # Missing images are asked for twice.
    assert len({path for path, _ in site.requests}) == 100 - 20 * finished


@pytest.mark.long
@pytest.mark.slow
def test_a_network_that_is_down_loses_nothing(site: Site, tmp_path: Path) -> None:
    export = _export(site, tmp_path / "export", [range(10)])
    images, site.files = site.files, {}
    try:
        with pytest.raises(StageError, match="0 of 10 images came through"):
            download_images(str(export), str(tmp_path / "images"), allow_loopback=True)
    finally:
        site.files = images
    # Nothing is left that would make the next run pass these images by.
    left = [path.name for path in (tmp_path / "images").rglob("*") if path.is_file()]
    assert left == ["images.settings.json"]


@pytest.mark.slow
def test_what_cannot_be_downloaded_is_told(site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    to = str(tmp_path / "images")
    with pytest.raises(ConfigError, match="no finished export"):
        download_images(str(tmp_path), to)
    export = _export(site, tmp_path / "export", [range(3)])
    described = json.loads((export / "export.json").read_text())
    (export / "export.json").write_text(json.dumps({**described, "format": "datacomp"}))
    with pytest.raises(ConfigError, match="--format img2dataset"):
        download_images(str(export), to)
    (export / "export.json").write_text(json.dumps(described))
    with pytest.raises(StoreError, match="/proc/nowhere"):
        download_images(str(export), "/proc/nowhere")
    (export / "part-00000-00000.parquet").unlink()
    with pytest.raises(StoreError, match=r"part-00000-00000\.parquet: missing"):
        download_images(str(export), to)
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    with pytest.raises(ConfigError, match=r"pip install 'metaclip-pipeline\[images\]'"):
        download_images(str(export), to)
    shutil.rmtree(to)


def test_impossible_settings() -> None:
    for settings in ({"image_size": 0}, {"output_format": "zip"}, {"resize_mode": "squash"}, {"samples_per_shard": 0}):
        with pytest.raises(ConfigError, match=next(iter(settings)).replace("_", " ")):
            ImageSettings(**settings)  # type: ignore[arg-type]
    for effort in ({"threads": 0}, {"retries": -1}, {"min_success": 2.0}, {"user_agent_token": " "}):
        with pytest.raises(ConfigError, match=next(iter(effort)).replace("_", " ")):
            Effort(**effort)  # type: ignore[arg-type]


@pytest.mark.slow
def test_the_command_downloads_with_care(site: Site, tmp_path: Path) -> None:
    site.files["/robots.txt"] = b"User-agent: *\nDisallow: /3"
    export, to = _export(site, tmp_path / "export", [range(10)]), tmp_path / "images"
    command = ["images", "download", str(export), "--to", str(to), "--json", "--image-size", "16", "--allow-loopback"]
    try:
        done = CliRunner().invoke(app, command)
        again = CliRunner().invoke(app, command)
        # Without the setting for tests, this machine is no place to download from.
        refused = CliRunner().invoke(app, [*command[:-1], "--to", str(tmp_path / "other")])
    finally:
        del site.files["/robots.txt"]
    assert done.exit_code == 0, done.output
    told = json.loads(done.stdout)
    assert (told["success"], told["failed_to_download"], told["failed_to_resize"]) == (7, 2, 1)
    assert told["reasons"]["robots.txt: disallowed"] == 1
    assert _captions(to) == [f"image {number}" for number in (0, 1, 2, 4, 5, 6, 7)]
    assert json.loads(again.stdout)["cached"] == 1
    assert refused.exit_code == StageError.exit_code
    assert "inner address" in refused.output
