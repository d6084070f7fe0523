"""Near misses of a whole pool: counted by shard, added up, and told."""

from pathlib import Path
from typing import Any

import msgspec
import pytest
from typer.testing import CliRunner

from flows.cli.main import app
from flows.cli.show.near import near_lines
from metaclip.config.loading import parse_config
from metaclip.errors import ConfigError
from metaclip.explore.misses import describe_misses, summarize_misses
from metaclip.metadata.jobs import metadata_plan, metadata_plans
from metaclip.pool.record import write_record
from metaclip.prepare.jobs import check, extract_job
from metaclip.stages.match import MatchJob
from metaclip.stages.near import (
    NearGroupsJob,
    NearGroupsShardJob,
    NearJob,
    NearShardJob,
    choose_shards,
    halvings_of,
    is_wanted,
    read_misses,
)
from metaclip.store.manifest import Reference
from metaclip.store.store import Store
from tests.conftest import config_tree
from tests.metaclip.matching.test_variants import misses_by_definition
from tests.metaclip.stages.test_match_groups import extracted
from tests.metaclip.stages.test_match_groups import make as make_groups
from tests.pools import make_pool

BIRDS = ["Bald Eagle over a lake", "a bald eagle", "(bald eagle)", "St. Lucia parrot"]


def count(folder: Path, texts: list[str], entries: list[str], files: int = 1, halvings: int = 0, **match: Any) -> Any:
    """Write files of pairs, extract them and count near misses; return the store, the list and the sum."""
    folder.mkdir()
    for number in range(files):
        rows = [{"url": f"https://img.example/{i}.jpg", "text": texts[i]} for i in range(number, len(texts), files)]
        (folder / f"{number}.jsonl").write_bytes(b"\n".join(map(msgspec.json.encode, rows)))
    (folder / "entries.json").write_bytes(msgspec.json.encode(entries))
    config = parse_config(
        {
            "pool": "birds",
            "storage": str(folder / "pool"),
            "source": {"kind": "pairs", "paths": [str(folder / f"{number}.jsonl") for number in range(files)]},
            "metadata": {"entries": str(folder / "entries.json")},
            "match": {"languages": [], **match},
        }
    )
    store = Store(config.storage)
    metadata = metadata_plan(config).job.run(store)
    shards = [extract_job(config, shard).run(store) for shard in check(config).shards]
    counted = tuple(NearShardJob(shard, metadata, config.match, halvings).run(store) for shard in shards)
    matched = [MatchJob(shard, metadata, config.match).run(store).rows for shard in shards]
    return store, metadata, NearJob(counted, metadata, halvings, len(shards)).run(store), sum(matched)


def test_birds(tmp_path: Path) -> None:
    store, metadata, near, matched = count(tmp_path / "a", BIRDS, ["bald eagle", "St. Lucia parrot"])
    assert matched == 1
    summary = summarize_misses(store, [metadata], near)
    assert summary == {
        "never_match": {"entries": 1, "examples": ["St. Lucia parrot"]},
        "part": 1.0,
        "texts": 4,
        "texts_that_miss": 2,
        "texts_but_for_case_or_punctuation": 2,
        "texts_with_an_entry_that_never_matches": 1,
    }
    rows = read_misses(store, near).select(["entry_id", "cause", "texts", "example"]).to_pylist()
    assert [tuple(row.values()) for row in rows] == [
        (0, "case", 1, BIRDS[0]),
        (0, "punctuation", 1, BIRDS[2]),
        (1, "never", 1, BIRDS[3]),
    ]
    never, missed = near_lines(summary, "birds", "here")
    assert never.startswith("1 entry can never match as it is spelled (St. Lucia parrot); 1 text has one of them")
    assert "Of 4 texts, 2 miss an entry by case or punctuation alone" in missed


def test_variants_of_case_and_spaced_entries_match_what_was_missed(tmp_path: Path) -> None:
    settings = {"case": "variants", "space_entries": True}
    store, metadata, near, matched = count(tmp_path / "a", BIRDS, ["bald eagle", "St. Lucia parrot"], **settings)
    assert matched == 3
    assert summarize_misses(store, [metadata], near)["never_match"]["entries"] == 0
    assert read_misses(store, near).column("example").to_pylist() == ["(bald eagle)"]


