"""A pool by language: counted, balanced, cut and told by language, on one axis of t."""

import io
import json
import math
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from rich.console import Console
from typer.testing import CliRunner

import metaclip
from flows.cli.main import app
from flows.cli.show.summary import show_summary
from flows.curate import curate
from flows.pictures.remove import remove_pairs
from flows.rebalance import rebalance
from metaclip.balance.reference_axis import reference_t
from metaclip.config.loading import parse_config
from metaclip.config.settings import Config
from metaclip.errors import ConfigError
from metaclip.explore.entry import describe_entry
from metaclip.explore.explain import explain_text
from metaclip.explore.misses import describe_misses
from metaclip.explore.online import OnlineBalancer, OnlineLanguageBalancer
from metaclip.explore.pool import FinishedPool
from metaclip.explore.sizes import plan_sizes
from metaclip.explore.trace import trace_pair
from metaclip.export.run import Wanted, export_pool
from metaclip.metadata.list_job import MetadataJob
from metaclip.opened.difference import compare
from metaclip.pairs.uids import format_uids
from metaclip.samples.sample import Sampler, sample_pairs
from metaclip.schemas import BALANCED_BY_LANGUAGE, CURATED_BY_LANGUAGE
from tests.pictures import download, encoded, picture, write_export
from tests.servers import serve

pytestmark = [pytest.mark.usefixtures("prefect_server"), pytest.mark.slow]

SENTENCES = {
    "en": "A photograph of the {0} dog and the {1} house in the garden, picture",
    "de": "Ein schönes Foto von dem {0} Hund und dem {1} Haus im Garten, Bild",
    "fr": "Une belle photo du chien {0} et de la maison {1} dans le jardin, image",
    "es": "Una hermosa foto del perro {0} y de la casa {1} en el jardín, imagen",
}
WORDS = {
    "en": ["red", "green", "small", "old", "white", "black", "friendly", "quiet"],
    "de": ["roten", "grünen", "kleinen", "alten", "weißen", "schwarzen", "freundlichen", "stillen"],
    "fr": ["rouge", "verte", "petite", "ancienne", "blanche", "noire", "aimable", "calme"],
    "es": ["rojo", "verde", "pequeño", "viejo", "blanco", "negro", "amable", "tranquilo"],
}
MORE = {"en": ["dog", "the", "house"], "de": ["Hund", "dem", "Haus"], "fr": ["chien", "maison", "photo"]}
PAIRS = {"en": 160, "de": 220, "fr": 30, "es": 9}


def _texts() -> list[tuple[str, str]]:
    """Texts in four languages; words follow a steep law, so that there are heads and tails."""
    rng = np.random.default_rng(5)
    found = []
    for language, number in PAIRS.items():
        chosen = np.minimum(rng.pareto(0.8, (number, 2)), 7).astype(int)
        for at, (first, second) in enumerate(chosen.tolist()):
            text = SENTENCES[language].format(WORDS[language][first], WORDS[language][second])
            found.append((f"https://example.org/{language}/{at}.jpg", f"{text} {at}"))
    return found


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("languages")
    rows = [json.dumps({"url": url, "text": text}) for url, text in _texts()]
    (folder / "pairs.jsonl").write_text("\n".join(rows) + "\n")
    for language, more in MORE.items():
        (folder / f"{language}.json").write_text(json.dumps(WORDS[language] + more + ["unmatched"], ensure_ascii=False))
    return folder


def _config(folder: Path, name: str = "world", lists: tuple[str, ...] = ("en", "de", "fr"), **changes: Any) -> Config:
    tree: dict[str, Any] = {
        "pool": name,
        "storage": str(folder / "store"),
        "source": {"paths": [str(folder / "pairs.jsonl")]},
        "languages": {"reference": "en"},
        "metadata": {"languages": {one: {"entries": str(folder / f"{one}.json")} for one in lists}},
        "balance": {"t": 12},
        "dedup": {"rows_per_partition": 150},
        "execution": {"processes": 1},
    }
    return parse_config({**tree, **changes})


@pytest.fixture(scope="module")
def world(folder: Path, prefect_server: object) -> FinishedPool:
    curate(_config(folder))
    return FinishedPool.open(str(folder / "store"), "world")


def _balanced(pool: FinishedPool) -> pa.Table:
    """The balanced pairs of all partitions, with their uid as text and their language."""
    tables = [pq.read_table(pool.store.address(f"{part.folder}/pairs.parquet")) for part in pool.all("balance")]
    table = pa.concat_tables(tables)
    uid = format_uids(table.column("uid_hi").to_numpy(), table.column("uid_lo").to_numpy())
    return table.append_column("uid", uid)


