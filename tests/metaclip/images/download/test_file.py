"""A file of an export, downloaded from a hostile server: img2dataset's output to the letter, every row counted."""

import json
import os
import random
import signal
import subprocess
import sys
import tarfile
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from metaclip.config.images import Inspect
from metaclip.errors import ConfigError, TransportError
from metaclip.export.images import ImageSettings, claim, download_file, exported_files
from metaclip.images.download.file import allowed_rows
from metaclip.images.download.opt_out import OPTED_OUT
from metaclip.images.download.shards import sample_key
from metaclip.images.downloaded import downloaded_files, rows_of
from metaclip.images.inspect_job import IMAGES, InspectJob
from metaclip.io.temporary import is_temporary
from metaclip.pairs.uids import uids
from metaclip.store.store import Store
from tests.hostile import Hostile, body, bomb, endless, hostile, redirect
from tests.pictures import EFFORT, download, encoded, picture, write_export

pytestmark = pytest.mark.timeout(200)
ROOT = Path(__file__).parents[4]


@pytest.fixture
def site() -> Iterator[Hostile]:
    with hostile() as found:
        found.files |= {f"/{number}.jpg": encoded(picture(number, 60 + number, 50)) for number in range(45)}
        yield found


def _export(site: Hostile, to: Path, paths: list[str]) -> Path:
    urls = [path if "://" in path else site.address + path for path in paths]
    texts = [f"a text of {path}" for path in paths]
    high, low = uids(urls, texts)
    return write_export(to, [pa.table({"uid_hi": high, "uid_lo": low, "url": urls, "text": texts})])


def _rows(images: Path) -> dict[str, dict[str, Any]]:
    """Return the rows of all shards by their caption."""
    table = pa.concat_tables(pq.read_table(path) for path in sorted(images.glob("*/*.parquet")))
    return {row["caption"].removeprefix("a text of "): row for row in table.to_pylist()}


def _contents(images: Path) -> dict[str, bytes]:
    """Return all files but the counts, which have times."""
    return {
        str(path.relative_to(images)): path.read_bytes()
        for path in sorted(images.rglob("*"))
        if path.is_file() and not path.name.endswith("_stats.json")
    }


