"""`metaclip explain` with a list of entries in place of a pool."""

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from flows.cli.main import app
from tests.shared import shared_data


def explain(*arguments: str, ok: bool = True) -> Any:
    done = CliRunner().invoke(app, ["explain", *arguments, "--json"])
    assert (done.exit_code == 0) == ok, done.output
    return json.loads(done.stdout)


def entries_of(found: Any) -> set[str]:
    return {row["entry"] for row in found["entries"]}


@pytest.mark.parametrize(
    ("case", "options", "expected"),
    [
        ("ja-kana", ["--language", "ja"], {"犬", "カメラ", "走る"}),
        ("zh-mixed-script", ["--language", "zh"], {"iPhone", "手机", "T恤", "1月"}),
        ("zh-space-inside", ["--language", "zh"], set()),
        ("th-clusters", ["--language", "th"], {"การ", "ที่"}),
        ("th-clusters", ["--language", "th", "--boundaries", "characters"], {"การ", "กา", "ที่"}),
        ("fr-apostrophe", ["--language", "fr"], {"l'homme"}),
        ("fr-apostrophe", ["--language", "fr", "--spacing", "unicode"], {"homme", "l'homme"}),
    ],
)
def test_cases(case: str, options: list[str], expected: set[str]) -> None:
    folder = shared_data("..", "cases", "worldwide", case)
    text = (folder / "text.txt").read_text().removesuffix("\n")
    assert entries_of(explain(text, *options, "--entries", str(folder / "entries.json"))) == expected


@pytest.mark.parametrize(
    ("text", "language", "entries", "expected"),
    [
        ("dog。狗", "zh", ["dog", "狗"], {"dog", "狗"}),
        ("办公主任", "zh", ["办公", "主任", "公主"], {"办公", "主任"}),
        ("东京都的夜景", "zh", ["东京都", "京都", "夜景"], {"东京都", "夜景"}),
        ("བོད་སྐད", "bo", ["བོད", "བོ", "ད", "སྐད", "བོད་སྐད"], {"བོད", "སྐད", "བོད་སྐད"}),
    ],
)
def test_bounds(tmp_path: Path, text: str, language: str, entries: list[str], expected: set[str]) -> None:
    listed = tmp_path / "entries.json"
    listed.write_text(json.dumps(entries))
    assert entries_of(explain(text, "--language", language, "--entries", str(listed))) == expected


def test_counts_decide_between_words(tmp_path: Path) -> None:
    listed = tmp_path / "entries.json"
    for rare, expected in (("地上", {"草地"}), ("草地", {"地上"})):
        listed.write_text(json.dumps({"草地": 100, "地上": 100, rare: 1}))
        found = explain("在草地上", "--language", "zh", "--entries", str(listed))
        assert entries_of(found) == expected
    assert found["parts"] == ["在", "草", "地上"]
    assert found["rule"] == "words"


def test_the_label_is_told_by_the_model(tmp_path: Path) -> None:
    listed = tmp_path / "entries.json"
    listed.write_text('["カメラ"]')
    found = explain("犬が走る。赤いカメラ", "--entries", str(listed))
    assert (found["language"], found["group"]) == ("ja", "ja")


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["text"], "--entries LIST"),
        (["pool", "text", "--entries", "x"], "the text alone"),
        (["pool", "text", "--storage", "x", "--spacing", "unicode"], "--entries"),
        (["text", "--entries", "nowhere.json", "--language", "ja"], "nowhere.json"),
        (["text", "--entries", "x", "--language", "klingon"], "klingon"),
        ([" ", "--entries", "x"], "empty"),
    ],
)
def test_mistakes(arguments: list[str], named: str) -> None:
    assert named in explain(*arguments, ok=False)["message"]


@pytest.fixture
def languages(tmp_path: Path) -> Path:
    """Return a configuration with lists of three languages, and texts of four."""
    lists = {"en": ["dog", "red"], "de": ["Hund", "rot"], "ja": ["カメラ", "犬"]}
    for name, entries in lists.items():
        (tmp_path / f"{name}.json").write_text(json.dumps(entries))
    texts = [
        "a red dog on a small street",
        "der rote Hund ist auf der Strasse",
        "犬が走る。赤いカメラ",
        "un chien dans la rue",
    ]
    rows = [json.dumps({"url": f"http://a.example/{i}.jpg", "text": text}) for i, text in enumerate(texts)]
    (tmp_path / "pairs.jsonl").write_text("\n".join(rows))
    tree = {
        "pool": "many",
        "storage": str(tmp_path / "pool"),
        "source": {"paths": [str(tmp_path / "pairs.jsonl")]},
        "languages": {"reference": "en"},
        "metadata": {"languages": {name: {"entries": str(tmp_path / f"{name}.json")} for name in lists}},
        "execution": {"processes": 1},
    }
    path = tmp_path / "many.yaml"
    path.write_text(json.dumps(tree))
    return path


@pytest.mark.long
@pytest.mark.usefixtures("prefect_server")
def test_lists_by_language(languages: Path) -> None:
    def run(*arguments: str, ok: bool = True) -> Any:
        done = CliRunner().invoke(app, [*arguments, "--json"])
        assert (done.exit_code == 0) == ok, done.output
        return json.loads(done.stdout)

    config = str(languages)
    built = run("metadata", "build", config, "--languages", "ja,de")
    assert {name: listed["entries"] for name, listed in built["languages"].items()} == {"de": 2, "ja": 2}
    assert "xx" in run("metadata", "build", config, "--languages", "xx", ok=False)["message"]
    assert "de, en, ja" in run("metadata", "show", config, ok=False)["message"]
    assert run("metadata", "show", config, "--language", "ja")["entries"] == 2
    matched = run("run", config, "--until", "match")
    stages = {stage["stage"]: (stage["tasks"], stage["cached"]) for stage in matched["stages"]}
    assert stages["metadata"] == (3, 2)
    (manifest,) = (languages.parent / "pool").glob("match-*/*/manifest.json")
    found = json.loads(manifest.read_text())
    assert found["statistics"]["by_label"] == {
        "de": {"texts": 1, "matched": 1},
        "en": {"texts": 1, "matched": 1},
        "fr": {"texts": 1, "no_metadata": 1},
        "ja": {"texts": 1, "matched": 1},
    }
    shown = CliRunner().invoke(app, ["metadata", "build", config])
    assert "6 entries in 3 lists" in shown.output
