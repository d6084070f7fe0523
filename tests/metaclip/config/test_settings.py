"""The tree of settings: defaults, descriptions, a form, and values that go together."""

from pathlib import Path
from typing import Any

import pytest

from metaclip.config.loading import load_config, parse_config
from metaclip.config.settings import Config, format_t
from metaclip.errors import ConfigError
from metaclip.processes.cores import cores
from tests.metaclip.config.test_loading import MINIMAL, _write


def test_defaults_are_usable() -> None:
    config = parse_config(MINIMAL)
    assert config.balance.threshold == 20_000
    assert config.match.languages == ["en"]
    assert config.execution.processes == cores()


def test_every_field_is_described() -> None:
    def undescribed(model: type, path: str) -> list[str]:
        found = []
        for name, field in model.model_fields.items():  # type: ignore[attr-defined]
            if not field.description and not hasattr(field.annotation, "model_fields"):
                found.append(f"{path}{name}")
            if hasattr(field.annotation, "model_fields"):
                found += undescribed(field.annotation, f"{path}{name}.")
        return found

    assert undescribed(Config, "") == []


@pytest.mark.parametrize(
    ("written", "t"),
    [("20", "20"), ("20.0", "20"), ("2.5", "2.5"), ("inf", "inf"), (".inf", "inf"), ("1e6", "1000000")],
)
def test_t_is_a_number_or_inf(tmp_path: Path, written: str, t: str) -> None:
    config = load_config(_write(tmp_path, MINIMAL), [f"balance.t={written}"])
    assert format_t(config.balance.t) == t
    assert Config.model_validate(config.model_dump(mode="json")) == config


def test_the_schema_is_one_that_a_form_can_be_made_of() -> None:
    schema = Config.model_json_schema()
    assert schema["$defs"]["Balance"]["properties"]["t"]["description"].startswith("Entries with more than t")


@pytest.mark.parametrize(
    "section",
    [
        {"wordnet": {}, "words": {"paths": ["x.bz2"]}},
        {"wordnet": {"budget": 5}, "words": {"paths": ["x.bz2"]}},
        {"wordnet": {"use": "synsets"}, "words": {"min_count": 5}},
        {"wordnet": {"use": "synsets"}, "titles": {}},
    ],
)
def test_a_source_of_entries_is_never_passed_over(section: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=r"metadata\.\w+ names nothing to build from; add metadata"):
        parse_config({**MINIMAL, "metadata": section})


def test_a_configuration_written_back_stays_valid() -> None:
    for metadata in ({"entries": "x.json"}, {"wordnet": {"use": "synsets"}}, {"words": {"paths": ["x"], "budget": 3}}):
        config = parse_config({**MINIMAL, "metadata": metadata})
        assert Config.model_validate(config.model_dump(mode="json")) == config
