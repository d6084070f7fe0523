import filecmp
import gzip
import json
import os
import subprocess
import sys
from collections import Counter
from itertools import pairwise
from pathlib import Path

import pytest
from warcio.archiveiterator import ArchiveIterator

from metaclip.config.loading import load_config
from metaclip.config.settings import Extract
from metaclip.demo import ENTRIES, write_demo_crawl
from metaclip.demo.archive import DAMAGED, NOT_A_RECORD
from metaclip.demo.make_entries import make_entries
from metaclip.demo.pages import make_pages
from metaclip.demo.texts import NOUNS_FILE, Captions, Draws
from metaclip.language.identifier import LanguageIdentifier
from metaclip.language.model_file import find_model
from metaclip.metadata.given_list import load_entries
from metaclip.sources.listing import list_shards
from metaclip.sources.warc import read_warc
from metaclip.sources.wat import read_wat
from tests.examples import ROOT

CONFIGS = sorted((ROOT / "configs").glob("*.yaml"))


@pytest.fixture(scope="module")
def crawl(tmp_path_factory):
    return write_demo_crawl(tmp_path_factory.mktemp("demo"))


def records_of(path):
    """All records that warcio reads (bodies as stored), and the error that ended it, if one did."""
    records = []
    with path.open("rb") as file:
        try:
            records.extend(
                (record.rec_type, record.rec_headers, record.http_headers, record.raw_stream.read())
                for record in ArchiveIterator(file)
            )
        except Exception as error:  # noqa: BLE001 (its kinds of error are many)
            return records, error
    return records, None


@pytest.fixture(scope="module")
def pairs(crawl):
    """(address, text, text key, page) of every pair, and the statistics of each file."""
    found, statistics = [], {}
    for path in (*crawl.warc_files, *crawl.wat_files):
        statistics[path.name] = counts = Counter()
        read = read_warc if path in crawl.warc_files else read_wat
        for batch in read(str(path), Extract(), counts):
            found += zip(batch.urls, batch.texts, batch.text_keys, batch.page_urls, strict=True)
    return found, statistics


@pytest.mark.slow
def test_bytes_are_the_same_in_every_process(tmp_path):
    for seed in ("1", "2"):
        environment = {**os.environ, "PYTHONHASHSEED": seed}
        subprocess.run([sys.executable, "-m", "metaclip.demo", tmp_path / seed], check=True, env=environment, cwd=ROOT)
    names = sorted(str(path.relative_to(tmp_path / "1")) for path in (tmp_path / "1").rglob("*") if path.is_file())
    assert len(names) == 7
    assert filecmp.cmpfiles(tmp_path / "1", tmp_path / "2", names, shallow=False) == (names, [], [])


def test_listing_names_the_files(crawl):
    config = load_config(ROOT / "configs" / "demo.yaml", [f"source.paths=[{crawl.paths}]"])
    files = [file for shard in list_shards(config.source) for file in shard]
    assert [file.path for file in files] == [str(path) for path in (*crawl.warc_files, *crawl.wat_files)]
    assert [file.kind for file in files] == ["warc"] * 3 + ["wat"] * 3


def test_sound_files_are_read_whole_by_warcio(crawl):
    records, error = records_of(crawl.warc_files[0])
    assert error is None
    assert Counter(kind for kind, *_ in records) == {"warcinfo": 1, "request": 103, "response": 103, "metadata": 103}
    for path in crawl.wat_files[:2]:
        records, error = records_of(path)
        assert error is None
        assert Counter(kind for kind, *_ in records) == {"warcinfo": 1, "metadata": 300 if "3" in path.name else 303}


