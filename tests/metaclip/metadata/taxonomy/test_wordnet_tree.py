"""Parts of WordNet's trees, and lists that are merged."""

from pathlib import Path
from typing import Any

import pytest

from metaclip.config.loading import parse_config
from metaclip.config.settings import Config
from metaclip.errors import ConfigError, InputError
from metaclip.metadata.jobs import metadata_plan
from metaclip.metadata.list_job import read_entries
from metaclip.metadata.taxonomy.wordnet_tree import entries_under, load_tree
from metaclip.store.store import Store

WORDNET = Path("/usr/share/wordnet")


def make(folder: Path, metadata: dict[str, Any]) -> Config:
    return parse_config({"pool": "x", "storage": str(folder), "source": {"paths": ["x"]}, "metadata": metadata})


@pytest.mark.slow
def test_birds_are_under_bird_and_nothing_else_is() -> None:
    birds = entries_under(["bird.n.01"])
    assert {"bird", "bald eagle", "parrot", "hawk"} <= set(birds)
    assert not {"dog", "aeroplane", "shuttlecock"} & set(birds)
    assert birds == sorted(set(birds))
    assert set(entries_under(["bird.n.01"], lemmas=False)) < set(birds)
    assert set(entries_under(["hawk.n.01"])) < set(birds)
    both = {*entries_under(["hawk.n.01"]), *entries_under(["parrot.n.01"])}
    assert set(entries_under(["hawk.n.01", "parrot.n.01"])) == both


def test_instances_and_verbs_are_under_their_kinds() -> None:
    assert "paris" in entries_under(["national_capital.n.01"])
    assert "jog" in entries_under(["run.v.01"], cut_at_dot=False)


def test_every_noun_is_under_entity() -> None:
    tree = load_tree()
    nouns = {synset for (_, part, _), synset in tree.senses.items() if part == "n"}
    assert set(tree.under(["entity.n.01"])) == nouns


def test_an_unknown_synset_is_told_with_the_senses_of_its_word(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"no synset 'bird\.n\.09'.*bird\.n\.05 \(shuttlecock"):
        metadata_plan(make(tmp_path, {"wordnet": {"under": ["bird.n.09"]}}))
    with pytest.raises(ConfigError, match="not the name of a synset"):
        make(tmp_path, {"wordnet": {"under": ["bird"]}})
    with pytest.raises(InputError, match=r"index\.noun"):
        entries_under(["bird.n.01"], str(tmp_path))


@pytest.mark.slow
@pytest.mark.skipif(not WORDNET.is_dir(), reason="WordNet's database is not installed")
def test_the_shipped_tree_is_that_of_the_database() -> None:
    shipped = load_tree()
    assert load_tree(str(WORDNET)) == shipped


@pytest.mark.slow
def test_lists_and_a_part_of_wordnet_are_merged_in_their_order(tmp_path: Path) -> None:
    (tmp_path / "own.txt").write_text("my bird\nbald eagle\nmy bird\n")
    (tmp_path / "more.json").write_text('["parrot", "bald eagle", "st. louis"]')
    lists = [{"name": "own", "path": str(tmp_path / "own.txt")}, {"name": "more", "path": str(tmp_path / "more.json")}]
    plan = metadata_plan(make(tmp_path / "pool", {"lists": lists, "wordnet": {"under": ["hawk.n.01"]}}))
    store = Store(str(tmp_path / "pool"))
    table = read_entries(store, plan.job.run(store))
    assert table.column("entry").to_pylist()[:4] == ["my bird", "bald eagle", "parrot", "st. louis"]
    assert table.column("source").to_pylist()[:5] == ["own", "own", "more", "more", "wordnet"]
    assert set(table.column("entry").to_pylist()[4:]) == set(entries_under(["hawk.n.01"])) - {"bald eagle"}
    assert "0" not in table.column("entry").to_pylist()
    (tmp_path / "own.txt").write_text("another\n")
    other = metadata_plan(make(tmp_path / "pool", {"lists": lists, "wordnet": {"under": ["hawk.n.01"]}}))
    assert other.job.key != plan.job.key


def test_mistakes_in_lists_are_told_before_any_work(tmp_path: Path) -> None:
    one = {"name": "own", "path": str(tmp_path / "none.txt")}
    with pytest.raises(ConfigError, match=r"none\.txt"):
        metadata_plan(make(tmp_path, {"lists": [one]}))
    with pytest.raises(ConfigError, match="two sources are named own"):
        make(tmp_path, {"lists": [one, one]})
    with pytest.raises(ConfigError, match="both given"):
        make(tmp_path, {"lists": [one], "entries": "x.txt"})


def test_no_key_changes_where_neither_is_used(tmp_path: Path) -> None:
    config = metadata_plan(make(tmp_path, {"wordnet": {"use": "synsets"}})).job.config()
    assert config == {
        "kind": "build",
        "max_entries": 500_000,
        "wordnet": {"use": "synsets", "cut_at_dot": True, "budget": None},
    }
