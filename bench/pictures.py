"""Pictures downloaded from a server on this machine, by the careful downloader and by img2dataset, and inspected.

`python -m bench.pictures [--pictures 2000]`. Images for each CPU second of the downloader with all its processes; the
server's are not counted. Both take turns. What a start costs (imports, processes) is told apart: the rate is that of
the images by which a large download is larger than a small one. Images a second are those of the whole large download.
The pictures are the shared photographs, or made up.
"""

import argparse
import io
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa
from PIL import Image

from bench.timing import SHARED, children_cpu, report, spread, table
from metaclip.config.images import Inspect
from metaclip.export.images import Effort, ImageSettings, claim, download_file, exported_files
from metaclip.images.downloaded import downloaded_files
from metaclip.images.inspect_job import InspectJob
from metaclip.pairs.uids import uids
from metaclip.store.store import Store
from tests.pictures import encoded, picture, write_export

ROOT = Path(__file__).parents[1]
SIDES = (640, 1280)
"""The longer side of the pictures that the server has."""
FEW = 100
TURNS = 2
DOWNLOADERS = ("careful", "img2dataset")


def measure(pictures: int = 2000) -> dict[str, Any]:
    with tempfile.TemporaryDirectory(prefix="bench-") as name:
        folder = Path(name)
        originals, source = _originals()
        found: dict[str, Any] = {"pictures": pictures, "source": source, "sides": {}}
        for side in SIDES:
            served = folder / f"served-{side}"
            served.mkdir()
            for number, image in enumerate(originals):
                scale = side / max(image.size)
                size = (round(image.width * scale), round(image.height * scale))
                data = encoded(image.resize(size, Image.Resampling.LANCZOS), quality=88)
                (served / f"{number:03d}.jpg").write_bytes(data)
            sizes = [path.stat().st_size for path in served.iterdir()]
            with _serving(served) as address:
                downloads = _turns(folder / str(side), address, pictures)
            found["sides"][str(side)] = {"bytes": round(sum(sizes) / len(sizes)), **downloads}
        found["inspect"] = _inspect(folder)
        return found


def _originals() -> tuple[list[Image.Image], str]:
    files = sorted((SHARED / "photos" / "photos").glob("*"))
    if files:
        return [Image.open(io.BytesIO(path.read_bytes())).convert("RGB") for path in files], "shared photographs"
    return [picture(seed, 640, 480) for seed in range(16)], "made up"


@contextmanager
def _serving(folder: Path) -> Iterator[str]:
    command = [sys.executable, "-m", "bench.picture_server", str(folder)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        try:
            yield server.stdout.readline().strip()
        finally:
            server.kill()


def _turns(folder: Path, address: str, pictures: int) -> dict[str, Any]:
    exports = {}
    for rows in (FEW, FEW + pictures):
        urls = [f"{address}/{number}.jpg" for number in range(rows)]
        high, low = uids(urls, urls)
        given = pa.table({"uid_hi": high, "uid_lo": low, "url": urls, "text": urls})
        exports[rows] = write_export(folder / f"export-{rows}", [given])
    found: dict[str, list[tuple[float, float]]] = {name: [] for name in DOWNLOADERS}
    starts: dict[str, list[float]] = {name: [] for name in DOWNLOADERS}
    for turn in range(TURNS):
        for name in DOWNLOADERS:
            few, many = (_download(export, folder / f"{name}-{turn}-{rows}", name) for rows, export in exports.items())
            found[name].append((pictures / (many[0] - few[0]), (FEW + pictures) / many[1]))
            starts[name].append(few[0])
    return {
        name: {
            "images_a_cpu_second": spread([cpu for cpu, _ in found[name]], 1),
            "images_a_second": spread([wall for _, wall in found[name]], 1),
            "start_cpu_seconds": spread(starts[name], 2),
        }
        for name in DOWNLOADERS
    }


def _download(export: Path, to: Path, downloader: str) -> tuple[float, float]:
    """Return CPU seconds of all processes of a download, and its time."""
    settings = ImageSettings(downloader=downloader)
    cores = os.cpu_count() or 1
    connections = 32 if downloader == "careful" else 32 // cores
    effort = Effort(processes=cores, threads=connections, host_connections=32, max_host_share=1.0, allow_loopback=True)
    claim(str(to), settings)
    (file,) = exported_files(str(export))
    before, start = children_cpu(), time.perf_counter()
    done = download_file(str(to), file, settings, effort)
    assert done["success"] == file.rows, done
    return children_cpu() - before, time.perf_counter() - start


def _inspect(folder: Path) -> dict[str, Any]:
    """Return what the inspect stage takes for pictures of 256 pixels."""
    (images,) = (path for path in folder.glob("640/careful-0-*") if not path.name.endswith(f"-{FEW}"))
    (file,) = downloaded_files(str(images))
    rates = []
    for turn in range(TURNS):
        store = Store(str(folder / f"store-{turn}"))
        before = children_cpu() + time.process_time()
        InspectJob.of(file, Inspect()).run(store)
        rates.append(file.rows / (children_cpu() + time.process_time() - before))
    return {"rows": file.rows, "images_a_cpu_second": spread(rates, 1)}


def show(result: dict[str, Any]) -> str:
    """Return the figures as text."""
    rows = []
    for side, found in result["sides"].items():
        ours, theirs = (found[name]["images_a_cpu_second"]["median"] for name in DOWNLOADERS)
        for name in DOWNLOADERS:
            one = found[name]
            start = one["start_cpu_seconds"]["median"]
            cpu, wall = one["images_a_cpu_second"], one["images_a_second"]
            ratio = f"{ours / theirs:.2f}" if name == "careful" else ""
            figures = (cpu["median"], cpu["low"], cpu["high"], wall["median"], start, ratio)
            rows.append([f"{name}, {side} px, {found['bytes']:,} bytes", *figures])
    columns = ("", "images/CPU s", "lowest", "highest", "images/s", "start, CPU s", "ratio")
    text = table(f"Downloads of {result['pictures']:,} {result['source']}, border 256", columns, rows)
    return text + f"inspect: {result['inspect']['images_a_cpu_second']['median']:,} images/CPU s\n"


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--pictures", type=int, default=2000)
    given = parser.parse_args()
    report(lambda: measure(given.pictures), show)
