"""The report and the data card of a pool whose texts, addresses and entries are hostile."""

import hashlib
import html
import json
import os
import re
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from xml.etree import ElementTree

import datasets
import mlcroissant
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
import yaml
from huggingface_hub import DatasetCard
from playwright.sync_api import Page, sync_playwright

from metaclip.config.settings import Config
from metaclip.errors import ConfigError, StoreError
from metaclip.explore.pool import FinishedPool
from metaclip.report.croissant import MEANINGS
from metaclip.report.planned import PlannedReport
from metaclip.report.publish import publish_report
from metaclip.schemas import CURATED, CURATED_BY_LANGUAGE, SET_COUNT, SET_COUNT_BY_LANGUAGE
from metaclip.store.store import Store
from tests.pools import make_pool

EVIL = (
    "<img/src=x/onerror=alert(1)>",
    "<script>alert(2)</script>",
    '"><svg/onload=alert(3)>',
    "</script><script>alert(4)</script>",
    "|[x](javascript:alert(5))`*_~",
    "'onmouseover='alert(6)",
    "{{7*7}}{%raw%}",
    "\u202egnp.exe",
    "&lt;b&gt;",
    "$x_{1}$",
)
"""Entries of the hostile pool; their texts hold them, and so do host names as far as these may."""


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Config:
    """A pool of pairs with markup and script in entries, texts, addresses and the file's name."""
    folder = tmp_path_factory.mktemp("hostile")
    texts = [f"a photo of {EVIL[row % len(EVIL)]} number {row} in the red house" for row in range(900)]
    hosts = ["a.example", "b.example", "x&amp;y'$.example", '"onload=alert(8)".example', "{{9}}`|*.example"]
    urls = [f"https://{hosts[row // 10 % 5]}/{row % 700}/'{EVIL[0]}.jpg" for row in range(900)]
    pairs = folder / "<b onclick=alert(9)>.parquet"
    pq.write_table(pa.table({"url": urls, "text": texts}), pairs)
    entries = folder / "entries.json"
    entries.write_text(json.dumps([*EVIL, "photo", "red", "house", "in", *(f"no such {evil}" for evil in EVIL)]))
    sources = [{"name": "Some | pairs", "licence": "CC-BY-4.0"}, {"name": "A list", "address": "https://lists.example"}]
    card = {"title": "Pairs <b>of</b> | *mine*", "contact": "me@example.org", "published": "2026-03-31"}
    card |= {"sources": sources}
    return make_pool(
        folder,
        folder / "pool",
        300,
        source={"paths": [str(pairs)], "kind": "pairs"},
        metadata={"entries": str(entries)},
        match={"languages": [], "space_entries": True},
        card=card,
    )


@pytest.fixture(scope="module")
def folder(hostile: Config) -> Path:
    """The folder of its report."""
    pool = FinishedPool.open(hostile.storage, hostile.pool)
    return Path(pool.store.path(pool.one("report").folder))


@pytest.fixture(scope="module")
def content(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "report.json").read_text())
    return found


@pytest.fixture(scope="module")
def balanced(hostile: Config) -> pa.Table:
    files = sorted(Path(hostile.storage).glob("balance-v*/*/pairs.parquet"))
    assert len(files) >= 2
    return pa.concat_tables(pq.read_table(file) for file in files)


def _at(balanced: pa.Table, t: float) -> pa.Table:
    return balanced.filter(pc.less_equal(balanced.column("min_t"), t))


def _matches(table: pa.Table) -> Counter[int]:
    return Counter(entry_id for ids in table.column("entry_ids").to_pylist() for entry_id in ids)


def test_every_step_of_the_curve_is_what_a_filter_gives(content: dict[str, Any], balanced: pa.Table) -> None:
    curve = content["curve"]
    before = _matches(balanced)
    assert curve["t"][0] == 1
    assert curve["pairs"][-1] == balanced.num_rows
    for step, t in enumerate(curve["t"]):
        kept = _at(balanced, t)
        assert curve["pairs"][step] == kept.num_rows
        assert curve["matches"][step] == _matches(kept).total()
        assert curve["head"][step] == sum(count > t for count in before.values())
        tail = sum(count for count in before.values() if count <= t)
        assert curve["tail_share"][step] == pytest.approx(tail / before.total(), abs=1e-6)
    assert 20 in curve["t"]


