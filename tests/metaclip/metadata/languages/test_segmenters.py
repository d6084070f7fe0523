"""Segmenters are found by name, and say what to install; words are joined as their scripts are written."""

import sys
from importlib.metadata import PackageNotFoundError
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from metaclip.config.loading import parse_config
from metaclip.errors import ConfigError
from metaclip.metadata.jobs import metadata_plans
from metaclip.metadata.languages import segmenters
from metaclip.metadata.languages.segmenters import join_words, load_segmenter, segmented, segmenter_version
from metaclip.metadata.list_job import read_entries
from metaclip.store.store import Store

DUMP = """<mediawiki><page><title>T</title><ns>0</ns><revision><text>{}</text></revision></page></mediawiki>"""


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [
        *(
            ("人工", "智能", "人工智能"),
            ("T恤", "衫", "T恤衫"),
            ("iPhone", "手机", "iPhone 手机"),
            ("手机", "8", "手机 8"),
        ),
        *(("ที่", "บ้าน", "ที่บ้าน"), ("new", "york", "new york"), ("བོད", "ཡིག", "བོདཡིག"), ("か\u3099", "き", "か\u3099き")),
    ],
)
def test_joined_words(first: str, second: str, expected: str) -> None:
    assert join_words(first, second) == expected


def _absent(package: str) -> str:
    raise PackageNotFoundError(package)


@pytest.mark.parametrize("name", segmenters.NAMES)
def test_what_is_not_installed_is_named(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    load_segmenter.cache_clear()
    known = segmenters._KNOWN[name]
    monkeypatch.setitem(sys.modules, known.module, None)
    with pytest.raises(ConfigError, match=rf"metadata\.words\.segmenter: {name}: .*pip install {known.packages[0]}"):
        load_segmenter(name)
    monkeypatch.setattr(segmenters.metadata, "version", _absent)
    with pytest.raises(ConfigError, match=rf"metadata\.words\.segmenter: {name}: .*pip install {known.packages[0]}"):
        segmenter_version(name)


def test_words_beside_burmese_stay_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    module: Any = ModuleType("pyidaungsu")
    module.tokenize = lambda line, **_: [line.replace(" ", "")]  # as it does with what is not Burmese
    monkeypatch.setitem(sys.modules, "pyidaungsu", module)
    load_segmenter.cache_clear()
    assert list(load_segmenter("pyidaungsu")("hello world")) == ["hello", "world"]
    load_segmenter.cache_clear()


def test_botok_needs_its_dictionary_and_its_version_tells_which(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Path] = []
    module: Any = ModuleType("botok")
    module.Config = lambda base_path: asked.append(base_path)
    module.WordTokenizer = lambda *_, **__: None
    monkeypatch.setitem(sys.modules, "botok", module)
    monkeypatch.setattr(segmenters, "_version", lambda *_: "1.0")
    monkeypatch.setenv("HOME", str(tmp_path))
    load_segmenter.cache_clear()
    for ask in (load_segmenter, segmenter_version):
        with pytest.raises(ConfigError, match="its dictionary is not on this machine: put the folder `general`"):
            ask("botok")
    assert not asked  # so it downloads nothing
    words = tmp_path / "Documents" / "pybo" / "dialect_packs" / "general" / "dictionary" / "words.tsv"
    words.parent.mkdir(parents=True)
    words.write_text("བོད་\n")
    first = segmenter_version("botok")
    words.write_text("སྐད་\n")
    assert first != segmenter_version("botok") != "1.0"
    load_segmenter("botok")
    assert asked == [words.parents[2]]
    load_segmenter.cache_clear()


@pytest.fixture
def cutter(monkeypatch: pytest.MonkeyPatch) -> None:
    """Install a package `jieba` that cuts a line into words of two characters."""
    module: Any = ModuleType("jieba")
    module.cut = lambda line, **_: [line[i : i + 2] for i in range(0, len(line), 2)]
    monkeypatch.setitem(sys.modules, "jieba", module)
    monkeypatch.setattr(segmenters, "_version", lambda *_: "1.0")
    load_segmenter.cache_clear()


def config_of(folder: Path, **words: Any) -> Any:
    dump = folder / "zhwiki-latest-pages-articles.xml"
    dump.write_text(DUMP.format("人工智能\n人工智能\n手机手机"))
    paths = {"paths": [str(dump)]}
    chinese = {
        "words": {**paths, "min_count": 1, **words},
        "pairs": {**paths, "min_pmi": 0, "min_count": 2},
    }
    return parse_config(
        {
            "pool": "p",
            "storage": str(folder / "pool"),
            "source": {"paths": ["x"]},
            "metadata": {"languages": {"zh": chinese}},
        }
    )


@pytest.mark.usefixtures("cutter")
def test_words_and_pairs_of_a_language_without_spaces(tmp_path: Path) -> None:
    config = config_of(tmp_path, segmenter="jieba")
    store = Store(config.storage)
    (plan,) = metadata_plans(config).values()
    for job in plan.ngrams:
        job.run(store)
        assert job.config() == {"kind": "dump", "range": [0, None], "spacing": "unicode", "segmenter": ["jieba", "1.0"]}
    found = plan.job.run(store)
    rows = read_entries(store, found).select(["entry", "source"]).to_pylist()
    assert {row["entry"]: row["source"] for row in rows}["人工智能"] == "pairs"
    files = [file.name for file in store.manifest(found.manifest).files]
    assert "costs.u16" in files
    written = np.fromfile(store.local_file(found, "costs.u16"), "<u2").tolist()
    costs = dict(zip([row["entry"] for row in rows], written, strict=True))
    assert costs["人工智能"] == 65_535
    assert costs["人工"] == costs["手机"] < 65_535


def test_a_dump_without_a_segmenter_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"metadata\.words\.segmenter"):
        metadata_plans(config_of(tmp_path))


def test_lines_stay() -> None:
    assert segmented("ab\n\ncd", lambda line: list(line)) == "a b\n\nc d"
