"""What `metaclip plan`, `explain`, `entry` and `trace` tell of the finished small pool."""

import json
import re
import shutil
from collections import Counter
from pathlib import Path
from typing import Any

import fsspec
import numpy as np
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner, Result

from flows.cli.main import app
from flows.rebalance import rebalance
from metaclip.balance.algorithm import keep_probability
from metaclip.errors import StoreError
from metaclip.explore.entry import describe_entry
from metaclip.explore.pool import FinishedPool
from metaclip.explore.sizes import plan_sizes
from metaclip.explore.trace import trace_pair
from metaclip.matching.definition import contains
from metaclip.stages.curate import CuratedSetJob
from metaclip.store.manifest import Reference
from metaclip.store.store import Store
from metaclip.tables.csr import csr


@pytest.fixture(scope="module")
def pool(finished_pool: Path, tmp_path_factory: pytest.TempPathFactory) -> FinishedPool:
    """A copy of the finished pool, with a second set cut at t = 5."""
    root = tmp_path_factory.mktemp("inspect") / "pool"
    shutil.copytree(finished_pool, root)
    opened = FinishedPool.open(str(root), "small")
    record = opened.store.read_json("pools/small.json")
    record["stages"]["curate"] = {"5": [cut(opened, 5).manifest], **record["stages"]["curate"]}
    opened.store.write_json("pools/small.json", record)
    return FinishedPool.open(str(root), "small")


@pytest.fixture(scope="module")
def pairs(pool: FinishedPool) -> Any:
    """All balanced pairs, read at once: what the commands are held against."""
    return pq.read_table([pool.store.path(f"{part.folder}/pairs.parquet") for part in pool.all("balance")])


def cut(pool: FinishedPool, t: float) -> Reference:
    """Cut a set, as curate and rebalance do."""
    balanced = []
    for part in pool.all("balance"):
        manifest = pool.store.manifest(part.manifest)
        balanced.append(Reference(part.manifest, manifest.key, manifest.rows))
    job = CuratedSetJob(tuple(balanced), t, 1000, 0)
    for part in job.parts():
        part.run(pool.store)
    return job.run(pool.store)


def run(pool: FinishedPool, *arguments: str) -> Result:
    command, *rest = arguments
    return CliRunner().invoke(app, [command, "small", "--storage", pool.store.root, *rest])


def run_json(pool: FinishedPool, *arguments: str) -> dict[str, Any]:
    done = run(pool, *arguments, "--json")
    assert done.exit_code == 0, done.output
    found: dict[str, Any] = json.loads(done.stdout)
    return found


@pytest.mark.parametrize("t", [0.5, 1, 2, 7, 19.5, 20, 33, 100, 1000, float("inf")])
def test_plan_tells_the_size_that_curating_gives(pool: FinishedPool, t: float) -> None:
    (told,) = run_json(pool, "plan", "--t", str(t))["sizes"]
    assert told["pairs"] == pool.store.manifest(cut(pool, t).manifest).statistics["counts"]["curated"]


def test_plan_finds_the_t_of_a_size_and_of_a_tail(pool: FinishedPool) -> None:
    found = run_json(pool, "plan", "--target-pairs", "700", "--target-pairs", "1", "--tail-share", "0.2")["sizes"]
    for size in found:
        cut_at = pool.store.manifest(cut(pool, float(size["t"])).manifest)
        assert size["pairs"] == cut_at.statistics["counts"]["curated"]
    by_question = {asked: size for size in found for asked in size["asked"]}
    assert by_question["target_pairs 700"]["pairs"] == 700
    assert by_question["target_pairs 1"]["pairs"] == 1
    tail = by_question["tail_share 0.2"]
    assert tail["tail_share"] >= 0.2
    below = pool.counts[pool.counts < float(tail["t"])]
    assert below.sum() < 0.2 * pool.counts.sum()
    # A share that was told for some t gives that t back.
    for size in run_json(pool, "plan")["sizes"]:
        largest = pool.counts[pool.counts <= float(size["t"])].max()
        (back,) = run_json(pool, "plan", "--tail-share", repr(size["tail_share"]), "--no-expected")["sizes"]
        assert float(back["t"]) == largest


