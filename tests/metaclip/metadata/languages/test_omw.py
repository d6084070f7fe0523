"""Lemmas of the Open Multilingual Wordnet, and the traps of its files."""

import gzip
from pathlib import Path
from typing import Any

import pytest

from metaclip.config.loading import parse_config
from metaclip.errors import ConfigError, InputError
from metaclip.metadata.jobs import metadata_plans
from metaclip.metadata.languages.omw import omw_files, omw_fingerprint, omw_lemmas
from metaclip.metadata.list_job import read_entries
from metaclip.store.store import Store
from tests.shared import shared_data


def write(folder: Path, code: str, rows: str, packed: bool = False) -> str:
    folder.mkdir(parents=True, exist_ok=True)
    data = f"# A wordnet\t{code}\thttp://x\tCC BY\n{rows}".encode()
    path = folder / f"wn-data-{code}.tab{'.gz' * packed}"
    path.write_bytes(gzip.compress(data) if packed else data)
    return str(path)


@pytest.mark.parametrize(
    ("code", "rows", "expected"),
    [
        ("fra", "1-n\tfra:lemma\tsaint_bernard\n1-n\tfra:def\t0\tun chien\n1-n\tfra:exe\t0\tx\n", ["saint bernard"]),
        ("nob", "1-n\tlemma\tkloster\n", ["kloster"]),
        (
            "arb",
            "1-n\tarb:lemma\tكتاب\n1-n\tarb:lemma:root\tكتب\n1-n\tarb:lemma:brokenplural\tكُتُب\n",
            sorted(["كتاب", "كُتُب"]),
        ),
        ("cmn", "1-n\tcmn:lemma\t高兴+地\n", ["高兴地"]),
        ("slv", "1-n\tslv:lemma\ta+b\n", ["a+b"]),
        ("slk", "1-n\tslk:lemma\tpes (zviera)\n1-n\tslk:lemma\t(x)\n", ["pes"]),
        ("ron", "1-n\tron:lemma\te\u0301\n1-n\tron:lemma\té\n", ["é"]),
    ],
)
def test_traps(tmp_path: Path, code: str, rows: str, expected: list[str]) -> None:
    assert omw_lemmas([write(tmp_path, code, rows)]) == expected


def test_files_in_a_folder(tmp_path: Path) -> None:
    nested = write(tmp_path / "nor", "nob", "1-n\tlemma\ta\n")
    packed = write(tmp_path / "nor", "nno", "1-n\tlemma\tb\n", packed=True)
    assert omw_files(str(tmp_path), ["nob", "nno"]) == [nested, packed]
    assert omw_lemmas([nested, packed]) == ["a", "b"]
    assert omw_fingerprint([packed]) == omw_fingerprint([write(tmp_path / "x", "nno", "1-n\tlemma\tb\n")])
    with pytest.raises(ConfigError, match="wn-data-fra"):
        omw_files(str(tmp_path), ["fra"])
    with pytest.raises(ConfigError, match="no wordnet"):
        omw_files(str(tmp_path), [])


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"entity\n", "does not begin with"),
        (b"# x\ten\tx\n00001740-n\ten:def\t0\tx\n", "holds no lemma"),
        (b"# x\ten\tx\n\xff\n", "not UTF-8"),
        (b"\x1f\x8b\x08cut", "damaged gzip"),
    ],
)
def test_other_files_are_refused(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "wn-data-fra.tab"
    path.write_bytes(content)
    with pytest.raises(InputError, match=message):
        omw_lemmas([str(path)])


def test_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="wn-data-fra"):
        omw_files(str(tmp_path / "nowhere"), ["fra"])


def make(folder: Path, **languages: Any) -> Any:
    tree = {"pool": "p", "storage": str(folder / "pool"), "source": {"paths": ["x"]}}
    return parse_config(
        {**tree, "languages": {"reference": next(iter(languages))}, "metadata": {"languages": languages}}
    )


def test_als_is_albanian_to_the_wordnet_and_alemannic_to_wikipedia(tmp_path: Path) -> None:
    folder = shared_data("worldwide", "wordnet")
    counts = tmp_path / "als.tsv"
    counts.write_text("5\tHuus\n3\tqen-jo\n")
    config = make(
        tmp_path,
        sq={"wordnet": {"use": "omw", "path": str(folder)}},
        als={"wordnet": {"use": "numerals"}, "words": {"paths": [str(counts)], "min_count": 1}},
    )
    store = Store(config.storage)
    lists = {}
    for name, plan in metadata_plans(config).items():
        for job in plan.ngrams:
            job.run(store)
        lists[name] = set(read_entries(store, plan.job.run(store)).column("entry").to_pylist())
    assert "qen" in lists["sq"]
    assert "qen" not in lists["als"]
    assert {"Huus", "0", "99"} <= lists["als"]
    with pytest.raises(ConfigError, match="no wordnet"):
        metadata_plans(make(tmp_path, als={"wordnet": {"use": "omw", "path": str(folder)}}))


@pytest.mark.slow
def test_the_wordnets_of_other_languages() -> None:
    folder = str(shared_data("worldwide", "wordnet"))
    chinese = omw_lemmas(omw_files(folder, ["cmn"]))
    assert not [word for word in chinese if "+" in word or "_" in word]
    for code, word in (("por", "cachorro"), ("nob", "hund"), ("fra", "chien"), ("pol", "pies")):
        assert word in omw_lemmas(omw_files(folder, [code]))