def _counts(pool: FinishedPool, language: str) -> list[int]:
    folder = pool.store.address(pool.one("count").folder)
    found: list[int] = pq.read_table(f"{folder}/entry_counts-{language}.parquet").column("count").to_pylist()
    return found


def _t(counts: list[int], reference: list[int], t: float) -> float:
    """The rule as a reader computes it."""
    held = sum(count for count in reference if count <= t)
    for count in sorted(set(counts) - {0}):
        if held and sum(one for one in counts if one <= count) * sum(reference) >= held * sum(counts):
            return count
    return 0


def _set(summary: dict[str, Any]) -> set[str]:
    return set(pq.read_table(sorted(Path(summary["curated"]).glob("*.parquet"))).column("uid").to_pylist())


def test_sets_by_own_t_are_the_prefixes_for_every_t(world: FinishedPool) -> None:
    table = _balanced(world)
    assert len(world.all("balance")) > 1
    assert table.select(BALANCED_BY_LANGUAGE.names).schema.equals(BALANCED_BY_LANGUAGE)
    english = _counts(world, "en")
    own, smallest = (table.column(name).to_numpy() for name in ("own_t", "min_t"))
    language = np.array(table.column("lang").to_pylist())
    assert set(language) == {"en", "de", "fr"}
    for t in [*np.random.default_rng(1).uniform(0.5, 200, 20), *map(float, english), math.inf]:
        for name in ("en", "de", "fr"):
            of = language == name
            own_t = t if name == "en" else _t(_counts(world, name), english, t)
            np.testing.assert_array_equal(own[of] <= own_t, smallest[of] <= t)
            assert world.group_counts.t(name, t) == own_t
    np.testing.assert_array_equal(own[language == "en"], smallest[language == "en"])
    for part in world.all("balance"):
        one = pq.read_table(world.store.address(f"{part.folder}/pairs.parquet")).column("min_t").to_numpy()
        assert np.all(np.diff(one) >= 0)


@pytest.fixture(scope="module")
def english(world: FinishedPool, folder: Path) -> FinishedPool:
    changes: dict[str, Any] = {"metadata": {"entries": str(folder / "en.json")}, "languages": {}}
    curate(_config(folder, "english", match={"languages": ["en"]}, dedup={"rows_per_partition": 10_000}, **changes))
    return FinishedPool.open(world.store.root, "english")


@pytest.mark.long
def test_english_rows_are_those_of_an_english_pool(world: FinishedPool, english: FinishedPool, folder: Path) -> None:
    alone = _balanced(english)
    assert "own_t" not in alone.column_names
    curate(_config(folder, "joint", dedup={"rows_per_partition": 10_000}))
    joint = _balanced(FinishedPool.open(world.store.root, "joint"))
    joint = joint.filter(pa.compute.equal(joint.column("lang"), "en"))
    assert joint.select(["uid", "min_t", "entry_ids"]).equals(alone.select(["uid", "min_t", "entry_ids"]))


@pytest.mark.long
def test_another_t_reads_a_prefix_and_is_what_a_fresh_run_has(world: FinishedPool, folder: Path) -> None:
    sets = {}
    for t in (3.0, 12.0, 40.0):
        summary = rebalance("world", world.store.root, t)
        done = {stage["stage"] for stage in summary["stages"] if stage["cached"] < stage["tasks"]}
        assert not done & {"metadata", "extract", "match", "dedup", "count", "balance"}
        sets[t] = summary
    assert _set(sets[3.0]) < _set(sets[12.0]) < _set(sets[40.0])
    fresh = curate(_config(folder, storage=str(folder / "fresh"), balance={"t": 40}))
    ours, theirs = (pq.read_table(sorted(Path(one["curated"]).glob("*.parquet"))) for one in (sets[40.0], fresh))
    assert ours.equals(theirs)
    assert ours.schema.equals(CURATED_BY_LANGUAGE)
    assert ours.column("language").to_pylist() == ours.column("lang").to_pylist()
    for wanted in ({"target_pairs": 100}, {"tail_share": 0.2}):
        assert rebalance("world", world.store.root, **wanted)["funnel"]["curated"] > 0  # type: ignore[arg-type]


