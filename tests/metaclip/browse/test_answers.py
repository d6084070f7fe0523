"""The answers of the page against those of the commands about the same pool."""

import math
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from metaclip.browse import answers as module
from metaclip.browse.answers import LONGEST_QUERY, Answers
from metaclip.errors import ConfigError, InputError
from metaclip.explore.entry import describe_entry
from metaclip.explore.explain import explain_text
from metaclip.explore.pool import FinishedPool
from metaclip.explore.sizes import plan_sizes
from metaclip.opened.difference import compare
from metaclip.schemas import PAIRS
from tests.metaclip.browse.pool import ENTRIES, make, make_by_language


@pytest.fixture(scope="module")
def pool_and_answers(tmp_path_factory: pytest.TempPathFactory) -> tuple[FinishedPool, Answers]:
    pool, index = make(tmp_path_factory.mktemp("answers"))
    return pool, Answers(pool, index)


@pytest.mark.parametrize("t", [None, 2.5, math.inf])
def test_an_entry_is_that_of_the_command(pool_and_answers: tuple[FinishedPool, Answers], t: float | None) -> None:
    pool, answers = pool_and_answers
    for entry_id, entry in enumerate(ENTRIES):
        expected = describe_entry(pool.store.root, "small", entry, None, t, 0)
        found = answers.entry(entry_id, t)
        for name in (
            "entry",
            "count",
            "rank",
            "share_of_matches",
            "share_of_pairs",
            "keep_probability",
            "can_match",
            "t",
        ):
            assert (found[name] or 0) == (expected[name] or 0), (entry, name)
        assert found["kept"] == expected["curated"]
        assert found["curve"][-1]["kept"] == found["count"]
        assert len(found["samples"]) == min(10, found["count"])
        assert all(entry_id in [one["id"] for one in row["entries"]] for row in found["samples"])


def test_sizes_are_those_of_plan(pool_and_answers: tuple[FinishedPool, Answers]) -> None:
    pool, answers = pool_and_answers
    for expected in plan_sizes(pool.store.root, "small", [1.0, 20.0, 333.3, math.inf])["sizes"]:
        found = answers.size(float(expected["t"]))
        for name in ("t", "pairs", "share", "tail_share", "head_entries", "capped_matches"):
            assert found[name] == expected[name]
    curve = answers.overview()["curve"]
    assert [one["pairs"] for one in curve] == [answers.size(one["t"])["pairs"] for one in curve]


def test_a_text_is_explained_as_by_the_command(pool_and_answers: tuple[FinishedPool, Answers]) -> None:
    pool, answers = pool_and_answers
    for text in ("a black dog, of <script>", "nothing here", "Cat (dog) BIRD"):
        found = answers.explain(text, None)
        for row in [*found["entries"], *found["near_misses"]]:
            assert row.pop("id") == row["entry_id"]
        assert found == explain_text(pool.store.root, "small", text)


def test_entries_are_found_whatever_their_case(pool_and_answers: tuple[FinishedPool, Answers]) -> None:
    _, answers = pool_and_answers
    rows = answers.entries("DoG", None)["rows"]
    assert {row["entry"] for row in rows} == {"dog", "black dog", "Dog"}
    assert [row["count"] for row in rows] == sorted((row["count"] for row in rows), reverse=True)
    assert answers.entries("(", None)["total"] == 0
    assert answers.entries("", None)["total"] == len(ENTRIES)


@pytest.mark.parametrize("counted", [0, 1 << 30])
@pytest.mark.parametrize("ts", [(20.0, math.inf), (3.0, 1.0), (5.0, 5.0)])
def test_two_sets_differ_as_diff_says(
    pool_and_answers: tuple[FinishedPool, Answers],
    ts: tuple[float, float],
    counted: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "COUNTED", counted)
    monkeypatch.setattr(module, "FIRST_LOOK", 2)
    pool, answers = pool_and_answers
    expected, found = compare(pool, pool, *ts), answers.compare(*ts)
    assert (found["both"], found["jaccard"]) == (expected["both"], expected["jaccard"])
    for side in "ab":
        assert found[side]["pairs"] == expected[side]["pairs"]
    changes = {row["entry"]: row["change"] for row in [*expected["gained"], *expected["lost"]]}
    assert {row["entry"]: row["change"] for row in found["changes"]} == changes
    by_name = {row["language"]: (row["a"], row["b"]) for row in expected["languages"]}
    there = {row["language"]: (row["a"], row["b"]) for row in found["languages"] if row["a"] or row["b"]}
    assert there == by_name