def test_figures_of_the_ladder_are_those_of_the_pairs(pool: FinishedPool, pairs: Any) -> None:
    found = run_json(pool, "plan")
    assert found["pairs"] == pairs.num_rows
    assert [size["t"] for size in found["sizes"]][:5] == ["1", "2", "5", "10", "20"]
    assert [size["t"] for size in found["sizes"] if size["set"]] == ["5", "20"]
    offsets, ids = csr(pairs.column("entry_ids"))
    least = np.minimum.reduceat(pool.counts[ids], offsets[:-1])
    for size in found["sizes"]:
        t = float(size["t"])
        assert size["pairs"] == int((pairs.column("min_t").to_numpy() <= t).sum())
        assert size["tail_pairs"] == int((least <= t).sum())
        assert size["expected"] == pytest.approx(keep_probability(pool.counts, offsets, ids, t).sum(), abs=0.1)
        assert size["head_entries"] == int((pool.counts > t).sum())
        assert size["capped_matches"] == pytest.approx(np.minimum(pool.counts, t).sum())
        assert size["tail_pairs"] <= size["pairs"] <= size["capped_matches"]


def test_a_pool_balanced_before_sizes_were_stated_tells_the_same(pool: FinishedPool, tmp_path: Path) -> None:
    root = tmp_path / "pool"
    shutil.copytree(pool.store.root, root)
    before = plan_sizes(str(root), "small")
    store = Store(str(root))
    for manifest in root.glob("balance-v*/*/manifest.json"):
        content = json.loads(manifest.read_text())
        del content["statistics"]["sizes"]
        manifest.write_text(json.dumps(content))
    (told, *_) = plan_sizes(str(root), "small", [5], expected=False)["sizes"]
    assert (told["tail_pairs"], told["expected"]) == (None, None)
    after = plan_sizes(str(root), "small")  # a small pool is read without being asked to
    assert after["megabytes_read"] > 0 == before["megabytes_read"]
    assert _without_addresses(after) == _without_addresses(before)
    assert store.names("pools") == ["small"]


def _without_addresses(found: dict[str, Any]) -> Any:
    return [{key: value for key, value in size.items() if key != "set"} for size in found["sizes"]]


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["plan", "--t", "0"], 2, "--t 0"),
        (["plan", "--t", "many"], 2, "many"),
        (["plan", "--target-pairs", "0"], 2, "target-pairs"),
        (["plan", "--target-pairs", "99999999"], 2, "99,999,999 pairs asked for; the pool has"),
        (["plan", "--tail-share", "1.5"], 2, "tail_share"),
        (["explain", " \t "], 2, "the text is empty"),
        (["explain", "a dog", "--t", "-1"], 2, "--t -1"),
        (["entry", "Phto"], 3, "near: 'Photo'"),
        (["entry", "Fotografie\x1b[31m"], 3, "'Fotografie\\x1b[31m' is not in the list"),
        (["entry", "--id", "999999"], 3, "ids are 0 to"),
        (["entry", "photo", "--id", "1"], 2, "either the entry or its id"),
        (["entry"], 2, "either the entry or its id"),
        (["trace", "12ab"], 2, "32 hex digits"),
        (["trace", "f" * 32], 3, "no pair of pool small has this uid"),
    ],
)
def test_wrong_arguments_say_why(pool: FinishedPool, arguments: list[str], code: int, message: str) -> None:
    done = run(pool, *arguments)
    assert done.exit_code == code, done.output
    assert message in re.sub(r"\x1b\[[0-9;]*m", "", done.output)


def test_an_unknown_pool_names_those_there(pool: FinishedPool) -> None:
    done = CliRunner().invoke(app, ["plan", "other", "--storage", pool.store.root])
    assert done.exit_code == 2
    assert "there: small" in done.output