def test_languages_with_a_t_of_their_own(world: FinishedPool) -> None:
    summary = rebalance("world", world.store.root, language_t={"de": 4.0, "fr": "inf"})
    table = _balanced(world)
    columns = (table.column(name).to_pylist() for name in ("uid", "lang", "own_t", "min_t"))
    expected = {
        uid
        for uid, lang, own, smallest in zip(*columns, strict=True)
        if (smallest <= 12 if lang == "en" else own <= {"de": 4.0, "fr": math.inf}[lang])
    }
    assert _set(summary) == expected
    assert summary["read"]["curated"] == len(expected) <= summary["read"]["pairs"] <= table.num_rows
    pool = FinishedPool.open(world.store.root, "world")
    assert "12;de=4,fr=inf" in pool.sets
    uid = next(iter(expected))
    assert trace_pair(world.store.root, "world", uid)["sets"]["12;de=4,fr=inf"]
    assert plan_sizes(world.store.root, "world")["sizes"]
    with pytest.raises(ConfigError, match="no language xx"):
        rebalance("world", world.store.root, language_t={"xx": 4.0})


def test_a_set_by_language_is_shown(world: FinishedPool) -> None:
    arguments = ["rebalance", "world", "--storage", world.store.root, "--language-t", "fr=3"]
    done = CliRunner().invoke(app, arguments)
    assert done.exit_code == 0, done.output
    assert "12;fr=3" in done.output
    again = curate(_config(Path(world.store.root).parent))
    assert isinstance(again, dict)
    console = Console(width=200, file=io.StringIO())
    show_summary(again, console)
    told = console.file.getvalue()  # type: ignore[attr-defined]
    top = again["top_entries"][0]
    assert f"metaclip entry world {top['entry']} --storage {world.store.root} --language {top['language']}" in told
    assert "have more than the t of their language." in told


def test_what_a_language_that_is_added_makes_anew_is_told_without_work(world: FinishedPool, folder: Path) -> None:
    def ahead(config: Config) -> dict[str, dict[str, Any]]:
        path = folder / "ahead.yaml"
        path.write_text(json.dumps(config.model_dump(mode="json", exclude_unset=True)))
        before = {path: path.stat().st_mtime_ns for path in Path(config.storage).rglob("*")}
        done = CliRunner().invoke(app, ["plan", str(path), "--json"])
        assert done.exit_code == 0, done.output
        assert {path: path.stat().st_mtime_ns for path in Path(config.storage).rglob("*")} == before
        assert CliRunner().invoke(app, ["plan", str(path)]).exit_code == 0
        return {row["stage"]: row for row in json.loads(done.stdout)["stages"]}

    same = ahead(_config(folder))
    assert list(same) == ["metadata", "extract", "match", "dedup", "count", "balance"]
    assert all(row["found"] == row["outputs"] for row in same.values())
    (folder / "es.json").write_text('["foto", "perro"]')
    more = ahead(_config(folder, lists=("en", "de", "fr", "es")))
    assert (more["metadata"]["found"], more["metadata"]["outputs"], more["metadata"]["lists"]) == (3, 4, ["es"])
    assert (more["extract"]["found"], more["match"]["found"], more["match"]["outputs"]) == (1, 0, 1)
    assert more["dedup"] == more["dedup"] | {"outputs": None, "found": 0}
    other = ahead(_config(folder, balance={"t": 5, "ceiling": 2}))
    assert (other["count"]["found"], other["balance"]["found"], other["balance"]["outputs"]) == (1, 0, 3)
    fresh = ahead(_config(folder, storage=str(folder / "nothing")))
    assert {row["found"] for row in fresh.values()} == {0}


