"""Configuration mistakes are refused before any work, each error naming the field and the way out."""

from pathlib import Path

import pytest
import yaml

from metaclip.config.loading import load_config
from metaclip.errors import ConfigError

MINIMAL = {"pool": "p", "source": {"paths": ["x.warc.gz"]}, "metadata": {"entries": "entries.json"}}


def _write(folder: Path, tree: object) -> Path:
    path = folder / "config.yaml"
    path.write_text(yaml.safe_dump(tree))
    return path


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
