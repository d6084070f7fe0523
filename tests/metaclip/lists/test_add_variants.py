"""Lists with other spellings added."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from flows.cli.main import app
from metaclip.errors import ConfigError, InputError
from metaclip.lists.add_variants import write_variants
from metaclip.metadata.given_list import load_entries


@pytest.fixture
def given(tmp_path: Path) -> str:
    path = tmp_path / "entries.txt"
    path.write_text("bald eagle\nBald Eagle\nSt. Lucia parrot\n7\n")
    return str(path)


@pytest.mark.parametrize("form", ["txt", "json", "parquet"])
def test_entries_keep_their_ids_and_variants_follow(given: str, tmp_path: Path, form: str) -> None:
    to = str(tmp_path / f"more.{form}")
    told = write_variants(given, to, plural=True)
    loaded = load_entries(to)
    assert loaded.entries[:4] == ["bald eagle", "Bald Eagle", "St. Lucia parrot", "7"]
    assert len(loaded.entries) == len(set(loaded.entries)) == told["entries"]
    assert {"BALD EAGLE", "Bald eagle", "bald eagles", "Bald Eagles"} < set(loaded.entries)
    assert told["added"]["case"] == 6
    assert told["never_match"] == sum("." in entry for entry in loaded.entries)
    if form == "parquet":
        assert loaded.sources[0] == ""
        assert loaded.sources[loaded.entries.index("bald eagles")] == "list+plural"


def test_what_cannot_be_written_is_told(given: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="nothing to add"):
        write_variants(given, str(tmp_path / "a.txt"), case=False)
    with pytest.raises(ConfigError, match="must end in"):
        write_variants(given, str(tmp_path / "a.csv"))
    with pytest.raises(ConfigError, match="exists already"):
        write_variants(given, given)
    with pytest.raises(ConfigError, match="no folder"):
        write_variants(given, str(tmp_path / "none" / "a.txt"))
    (tmp_path / "odd.json").write_text('["a\\nb"]')
    with pytest.raises(InputError, match="as a line"):
        write_variants(str(tmp_path / "odd.json"), str(tmp_path / "a.txt"))


def test_the_command(given: str, tmp_path: Path) -> None:
    to = str(tmp_path / "more.txt")
    done = CliRunner().invoke(app, ["metadata", "variants", given, "--to", to])
    assert done.exit_code == 0, done.output
    assert "4 entries, with their ids; added: 6 of case; in all 10" in done.stdout
    assert "can never match as they are spelled" in done.stdout


def test_a_list_is_shown_without_a_configuration(given: str) -> None:
    done = CliRunner().invoke(app, ["metadata", "show", given])
    assert done.exit_code == 0, done.output
    assert "4 entries" in done.stdout
    assert "words an entry: 1: 1, 2: 2, 3: 1" in done.stdout
    assert "1 can never match as spelled (St. Lucia parrot)" in done.stdout
    done = CliRunner().invoke(app, ["metadata", "show", given, "--entry", "Bald Eagle"])
    assert "1  Bald Eagle, from the given list" in done.stdout
    done = CliRunner().invoke(app, ["metadata", "show", given, "--entry", "BALD EAGLE"])
    assert done.exit_code == 3
    assert "'Bald Eagle'" in done.output
    assert CliRunner().invoke(app, ["metadata", "show", given, "--set", "pool=x"]).exit_code == 2