def test_the_report_tells_every_text_and_every_language(world: FinishedPool) -> None:
    (address,) = [world.stages["report"]]
    folder = Path(world.store.address(address)).parent
    report = json.loads((folder / "report.json").read_text())
    by_label = report["labels"]
    assert sum(fates["texts"] for fates in by_label.values()) == report["funnel"]["pairs"]
    for fates in by_label.values():
        assert fates["texts"] == sum(count for fate, count in fates.items() if fate != "texts")
    assert by_label["es"] == {"texts": PAIRS["es"], "no_metadata": PAIRS["es"]}
    assert report["dropped"]["pair.no_metadata"] == PAIRS["es"]
    rows = {row["language"]: row for row in report["by_language"]}
    assert set(rows) == {"en", "de", "fr"}
    assert sum(row["set"] for row in rows.values()) == report["funnel"]["curated"]
    assert math.isclose(sum(row["share_of_set"] for row in rows.values()), 1)
    for name, row in rows.items():
        counts = _counts(world, name)
        assert row["pairs"] == row["texts"] == PAIRS[name]
        assert (row["matches"], row["largest"]) == (sum(counts), max(counts))
        assert float(row["t"]) == (12 if name == "en" else _t(counts, _counts(world, "en"), 12))
        tail = sum(count for count in counts if count <= float(row["t"]))
        assert row["tail_share"] == round(tail / sum(counts), 6)
    assert rows["en"]["marks"] == ["reference"]
    assert "languages.svg" in {path.name for path in folder.iterdir()}
    page = (folder / "report.html").read_text()
    assert "Languages at t = 12 of en" in page
    card = (folder / "README.md").read_text()
    assert "| language | texts |" in card
    assert "| `own_t` | `double` |" in card
    counted = pq.read_table(folder / "entry_counts.parquet")
    assert Counter(counted.column("language").to_pylist()) == {name: len(_counts(world, name)) for name in rows}


def test_plan_by_language_adds_up(world: FinishedPool) -> None:
    found = plan_sizes(world.store.root, "world", [1, 7.5, 12, math.inf], tail_shares=[0.1], by_language=True)
    for size in found["sizes"]:
        assert sum(row["set"] for row in size["languages"]) == size["pairs"]
        assert size["tail_pairs"] <= size["pairs"] or size["tail_pairs"] is None
    assert found["sizes"][-1]["pairs"] == found["pairs"]
    done = CliRunner().invoke(app, ["plan", "world", "--storage", world.store.root, "--t", "12", "--by-language"])
    assert done.exit_code == 0, done.output
    assert "t = 12 of en" in done.output


def test_entry_trace_and_explain_speak_of_the_language(world: FinishedPool) -> None:
    root = world.store.root
    counts = dict(zip(WORDS["de"] + MORE["de"] + ["unmatched"], _counts(world, "de"), strict=True))
    found = describe_entry(root, "world", "roten", t=12, language="de")
    assert (found["language"], found["count"]) == ("de", counts["roten"])
    table = _balanced(world)
    german = [row for row in table.to_pylist() if row["lang"] == "de" and found["entry_id"] in row["entry_ids"]]
    assert found["curated"] == sum(row["min_t"] <= 12 for row in german)
    assert describe_entry(root, "world", "roten", t=13, language="de")["curated"] == sum(
        row["min_t"] <= 13 for row in german
    )
    assert {sample["uid"] for sample in found["samples"]} <= {row["uid"] for row in german}
    with pytest.raises(ConfigError, match="name a language with --language; there: de, en, fr"):
        describe_entry(root, "world", "roten")
    row = german[0]
    traced = trace_pair(root, "world", row["uid"])
    assert (traced["language"], traced["own_t"], traced["min_t"]) == ("de", row["own_t"], row["min_t"])
    explained = explain_text(root, "world", row["text"], t=12)
    assert explained["group"] == "de"
    assert [entry["entry_id"] for entry in explained["entries"]] == row["entry_ids"]
    assert explained["own_t"] == str(int(_t(_counts(world, "de"), _counts(world, "en"), 12)))
    assert row["min_t"] <= explained["kept_from"]
    spanish = explain_text(root, "world", SENTENCES["es"].format("rojo", "verde"))
    assert (spanish["group"], spanish["entries"], spanish["keep_probability"]) == (None, [], None)
    spanish_uid = next(uid for uid in _extracted_uids(world, "es"))
    assert trace_pair(root, "world", spanish_uid)["reason"] == "no_metadata"


def _extracted_uids(pool: FinishedPool, lang: str) -> list[str]:
    (shard,) = pool.all("extract")
    table = pq.read_table(pool.store.address(f"{shard.folder}/pairs.parquet"))
    table = table.filter(pa.compute.equal(table.column("lang"), lang))
    found: list[str] = format_uids(table.column("uid_hi").to_numpy(), table.column("uid_lo").to_numpy()).to_pylist()
    return found


