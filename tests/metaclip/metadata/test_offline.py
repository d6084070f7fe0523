"""Counts out of packages that are no dependencies."""

import gzip
import sys
from collections import Counter
from pathlib import Path

import pytest

from metaclip.errors import InputError
from metaclip.metadata.offline import write_offline_counts
from metaclip.metadata.wikipedia.count_files import read_counts
from tests.metaclip.metadata.wikipedia.test_ngrams import merged


@pytest.fixture
def packages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Packages of the form of the real ones, with a few lines each."""
    for name in ("wikiwords", "wordsegment"):
        monkeypatch.delitem(sys.modules, name, raising=False)
        (tmp_path / "site" / name).mkdir(parents=True)
        (tmp_path / "site" / name / "__init__.py").write_text("raise AssertionError('it is read, not run')\n")
    (tmp_path / "site/wikiwords/occdb.py").write_text("db = {'fox': 12, 'den': 3}\n")
    (tmp_path / "site/wordsegment/unigrams.txt").write_text("the\t23135851162\nfox\t500\n")
    (tmp_path / "site/wordsegment/bigrams.txt").write_text("the fox\t90\n\n<s> the\t70\nred fox\t1.5e3\n")
    monkeypatch.syspath_prepend(tmp_path / "site")
    return tmp_path


def test_the_packages_become_files_of_counts(packages: Path) -> None:
    words, pairs = write_offline_counts(packages / "out")
    assert gzip.decompress(words.read_bytes()) == b"3\tden\n12\tfox\n"
    found = merged(read_counts(str(pairs), Counter()))
    assert found == (
        {"fox": 500, "red": 0, "the": 23135851162},
        {("the", "fox"): 90, ("red", "fox"): 1500},
    )
    before = words.read_bytes()
    write_offline_counts(packages / "out")
    assert words.read_bytes() == before


def test_a_missing_or_other_package_is_named(packages: Path) -> None:
    (packages / "site/wikiwords/occdb.py").write_text("db = load()\n")
    with pytest.raises(InputError, match=r"not the counts of wikiwords 0\.5"):
        write_offline_counts(packages / "out")
    (packages / "site/wikiwords/occdb.py").write_text("db = {}\n")
    (packages / "site/wordsegment/bigrams.txt").unlink()
    with pytest.raises(InputError, match="not in this release of wordsegment"):
        write_offline_counts(packages / "out")