def test_faults_are_where_they_should_be(crawl):
    damaged = crawl.warc_files[1].read_bytes()
    assert 0 < damaged.index(NOT_A_RECORD) < damaged.index(DAMAGED) < len(damaged) - 10_000
    records, error = records_of(crawl.warc_files[1])
    assert len(records) < 310
    assert error is not None
    for path in (crawl.warc_files[2], crawl.wat_files[2]):
        with pytest.raises(EOFError), gzip.open(path) as file:
            file.read()
    bodies = [
        body for _, headers, _, body in records_of(crawl.wat_files[1])[0] if headers["Content-Type"].endswith("json")
    ]
    sound = [body for body in bodies if is_json(body)]
    assert len(bodies) - len(sound) == 2
    assert sum("Payload-Metadata" not in json.loads(body)["Envelope"] for body in sound) == 1


def is_json(body):
    try:
        json.loads(body)
    except ValueError:
        return False
    return True


def test_every_encoding_is_there(crawl):
    responses = [record for record in records_of(crawl.warc_files[0])[0] if record[0] == "response"]
    codings = Counter(
        (headers.get_header("Content-Encoding"), headers.get_header("Transfer-Encoding"))
        for _, _, headers, _ in responses
    )
    assert codings == {
        (None, None): 98, ("gzip", None): 1, (None, "chunked"): 1, ("gzip", "chunked"): 1, ("br", None): 1,
        ("deflate", None): 1,
    }  # fmt: skip
    types = {headers.get_header("Content-Type") for _, _, headers, _ in responses}
    assert {"application/pdf", "application/json", "image/gif"} < types
    plain = [body for _, _, headers, body in responses if headers.get_header("X-Crawler-content-encoding")]
    assert len(plain) == 95
    assert all(body.startswith((b"<!DOCTYPE html>", b"\xff\xfe<\0!\0", b"\xef\xbb\xbf<!DOCTYPE")) for body in plain)


def test_pages_have_the_habits_of_real_ones():
    pages = make_pages()
    images = [image for page in pages for image in page.images]
    sources = [image.attributes.get("src", "") for image in images]
    assert len(pages) == 600
    assert len({page.url for page in pages}) == 600
    assert {page.charset for page in pages} >= {
        "utf-8", "utf-16", "windows-1252", "iso-8859-1", "iso-8859-15", "windows-1251", "koi8-r", "shift_jis", "euc-jp",
    }  # fmt: skip
    assert {page.charset_in for page in pages} == {"header", "meta", "bom"}
    assert sum(bool(page.base) for page in pages) > 20
    assert sum("noai" in page.robots or "noimageai" in page.robots for page in pages) == 3
    assert sum("noai" in page.robots_header for page in pages) == 2
    for start in ("https://", "//", "/images/", "../img/", "img/", "data:image/gif", "about:blank"):
        assert sum(source.startswith(start) for source in sources) >= 1, start
    for attribute in ("data-src", "data-original", "srcset", "title", "data-image-title"):
        assert sum(attribute in image.attributes for image in images) > 50, attribute
    assert sum(bool(image.noscript) for image in images) > 50
    assert sum("\n" in image.attributes["alt"] for image in images) > 50


def test_every_page_can_be_read_and_every_fault_is_counted(pairs):
    _, statistics = pairs
    total = sum(statistics.values(), Counter())
    # 600 pages, five of which opt out; and the page in the response that is cut.
    assert total["pages"] == 596
    assert total["dropped.page.opt_out"] == 5
    assert total["dropped.page.not_html"] == 9
    assert total["dropped.record.bad_json"] == 2
    assert total["dropped.record.no_payload"] == 1
    assert total["dropped.image.data_address"] > 0
    assert total["dropped.image.scheme"] > 0
    assert total["texts"] > 8_000
    for damaged in ("demo-00001.warc.gz", "demo-00002.warc.gz", "demo-00005.warc.wat.gz"):
        assert any(name.startswith("dropped.file_") for name in statistics[damaged]), damaged


def test_pairs_repeat_across_pages_and_files(pairs):
    found, _ = pairs
    count = Counter((url, text) for url, text, _, _ in found)
    assert sum(times > 1 for times in count.values()) > 300
    assert count["https://ads.example/banner?id=1&w=300", "banner"] > 20
    texts_of = {}
    for url, text in count:
        texts_of.setdefault(url, set()).add(text)
    assert sum(len(texts) > 1 for texts in texts_of.values()) > 500
    assert {key for *_, key, _ in found} == {"alt", "title", "data-image-title"}