def test_samples_by_language(world: FinishedPool) -> None:
    def sample(why: str, **options: Any) -> dict[str, Any]:
        return sample_pairs(world.store.root, "world", why, n=10_000, **options)

    rows = _balanced(world).to_pylist()
    for why, t in (("kept", 12), ("balanced", 12), ("kept", 3.5)):
        expected = {row["uid"]: row for row in rows if (row["min_t"] <= t) == (why == "kept")}
        found = sample(why, t=t)["rows"]
        assert {row["uid"]: row["min_t"] for row in found} == {uid: row["min_t"] for uid, row in expected.items()}
        for row in found:
            lists = WORDS[row["lang"]] + MORE[row["lang"]] + ["unmatched"]
            assert row["entries"] == [lists[entry_id] for entry_id in expected[row["uid"]]["entry_ids"]]
    german = {row["uid"] for row in rows if row["lang"] == "de" and 0 in row["entry_ids"]}
    kept = {row["uid"] for row in sample("kept", t=math.inf, entry="roten", language="de")["rows"]}
    assert kept == german
    assert {row["lang"] for row in sample("balanced", language="de")["rows"]} == {"de"}
    for options in ({"entry": "roten"}, {"entry": "roten", "language": "es"}):
        with pytest.raises(ConfigError, match="there: de, en, fr"):
            sample("kept", **options)

    with pytest.raises(ConfigError, match=r"klingon: no label .* its groups: de, en, fr"):
        sample("kept", language="klingon")

    spanish = sample("no_metadata")
    assert (spanish["total"], {row["lang"] for row in spanish["rows"]}) == (PAIRS["es"], {"es"})
    assert {row["uid"] for row in spanish["rows"]} == set(_extracted_uids(world, "es"))
    assert sample("pair.no_metadata", language="fr")["rows"] == []
    assert sample("no_match")["total"] == 0
    # As with other settings: what was extracted is judged again.
    (shard,) = world.all("extract")
    texts = pq.read_table(world.store.address(f"{shard.folder}/pairs.parquet")).to_pylist()
    least = float(np.median([row["lang_score"] for row in texts]))
    match = world.config.match.model_copy(update={"min_lang_score": least, "languages": ["de", "es", "fr"]})
    strict = FinishedPool(world.store, world.config.model_copy(update={"match": match}), world.stages)
    low = [row["text"] for row in texts if row["lang"] in ("de", "es", "fr") and row["lang_score"] < np.float32(least)]
    assert low
    sampler = Sampler(strict, 12, 10_000)
    assert sorted(row["text"] for row in sampler.sample("score")["rows"]) == sorted(low)
    assert {row["lang"] for row in sampler.sample("language")["rows"]} == {"en"}
    done = CliRunner().invoke(app, ["sample", "world", "--storage", world.store.root, "--language", "fr", "--n", "3"])
    assert done.exit_code == 0, done.output
    assert done.output.count("; fr ") == 3


def test_pairs_without_an_entry_by_language(world: FinishedPool, folder: Path, tmp_path: Path) -> None:
    # The lists of another pool: what they would not match.
    lists = world.lists | {
        "de": MetadataJob(str(folder / "fr.json"), "of another language", group="de").run(world.store)
    }
    stages = world.stages | {"metadata": {name: listed.manifest for name, listed in lists.items()}}
    sampler = Sampler(FinishedPool(world.store, world.config, stages), 12, 10_000)
    found = sampler.sample("no_match")["rows"]
    assert {row["lang"] for row in found} == {"de"}
    assert len(found) == PAIRS["de"]


def _matches(rows: list[dict[str, Any]]) -> Counter[tuple[str, str]]:
    """How often each entry occurs in rows, by language."""
    lists = {name: WORDS[name] + MORE[name] + ["unmatched"] for name in MORE}
    return Counter((row["lang"], lists[row["lang"]][one]) for row in rows for one in row["entry_ids"])


