"""Matching by groups of languages: each text against the list of its own group, and everything counted."""

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from metaclip.config.loading import parse_config
from metaclip.config.settings import Config
from metaclip.matching.matcher import Matcher
from metaclip.metadata import list_job
from metaclip.metadata.jobs import metadata_plans
from metaclip.prepare.jobs import match_job
from metaclip.schemas import PAIR, PAIRS
from metaclip.stages.match_groups import MatchGroupsJob
from metaclip.store.manifest import Reference
from metaclip.store.store import Store

LISTS = {"en": ["dog", "red"], "de": ["rot", "Hund", "red"], "fr": ["chien"]}
TEXTS = [
    ("a red dog", "en", 0.9),
    ("der Hund ist rot", "de", 0.9),
    ("dog", "de", 0.9),
    ("red dog", "es", 0.9),
    ("dog", "en", 0.2),
    ("nothing", "en", 0.9),
    ("Hund red rot", "de", 0.5),
]


def make(folder: Path, lists: dict[str, list[str]] = LISTS, **changes: Any) -> Config:
    folder.mkdir(exist_ok=True)
    for name, entries in lists.items():
        (folder / f"{name}.json").write_text(json.dumps(entries))
    languages = {name: {"entries": str(folder / f"{name}.json")} for name in lists}
    tree: dict[str, Any] = {
        "pool": "p",
        "storage": str(folder / "pool"),
        "source": {"paths": ["x"]},
        "languages": {"reference": "en"},
        "metadata": {"languages": languages},
        "match": {"min_lang_score": 0.3},
    }
    return parse_config({**tree, **changes})


def extracted(store: Store, texts: list[tuple[str, str, float]] = TEXTS, name: str = "shard") -> Reference:
    """Write texts as the extract stage would, with the statistics that matching reads."""
    columns = list(zip(*texts, strict=True))
    n = len(texts)
    uid = pa.array(range(n), pa.uint64())
    strings = [pa.array(["x"] * n), pa.array(columns[0]), pa.array(["alt"] * n), pa.array(["p"] * n)]
    table = pa.table([uid, uid, *strings, pa.array(columns[1]), pa.array(columns[2], pa.float32())], schema=PAIR)
    labels = {label: columns[1].count(label) for label in columns[1]}
    with store.create("extract", 3, {"name": name}, [], f"extract-v3/{name}/manifest.json") as output:
        output.parquet(PAIRS, PAIR, iter([table.slice(0, 3), table.slice(3)]))
        return output.commit({"languages": labels, "counts": {}})


def job_of(config: Config, store: Store, shard: Reference) -> MatchGroupsJob:
    metadata = tuple(plan.job.run(store) for plan in metadata_plans(config).values())
    job = match_job(config, store, shard, metadata)
    assert isinstance(job, MatchGroupsJob)
    return job


def test_each_text_is_matched_against_its_own_list(tmp_path: Path) -> None:
    config = make(tmp_path)
    store = Store(config.storage)
    found = job_of(config, store, extracted(store)).run(store)
    rows = pq.read_table(store.local_file(found, PAIRS)).select(["text", "entry_ids"]).to_pylist()
    assert [(row["text"], row["entry_ids"]) for row in rows] == [
        ("a red dog", [0, 1]),
        ("der Hund ist rot", [0, 1]),
        ("Hund red rot", [0, 1, 2]),
    ]
    statistics = store.manifest(found.manifest).statistics
    assert statistics["by_label"] == {
        "de": {"texts": 3, "matched": 2, "no_match": 1},
        "en": {"texts": 3, "matched": 1, "score": 1, "no_match": 1},
        "es": {"texts": 1, "no_metadata": 1},
    }
    assert statistics["by_group"] == {
        "de": {"texts": 3, "matched": 2, "matches": 5},
        "en": {"texts": 2, "matched": 1, "matches": 2},
    }
    counts = statistics["counts"]
    dropped = sum(count for name, count in counts.items() if name.startswith("dropped."))
    assert counts["pairs"] == len(TEXTS) == counts["matched"] + dropped
    assert counts["kept_by_language"] == 5
    assert counts["matches"] == 7


def test_labels_that_are_not_wanted_and_texts_of_no_language(tmp_path: Path) -> None:
    lists = {**LISTS, "other": ["dog", "red"]}
    config = make(
        tmp_path,
        lists,
        languages={"reference": "en", "below_score": "other"},
        match={"min_lang_score": 0.3, "languages": ["en", "es"]},
    )
    store = Store(config.storage)
    found = job_of(config, store, extracted(store)).run(store)
    statistics = store.manifest(found.manifest).statistics
    assert statistics["by_label"] == {
        "de": {"texts": 3, "not_wanted": 3},
        "en": {"texts": 3, "matched": 2, "no_match": 1},
        "es": {"texts": 1, "no_metadata": 1},
    }
    assert statistics["by_group"]["other"] == {"texts": 1, "matched": 1, "matches": 1}


def test_a_list_is_an_input_of_shards_that_have_its_texts(tmp_path: Path) -> None:
    config = make(tmp_path)
    store = Store(config.storage)
    both, english = extracted(store), extracted(store, TEXTS[:1], "english")
    before = [job_of(config, store, shard).key for shard in (both, english)]
    changed = make(tmp_path, {**LISTS, "de": ["rot"], "fr": ["chat"]})
    after = [job_of(changed, store, shard).key for shard in (both, english)]
    assert before[0] != after[0]
    assert before[1] == after[1]
    more = make(tmp_path, {**LISTS, "de": ["rot"], "fr": ["chat"], "ru": ["кот"]})
    assert [job_of(more, store, shard).key for shard in (both, english)] == after


def test_only_tables_of_groups_that_occur_are_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = make(tmp_path)
    store = Store(config.storage)
    job = job_of(config, store, extracted(store, [*TEXTS[:1], ("chien", "fr", 0.1)]))
    assert [name for name, _ in job.lists] == ["en", "fr"]
    opened: list[Path] = []
    load = Matcher.load

    def loading(path: Path, **given: Any) -> Matcher:
        opened.append(path)
        return load(path, **given)

    monkeypatch.setattr(Matcher, "load", loading)
    list_job._map_table.cache_clear()
    job.run(store)
    assert [path.parent.name for path in opened] == [dict(job.lists)["en"].key]


def test_the_order_of_groups_does_not_matter(tmp_path: Path) -> None:
    keys = []
    for lists in (LISTS, dict(reversed(LISTS.items()))):
        config = make(tmp_path, lists)
        store = Store(config.storage)
        keys.append(job_of(config, store, extracted(store)).key)
    assert keys[0] == keys[1]


def test_the_list_of_a_group_with_the_papers_rule_has_the_key_of_a_single_list(tmp_path: Path) -> None:
    config = make(tmp_path)
    single = parse_config({"pool": "p", "source": {"paths": ["x"]}, "metadata": {"entries": str(tmp_path / "en.json")}})
    assert metadata_plans(config)["en"].job.key == metadata_plans(single)[""].job.key
