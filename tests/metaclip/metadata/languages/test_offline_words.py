"""Counts of words from wordfreq."""

import gzip
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from metaclip.errors import InputError
from metaclip.metadata.languages.offline_words import write_offline_words


def test_counts_are_frequencies_in_a_billion_words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    module: Any = ModuleType("wordfreq")
    module.available_languages = lambda _: {"nb": "x"}
    module.get_frequency_list = lambda *_: [[], *[[]] * 99, ["og", "i"], ["på en"], [], ["er"]]
    monkeypatch.setitem(sys.modules, "wordfreq", module)
    (path,) = write_offline_words(tmp_path)
    assert path.name == "no.tsv.gz"
    assert gzip.decompress(path.read_bytes()).decode() == "100000000\ti\n100000000\tog\n93325430\ter\n"


def test_a_missing_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "wordfreq", None)
    with pytest.raises(InputError, match="pip install wordfreq"):
        write_offline_words(tmp_path)