def test_differences_by_language(world: FinishedPool, english: FinishedPool, tmp_path: Path) -> None:
    rows = _balanced(world).to_pylist()
    small, large = ([row for row in rows if row["min_t"] <= t] for t in (5, 40))
    found = compare(world, world, 5, 40)
    assert (found["both"], found["only_a"], found["only_b"]) == (len(small), 0, len(large) - len(small))
    of_a, of_b = _matches(small), _matches(large)
    gained = {(row["language"], row["entry"]): (row["a"], row["b"], row["change"]) for row in found["gained"]}
    assert gained == {key: (of_a[key], of_b[key], of_b[key] - of_a[key]) for key in of_b if of_b[key] != of_a[key]}
    changes = [row["change"] for row in found["gained"]]
    assert changes == sorted(changes, reverse=True)
    languages = {row["language"]: row for row in found["languages"]}
    for name in MORE:
        assert languages[name]["a"] == sum(row["lang"] == name for row in small)
        assert [float(languages[name][side]) for side in ("t_a", "t_b")] == [
            t if name == "en" else _t(_counts(world, name), _counts(world, "en"), t) for t in (5, 40)
        ]
    assert found["a"]["reference"] == "en"
    assert found["b"]["matches"] == of_b.total()

    # An English pool is compared with the English list.
    beside = compare(english, world, 12)
    alone = _matches([row for row in _balanced(english).to_pylist() if row["min_t"] <= 12])
    joint = _matches([row for row in rows if row["min_t"] <= 12])
    assert beside["lost"] == []
    assert {(row["language"], row["entry"]): (row["a"], row["b"]) for row in beside["gained"]} == {
        key: (alone[key] if key[0] == "en" else None, joint[key]) for key in joint if joint[key] != alone[key]
    }
    page = tmp_path / "page.html"
    arguments = ["diff", "world", "--storage", world.store.root, "--t", "5", "--other-t", "40", "--to", str(page)]
    done = CliRunner().invoke(app, arguments)
    assert done.exit_code == 0, done.output
    assert f"{found['gained'][0]['language']}: {found['gained'][0]['entry']}" in done.output
    assert f"{found['gained'][0]['language']}: {found['gained'][0]['entry']}" in page.read_text()


def test_near_misses_by_language(world: FinishedPool) -> None:
    root = world.store.root
    found = describe_misses(root, "world")
    assert found["languages"] == ["de", "en", "fr"]
    assert found["texts"] == sum(PAIRS[name] for name in MORE)
    for name in MORE:
        for row in describe_misses(root, "world", language=name)["rows"]:
            assert row["language"] == name
            lists = WORDS[name] + MORE[name] + ["unmatched"]
            assert (lists[row["entry_id"]], _counts(world, name)[row["entry_id"]]) == (row["entry"], row["count"])
    (row,) = describe_misses(root, "world", entry="dog", language="en")["rows"]
    assert (row["entry"], row["missed"]) == ("dog", 0)
    with pytest.raises(ConfigError, match="there: de, en, fr"):
        describe_misses(root, "world", entry="dog")
    for options in ([], ["--language", "de"]):
        done = CliRunner().invoke(app, ["near", "world", "--storage", root, *options])
        assert done.exit_code == 0, done.output
        assert "in de, en, fr" in done.output


def test_the_table_of_entries_has_all_lists(world: FinishedPool) -> None:
    table = metaclip.open(world.store.root, "world").entries
    assert table.column_names == ["language", "entry_id", "entry", "source", "count"]
    for name in MORE:
        of = table.filter(pa.compute.equal(table.column("language"), name))
        assert of.column("entry").to_pylist() == WORDS[name] + MORE[name] + ["unmatched"]
        assert of.column("count").to_pylist() == _counts(world, name)


def test_balancing_while_training_keeps_the_same_pairs(world: FinishedPool) -> None:
    table = _balanced(world)
    kept_by_address = dict(zip(table.column("url").to_pylist(), table.column("min_t").to_pylist(), strict=True))
    urls, texts = zip(*_texts(), strict=True)
    balancer = OnlineLanguageBalancer.from_pool(world.store.root, "world", 12)
    expected = [kept_by_address.get(url, math.inf) <= 12 for url in urls]
    assert balancer.keep(urls, texts).tolist() == expected
    own = dict(zip(table.column("url").to_pylist(), table.column("own_t").to_pylist(), strict=True))
    mapped = OnlineLanguageBalancer.from_pool(world.store.root, "world", {"de": 4})
    german = [url for url in urls if "/de/" in url]
    assert mapped.keep(german, [text for url, text in zip(urls, texts, strict=True) if url in german]).tolist() == [
        own[url] <= 4 for url in german
    ]
    with pytest.raises(ConfigError, match="OnlineLanguageBalancer"):
        OnlineBalancer.from_pool(world.store.root, "world")
    with pytest.raises(ConfigError, match="no such language"):
        OnlineLanguageBalancer.from_pool(world.store.root, "world", {"xx": 4})


