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
        ("pool=a/b", "pool", "begin with a letter or digit"),
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


def test_a_section_that_is_missing_says_what_it_is_for(tmp_path: Path) -> None:
    with pytest.raises(
        ConfigError, match=r"source: must be given\. The files that .*\n.*metadata: must be given\. The e"
    ):
        load_config(_write(tmp_path, {"pool": "p"}))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"[1, 2]", "the top level must be"),
        (b"", "the top level must be"),
        (b"pool: p\nsource: [", "not valid YAML, line 2, column 10: "),
        (b"\tx: 1", "not valid YAML, line 1, column 1: "),
        (b"pool: p\nsource: {limit: 1, limit: 2}", "line 2, column 20: `limit` is given twice"),
        (b"\xff\xfe", "not text in UTF-8"),
    ],
)
def test_a_file_that_is_no_configuration(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "broken.yaml"
    path.write_bytes(content)
    with pytest.raises(ConfigError, match=rf"broken\.yaml: .*{message}") as raised:
        load_config(path)
    assert "\n" not in str(raised.value)


def test_a_missing_file_and_a_folder(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"nowhere\.yaml: there is no such file; `metaclip init"):
        load_config(tmp_path / "nowhere.yaml")
    with pytest.raises(ConfigError, match="is a folder, not a file; name the configuration in it"):
        load_config(tmp_path)


def test_a_key_that_is_merged_may_be_given_again(tmp_path: Path) -> None:
    path = _write(tmp_path, MINIMAL)
    path.write_text(path.read_text() + "card: {sources: [&a {name: a, licence: mit}, {<<: *a, name: b}]}")
    assert [(source.name, source.licence) for source in load_config(path).card.sources] == [("a", "mit"), ("b", "mit")]


@pytest.mark.parametrize("override", ["balance.t", "=3", "balance..t=3", "pool.x=3", "balance.t=["])
def test_malformed_overrides(tmp_path: Path, override: str) -> None:
    with pytest.raises(ConfigError, match="--set"):
        load_config(_write(tmp_path, MINIMAL), [override])