def test_samples_are_pairs_of_their_reasons(content: dict[str, Any], balanced: pa.Table) -> None:
    samples = {sample["why"]: sample for sample in content["samples"]}
    kept, left = _at(balanced, 20).num_rows, balanced.num_rows - _at(balanced, 20).num_rows
    assert (samples["kept"]["total"], samples["balanced"]["total"]) == (kept, left)
    assert samples.keys() == {"kept", "balanced"}  # of nothing else there is any
    texts = {(row["url"], row["text"]): row["min_t"] for row in balanced.select(["url", "text", "min_t"]).to_pylist()}
    for why, is_kept in (("kept", True), ("balanced", False)):
        assert len(samples[why]["rows"]) == 10
        for row in samples[why]["rows"]:
            assert (texts[row["url"], row["text"]] <= 20) == is_kept


def test_provenance_tells_the_list_and_the_set(content: dict[str, Any], hostile: Config) -> None:
    pool = FinishedPool.open(hostile.storage, hostile.pool)
    told = content["provenance"]
    assert told["keys"] == {"metadata": pool.one("metadata").key, "count": pool.one("count").key, "set": pool.set().key}
    (listed,) = [
        file for file in pool.store.manifest(pool.one("metadata").manifest).files if file.name == "entries.parquet"
    ]
    assert told["list_sha256"] == listed.sha256


def test_entries_hosts_images_and_languages_are_counted_exactly(
    folder: Path, content: dict[str, Any], balanced: pa.Table
) -> None:
    kept = _at(balanced, 20)
    counts = pq.read_table(folder / "entry_counts.parquet")
    assert counts.schema.equals(SET_COUNT)
    columns = (counts.column(name).to_pylist() for name in ("entry", "count", "curated_count"))
    assert json.loads((folder / "entry_counts.json").read_text()) == [list(row) for row in zip(*columns, strict=True)]
    for column, table in (("count", balanced), ("curated_count", kept)):
        expected = _matches(table)
        assert counts.column(column).to_pylist() == [expected[entry] for entry in range(counts.num_rows)]
    for name, table in (("pool", balanced), ("set", kept)):
        urls = table.column("url").to_pylist()
        assert content[name]["pairs"] == len(urls)
        assert content[name]["images"] == len(set(urls))
        assert content[name]["languages"] == dict(Counter(table.column("lang").to_pylist()))
        hosts = Counter(urlsplit(url).netloc for url in urls)
        assert {row["host"]: row[name] for row in content["hosts"]["top"]} == hosts
    assert content["hosts"]["undercount_at_most"] == {"pool": 0, "set": 0}
    (source,) = content["entry_sources"]
    assert source["without_matches"] == len(EVIL)
    assert source["examples_without_matches"] == [f"no such {evil}" for evil in EVIL[:8]]
    top = content["top_entries"]
    assert [row["entry"] for row in top[:3]] == ["photo", "red", "house"]
    assert {row["entry"] for row in top[4:]} == set(EVIL)


@pytest.fixture(scope="module")
def page(folder: Path) -> Iterator[Page]:
    """The page in a real browser that may reach nothing, and fails on any dialog, error or request."""
    chromium = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if chromium is None:
        pytest.skip("no Chromium on this machine (Debian: apt-get install chromium)")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox", "--disable-gpu"])
        page = browser.new_page(viewport={"width": 1200, "height": 900})
        trouble: list[str] = []
        page.on("dialog", lambda dialog: (trouble.append(f"dialog {dialog.message}"), dialog.dismiss()))
        page.on("pageerror", lambda error: trouble.append(f"error {error}"))
        page.on("console", lambda message: trouble.append(f"console {message.text}"))
        page.on("request", lambda request: trouble.append(f"request {request.url}"))
        page.goto((folder / "report.html").as_uri())
        yield page
        assert trouble == [f"request {(folder / 'report.html').as_uri()}"]
        browser.close()


