"""What `metaclip plan`, `explain`, `entry` and `trace` tell of the finished small pool."""

import json
import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner, Result

from flows.cli import app
from metaclip.balance import keep_probability
from metaclip.csr import csr
from metaclip.finished.pool import FinishedPool
from metaclip.finished.sizes import plan_sizes
from metaclip.manifest import Reference
from metaclip.stages.curate import CuratedSetJob
from metaclip.store import Store


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
    job = CuratedSetJob(tuple(balanced), t, 1000)
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
    for manifest in root.glob("balance-v1/*/manifest.json"):
        content = json.loads(manifest.read_text())
        del content["statistics"]["sizes"]
        manifest.write_text(json.dumps(content))
    (told, *_) = plan_sizes(str(root), "small", [5])["sizes"]
    assert (told["tail_pairs"], told["expected"]) == (None, None)
    after = plan_sizes(str(root), "small", expected=True)
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