@pytest.mark.parametrize("form", ["img2dataset", "jsonl", "metaclip", "datacomp"])
def test_exports_by_language(world: FinishedPool, tmp_path: Path, form: str) -> None:
    table = _balanced(world)
    kept = table.filter(pa.compute.less_equal(table.column("min_t"), 12))
    of = Counter(kept.column("lang").to_pylist())
    whole = export_pool(world.store.root, "world", str(tmp_path / "whole"), Wanted(12, form))
    split = export_pool(world.store.root, "world", str(tmp_path / "split"), Wanted(12, form, language_folders=True))
    assert whole["pairs"] == split["pairs"] == kept.num_rows
    assert {path.name for path in (tmp_path / "split").iterdir() if path.is_dir()} == set(of)
    for language in of:
        files = sorted((tmp_path / "split" / language).iterdir())
        if form == "img2dataset":
            rows = pq.read_table(files)
            assert rows.num_rows == of[language]
            assert set(rows.column("language").to_pylist()) == {language}
        elif form == "datacomp":
            assert len(np.load(files[0])) == of[language]
        elif form == "jsonl":
            lines = [json.loads(line) for file in files for line in file.read_text().splitlines()]
            assert {line["language"] for line in lines} == {language}
            assert len(lines) == of[language]


def test_survivors_are_counted_by_language_again(world: FinishedPool, tmp_path: Path) -> None:
    table = _balanced(world)
    chosen = table.filter(pa.compute.less_equal(table.column("min_t"), 12)).column("uid").to_pylist()[::2]
    (tmp_path / "uids.txt").write_text("\n".join(chosen) + "\n")
    summary = rebalance("world", world.store.root, 5, survivors=[str(tmp_path / "uids.txt")])
    assert summary["funnel"]["survived"] == len(chosen)
    left = FinishedPool.open(world.store.root, "world-survivors")
    counted = Counter((row["lang"], one) for row in _balanced(left).to_pylist() for one in row["entry_ids"])
    for language in ("en", "de", "fr"):
        counts = _counts(left, language)
        assert counts == [counted[language, entry_id] for entry_id in range(len(counts))]


@pytest.mark.long
def test_removal_from_sets_with_a_t_of_their_own_and_counts_anew(folder: Path, tmp_path: Path) -> None:
    curate(_config(folder, "smaller"))
    root = str(folder / "store")
    own = rebalance("smaller", root, language_t={"de": 4.0, "fr": "inf"})
    report = FinishedPool.open(root, "smaller").stages["report"]
    before = _set(own)
    gone = sorted(before)[0]
    (tmp_path / "list").write_text(f"uid {gone}\n")
    assert set(remove_pairs("smaller", root, str(tmp_path / "list"), dry_run=True)["sets"]) == {"12", "12;de=4,fr=inf"}
    done = remove_pairs("smaller", root, str(tmp_path / "list"))
    assert {name: each["before"] - each["now"] for name, each in done["sets"].items()}["12;de=4,fr=inf"] == 1
    pool = FinishedPool.open(root, "smaller")
    assert set(pool.sets) == {"12", "12;de=4,fr=inf"}
    assert _set({"curated": done["sets"]["12;de=4,fr=inf"]["folder"]}) == before - {gone}
    assert pool.stages["report"] != report  # that of the set at 12, without the pair
    again = rebalance("smaller", root, language_t={"de": 4.0, "fr": "inf"})
    assert _set(again) == before - {gone}

    remove_pairs("smaller", root, str(tmp_path / "list"), counts="anew")
    left = FinishedPool.open(root, "smaller-removed")
    table = _balanced(left)
    assert set(table.column("uid").to_pylist()) == set(_balanced(pool).column("uid").to_pylist()) - {gone}
    counted = Counter((row["lang"], one) for row in table.to_pylist() for one in row["entry_ids"])
    for language in ("en", "de", "fr"):
        counts = _counts(left, language)
        assert counts == [counted[language, entry_id] for entry_id in range(len(counts))]


