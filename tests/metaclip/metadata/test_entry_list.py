"""One list from all sources: order, budgets, first source wins; the same ids on every machine."""

import hashlib
import json
import math
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from metaclip.config.loading import parse_config
from metaclip.config.settings import Config
from metaclip.errors import ConfigError, InputError, StageError
from metaclip.metadata.entry_list import EntryList
from metaclip.metadata.given_list import load_entries
from metaclip.metadata.jobs import metadata_plan
from metaclip.metadata.list_job import MetadataJob, open_matcher, read_entries
from metaclip.metadata.select import Ranked
from metaclip.metadata.show import describe, find_entry, require
from metaclip.metadata.wikipedia.dump import read_articles
from metaclip.metadata.wikipedia.wikitext import strip_markup
from metaclip.store.manifest import Reference, stage_key
from metaclip.store.store import Store
from tests.examples import ROOT
from tests.metaclip.metadata.oracle import count
from tests.metaclip.metadata.sources import write_sources


def make(folder: Path, settings: dict[str, Any], name: str = "pool", **changes: Any) -> Config:
    tree = {"pool": "m", "storage": str(folder / name), "source": {"paths": ["x"]}, "metadata": settings, **changes}
    return parse_config(tree)


def build(config: Config) -> tuple[Store, Reference]:
    store = Store(config.storage)
    plan = metadata_plan(config)
    for job in [*plan.ngrams, *plan.titles]:
        job.run(store)
    return store, plan.job.run(store)


def rows(built: tuple[Store, Reference]) -> list[dict[str, Any]]:
    return list(read_entries(*built).to_pylist())


def digests(built: tuple[Store, Reference]) -> dict[str, str]:
    store, found = built
    return {file.name: file.sha256 for file in store.manifest(found.manifest).files}


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    folder = tmp_path_factory.mktemp("sources")
    return folder, write_sources(folder)


@pytest.fixture(scope="module")
def built(sources: tuple[Path, dict[str, Any]]) -> tuple[Store, Reference]:
    folder, settings = sources
    return build(make(folder, settings))


def test_sources_come_in_order_each_by_score_then_text(built: tuple[Store, Reference]) -> None:
    found = rows(built)
    assert [row["entry_id"] for row in found] == list(range(len(found)))
    assert len({row["entry"] for row in found}) == len(found)
    assert list(dict.fromkeys(row["source"] for row in found)) == ["wordnet", "words", "pairs", "titles"]
    for source in ("wordnet", "words", "pairs", "titles"):
        ranked = [(-(row["score"] or 0), row["entry"]) for row in found if row["source"] == source]
        assert ranked == sorted(ranked)
    assert all((row["score"] is None) == (row["source"] == "wordnet") for row in found)


def test_words_and_pairs_are_those_of_a_plain_implementation(
    sources: tuple[Path, dict[str, Any]], built: tuple[Store, Reference]
) -> None:
    folder, _ = sources
    words: Counter[str] = Counter({f"x{i}": i + 1 for i in range(50)})
    pairs: Counter[tuple[str, str]] = Counter({("x48", "x49"): 9})
    for article in read_articles(str(folder / "small-pages-articles.xml.bz2"), Counter()):
        more_words, more_pairs = count(strip_markup(article) or "")
        words.update(more_words)
        pairs.update(more_pairs)
    total = words.total()
    scores = {f"{a} {b}": math.log2(n * total / (words[a] * words[b])) for (a, b), n in pairs.items() if n >= 2}
    found = rows(built)
    earlier = {row["entry"] for row in found if row["source"] == "wordnet"}
    expected = sorted((-n, word) for word, n in words.items() if n >= 3 and word not in earlier)[:200]
    assert [(-row["score"], row["entry"]) for row in found if row["source"] == "words"] == expected
    ranked = sorted((-round(score, 6), pair) for pair, score in scores.items() if score >= 2)[:100]
    assert [(-row["score"], row["entry"]) for row in found if row["source"] == "pairs"] == ranked


def test_titles_add_up_over_hours_and_known_entries_are_left_out(built: tuple[Store, Reference]) -> None:
    titles = {row["entry"]: row["score"] for row in rows(built) if row["source"] == "titles"}
    assert titles["St. Louis"] == 480
    assert "fox" not in titles
    assert not [title for title in titles if ":" in title or "_" in title]
    assert min(titles.values()) >= 300