@pytest.mark.long
def test_shards_do_not_show_and_the_sum_is_as_defined(tmp_path: Path) -> None:
    entries = ["bald eagle", "Eagle", "lake", "st. lucia", "parrots", "lucia"]
    texts = [f"{text} {number % 7}" for number in range(40) for text in BIRDS]
    one, _, near, _ = count(tmp_path / "one", texts, entries)
    many, _, of_many, _ = count(tmp_path / "many", texts, entries, files=3)
    assert read_misses(one, near).equals(read_misses(many, of_many))
    expected: dict[tuple[int, str], int] = {}
    for text in texts:
        for entry, cause in misses_by_definition(entries, text, False).items():
            expected[entry, cause] = expected.get((entry, cause), 0) + 1
    rows = read_misses(one, near).to_pylist()
    assert {(row["entry_id"], row["cause"]): row["texts"] for row in rows} == expected


def test_a_part_is_the_pairs_of_the_first_half_of_the_hashes(tmp_path: Path) -> None:
    texts = [f"Bald Eagle {number}" for number in range(300)]
    store, metadata, whole, _ = count(tmp_path / "whole", texts, ["bald eagle"])
    half_store, half_metadata, half, _ = count(tmp_path / "half", texts, ["bald eagle"], halvings=1)
    summary = summarize_misses(half_store, [half_metadata], half)
    assert summary["part"] == 0.5
    assert 110 < summary["texts"] < 190
    assert summary["texts"] == summary["texts_that_miss"]
    assert summarize_misses(store, [metadata], whole)["texts"] == 300
    assert [halvings_of(pairs, 10) for pairs in (0, 10, 11, 40, 41)] == [0, 0, 1, 2, 2]


def test_of_very_many_shards_those_with_the_smallest_keys_are_looked_at() -> None:
    shards = [Reference(f"extract-v3/{n:04x}/manifest.json", f"{n * 7919 % 3000:04x}", 1) for n in range(3000)]
    chosen = choose_shards(shards)
    assert [shard.key for shard in chosen] == [shard.key for shard in shards if int(shard.key, 16) < 1000]
    assert choose_shards(shards[:1000]) == tuple(shards[:1000])
    assert NearJob(chosen, shards[0], 1, 3000).config()["part"] == pytest.approx(1 / 6)


def test_auto_is_for_short_lists() -> None:
    near = parse_config(config_tree(Path("x"), Path("y"))).near
    assert is_wanted(near, 49_999)
    assert not is_wanted(near, 50_000)
    assert is_wanted(near.model_copy(update={"use": "always"}), 50_000)
    assert not is_wanted(near.model_copy(update={"use": "never"}), 1)


def test_no_key_changes_where_matching_is_exact(tmp_path: Path) -> None:
    config = parse_config(config_tree(Path("x"), tmp_path))
    shard, metadata = Reference("extract-v3/a/manifest.json", "a", 0), Reference("metadata-v2/b/manifest.json", "b", 0)
    assert MatchJob(shard, metadata, config.match).config() == {"languages": ["en"], "min_lang_score": 0.0}


@pytest.mark.slow
def test_the_command_tells_the_pool(crawl: Path, tmp_path: Path) -> None:
    config = make_pool(crawl, tmp_path / "pool")
    with pytest.raises(ConfigError, match=r"near\.use=always"):
        describe_misses(config.storage, "small")
    store = Store(config.storage)
    record = store.read_json("pools/small.json")
    metadata = Reference(record["stages"]["metadata"], Path(record["stages"]["metadata"]).parent.name, 0)
    shards = [Reference(address, Path(address).parent.name, 0) for address in record["stages"]["extract"]]
    counted = tuple(NearShardJob(shard, metadata, config.match, 0).run(store) for shard in shards)
    near = NearJob(counted, metadata, 0, len(shards)).run(store)
    stages = {name: value for name, value in record["stages"].items() if name != "curate"}
    write_record(store, config, stages | {"near": near.manifest}, "20", record["stages"]["curate"]["20"])
    done = CliRunner().invoke(app, ["near", "small", "--storage", config.storage, "--n", "3"])
    assert done.exit_code == 0, done.output
    assert "entries that texts miss, and by what" in done.stdout
    rows = describe_misses(config.storage, "small", 3)["rows"]
    assert [row["missed"] for row in rows] == sorted((row["missed"] for row in rows), reverse=True)
    assert describe_misses(config.storage, "small", entry=rows[1]["entry"])["rows"] == rows[1:2]
    for row in rows:
        assert row["entry"].lower() in next(iter(row["examples"].values())).lower()
    done = CliRunner().invoke(app, ["near", "small", "--storage", config.storage, "--entry", "no such"])
    assert done.exit_code == 2


