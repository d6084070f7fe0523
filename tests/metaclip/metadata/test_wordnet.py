"""WordNet's row of the paper's Table 1 comes out exactly, from the shipped names and from the database."""

import io
import tarfile
import zipfile
from pathlib import Path

import pytest

from metaclip.errors import InputError
from metaclip.metadata.wordnet import NUMERALS, PARTS, SHIPPED, load_wordnet, wordnet_fingerprint
from tests.servers import serve

DATABASE = Path("/usr/share/wordnet")
PAPER = 86_654
LICENCE = "  1 This software and database is being provided to you, the LICENSEE, by  \n"
SMALL = {
    "data.noun": LICENCE
    + "00001740 03 n 01 entity 0 003 ~ 00001930 n 0000 | that which is\n"
    + "09119277 15 n 03 St._Louis 0 Saint_Louis 0 Gateway_to_the_West 0 001 @ 08524735 n 0000 | the city\n",
    "data.verb": LICENCE + "00001740 29 v 04 breathe 0 take_a_breath 0 respire 0 suspire 3 000 | draw air\n",
    "data.adj": LICENCE + "00014358 00 a 01 galore(ip) 0 000 | in great numbers\n",
    "data.adv": LICENCE + "00001740 02 r 01 a_cappella 0 000 | without music\n",
}


@pytest.fixture
def database() -> Path:
    if not DATABASE.joinpath(PARTS[0]).exists():
        pytest.skip(f"{DATABASE} is not here: Debian's package wordnet-base brings it")
    return DATABASE


@pytest.fixture
def small(tmp_path: Path) -> Path:
    folder = tmp_path / "dict"
    folder.mkdir()
    for name, content in SMALL.items():
        (folder / name).write_text(content)
    return folder


def test_shipped_names_with_the_numerals_are_the_papers_row() -> None:
    assert len({*load_wordnet().entries(), *NUMERALS}) == PAPER


@pytest.mark.slow
def test_the_database_gives_the_same_as_the_shipped_names(database: Path) -> None:
    found = load_wordnet(str(database))
    assert len({*found.entries(), *NUMERALS}) == PAPER
    assert found == load_wordnet()


@pytest.mark.slow
def test_names_stay_whole_on_demand_and_all_lemmas_can_be_taken() -> None:
    shipped = load_wordnet()
    whole = shipped.entries(cut_at_dot=False)
    assert "st. petersburg" in whole
    assert "st. petersburg" not in shipped.entries()
    assert len(whole) == len(set(whole)) == 86_571
    lemmas = shipped.entries(lemmas=True, cut_at_dot=False)
    assert set(whole) < set(lemmas)
    assert len(lemmas) == 147_306


def test_entries_are_sorted_by_code_point_and_none_is_punctuation() -> None:
    entries = load_wordnet().entries()
    assert entries == sorted(set(entries))
    assert not [entry for entry in entries if len(entry) == 1 and not entry.isalnum()]


def test_rules_on_a_small_database(small: Path) -> None:
    found = load_wordnet(str(small))
    assert found.entries() == ["a cappella", "breathe", "entity", "galore", "st"]
    assert "gateway to the west" in found.entries(lemmas=True)


def test_archives_and_addresses_are_read_as_folders_are(small: Path, tmp_path: Path) -> None:
    expected, known = load_wordnet(str(small)), wordnet_fingerprint(str(small))
    with tarfile.open(tmp_path / "wn.tar.gz", "w:gz") as archive:
        archive.add(small, "WordNet-3.0/dict")
    zipped = io.BytesIO()
    with zipfile.ZipFile(zipped, "w") as archive:
        for name, content in SMALL.items():
            archive.writestr(f"wordnet/{name}", content)
    (tmp_path / "wn.zip").write_bytes(zipped.getvalue())
    with serve() as site:
        site.files = {f"/dict/{name}": content.encode() for name, content in SMALL.items()}
        site.files["/wn.zip"] = zipped.getvalue()
        addresses = [tmp_path / "wn.tar.gz", tmp_path / "wn.zip", f"{site.address}/dict/", f"{site.address}/wn.zip"]
        for address in map(str, addresses):
            assert load_wordnet(address) == expected
            assert wordnet_fingerprint(address) == known
    assert known != wordnet_fingerprint()


def test_a_missing_part_is_named(small: Path, tmp_path: Path) -> None:
    (small / "data.adv").unlink()
    with pytest.raises(InputError, match=r"data\.adv.*metadata\.wordnet\.path"):
        load_wordnet(str(small))
    with tarfile.open(tmp_path / "wn.tar", "w") as archive:
        archive.add(small, "dict")
    with pytest.raises(InputError, match=r"holds no data\.adv"):
        load_wordnet(str(tmp_path / "wn.tar"))


def test_a_part_that_is_cut_short_is_refused(small: Path) -> None:
    content = (small / "data.noun").read_bytes()
    (small / "data.noun").write_bytes(content[:-30])
    with pytest.raises(InputError, match=r"data\.noun is cut short"):
        load_wordnet(str(small))
    (small / "data.noun").write_bytes(b"<html>\n<title>404</title>\n")
    with pytest.raises(InputError, match=r"data\.noun, line 1 is no synset"):
        load_wordnet(str(small))


def test_a_broken_archive_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "wn.tar.gz"
    path.write_bytes(SHIPPED.read_bytes()[:1000])
    with pytest.raises(InputError, match="tar or zip"):
        load_wordnet(str(path))