def test_the_report_says_what_was_dropped_and_why(built: tuple[Store, Reference]) -> None:
    store, found = built
    report = json.loads(store.read_bytes(found, "report.json"))
    table = {row["source"]: row for row in report["sources"]}
    assert table["wordnet"]["candidates"] == table["wordnet"]["paper"] == 86_654
    assert table["wordnet"]["dropped"] == {"over_budget": 86_154}
    for row in table.values():
        assert row["candidates"] == row["entries"] + sum(row["dropped"].values())
    assert table["words"]["dropped"]["below_min_count"] > 0
    assert table["pairs"]["dropped"]["below_min_pmi"] > 0
    assert table["titles"]["dropped"]["in_an_earlier_source"] >= 1
    assert table["titles"]["dropped"]["below_min_views"] > 0
    assert report["read"]["titles"]["malformed_lines"] == 6
    assert report["unmatchable"] == {"entries": 1, "by_source": {"titles": 1}, "examples": ["St. Louis"]}
    [[entry_id, entry]] = json.loads(store.read_bytes(found, "unmatchable.json"))
    assert rows(built)[entry_id]["entry"] == entry == "St. Louis"


def test_the_list_is_in_metaclips_form_and_can_be_given_back(built: tuple[Store, Reference], tmp_path: Path) -> None:
    store, found = built
    path = store.local_file(found, "entries.json")
    assert load_entries(str(path)).entries == [row["entry"] for row in rows(built)]
    given = metadata_plan(make(tmp_path, {"entries": str(path)})).job.run(Store(str(tmp_path / "pool")))
    table = Store(str(tmp_path / "pool")).read_bytes(given, "matcher.bin")
    assert table == store.read_bytes(found, "matcher.bin")


def test_parts_of_a_dump_order_of_files_and_names_change_nothing(
    sources: tuple[Path, dict[str, Any]],
    built: tuple[Store, Reference],
    tmp_path: Path,
) -> None:
    folder, settings = sources
    dump, counts = settings["words"]["paths"]
    renamed = tmp_path / "another.xml.bz2"
    renamed.write_bytes(Path(dump).read_bytes())
    paths = [counts, str(renamed), dump]  # one dump under two names is counted once
    views = sorted(map(str, (folder / "views").iterdir()), reverse=True)
    changed = {
        **settings,
        "words": {**settings["words"], "paths": paths},
        "pairs": {**settings["pairs"], "paths": paths[:2]},
        "titles": {**settings["titles"], "paths": views},
    }
    whole = make(folder, changed)
    assert metadata_plan(whole).job.key == metadata_plan(make(folder, settings)).job.key
    parted = whole.model_copy(
        update={
            "metadata": whole.metadata.model_copy(update={"bytes_per_task": 5_000}),
            "storage": str(tmp_path / "pool"),
            "execution": whole.execution.model_copy(update={"ngram_memory_mb": 1}),
        }
    )
    assert len(metadata_plan(parted).ngrams) > 4
    ours, theirs = digests(build(parted)), digests(built)
    for name in ("entries.parquet", "entries.json", "matcher.bin", "unmatchable.json"):
        assert ours[name] == theirs[name]


@pytest.mark.long
@pytest.mark.parametrize("seed", ["0", "1"])
def test_another_hash_seed_changes_nothing(
    sources: tuple[Path, dict[str, Any]], built: tuple[Store, Reference], tmp_path: Path, seed: str
) -> None:
    _, settings = sources
    program = (
        "import json, sys\n"
        "from pathlib import Path\n"
        "from tests.metaclip.metadata.test_entry_list import build, digests, make\n"
        "print(json.dumps(digests(build(make(Path(sys.argv[1]), json.loads(sys.argv[2]))))))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path), json.dumps(settings)],
        env={**os.environ, "PYTHONHASHSEED": seed},
        capture_output=True,
        text=True,
        check=True,
        cwd=ROOT,
    )
    assert json.loads(done.stdout) == digests(built)


def test_the_list_is_cut_at_its_size(sources: tuple[Path, dict[str, Any]], tmp_path: Path) -> None:
    _, settings = sources
    found = build(make(tmp_path, {**settings, "max_entries": 650}))
    assert Counter(row["source"] for row in rows(found)) == {"wordnet": 500, "words": 150}
    report = json.loads(found[0].read_bytes(found[1], "report.json"))
    assert report["sources"][1]["dropped"]["over_max_entries"] > 0
    assert report["sources"][3]["entries"] == 0


def test_punctuation_and_empty_entries_are_dropped() -> None:
    listed = EntryList(10)
    texts = [".", "", " ", "“", "a", "é", "..", "漢"]
    listed.add("words", Ranked(texts, [9.0] * 8, 8, {}))
    assert listed.entries == ["a", "é", "..", "漢"]
    assert listed.table[0]["dropped"] == {"punctuation_or_empty": 4}