def test_hostile_texts_are_shown_and_never_run(page: Page, content: dict[str, Any]) -> None:
    # Nothing but what the template and the plots hold.
    assert page.evaluate("document.querySelectorAll('script').length") == 3
    assert page.evaluate("document.querySelectorAll('img, iframe, object, embed, link, form, b b').length") == 0
    names = page.evaluate("[...document.querySelectorAll('*')].flatMap((e) => e.getAttributeNames())")
    assert len(names) > 100
    assert [name for name in names if name.startswith("on")] == []
    shown = page.locator("#top ~ .scroll table").first.locator("td.web").all_inner_texts()
    assert shown == [row["entry"].replace("\u202e", "\ufffd") for row in content["top_entries"]]
    hosts = page.locator("#hosts + .scroll td.web").all_inner_texts()
    assert hosts == [row["host"] for row in content["hosts"]["top"]]
    assert page.title() == "Pairs <b>of</b> | *mine*, t = 20"


def test_any_entry_is_found_in_the_page_and_shown_as_it_is(page: Page, folder: Path) -> None:
    counts = {row["entry"]: row for row in pq.read_table(folder / "entry_counts.parquet").to_pylist()}
    for wanted in ("PHOTO", EVIL[0], EVIL[3], "no such"):
        page.locator("#find-entry").fill(wanted)
        rows = [row.split("\t") for row in page.locator("#found tbody tr").all_inner_texts()]
        found = [entry for entry in counts if wanted.lower() in entry.replace("\u202e", "\ufffd").lower()]
        assert {row[0] for row in rows} == {entry.replace("\u202e", "\ufffd") for entry in found}
        for entry, pool, curated, _ in rows:
            row = counts.get(entry) or counts[entry.replace("\ufffd", "\u202e")]
            assert (pool, curated) == (f"{row['count']:,}", f"{row['curated_count']:,}")
    page.locator("#find-entry").fill("")
    assert page.locator("#found").is_hidden()


def test_of_a_long_list_the_page_has_small_sources_and_all_ranks(monkeypatch: pytest.MonkeyPatch) -> None:
    from metaclip.report import page as module

    monkeypatch.setattr(module, "SEARCHABLE", 100)
    counts = pa.array([1_000 - row for row in range(1_000)], pa.uint64())
    sources = ["own" if row in (500, 998) else "large" for row in range(1_000)]
    entries = pa.table(
        [pa.array(range(1_000), pa.uint32()), [f"e{row}" for row in range(1_000)], sources, counts, counts],
        schema=SET_COUNT,
    )
    found = module.searchable(entries)
    names = [row[0] for row in found["rows"]]
    assert (found["of"], len(names), len(set(names))) == (1_000, 100, 100)
    assert {"e500", "e998", "e0", "e999"} <= set(names)
    assert [row[1] for row in found["rows"]] == sorted((row[1] for row in found["rows"]), reverse=True)


def test_texts_entries_and_hosts_are_counted_by_class(content: dict[str, Any], balanced: pa.Table) -> None:
    for name, table in (("pool", balanced), ("set", _at(balanced, 20))):
        lengths = [len(text) for text in table.column("text").to_pylist()]
        matches = [len(ids) for ids in table.column("entry_ids").to_pylist()]
        described = content[name]
        assert sum(described["text_lengths"].values()) == sum(described["matches_a_pair"].values()) == table.num_rows
        assert described["text_lengths"]["41 to 80"] == sum(41 <= length <= 80 for length in lengths)
        assert described["text_lengths"]["more than 640"] == 0
        for few in ("1", "2", "3", "4"):
            assert described["matches_a_pair"][few] == sum(number == int(few) for number in matches)
        hosts = Counter(urlsplit(url).hostname for url in table.column("url").to_pylist())
        first, rest = content["hosts"]["concentration"][:2]
        assert first[name] == pytest.approx(max(hosts.values()) / table.num_rows, abs=1e-6)
        assert rest[name] == 1
    assert len(content["provenance"]["shards_sha256"]) == 64


def test_a_copy_says_whose_page_it_is_and_of_what_day(hostile: Config, folder: Path, tmp_path: Path) -> None:
    _published(hostile, tmp_path / "x", with_set=False)
    copied, kept = (tmp_path / "x" / "report.html").read_text(), (folder / "report.html").read_text()
    assert "Pool <b><bdi>small</bdi></b>, t = 20, published 2026-03-31" in copied
    assert "<title>small: " in copied
    assert "2026-03-31" not in kept
    named = {
        file["name"]: file["sha256"] for file in json.loads((tmp_path / "x" / "published.json").read_text())["files"]
    }
    assert named["report.html"] == hashlib.sha256(copied.encode()).hexdigest()