LANGUAGES = {"en": ["dog", "St. Louis", "teddy bear", "Zug"], "de": ["Hund", "Haus", "Zug"], "zh": ["狗", "dog"]}
LABELLED = [
    ("a Dog in St. Louis", "en", 0.9),
    ("(dog), dogs and a teddybear", "en", 0.9),
    ("zug", "en", 0.9),
    ("two dogs", "en", 0.9),
    ("hund, HAUS; Zug.", "de", 0.9),
    ("zug und Haus", "de", 0.9),
    ("Züge Hunds", "de", 0.9),
    ("Dog 狗", "zh", 0.9),
    ("dog", "es", 0.9),
    ("Dog", "en", 0.1),
]


def test_by_language_each_text_is_looked_at_with_its_own_list(tmp_path: Path) -> None:
    """As with a pool of each language alone, but for the plural, which is told in English only."""
    config = make_groups(tmp_path, LANGUAGES)
    store = Store(config.storage)
    shard = extracted(store, LABELLED)
    groups = config.groups
    assert groups is not None
    lists = {name: plan.job.run(store) for name, plan in metadata_plans(config).items() if name != "zh"}
    job = NearGroupsShardJob.of(store, shard, lists, groups, config.match, 0)
    assert [name for name, _ in job.lists] == ["de", "en"]
    counted = job.run(store)
    whole = NearGroupsJob((counted, counted), tuple(sorted(lists.items())), 0, 2).run(store)
    rows = read_misses(store, whole).to_pylist()
    by_language = store.manifest(whole.manifest).statistics["by_group"]
    for name in ("de", "en"):
        texts = [row for row in LABELLED if row[1] == name]
        alone = extracted(store, texts, name)
        match = config.match.model_copy(update={"languages": [name]})
        listed = NearShardJob(alone, lists[name], match, 0).run(store)
        expected = {
            (row["entry_id"], row["cause"]): (2 * row["texts"], row["example"])
            for row in read_misses(store, listed).to_pylist()
            if name == "en" or row["cause"] != "plural"
        }
        found = [row for row in rows if row["group"] == name]
        assert {(row["entry_id"], row["cause"]): (row["texts"], row["example"]) for row in found} == expected
        assert expected
        assert by_language[name]["texts"] == 2 * sum(score >= 0.3 for _, _, score in texts)
    assert by_language["en"]["entries_that_never_match"] == 1
    counts = store.manifest(whole.manifest).statistics["counts"]
    assert counts["texts"] == by_language["de"]["texts"] + by_language["en"]["texts"]
    assert "plural" in {row["cause"] for row in rows if row["group"] == "en"}


def test_a_shard_by_language_depends_on_the_lists_of_its_own_texts(tmp_path: Path) -> None:
    config = make_groups(tmp_path, LANGUAGES)
    store = Store(config.storage)
    lists = {name: plan.job.run(store) for name, plan in metadata_plans(config).items()}
    groups = config.groups
    assert groups is not None
    english = extracted(store, LABELLED[:2], "english")
    key = NearGroupsShardJob.of(store, english, lists, groups, config.match, 0).key
    assert key == NearGroupsShardJob.of(store, english, {"en": lists["en"]}, groups, config.match, 0).key
    other = dict(lists, en=lists["de"])
    assert key != NearGroupsShardJob.of(store, english, other, groups, config.match, 0).key
