"""Addresses that are told once for all Wikipedias."""

from typing import Any

import pytest

from metaclip.config.metadata import EntrySources
from metaclip.errors import ConfigError
from metaclip.metadata.languages.wikis import for_wikis


def settings(**changes: Any) -> EntrySources:
    paths = ["https://x/{database}wiki/d.xml.bz2"]
    tree = {
        "words": {"paths": paths},
        "pairs": {"paths": paths},
        "titles": {"paths": ["v.gz"], "domains": ["{wiki}", "{wiki}.m"]},
    }
    return EntrySources.model_validate({**tree, **changes})


def test_each_wiki_of_a_group() -> None:
    found = for_wikis(settings(), ("zh", "zh-classical"), "zh")
    assert found.words.paths == ["https://x/zhwiki/d.xml.bz2", "https://x/zh_classicalwiki/d.xml.bz2"]
    assert found.pairs.paths == found.words.paths
    assert found.titles.domains == ["zh", "zh-classical", "zh.m", "zh-classical.m"]
    assert found.titles.paths == ["v.gz"]
    assert for_wikis(settings(), ("be-tarask",), "be").words.paths == ["https://x/be_x_oldwiki/d.xml.bz2"]


def test_without_a_placeholder_nothing_changes() -> None:
    plain = EntrySources.model_validate({"words": {"paths": ["a.tsv"]}})
    assert for_wikis(plain, (), "x") is plain


def test_a_group_without_a_wiki() -> None:
    with pytest.raises(ConfigError, match=r"languages\.groups\.new\.wikis"):
        for_wikis(settings(), (), "new")