def test_the_slider_reads_off_any_step(page: Page, content: dict[str, Any]) -> None:
    curve = content["curve"]
    slider = page.locator("#t-slider")
    assert page.locator("#at-t").inner_text() == "20"
    dots = set()
    for step in (0, len(curve["t"]) // 2, len(curve["t"]) - 1):
        slider.evaluate("(e, v) => { e.value = v; e.dispatchEvent(new Event('input')); }", step)
        pairs = curve["pairs"][step]
        assert page.locator("#at-t").inner_text() == f"{curve['t'][step]:,.0f}"
        assert page.locator("#at-pairs").inner_text() == f"{pairs:,} ({pairs / curve['pairs'][-1]:.1%})"
        assert page.locator("#at-head").inner_text() == f"{curve['head'][step]:,}"
        assert page.locator("#at-matches").inner_text() == f"{curve['matches'][step]:,}"
        dots.add(page.locator("#size-plot circle").last.get_attribute("cx"))
    assert len(dots) == 3
    # At the last step every entry has all of its matches.
    assert page.locator("#top-0").inner_text() == f"{content['top_entries'][0]['count']:,}"
    slider.focus()
    page.keyboard.press("ArrowLeft")
    assert page.locator("#at-t").inner_text() == f"{curve['t'][-2]:,.0f}"


@pytest.mark.parametrize("width", [1200, 390])
def test_the_page_needs_no_sideways_scrolling(page: Page, width: int) -> None:
    page.set_viewport_size({"width": width, "height": 900})
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    drawn = page.locator("#cumulative + figure svg").bounding_box()
    assert drawn is not None
    assert 300 < drawn["width"] <= width


def test_plots_are_xml_with_text_as_text_and_nothing_of_the_web(folder: Path) -> None:
    names = sorted(path.stem for path in folder.glob("*.svg"))
    assert names == ["before_after", "cumulative_counts", "rank_count", "size_curve"]
    ids: Counter[str] = Counter()
    for name in names:
        svg = (folder / f"{name}.svg").read_text()
        root = ElementTree.fromstring(svg)
        assert len(list(root.iter("{http://www.w3.org/2000/svg}text"))) > 5
        assert not re.search(r"href=\"http|alert|<script|dc:date", svg)
        ids.update({element.get("id") for element in root.iter() if element.tag.endswith("clipPath")})
    assert max(ids.values()) == 1, "drawings of one page share an id"


def test_the_page_holds_no_address_to_load(folder: Path) -> None:
    text = (folder / "report.html").read_text()
    assert not re.search(r"<(script|img|iframe|object|embed)[^>]*\ssrc=|<link|@import|url\(['\"]?(?!#)", text)


@pytest.mark.long
def test_hash_seed_does_not_show(hostile: Config, folder: Path) -> None:
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    program = (
        "import sys\nfrom metaclip.explore.pool import FinishedPool\n"
        "from metaclip.report.planned import PlannedReport\n"
        "pool = FinishedPool.open(sys.argv[1], sys.argv[2])\n"
        "PlannedReport.of_pool(pool, None).report.run(pool.store)\n"
    )
    # The tests themselves run under another seed each time.
    shutil.rmtree(folder)
    environment = {**os.environ, "PYTHONHASHSEED": "1"}
    subprocess.run([sys.executable, "-c", program, hostile.storage, hostile.pool], env=environment, check=True)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


def _published(hostile: Config, to: Path, *, with_set: bool = True) -> dict[str, Any]:
    pool = FinishedPool.open(hostile.storage, hostile.pool)
    return publish_report(pool.store, pool.one("report"), pool.sets["20"], str(to), pool.config.pool, with_set=with_set)


def test_the_card_loads_as_a_dataset(hostile: Config, balanced: pa.Table, tmp_path: Path) -> None:
    published = _published(hostile, tmp_path / "card")
    assert published["written"]
    kept = set(_at(balanced, 20).column("text").to_pylist())
    loaded = datasets.load_dataset(str(tmp_path / "card"), split="train", cache_dir=str(tmp_path / "cache"))
    assert loaded.column_names == CURATED.names
    assert set(loaded["caption"]) == kept
    counts = datasets.load_dataset(
        str(tmp_path / "card"), "entry_counts", split="train", cache_dir=str(tmp_path / "cache")
    )
    assert counts["entry"][: len(EVIL)] == list(EVIL)


def test_croissant_validates_and_gives_the_records(hostile: Config, balanced: pa.Table, tmp_path: Path) -> None:
    _published(hostile, tmp_path / "card")
    described = mlcroissant.Dataset(str(tmp_path / "card" / "croissant.json"))
    assert not described.metadata.ctx.issues.errors
    files = {file.name: file for file in described.metadata.distribution if hasattr(file, "sha256")}
    for path in [*(tmp_path / "card" / "data").iterdir(), tmp_path / "card" / "entry_counts.parquet"]:
        assert files[path.name].sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    rows = list(described.records("pairs"))
    kept = _at(balanced, 20)
    assert {row["pairs/caption"].decode() for row in rows} == set(kept.column("text").to_pylist())
    by_caption = dict(zip(kept.column("text").to_pylist(), kept.column("entry_ids").to_pylist(), strict=True))
    assert all(row["pairs/entry_ids"] == by_caption[row["pairs/caption"].decode()] for row in rows)
    assert [row["entry_counts/entry"].decode() for row in described.records("entry_counts")][:4] == list(EVIL[:4])


def test_the_front_matter_and_the_tables_of_the_card(folder: Path, content: dict[str, Any]) -> None:
    text = (folder / "README.md").read_text()
    _, front, body = text.split("---\n", 2)
    matter = yaml.safe_load(front)
    assert matter["pretty_name"] == "Pairs <b>of</b> | *mine*"
    assert matter["license"] == "other"
    assert matter["license_details"] == "Texts and images belong to their authors."
    assert matter["opt_out_contact"] == "me@example.org"
    assert DatasetCard(text).data.to_dict() == matter  # as the Hub reads it
    assert matter["language"] == sorted(content["set"]["languages"])
    assert matter["size_categories"] == ["n<1K"]
    assert "me\\@example\\.org" in body
    assert "<" not in re.sub(r"\\<|`[^`\n]*`", "", body).replace("min_t <= t", "")
    # Each row of a table keeps the columns of its head.
    for block in re.findall(r"(?:^\|.*\n)+", body, re.M):
        widths = {len(re.findall(r"(?<!\\)\|", row)) for row in block.splitlines()}
        assert len(widths) == 1, block


def test_every_column_has_a_meaning() -> None:
    assert {*CURATED_BY_LANGUAGE.names, *SET_COUNT_BY_LANGUAGE.names} == set(MEANINGS)


def test_publishing_twice_writes_once_and_never_mixes(hostile: Config, tmp_path: Path) -> None:
    assert _published(hostile, tmp_path / "x")["written"]
    assert not _published(hostile, tmp_path / "x")["written"]
    with pytest.raises(ConfigError, match="another"):
        _published(hostile, tmp_path / "x", with_set=False)
    (tmp_path / "x" / "README.md").unlink()
    assert _published(hostile, tmp_path / "x")["written"]
    assert (tmp_path / "x" / "README.md").exists()


def test_an_altered_file_of_the_set_is_not_published(hostile: Config, tmp_path: Path) -> None:
    shutil.copytree(hostile.storage, tmp_path / "pool")
    other = hostile.model_copy(update={"storage": str(tmp_path / "pool")})
    path = next((tmp_path / "pool").glob("curate-v*/*/part-*.parquet"))
    path.write_bytes(bytes(byte ^ 1 for byte in path.read_bytes()))
    with pytest.raises(StoreError, match="altered"):
        _published(other, tmp_path / "x")
    assert not (tmp_path / "x" / "published.json").exists()
    path.unlink()
    with pytest.raises(StoreError, match="missing"):
        _published(other, tmp_path / "y")


def test_a_t_without_a_set_names_those_that_are(hostile: Config) -> None:
    pool = FinishedPool.open(hostile.storage, hostile.pool)
    with pytest.raises(ConfigError, match=r"no set at t = 33; there: 20\. .*rebalance small"):
        PlannedReport.of_pool(pool, 33)


def test_html_is_escaped_once(folder: Path) -> None:
    text = (folder / "report.html").read_text()
    assert html.escape("&lt;b&gt;") in text
    assert np.all([evil not in text for evil in EVIL[:4]])
    assert Store(str(folder)).read_json("report.json")["t"] == "20"
