"""Real photographs with known copies: what is found, what is not, and that nothing else is taken for a copy."""

import csv
import json
import subprocess
import sys
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow.parquet as pq
import pytest

from metaclip.config.images import Filter, HashList
from metaclip.config.settings import Config
from metaclip.images.decoding import Bounds, inspect
from metaclip.images.dedup.filter_job import REASONS, FilterFiles, ImageFilterJob
from metaclip.images.downloaded import unpadded
from metaclip.images.hash_lists import hash_pictures
from metaclip.images.perceptual import distances
from metaclip.store.store import Store
from tests.metaclip.images.dedup.pictures_of import inspected, row_of
from tests.metaclip.images.dedup.test_cover_job import Made
from tests.pools import make_pool
from tests.shared import shared_data

pytestmark = [pytest.mark.slow, pytest.mark.timeout(200)]

DRAWINGS = {"ubuntu-mate-cold-no-logo", "ubuntu-mate-warm-no-logo"}
"""One drawing in two colours."""
FOUND = ("same bytes", "same pixels", "q40", "webp", "thumb200")


class Photo(NamedTuple):
    """A row of the truth, and the bytes."""

    file: str
    group: str
    edit: str
    data: bytes
    original: tuple[int, int]
    """Sides of the photograph that it is a copy of."""


@pytest.fixture(scope="module")
def photos() -> list[Photo]:
    folder = shared_data("photos")
    with (folder / "truth.csv").open() as stream:
        rows = list(csv.DictReader(stream))
    sides = {row["group"]: (int(row["width"]), int(row["height"])) for row in rows if row["edit"] == "original"}
    return [
        Photo(row["file"], row["group"], row["edit"], (folder / row["file"]).read_bytes(), sides[row["group"]])
        for row in rows
    ]


