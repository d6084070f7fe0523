"""Groups of languages: the shipped table, what a configuration changes, and mistakes."""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from metaclip.config.groups import NO_GROUP, OTHER, configured_groups, shipped_groups
from metaclip.config.language_labels import LABELS
from metaclip.config.languages import Languages
from metaclip.config.loading import load_config, parse_config
from metaclip.config.settings import Config
from metaclip.errors import ConfigError

GIVEN = {"entries": "entries.json"}


def make(*names: str, **changes: Any) -> Config:
    tree = {"pool": "p", "source": {"paths": ["x"]}, "metadata": {"languages": dict.fromkeys(names, GIVEN)}}
    return parse_config({**tree, **changes})


def test_every_label_and_wiki_is_in_one_group_of_the_table() -> None:
    groups = shipped_groups().values()
    labels = [label for group in groups for label in group.labels]
    assert sorted(labels) == sorted(LABELS)
    wikis = [wiki for group in groups for wiki in group.wikis]
    assert len(wikis) == len(set(wikis)) == 329
    assert {group.boundaries for group in groups} == {"paper", "characters", "words"}


def test_traps_of_codes() -> None:
    groups = shipped_groups()
    assert "zh-min-nan" not in groups["zh"].wikis
    assert "zh-min-nan" in groups[OTHER].wikis
    assert groups["yue"].wikis == ("zh-yue",)
    assert (groups["als"].wordnets, groups["sq"].wordnets) == ((), ("als",))
    assert (groups["no"].wordnets, groups["nn"].wordnets) == (("nob",), ("nno",))
    assert groups["fa"].wordnets == ("fas",)
    for name in ("bat-smg", "map-bms", "fiu-vro", "roa-rup", "roa-tara"):
        assert name in groups[OTHER].wikis
    assert groups[OTHER].labels == ("lrc",)


def test_what_is_given_replaces_the_table() -> None:
    languages = Languages.model_validate(
        {"groups": {"zh": {"labels": ["zh", "wuu"]}, "south": {"labels": ["hr", "bs"], "wikis": ["hr", "bs"]}}}
    )
    groups = configured_groups(languages)
    assert groups["zh"].labels == ("zh", "wuu")
    assert groups["zh"].wikis == ("zh", "zh-classical")
    assert groups["zh"].rule == "words"
    assert groups["wuu"].labels == groups["hr"].labels == groups["hr"].wikis == ()
    assert groups["south"].rule == "paper"


def test_rules_by_group() -> None:
    config = make(
        *("en", "fr", "ja"),
        languages={"reference": "en", "groups": {"en": {"spacing": "paper"}}},
        match={"spacing": "unicode"},
    )
    assert config.groups is not None
    assert config.groups.rules == {"en": "paper", "fr": "unicode", "ja": "words"}


def test_the_group_of_a_text() -> None:
    config = make("zh", "en", languages={"reference": "en", "groups": {"zh": {"labels": ["zh", "wuu"]}}})
    groups = config.groups
    assert groups is not None
    assert groups.names == ("en", "zh")
    labels = pa.chunked_array([["wuu", "de"], ["en"]], pa.string())
    assert groups.of_rows(labels, pa.array([1.0, 1.0, 0.0], pa.float32())).tolist() == [1, NO_GROUP, 0]
    assert [groups.of(label) for label in ("wuu", "de", "en")] == ["zh", None, "en"]
    assert groups.met(["de", "wuu"]) == ("zh",)
    assert config.match.languages == []
    assert parse_config(config.model_dump(mode="json")) == config


def test_texts_under_the_score_may_go_to_other() -> None:
    config = make("en", OTHER, languages={"reference": "en", "below_score": "other"}, match={"min_lang_score": 0.3})
    groups = config.groups
    assert groups is not None
    scores = np.array([0.3, 0.2999, 0.1], np.float32)
    assert groups.of_rows(pa.array(["en", "en", "de"]), pa.array(scores)).tolist() == [0, 1, 1]
    assert (groups.of("en", 0.3), groups.of("en", 0.2999), groups.of("de", 0.3)) == ("en", OTHER, None)
    assert groups.met(["de"]) == (OTHER,)
    assert groups.met([]) == ()


def test_norwegian_is_not_false(tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    path.write_text(
        "{pool: p, source: {paths: [x]}, languages: {reference: no, groups: {no: {labels: [no, nn], wikis: [no]}}},"
        " match: {languages: [no]}, metadata: {languages: {no: {titles: {paths: [x], domains: [no]}}}}}"
    )
    config = load_config(path)
    assert config.groups is not None
    assert (config.groups.reference, config.groups.by_label) == ("no", {"no": "no", "nn": "no"})
    assert config.match.languages == config.metadata.languages["no"].titles.domains == ["no"]


def test_a_single_group_is_the_reference() -> None:
    config = make("de")
    assert config.groups is not None
    assert config.groups.reference == "de"


def test_without_groups_nothing_changes() -> None:
    config = parse_config({"pool": "p", "source": {"paths": ["x"]}, "metadata": GIVEN})
    assert config.groups is None
    assert config.rule == "paper"
    assert config.match.key_settings == {"languages": ["en"], "min_lang_score": 0.0}


@pytest.mark.parametrize(
    ("names", "changes", "named"),
    [
        (("en", "de"), {}, ("reference", "de, en")),
        (("en", "de"), {"languages": {"reference": "fr"}}, ("'fr'", "de, en")),
        (("en", "qq"), {}, ("metadata.languages.qq", "labels")),
        (("en",), {"languages": {"groups": {"a": {"labels": ["de"]}, "b": {"labels": ["de"]}}}}, ("'de'", "a and b")),
        (("en",), {"languages": {"groups": {"a": {"labels": [], "wikis": ["w"]}, "en": {"wikis": ["w"]}}}}, ("'w'",)),
        (("en",), {"languages": {"groups": {"en": {"labels": ["eng"]}}}}, ("'eng'", "languages.groups.en.labels")),
        (("en",), {"languages": {"groups": {"north": {"boundaries": "words"}}}}, ("languages.groups.north", "labels")),
        (("wuu",), {"languages": {"groups": {"zh": {"labels": ["zh", "wuu"]}}}}, ("metadata.languages.wuu",)),
        (("en",), {"languages": {"below_score": "other"}}, ("metadata.languages.other",)),
        (("en",), {"languages": {"groups": {"../x": {"labels": ["en"]}}}}, ("languages.groups",)),
        ((), {"languages": {"reference": "en"}, "metadata": GIVEN}, ("metadata.languages",)),
        ((), {"metadata": {**GIVEN, "languages": {"en": GIVEN}}}, ("both given",)),
        (
            (),
            {"metadata": {"languages": {"en": {"entrees": "x"}}}},
            ("metadata.languages.en.entrees", "bytes_per_task"),
        ),
        ((), {"metadata": {"languages": {"en": {}}}}, ("metadata.languages.en",)),
    ],
)
def test_mistakes_are_named(names: tuple[str, ...], changes: dict[str, Any], named: tuple[str, ...]) -> None:
    with pytest.raises(ConfigError) as caught:
        make(*names, **changes)
    for each in named:
        assert each in str(caught.value)