def test_reasons_names_and_texts_add_up(pool_and_answers: tuple[FinishedPool, Answers]) -> None:
    pool, answers = pool_and_answers
    kept, away = (answers.reason(why, 20.0) for why in ("kept", "balanced"))
    assert kept["total"] + away["total"] == pool.pairs
    assert {row["kept"] for row in kept["rows"]} == {True}
    assert {row["kept"] for row in away["rows"]} == {False}
    totals = {row["why"]: row["total"] for row in answers.reasons}
    assert answers.reason("no_match", None)["total"] == totals["no_match"] > 0
    for kind in ("languages", "hosts"):
        names = answers.names(kind, 20.0)
        assert sum(row["kept"] for row in names["rows"]) == names["kept"] == kept["total"]
    found = answers.texts("dog", 20.0, host="busy.example", which="left")
    assert found["shown_of"] == found["total"] - found["kept"] > 0
    assert all("dog" in row["text"] and "//busy." in row["url"] and not row["kept"] for row in found["rows"])


def test_wrong_questions_are_told(pool_and_answers: tuple[FinishedPool, Answers]) -> None:
    _, answers = pool_and_answers
    with pytest.raises(InputError, match="no entry has the id 10"):
        answers.entry(len(ENTRIES), None)
    with pytest.raises(ConfigError, match="at most 2,000"):
        answers.texts("x" * (LONGEST_QUERY + 1), None)
    with pytest.raises(ConfigError, match="above 0"):
        answers.size(-1.0)
    with pytest.raises(ConfigError, match="left out nothing for this reason"):
        answers.reason("whim", None)
    assert answers.texts("", None)["total"] == np.sum([len(one) for one in answers._index.all.parts])


def test_a_pool_by_language_is_answered_by_the_lists_of_its_languages(tmp_path: Path) -> None:
    pool, index = make_by_language(tmp_path)
    answers = Answers(pool, index)
    whole = pa.concat_tables([pool.store.open_parquet(part, PAIRS).read() for part in pool.all("balance")])
    offsets = pool.group_counts.offsets
    assert pool.by_language is not None
    labels = zip(*(whole[name].to_pylist() for name in ("lang", "lang_score")), strict=True)
    group_of = [pool.by_language.groups.of(*label) for label in labels]
    for group in ("de", "en", "fr"):
        listed = pool.entries_of(group).column("entry").to_pylist()
        for local, entry in enumerate(listed):
            found = answers.entry(offsets[group] + local, 12.0)
            columns = (whole[name].to_pylist() for name in ("entry_ids", "min_t"))
            of_entry = zip(group_of, *columns, strict=True)
            rows = [min_t for of, ids, min_t in of_entry if of == group and local in ids]
            assert (found["entry"], found["language"], found["count"]) == (entry, group, len(rows))
            assert found["kept"] == sum(min_t <= 12 for min_t in rows)
            assert {one["entry"] for row in found["samples"] for one in row["entries"]} <= set(listed)
    assert {row["language"] for row in answers.entries("o", None)["rows"]} == {"de", "en", "fr"}
    for t in (1.0, 12.0, math.inf):
        assert answers.size(t)["pairs"] == sum(min_t <= t for min_t in whole["min_t"].to_pylist())
    changed = answers.compare(3.0, math.inf)["changes"]
    assert all(row["b"] > row["a"] for row in changed)
    told = answers.explain("Ein schönes Foto von dem roten Hund im Garten, Bild", None)
    assert told["group"] == "de"
    assert {row["entry"]: row["id"] - offsets["de"] for row in told["entries"]} == {
        row["entry"]: row["entry_id"] for row in told["entries"]
    }