@pytest.fixture(scope="module")
def hashes(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    """What `metaclip images hash` says of the whole folder, in a process whose children are measured."""
    to = tmp_path_factory.mktemp("hashes") / "hashes.parquet"
    script = (
        "import json, re, resource, sys; from pathlib import Path\n"
        "from metaclip.images.hash_lists import hash_pictures\n"
        "done = hash_pictures(*sys.argv[1:])\n"
        # getrusage of a process itself may tell of its parent, from before it was this program.
        "own = int(re.findall(r'VmHWM:\\s+(\\d+)', Path('/proc/self/status').read_text())[0])\n"
        "most = max(own, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)\n"
        "print(json.dumps({**done, 'megabytes': most >> 10}))"
    )
    command = [sys.executable, "-c", script, str(shared_data("photos")), str(to)]
    done = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    assert done["megabytes"] < 600
    assert done["pictures"] == 221 + 13
    return {row["name"]: row for row in pq.read_table(to).to_pylist()}


def _words(row: dict[str, Any]) -> npt.NDArray[np.uint64]:
    return np.frombuffer(row["area64"], np.uint64)


def test_odd_files_are_told_by_their_reason(hashes: dict[str, dict[str, Any]]) -> None:
    odd = {name.removeprefix("odd/"): row["status"] for name, row in hashes.items() if name.startswith("odd/")}
    pictures = ("alpha.png", "animated.gif", "cmyk.jpg", "deep16.png", "exif_rotated.jpg", "pixel.gif")
    assert odd == {
        **dict.fromkeys((*pictures, "flat_grey.png", "flat_grey2.png"), "ok"),
        "bomb_30000x30000.png": "too_many_pixels",
        "drawing.svg": "not_an_image",
        "page.jpg": "not_an_image",
        "empty.jpg": "empty",
        "truncated.jpg": "truncated",
    }
    assert all(hashes[f"odd/{name}"]["quality"] < 50 for name in ("flat_grey.png", "flat_grey2.png", "pixel.gif"))


def test_distances_of_copies(photos: list[Photo], hashes: dict[str, dict[str, Any]]) -> None:
    originals = {photo.group: _words(hashes[photo.file]) for photo in photos if photo.edit == "original"}
    away: dict[str, list[int]] = defaultdict(list)
    for photo in photos:
        away[photo.edit].append(int(distances(_words(hashes[photo.file]), originals[photo.group])))
    assert {edit: max(away[edit]) for edit in FOUND[:2]} == dict.fromkeys(FOUND[:2], 0)
    assert all(max(away[edit]) <= 12 for edit in ("q40", "webp", "thumb200", "grey"))
    within = {edit: np.mean(np.array(found) <= 31) for edit, found in away.items()}
    assert within["crop1"] >= 0.9
    assert within["mark"] >= 0.5
    assert [within[edit] for edit in ("crop5", "banner", "mirror")] == [0, 0, 0]
    names = sorted(originals)
    nearest = min(
        int(distances(originals[one], originals[other]))
        for one in names
        for other in names
        if one < other and not {one, other} <= DRAWINGS
    )
    assert nearest >= 90


@pytest.fixture(scope="module")
def made(crawl: Path, tmp_path_factory: pytest.TempPathFactory) -> Made:
    config: Config = make_pool(crawl, tmp_path_factory.mktemp("photos") / "pool")
    return Made(config)


def _rows(photos: list[Photo], uids: list[tuple[int, int]]) -> list[dict[str, Any]]:
    """Return rows as inspect has them: the padding of `border256` is cut off by the sides of the original."""
    rows = []
    for uid, photo in zip(uids[: len(photos)], photos, strict=True):
        row = row_of(uid, photo.data)
        if photo.edit == "border256":
            content = inspect(photo.data, unpadded("border", 256, *photo.original), Bounds()).content
            row |= {"area64": content.area64, "colour": content.colour, "pixels": content.pixels}
            row["quality"] = content.quality
        rows.append(row)
    return rows


@pytest.mark.long
def test_dedup_joins_what_is_the_same_and_nothing_else(photos: list[Photo], made: Made) -> None:
    rows = _rows(photos, made.uids)
    of_uid = {uid[0]: photo for uid, photo in zip(made.uids[: len(photos)], photos, strict=True)}
    cover, _ = made.clean([rows[0::2], rows[1::2]])
    dropped = made.dropped(cover)
    assert all(of_uid[image].group == of_uid[keeper].group for image, (keeper, _, _) in dropped.items())
    stays: dict[str, set[str]] = defaultdict(set)
    for image, photo in of_uid.items():
        if image not in dropped and photo.edit in ("original", *FOUND, "border256"):
            stays[photo.group].add(photo.edit)
    # Of all that must be found at most one stays; none where a watermark or a crop is what stays for them.
    assert max(map(len, stays.values())) == 1
    assert {of_uid[keeper].group for keeper, _, _ in dropped.values()} == {photo.group for photo in photos}
    # Copies that no hash of this kind finds stay, each as a picture of its own.
    lost = Counter(of_uid[image].edit for image in dropped)
    assert all(lost[edit] == 0 for edit in ("crop5", "banner", "mirror"))


@pytest.mark.long
def test_an_evaluation_set_takes_its_own_photographs_alone(photos: list[Photo], made: Made, tmp_path: Path) -> None:
    groups = sorted({photo.group for photo in photos} - DRAWINGS)
    half = set(groups[::2])
    (tmp_path / "eval").mkdir()
    for photo in photos:
        if photo.edit == "original" and photo.group in half:
            (tmp_path / "eval" / Path(photo.file).name).write_bytes(photo.data)
    listed = tmp_path / "eval.parquet"
    hash_pictures(str(tmp_path / "eval"), str(listed))
    rows = _rows(photos, made.uids)
    store = Store(str(tmp_path / "store"))
    settings = Filter(eval_sets=[HashList(name="half", path=str(listed))])
    judged = ImageFilterJob(inspected(store, rows), settings, FilterFiles.of(settings)).run(store)
    of_uid = {uid[0]: photo for uid, photo in zip(made.uids[: len(photos)], photos, strict=True)}
    table = store.open_parquet(judged, REASONS).read().to_pylist()
    taken = [of_uid[row["uid_hi"]] for row in table if row["reason"] == "eval_set"]
    assert {photo.group for photo in taken} == half
    gone = {(photo.group, photo.edit) for photo in taken}
    must = ("original", *FOUND, "grey", "border256")
    assert {(group, edit) for group in half for edit in must} <= gone
    assert not {edit for _, edit in gone} & {"crop5", "banner", "mirror"}
