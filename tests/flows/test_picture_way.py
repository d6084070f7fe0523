"""The whole way by the command: an export of a pool, a hostile server, a clean set, contact sheets, and out again."""

import json
import os
import time
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from flows.cli.main import app
from tests.conftest import MakeConfig
from tests.hostile import body, bomb, endless, hostile, redirect
from tests.pictures import encoded, picture, write_export
from tests.shared import ROOT

pytestmark = [pytest.mark.usefixtures("prefect_server"), pytest.mark.timeout(280)]


def _photographs() -> dict[str, bytes]:
    """Return pictures and copies of them by path: the shared photographs, or some that are made up."""
    folder = ROOT / "photos"
    if folder.is_dir():
        found = {f"/{path.name}": path.read_bytes() for path in sorted((folder / "photos").iterdir())}
        names = ("*.q40.*", "*.thumb200.*", "*.banner.*")
        return found | {f"/{path.name}": path.read_bytes() for n in names for path in (folder / "copies").glob(n)}
    originals = {f"photo{number}": picture(number) for number in range(17)}
    found = {f"/{name}.jpg": encoded(image, quality=95) for name, image in originals.items()}
    found |= {f"/{name}.q40.jpg": encoded(image, quality=40) for name, image in originals.items()}
    found |= {f"/{name}.thumb200.jpg": encoded(image.resize((200, 150))) for name, image in originals.items()}
    return found | {f"/{name}.banner.jpg": encoded(image.crop((0, 0, 320, 40))) for name, image in originals.items()}


def _json(*command: str) -> dict[str, Any]:
    done = CliRunner().invoke(app, [*command, "--json"])
    assert done.exit_code == 0, done.output
    found: dict[str, Any] = json.loads(done.stdout)
    return found


@pytest.mark.long
@pytest.mark.slow
def test_from_an_export_to_a_clean_set_and_out_again(finished: MakeConfig, tmp_path: Path) -> None:
    storage = finished().storage
    files = sorted(Path(storage).glob("dedup-v*/*/pairs.parquet"))
    pairs = pa.concat_tables(pq.read_table(file, columns=["uid_hi", "uid_lo", "text"]) for file in files)
    images, export = str(tmp_path / "images"), tmp_path / "export"
    with hostile() as site:
        site.files = _photographs()
        good = next(iter(site.files.values()))
        odd: dict[str, Any] = {
            "/private/a.jpg": None,
            "/lost.jpg": None,
            "/moved.jpg": redirect(next(iter(site.files))),
            "/inside.jpg": redirect("http://169.254.169.254/latest/meta-data/"),
            "/loop.jpg": redirect("/loop.jpg"),
            "/slow.jpg": endless(good[:64], b"\0", 0.3, site.ending),
            "/endless.jpg": endless(good[:64], bytes(1 << 20), 0.0, site.ending),
            "/page.jpg": body(b"<!doctype html>" * 9, Content_Type="text/html"),
            "/bomb.png": body(bomb(), Content_Type="image/png"),
            "/asked.jpg": body(good, X_Robots_Tag="noai"),
        }
        site.answers = {path: answer for path, answer in odd.items() if answer is not None}
        urls = [site.address + path for path in (*site.files, *odd)]
        rows = pairs.to_pylist()
        first = {row["uid_hi"]: row for row in rows}
        chosen = pa.Table.from_pylist([first[high] for high in sorted(first)][: len(urls)], pairs.schema)
        write_export(export, [chosen.append_column("url", pa.array(urls))])
        start = time.monotonic()
        given = ("--timeout", "3", "--max-seconds", "3", "--max-bytes", str(8 << 20), "--host-connections", "16")
        told = _json("images", "download", str(export), "--to", images, "--allow-loopback", "--retries", "0", *given)
        assert time.monotonic() - start < 60
        assert site.asked["/private/a.jpg"] == 0
        assert site.most_open <= 16
    photographs = len(site.files)
    assert told["success"] == photographs + 1
    assert told["success"] + told["failed_to_download"] + told["failed_to_resize"] == len(urls)
    assert {"inner address", "redirect loop", "robots.txt: disallowed", "time", "http 404"} <= set(told["reasons"])

    sides = ("--set", "images.filter.max_aspect=3")
    made = _json("rebalance", "small", "--storage", storage, "--t", "inf", "--images", images, *sides)
    found = json.loads(Path(made["report"]).read_text())["images"]
    assert found["rows"] == len(urls)
    assert sum(each["first"] for each in found["reasons"].values()) + found["passed"] == found["rows"]
    # Each photograph once: its copies fall, and a strip of it goes by its sides.
    assert found["reasons"]["max_aspect"]["first"] == 17
    assert found["stay"] == 17
    page = tmp_path / "sheets.html"
    shown = _json("images", "sheet", "small-images", "--storage", storage, "--to", str(page))["reasons"]
    assert (shown["kept"], shown["max_aspect"]) == (17, 17)
    assert shown["duplicate"] == min(24, sum(found["duplicates"].values()))
    if keep := os.environ.get("METACLIP_KEEP_SHEETS"):
        Path(keep).write_bytes(page.read_bytes())

    curated = pa.concat_tables(pq.read_table(file) for file in Path(made["curated"]).glob("*.parquet"))
    gone = curated["uid"][0].as_py()
    (tmp_path / "list").write_text(gone)
    removed = _json("remove", "small-images", "--storage", storage, "--list", str(tmp_path / "list"), "--purge")
    assert {each["before"] - each["now"] for each in removed["sets"].values()} == {1}
    assert removed["held_by"] == ["small"]  # the pool that the pictures were of
    done = _json("export", "small-images", "--storage", storage, "--to", str(tmp_path / "final"))
    assert done["pairs"] == curated.num_rows - 1
    taken = _json("images", "purge", images, "--list", str(tmp_path / "list"))
    assert taken["pictures"] == 1