@pytest.mark.slow
def test_every_outcome_is_counted_and_no_bound_is_broken(site: Hostile, tmp_path: Path) -> None:
    good = site.files["/1.jpg"]
    expected = {
        "/1.jpg": ("success", None),
        "/2.jpg": ("success", None),
        "/there.jpg": ("success", None),
        "/private/a.jpg": ("failed_to_download", "robots.txt: disallowed"),
        "/lost.jpg": ("failed_to_download", "http 404"),
        "/page.jpg": ("failed_to_resize", "not an image: text/html"),
        "/slow.jpg": ("failed_to_download", "time"),
        "/endless.jpg": ("failed_to_download", "too many bytes"),
        "/inner.jpg": ("failed_to_download", "inner address"),
        "/loop.jpg": ("failed_to_download", "redirect loop"),
        "/asked.jpg": ("failed_to_download", OPTED_OUT),
        "http://10.0.0.1/a.jpg": ("failed_to_download", "inner address"),
        "ftp://example.org/a.jpg": ("failed_to_download", "not an address"),
        "/bomb.png": ("failed_to_resize", "too many pixels"),
        "/half.jpg": ("failed_to_resize", "truncated"),
        "/none.jpg": ("failed_to_resize", "empty"),
    }
    site.answers |= {
        "/there.jpg": redirect("/1.jpg"),
        "/page.jpg": body(b"<html>" * 99, Content_Type="text/html"),
        "/slow.jpg": endless(good[:100], b"\0", 0.2, site.ending),
        "/endless.jpg": endless(good[:100], bytes(1 << 20), 0.0, site.ending),
        "/inner.jpg": redirect("http://169.254.169.254/latest/meta-data/"),
        "/loop.jpg": redirect("/loop.jpg"),
        "/asked.jpg": body(good, X_Robots_Tag="noai"),
    }
    site.files |= {"/bomb.png": bomb(), "/half.jpg": good[: len(good) // 2], "/none.jpg": b""}
    settings = ImageSettings(image_size=48, samples_per_shard=10)
    (file,) = exported_files(str(_export(site, tmp_path / "export", list(expected))))
    claim(str(tmp_path / "images"), settings)
    effort = replace(EFFORT, timeout=2, max_seconds=2, max_bytes=8 << 20, processes=2)
    done = download_file(str(tmp_path / "images"), file, settings, effort)
    found = _rows(tmp_path / "images")
    assert {name: (row["status"], row["error_message"]) for name, row in found.items()} == expected
    assert (done["success"], done["failed_to_download"], done["failed_to_resize"]) == (3, 9, 4)
    assert done["reasons"] == {
        "inner address": 2,
        **dict.fromkeys(sorted({reason for _, reason in expected.values() if reason} - {"inner address"}), 1),
    }
    assert site.asked["/private/a.jpg"] == 0

    # What inspect says of it: as many rows, and a status for each.
    (downloaded,) = downloaded_files(str(tmp_path / "images"))
    store = Store(str(tmp_path / "store"))
    reference = InspectJob.of(downloaded, Inspect()).run(store)
    statuses = store.open_parquet(reference, IMAGES).read().column("status").to_pylist()
    told = {"ok": 3, "robots": 1, "opted_out": 1, "not_resized": 4, "not_downloaded": 7}
    assert {status: statuses.count(status) for status in set(statuses)} == told


@pytest.mark.slow
def test_it_is_img2datasets_output_to_the_letter(site: Hostile, tmp_path: Path) -> None:
    site.robots = (404, b"")
    paths = [f"/{number}.jpg" for number in range(25)] + ["/lost.jpg"]
    export = _export(site, tmp_path / "export", paths)
    both = {
        name: download(export, tmp_path / name, image_size=64, samples_per_shard=10, downloader=name)
        for name in ("careful", "img2dataset")
    }
    (folder,) = (path.name for path in both["careful"].iterdir() if path.is_dir())
    names = [{path.name for path in (root / folder).iterdir()} - {"_tmp"} for root in both.values()]
    assert names[0] == names[1]
    for shard in ("00000", "00001", "00002"):
        tables = [pq.read_table(root / folder / f"{shard}.parquet") for root in both.values()]
        assert tables[0].schema.equals(tables[1].schema)
        # img2dataset writes rows as they come.
        rows = [sorted(table.to_pylist(), key=lambda row: str(row["key"])) for table in tables]
        for ours, theirs in zip(*rows, strict=True):
            if ours["status"] == "success":
                assert ours == theirs
            else:
                assert {**ours, "error_message": ""} == {**theirs, "error_message": ""}
        stats = [json.loads((root / folder / f"{shard}_stats.json").read_text()) for root in both.values()]
        assert stats[0].keys() == stats[1].keys()
        same = ("count", "successes", "failed_to_download", "failed_to_resize")
        assert [stats[0][name] for name in same] == [stats[1][name] for name in same]
        members = []
        for root in both.values():
            with tarfile.open(root / folder / f"{shard}.tar") as archive:
                found = {}
                for member in archive:
                    content = archive.extractfile(member)
                    assert content is not None
                    how = (member.mode, member.uname, member.gname, member.type)
                    # Pictures were encoded by two libraries.
                    found[member.name] = (how, b"" if member.name.endswith("jpg") else content.read())
                members.append(found)
        assert members[0] == members[1]
        assert [name for name in members[0] if name.endswith(".jpg")] == sorted(
            name for name in members[0] if name.endswith(".jpg")
        )

    # The library of its readers gives the same samples.
    os.environ["GOPEN_VERBOSE"] = "0"
    import webdataset

    address = str(both["careful"] / folder / "{00000..00002}.tar")
    samples = list(webdataset.WebDataset(address, shardshuffle=False).decode("pil").to_tuple("jpg", "txt", "json"))
    assert [text for _, text, _ in samples] == [f"a text of {path}" for path in paths[:25]]
    assert all(image.size == (64, 64) for image, _, _ in samples)
    assert all(told["sha256"] and told["status"] == "success" for _, _, told in samples)
    (file,) = downloaded_files(str(both["careful"]))
    assert sum(rows_of(Store(str(both["careful"])), file.key, each.name).num_rows for each in file.shards) == 26


@pytest.mark.slow
def test_the_same_answers_give_the_same_bytes(site: Hostile, tmp_path: Path) -> None:
    export = _export(site, tmp_path / "export", [f"/{number}.jpg" for number in range(45)])
    first = download(export, tmp_path / "a", samples_per_shard=20)

    def later(path: str) -> Any:
        def answer(handler: Any) -> None:
            time.sleep(random.random() / 5)
            body(site.files[path], Content_Type="image/jpeg")(handler)

        return answer

    site.answers |= {path: later(path) for path in list(site.files)}
    second = download(export, tmp_path / "b", samples_per_shard=20)
    assert _contents(first) == _contents(second)


@pytest.mark.long
def test_a_killed_download_leaves_no_half_shard_and_goes_on(site: Hostile, tmp_path: Path) -> None:
    paths = [f"/{number}.jpg" for number in range(45)]
    export = _export(site, tmp_path / "export", paths)
    expected = download(export, tmp_path / "whole", samples_per_shard=9)
    to = tmp_path / "images"
    arguments = {"export": str(export), "to": str(to)}
    script = (
        "import json, sys; from pathlib import Path; from tests.pictures import download\n"
        "given = json.loads(sys.argv[1]); download(Path(given['export']), Path(given['to']), samples_per_shard=9)"
    )
    command = [sys.executable, "-c", script, json.dumps(arguments)]
    site.pause = 0.4
    generator = random.Random(3)
    seen = 0
    for _ in range(2):
        process = subprocess.Popen(command, cwd=ROOT)
        before = len(list(to.glob("*/*_stats.json")))
        while len(list(to.glob("*/*_stats.json"))) == before and process.poll() is None:
            time.sleep(0.01)
        time.sleep(generator.random() * 0.6)
        children = psutil.Process(process.pid).children(recursive=True)
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        assert psutil.wait_procs(children, timeout=15)[1] == []
        # What is there under its name is whole.
        for tar in to.glob("*/*.tar"):
            assert tar.read_bytes() == (tmp_path / "whole" / tar.relative_to(to)).read_bytes()
        seen = max(seen, len(list(to.glob("*/*_stats.json"))))
    site.pause = 0.0
    site.requests.clear()
    assert subprocess.run(command, cwd=ROOT, timeout=100).returncode == 0
    assert 0 < seen < 5
    assert site.asked.total() - 1 == 45 - 9 * seen
    assert _contents(to) == _contents(expected)
    assert not [path for path in to.rglob("*") if is_temporary(path.name)]


def test_a_host_has_its_share_of_a_file() -> None:
    addresses = pa.array([f"http://a.org/{number}" for number in range(3000)] + ["http://B.org:80/x", None] * 1500)
    found = allowed_rows(addresses, 0.25)
    assert found[:1500].all()
    assert not found[1500:3000].any()
    assert found[3000::2].sum() == found[3001::2].sum() == 1500
    assert allowed_rows(addresses, 1.0).all()
    assert allowed_rows(addresses, 0.0001)[:3000].sum() == 1000
    chunked = pa.chunked_array([addresses.slice(0, 7), addresses.slice(7)])
    assert np.array_equal(allowed_rows(chunked, 0.25), found)
    assert len(allowed_rows(pa.array([], pa.string()), 0.5)) == 0


@pytest.mark.slow
@pytest.mark.parametrize("samples", [1, 9, 10, 11, 100, 10_000, 12_345])
def test_keys_are_those_of_img2dataset(samples: int) -> None:
    import math

    from img2dataset.downloader import compute_key

    for shard, row in ((0, 0), (3, samples - 1), (12, samples // 2)):
        assert sample_key(shard, row, samples) == compute_key(row, shard, math.ceil(math.log10(samples)), 5)


@pytest.mark.slow
def test_mistakes_are_told(site: Hostile, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="--downloader img2dataset"):
        ImageSettings(output_format="files")
    with pytest.raises(ConfigError, match="downloader 'wget'"):
        ImageSettings(downloader="wget")
    for change in ({"max_host_share": 0.0}, {"host_connections": 0}, {"max_bytes": 0}, {"contact": "\n"}):
        with pytest.raises(ConfigError, match=next(iter(change)).replace("_", " ")):
            replace(EFFORT, **change)  # type: ignore[arg-type]
    claim(str(tmp_path / "old"), ImageSettings(downloader="img2dataset"))
    assert "downloader" not in json.loads((tmp_path / "old" / "images.settings.json").read_text())
    with pytest.raises(ConfigError, match="downloader 'img2dataset'"):
        claim(str(tmp_path / "old"), ImageSettings())
    claim(str(tmp_path / "old"), ImageSettings(downloader="img2dataset"))

    # A disk that refuses is told in one line.
    (file,) = exported_files(str(_export(site, tmp_path / "export", ["/1.jpg"])))
    settings = ImageSettings()
    claim(str(tmp_path / "images"), settings)
    (tmp_path / "images" / file.key).write_text("no folder")
    with pytest.raises(TransportError, match=r"It said:\n.*00000\.tar: FileExistsError"):
        download_file(str(tmp_path / "images"), file, settings, EFFORT)