def test_plan_for_people(pool: FinishedPool) -> None:
    shown = run(pool, "plan", "--t", "20", "--target-pairs", "700").stdout
    assert "target_pairs 700" in shown
    assert "a set" in shown


def test_explain_tells_entries_counts_and_probability(pool: FinishedPool, pairs: Any) -> None:
    entries = pool.entries.column("entry").to_pylist()
    for row in pairs.slice(0, 12).to_pylist():
        found = run_json(pool, "explain", row["text"], "--t", "30")
        assert [entry["entry_id"] for entry in found["entries"]] == row["entry_ids"]
        assert [entry["entry"] for entry in found["entries"]] == [entries[one] for one in row["entry_ids"]]
        kept = 1.0
        for entry in found["entries"]:
            assert entry["count"] == pool.counts[entry["entry_id"]]
            kept *= 1 - min(1, 30 / entry["count"])
        assert found["keep_probability"] == pytest.approx(1 - kept)
        assert (found["language"]["label"], found["language"]["kept"]) == (row["lang"], True)
        assert found["language"]["score"] == pytest.approx(row["lang_score"], abs=1e-6)
        assert found["language"]["problem"] is None
        for miss in found["near_misses"]:
            assert not contains(row["text"], miss["entry"])


@pytest.mark.parametrize(
    ("text", "causes"),
    [
        ("a (dog) here", ["punctuation"]),
        ("my dog's bed", ["punctuation"]),
        ("dog/cat", ["punctuation"]),
        ("DOG!", ["case"]),
        ("(Dog)", ["case", "punctuation"]),
    ],
)
def test_near_misses_tell_what_keeps_an_entry_out(pool: FinishedPool, text: str, causes: list[str]) -> None:
    near = {miss["entry"]: miss for miss in run_json(pool, "explain", text)["near_misses"]}
    assert near["dog"]["causes"] == causes
    assert near["dog"]["can_match"]


def test_a_part_of_a_word_and_a_match_are_no_near_misses(pool: FinishedPool) -> None:
    for text in ("hotdogs and dogs", "a dog, barking"):
        assert "dog" not in [miss["entry"] for miss in run_json(pool, "explain", text)["near_misses"]]


def test_a_text_that_the_language_filter_drops(pool: FinishedPool) -> None:
    text = "Ein schönes Foto von der Brücke über den Fluss im Winter"
    language = run_json(pool, "explain", text)["language"]
    assert (language["label"], language["kept"]) == ("de", False)
    assert "would drop this text" in run(pool, "explain", text).stdout


def test_nothing_from_a_text_reaches_the_terminal_but_itself(pool: FinishedPool) -> None:
    shown = run(pool, "explain", "[bold red]a\x1b]0;dog\x07[/nonsense] \u202egod\u2066 \x9b31m").stdout
    assert "[bold red]a" in shown
    assert "[/nonsense]" in shown
    written = run(pool, "explain", "dog \u202e\x9b31m", "--json").stdout
    assert json.loads(written)["text"] == "dog \u202e\x9b31m"
    for output in (shown, written):
        assert not set(output) & set("\x1b\x07\x9b\u202e\u2066")


@pytest.mark.parametrize("t", ["5", "20", "37.5", "inf"])
def test_entry_tells_what_a_set_holds_of_it(pool: FinishedPool, pairs: Any, t: str) -> None:
    for name in ("photo", "door", "sun"):
        found = run_json(pool, "entry", name, "--t", t, "--samples", "4")
        same = run_json(pool, "entry", "--id", str(found["entry_id"]), "--t", t, "--samples", "4")
        assert same == found
        holds = np.array([found["entry_id"] in ids for ids in pairs.column("entry_ids").to_pylist()])
        of_it = pairs.filter(holds)
        assert found["count"] == of_it.num_rows > 4
        assert found["curated"] == int((of_it.column("min_t").to_numpy() <= float(t)).sum())
        assert found["rank"] == 1 + int((pool.counts > found["count"]).sum())
        assert found["share_of_pairs"] == pytest.approx(of_it.num_rows / pairs.num_rows)
        smallest = of_it.sort_by([("uid_hi", "ascending"), ("uid_lo", "ascending")]).slice(0, 4).to_pylist()
        assert [sample["uid"] for sample in found["samples"]] == [
            f"{row['uid_hi']:016x}{row['uid_lo']:016x}" for row in smallest
        ]
        for sample, row in zip(found["samples"], smallest, strict=True):
            assert {key: row[key] for key in ("url", "text", "page_url", "min_t")}.items() <= sample.items()
            assert sample["kept"] == (row["min_t"] <= float(t))


