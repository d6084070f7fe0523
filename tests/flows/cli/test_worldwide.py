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
