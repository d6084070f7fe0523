"""Configuration mistakes are refused before any work, each error naming the field and the way out."""

import os
from pathlib import Path
from typing import Any

import pytest
import yaml

from metaclip.config.loading import load_config, parse_config
from metaclip.config.settings import Config, format_t
from metaclip.errors import ConfigError

MINIMAL = {"pool": "p", "source": {"paths": ["x.warc.gz"]}, "metadata": {"entries": "entries.json"}}


def _write(folder: Path, tree: object) -> Path:
    path = folder / "config.yaml"
    path.write_text(yaml.safe_dump(tree))
    return path


def test_defaults_are_usable() -> None:
    config = parse_config(MINIMAL)
    assert config.balance.threshold == 20_000
    assert config.match.languages == ["en"]
    assert config.execution.processes == os.cpu_count()


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
    ("override", "field", "way_out"),
    [
        ("blance.t=3", "blance", "balance"),
        ("balance.tt=3", "balance.tt", "seed, t"),
        ("balance.t=0", "balance.t", "greater than 0"),
        ("balance.t=-5", "balance.t", "greater than 0"),
        ("balance.t=much", "balance.t", "number"),
        ("balance.t=.nan", "balance.t", "finite"),
        ("balance.seed=-1", "balance.seed", "greater than or equal to 0"),
        ("source.paths=[]", "source", "give `paths`"),
        ("source.crawl=CC-MAIN-2024-33", "source", "needs `kind"),
        ("source.crawl=newest", "source.crawl", "neither the name of a crawl"),
        ("source.contact=jürgen", "source.contact", "printable"),
        ("execution={deployment: a/b, runs_at_once: 9}", "execution.runs_at_once", "must not exceed"),
        ("source.paths=['']", "source.paths", "empty"),
        ("source.kind=arc", "source.kind", "'warc'"),
        ("source.files_per_shard=0", "source.files_per_shard", "greater than or equal to 1"),
        ("source.limit=0", "source.limit", "greater than or equal to 1"),
        ("match.languages=[english]", "match.languages", "`en`"),
        ("match.min_lang_score=2", "match.min_lang_score", "less than or equal to 1"),
        ("extract.max_failed_files=2", "extract.max_failed_files", "less than or equal to 1"),
        ("extract.text_keys=[caption]", "extract.text_keys", "'alt'"),
        ("dedup.rows_per_partition=0", "dedup.rows_per_partition", "greater than or equal to 1"),
        ("execution.processes=0", "execution.processes", "greater than or equal to 1"),
        ("pool=a/b", "pool", "pattern"),
        ("storage=", "storage", "string"),
    ],
)
def test_mistakes_name_the_field_and_the_way_out(tmp_path: Path, override: str, field: str, way_out: str) -> None:
    with pytest.raises(ConfigError) as raised:
        load_config(_write(tmp_path, MINIMAL), [override])
    assert f" {field}" in str(raised.value)
    assert way_out in str(raised.value)


def test_every_mistake_is_named_at_once(tmp_path: Path) -> None:
    tree = {"source": {"paths": ["a"], "limt": 3}, "metadata": {}}
    with pytest.raises(ConfigError) as raised:
        load_config(_write(tmp_path, tree))
    for field in ("pool", "source.limt", "metadata"):
        assert f" {field}:" in str(raised.value)


@pytest.mark.parametrize("content", ["[1, 2]", "a: [", "", "\tx: 1"])
def test_a_file_that_is_no_configuration(tmp_path: Path, content: str) -> None:
    path = tmp_path / "broken.yaml"
    path.write_text(content)
    with pytest.raises(ConfigError, match=r"broken\.yaml"):
        load_config(path)


def test_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"nowhere\.yaml"):
        load_config(tmp_path / "nowhere.yaml")


@pytest.mark.parametrize("override", ["balance.t", "=3", "balance..t=3", "pool.x=3", "balance.t=["])
def test_malformed_overrides(tmp_path: Path, override: str) -> None:
    with pytest.raises(ConfigError, match="--set"):
        load_config(_write(tmp_path, MINIMAL), [override])


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