def test_an_entry_that_no_text_contains(pool: FinishedPool) -> None:
    nothing = int(np.flatnonzero(pool.counts == 0)[0])
    found = run_json(pool, "entry", "--id", str(nothing))
    assert (found["count"], found["rank"], found["curated"], found["samples"]) == (0, None, 0, [])
    assert "No text of the pool contains it" in run(pool, "entry", "--id", str(nothing)).stdout


def test_trace_follows_pairs_to_their_end(pool: FinishedPool, pairs: Any) -> None:
    shards = [pq.read_table(pool.store.path(f"{part.folder}/pairs.parquet")) for part in pool.all("extract")]
    places = Counter(
        (row["uid_hi"], row["uid_lo"]) for shard in shards for row in shard.select(["uid_hi", "uid_lo"]).to_pylist()
    )
    by_uid = {(row["uid_hi"], row["uid_lo"]): row for row in pairs.to_pylist()}
    repeated = [uid for uid in sorted(places) if places[uid] > 1 and uid in by_uid][:3]
    assert repeated
    for uid in [*sorted(by_uid)[:5], *repeated]:
        row = by_uid[uid]
        found = run_json(pool, "trace", f"{uid[0]:016x}{uid[1]:016x}")
        assert found["min_t"] == row["min_t"]
        assert found["sets"] == {t: row["min_t"] <= float(t) for t in ("5", "20")}
        assert found["ended"] == ("curate" if row["min_t"] <= 20 else "balance")
        assert [entry["entry_id"] for entry in found["entries"]] == row["entry_ids"]
        assert (found["min_t"] <= 20) == (found["draw"] <= found["keep_probability"])
        assert len(found["copies"]) == places[uid]
        for copy in found["copies"]:
            (held,) = [each for each in shards[copy["shard"]].to_pylist() if (each["uid_hi"], each["uid_lo"]) == uid]
            assert (copy["page_url"], copy["text_key"]) == (held["page_url"], held["text_key"])
            assert copy["stayed"] == all(held[key] == row[key] for key in ("page_url", "text_key"))
        assert any(copy["stayed"] for copy in found["copies"])


@pytest.mark.long
def test_trace_tells_why_a_pair_went_no_further(pool: FinishedPool, pairs: Any) -> None:
    kept = set(pairs.select(["uid_lo"]).column(0).to_pylist())
    reasons = Counter()
    for part in pool.all("extract")[:1]:
        rows = pq.read_table(pool.store.path(f"{part.folder}/pairs.parquet")).to_pylist()
        for row in [row for row in rows if row["uid_lo"] not in kept][:40]:
            found = run_json(pool, "trace", f"{row['uid_hi']:016X}{row['uid_lo']:016X}")
            assert found["ended"] == "extract"
            assert (found["reason"] == "language") == (row["lang"] != "en")
            assert (f"told as {row['lang']} with" in found["why"]) == (row["lang"] != "en")
            reasons[found["reason"]] += 1
    assert set(reasons) == {"language", "no_match"}


def test_trace_and_entry_for_people(pool: FinishedPool) -> None:
    shown = run(pool, "entry", "photo").stdout
    uid = re.search(r"[0-9a-f]{32}", shown)
    assert uid is not None
    traced = run(pool, "trace", uid[0])
    assert traced.exit_code == 0
    for expected in ("alt", "from", "kept from t", "set of t = 20", "ended"):
        assert expected in traced.stdout, expected