def test_texts_come_out_whole_whatever_the_character_set(pairs):
    found, _ = pairs
    texts = {text for _, text, _, _ in found}
    assert not [text for text in texts if "\ufffd" in text or "Ã" in text or "&amp;" in text]
    for word in ("Brücke", "été", "niños", "красный", "トップページへ戻る"):
        assert any(word in text for text in texts), word


def test_languages_are_recognised(pairs):
    labels, _ = LanguageIdentifier(find_model()).identify([text for _, text, _, _ in pairs[0]])
    count = Counter(labels)
    for language in Captions(Draws("")).languages:
        assert count[language] > 200, language
    assert count["en"] > 0.6 * count.total()


def test_few_entries_have_most_matches(pairs):
    found, _ = pairs
    entries = load_entries(str(ENTRIES)).entries
    ids = set(entries)
    count = Counter()
    for _, text in {(url, text) for url, text, _, _ in found}:
        words = f" {text} ".replace(",", " , ").replace(":", " : ").replace("?", " ? ").split(" ")
        count.update(ids.intersection(words))
    assert count["photo"] > 1_000
    assert count["the"] > 1_000
    head = sum(times for times in count.values() if times > 20)
    assert head > 0.7 * count.total()
    assert sum(times <= 20 for times in count.values()) > 4 * sum(times > 20 for times in count.values())


def test_shipped_list():
    loaded = load_entries(str(ENTRIES))
    assert len(loaded.entries) == 10_206
    assert loaded.duplicates == 0
    assert {"photo", "Photo", "the", "0", "99", "living room"} <= set(loaded.entries)
    wordnet = loaded.entries[:10_000]
    assert all(first < second for first, second in pairwise(wordnet))
    assert set(NOUNS_FILE.read_text(encoding="utf-8").splitlines()) < set(wordnet)
    licence = NOUNS_FILE.with_name("WORDNET-LICENSE.txt").read_text(encoding="utf-8")
    assert "WordNet 3.0 Copyright 2006 by Princeton University" in licence


def test_shipped_list_is_what_its_script_makes():
    folder = Path("/usr/share/wordnet")
    if not (folder / "cntlist.rev").exists():
        pytest.skip(f"{folder} is not here: WordNet's database (Debian: wordnet-base) is not part of the project")
    entries, nouns = make_entries(folder)
    assert entries == load_entries(str(ENTRIES)).entries
    assert nouns == NOUNS_FILE.read_text(encoding="utf-8").splitlines()


def test_there_are_eight_configurations():
    names = [path.stem for path in CONFIGS]
    english = ["commoncrawl-sample", "demo", "metaclip-2.5b", "metaclip-400m", "metadata-en", "metadata-offline"]
    assert names == [*english, "metadata-worldwide", "worldwide-offline"]


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_configurations_load(path):
    config = load_config(path)
    if "worldwide" in path.stem:
        assert config.groups is not None
        assert config.groups.reference == "en"
        assert config.match.languages == []
        return
    assert config.match.languages == ["en"]
    assert config.balance.t == {"metaclip-400m": 20_000, "metaclip-2.5b": 170_000}.get(path.stem, 20)
    if path.stem.startswith("metadata-"):
        assert config.metadata.has_sources
    elif not config.metadata.entries.startswith("s3://"):
        assert (ROOT / config.metadata.entries).samefile(ENTRIES)


def test_the_recipe_of_the_metadata_has_its_26_days():
    titles = load_config(ROOT / "configs" / "metadata-en.yaml").metadata.titles
    assert len(set(titles.dates)) == 26
    assert "2018-04-01" <= str(min(titles.dates)) < str(max(titles.dates)) <= "2022-09-30"
    assert len({date.weekday() for date in titles.dates}) == 7


def test_the_recipe_of_400m_has_its_15_crawls():
    assert len(load_config(ROOT / "configs" / "metaclip-400m.yaml").source.paths) == 15