@pytest.mark.slow
def test_whole_names_and_lemmas_are_settings(tmp_path: Path) -> None:
    for number, (wordnet, entry) in enumerate(
        [
            ({"use": "synsets", "cut_at_dot": False}, "st. petersburg"),
            ({"use": "lemmas", "cut_at_dot": False}, "st. louis"),
        ]
    ):
        found = build(make(tmp_path, {"wordnet": wordnet}, f"pool{number}"))
        assert entry in {row["entry"] for row in rows(found)}
        assert find_entry(*found, entry)["can_match"] is False


@pytest.mark.slow
def test_spaced_entries_match_where_the_papers_do_not(tmp_path: Path) -> None:
    settings = {"wordnet": {"use": "lemmas", "cut_at_dot": False}}
    texts = ["a view of st. louis at night"]
    for spaced in (False, True):
        config = make(tmp_path, settings, match={"space_entries": spaced})
        store, found = build(config)
        names = [row["entry"] for row in rows((store, found))]
        _, ids = open_matcher(store, found).match(texts)
        assert ("st. louis" in {names[i] for i in ids}) == spaced


def test_keys_of_given_lists_are_what_they_were() -> None:
    job = MetadataJob("entries.json", "5-abc")
    assert job.key == stage_key("metadata", 2, {"kind": "list"}, ["5-abc"])
    assert job.key == "f356e425cf4426123bc71ce222bf3c51"
    assert MetadataJob("entries.json", "5-abc", space_entries=True).key != job.key


def test_a_list_without_entries_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "counts.tsv"
    path.write_text("5\tfox\n")
    with pytest.raises(StageError, match="no entry"):
        build(make(tmp_path, {"words": {"paths": [str(path)], "min_count": 6}}))
    path.write_text("5\tred\tfox\n")
    with pytest.raises(StageError, match=r"metadata\.pairs\.paths"):
        build(make(tmp_path, {"pairs": {"paths": [str(path)]}}))


def test_a_missing_file_is_refused_before_any_work(tmp_path: Path) -> None:
    for section in ("words", "pairs", "titles"):
        with pytest.raises(ConfigError, match=rf"metadata\.{section}.*nothere"):
            metadata_plan(make(tmp_path, {section: {"paths": [str(tmp_path / "nothere.gz")]}}))
    with pytest.raises(InputError, match="wordnet"):
        metadata_plan(make(tmp_path, {"wordnet": {"use": "synsets", "path": str(tmp_path / "nothere")}}))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({}, "metadata.wordnet.use"),
        ({"entries": "a.json", "wordnet": {"use": "synsets"}}, "remove one"),
        ({"words": {"paths": ["a"], "min_count": 0}}, "metadata.words.min_count"),
        ({"titles": {"dates": ["2012-01-01"]}}, "2015-05-01"),
        ({"titles": {"paths": ["a"], "domains": []}}, "metadata.titles.domains"),
        ({"pairs": {"paths": ["a"], "min_pmi": math.inf}}, "metadata.pairs.min_pmi"),
        ({"wordnet": {"use": "all"}}, "metadata.wordnet.use"),
    ],
)
def test_impossible_settings_name_their_field(tmp_path: Path, settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message.replace(".", r"\.")):
        make(tmp_path, settings)


def test_sizes_samples_and_one_entry_are_shown(built: tuple[Store, Reference]) -> None:
    described = describe(*built, samples=3)
    assert [source["source"] for source in described["sources"]] == ["wordnet", "words", "pairs", "titles"]
    assert [len(source["samples"]) for source in described["sources"]] == [3, 3, 3, 3]
    assert sum(source["entries"] for source in described["sources"]) == described["entries"]
    row = find_entry(*built, "New Zealand")
    assert (row["source"], row["can_match"]) == ("pairs", True)
    assert rows(built)[row["entry_id"]]["score"] == row["score"]
    with pytest.raises(InputError, match="case-sensitive"):
        find_entry(*built, "new zealand")
    assert require(built[1]) is built[1]


def test_the_digest_of_this_small_list_is_fixed(built: tuple[Store, Reference]) -> None:
    """Another machine, library or Python must give these very entries, in this order."""
    entries = "\n".join(f"{row['entry']}\t{row['score']}" for row in rows(built))
    assert hashlib.sha256(entries.encode()).hexdigest()[:16] == "7eef5476c78c8b03"