@pytest.mark.long
def test_pictures_are_ranked_on_the_axis_of_the_reference(world: FinishedPool, tmp_path: Path) -> None:
    """Eight pictures, each under an address of each language: the one whose rarest entry is rarest stays."""
    table = _balanced(world).sort_by([("uid_hi", "ascending"), ("uid_lo", "ascending")])
    of = {name: table.filter(pa.compute.equal(table.column("lang"), name)).slice(0, 8) for name in MORE}
    chosen = pa.concat_tables(of.values())
    with serve() as site:
        names = [f"{number}.jpg" for name in MORE for number in range(8)]
        site.files |= {f"/{number}.jpg": encoded(picture(number)) for number in range(8)}
        urls = pa.array([f"{site.address}/{name}" for name in names])
        exported = chosen.select(["uid_hi", "uid_lo", "text"]).append_column("url", urls)
        images = download(write_export(tmp_path / "export", [exported]), tmp_path / "images")
    summary = rebalance("world", world.store.root, math.inf, images=str(images))
    english = _counts(world, "en")
    expected = set()
    for number in range(8):
        ranked = []
        for name, rows in of.items():
            row = rows.slice(number, 1).to_pylist()[0]
            counts = _counts(world, name)
            smallest = min(counts[entry_id] for entry_id in row["entry_ids"])
            rank = smallest if name == "en" else reference_t(counts, english, smallest)
            ranked.append((rank, row["uid_hi"], row["uid"]))
        expected.add(min(ranked)[2])
    assert _set(summary) == expected
    assert len({uid for name in MORE for uid in of[name].column("uid").to_pylist()} - expected) == 16
    left = FinishedPool.open(world.store.root, "world-images")
    counted = Counter((row["lang"], one) for row in _balanced(left).to_pylist() for one in row["entry_ids"])
    for name in MORE:
        counts = _counts(left, name)
        assert counts == [counted[name, entry_id] for entry_id in range(len(counts))]
    told = json.loads(Path(summary["report"]).read_text())["images"]
    assert (told["stay"], told["duplicates"]["same_bytes"]) == (8, 16)
    before, after = _matches(chosen.to_pylist()), _matches(_balanced(left).to_pylist())
    assert Counter(told["lost_entries_such_as"]) == Counter(key[1] for key in before if not after[key])


@pytest.mark.long
@pytest.mark.parametrize("seed", ["0", "1"])
def test_hash_seed_processes_and_order_of_lists_do_not_show(world: FinishedPool, folder: Path, seed: str) -> None:
    config = _config(
        folder, lists=("fr", "en", "de"), storage=str(folder / f"seed{seed}"), execution={"processes": 1 + int(seed)}
    )
    path = folder / f"seed{seed}.yaml"
    path.write_text(json.dumps(config.model_dump(mode="json", exclude_unset=True)))
    command = [sys.executable, "-m", "flows", "run", str(path), "--json"]
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=240, env={**os.environ, "PYTHONHASHSEED": seed}
    )
    assert done.returncode == 0, done.stderr
    ours, theirs = (
        {file.relative_to(root): file.read_bytes() for file in root.rglob("*.parquet")}
        for root in (Path(world.store.root), folder / f"seed{seed}")
    )
    assert len(theirs) > 10
    assert {name for name, content in theirs.items() if ours.get(name) != content} == set()


@pytest.mark.long
def test_ceiling_floor_and_same_are_other_orders(world: FinishedPool, folder: Path) -> None:
    english = _counts(world, "en")
    for balance in ({"ceiling": 1}, {"floor": 30}, {"across": "same"}, {"ceiling": 0.5, "floor": 30}):
        curate(_config(folder, "rule", balance={"t": 12, **balance}))
        pool = FinishedPool.open(world.store.root, "rule")
        table = _balanced(pool)
        own, smallest = (table.column(name).to_numpy() for name in ("own_t", "min_t"))
        language = np.array(table.column("lang").to_pylist())
        for t in [0.5, 3, 12, 12.5, 60, 500]:
            for name in ("de", "fr"):
                own_t = t if "across" in balance else _t(_counts(pool, name), english, t)
                own_t = max(own_t, balance.get("floor", 0) if t >= min(c for c in english if c) else 0)  # type: ignore[call-overload]
                own_t = min(own_t, balance.get("ceiling", math.inf) * t)  # type: ignore[operator]
                of = language == name
                np.testing.assert_array_equal(own[of] <= own_t, smallest[of] <= t)


@pytest.mark.long
def test_a_reference_without_a_match_is_said_with_the_way_out(folder: Path) -> None:
    (folder / "nothing.json").write_text('["xyzzy"]')
    lists = {"en": "nothing", "de": "de", "fr": "fr"}
    languages = {name: {"entries": str(folder / f"{listed}.json")} for name, listed in lists.items()}
    with pytest.raises(ConfigError, match=r"languages.reference: .* those that have matches: de, fr"):
        curate(_config(folder, "without", metadata={"languages": languages}))
    only = {name: languages[name] for name in ("en", "de")}
    curate(_config(folder, "german", metadata={"languages": only}))
    pool = FinishedPool.open(str(folder / "store"), "german")
    assert pool.group_counts.reference == "de"
    table = _balanced(pool)
    assert table.column("own_t").equals(table.column("min_t"))