def test_pairs_that_do_not_fit_counts_or_seed_are_told(pool: FinishedPool, tmp_path: Path) -> None:
    root = tmp_path / "pool"
    shutil.copytree(pool.store.root, root)
    record = json.loads((root / "pools/small.json").read_text())
    record["config"]["balance"]["seed"] += 1
    (root / "pools/small.json").write_text(json.dumps(record))
    (sample,) = describe_entry(str(root), "small", "photo", samples=1)["samples"]
    with pytest.raises(StoreError, match="run the pool again"):
        trace_pair(str(root), "small", sample["uid"])


@pytest.mark.slow
def test_all_of_it_from_an_object_store(pool: FinishedPool, bucket: str) -> None:
    remote = Store(f"{bucket}/pool")
    fs, path = fsspec.core.url_to_fs(remote.root)
    fs.put(f"{pool.store.root}/", f"{path}/", recursive=True)
    (sample,) = run_json(pool, "entry", "photo", "--samples", "1")["samples"]
    for command in (
        ["plan", "--t", "33", "--t", "5", "--target-pairs", "700", "--expected"],
        ["explain", "a photo of the (dog)"],
        ["entry", "photo", "--t", "33"],
        ["trace", sample["uid"]],
    ):
        here, there = run_json(pool, *command), run_json(FinishedPool.open(remote.root, "small"), *command)
        for found in (here, there):
            found.pop("storage", None)
            for size in found.get("sizes", []):
                size["set"] = size["set"] is not None
        assert there == here


def test_a_damaged_row_group_is_told(pool: FinishedPool, tmp_path: Path) -> None:
    root = tmp_path / "pool"
    shutil.copytree(pool.store.root, root)
    (path,) = root.glob("balance-v*/*/pairs.parquet")
    content = bytearray(path.read_bytes())
    group = pq.ParquetFile(path).metadata.row_group(0)
    for number in range(group.num_columns):
        column = group.column(number)
        start = column.dictionary_page_offset or column.data_page_offset
        content[start : start + column.total_compressed_size] = b"\xff" * column.total_compressed_size
    path.write_bytes(content)
    copy = FinishedPool.open(str(root), "small")
    for command in (["plan", "--t", "33"], ["plan", "--t", "33", "--expected"], ["entry", "photo", "--t", "33"]):
        done = run(copy, *command)
        assert done.exit_code == 4, (command, done.output)
        assert (
            f"{path}: altered" in done.output.replace("\n", "")
            or "are not those that its manifest states" in done.output
        )
        assert "un the pool again" in done.output


@pytest.mark.long
def test_a_pool_of_survivors(pool: FinishedPool, pairs: Any, tmp_path: Path, prefect_server: str) -> None:
    root = tmp_path / "pool"
    shutil.copytree(pool.store.root, root)
    uids = [f"{row['uid_hi']:016x}{row['uid_lo']:016x}" for row in pairs.select(["uid_hi", "uid_lo"]).to_pylist()]
    (tmp_path / "uids.txt").write_text("\n".join(uids[::2]) + "\n")
    summary = rebalance("small", str(root), 5, survivors=[str(tmp_path / "uids.txt")])
    (told,) = plan_sizes(str(root), "small-survivors", [5])["sizes"]
    assert told["pairs"] == summary["funnel"]["curated"]
    found = describe_entry(str(root), "small-survivors", "photo", t=5, samples=3)
    of_it = [
        uid for uid, ids in zip(uids, pairs.column("entry_ids").to_pylist(), strict=True) if found["entry_id"] in ids
    ]
    survived = sorted(set(of_it) & set(uids[::2]))
    assert found["count"] == len(survived) < len(of_it)
    assert [sample["uid"] for sample in found["samples"]] == survived[:3]
    assert trace_pair(str(root), "small-survivors", uids[0])["reason"] in ("curated", "balanced")
    lost = trace_pair(str(root), "small-survivors", uids[1])
    assert (lost["ended"], lost["reason"]) == ("dedup", "no_survivor")
