"""Samples of a pool of several partitions, against all of its rows read at once."""

import shutil
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from flows.cli.main import app
from metaclip.errors import ConfigError, InputError
from metaclip.explore.pool import FinishedPool
from metaclip.pairs.uids import format_uids
from metaclip.samples.sample import Sampler, sample_pairs
from metaclip.samples.walk import start_of, take_from
from tests.pools import make_pool


@pytest.fixture(scope="module")
def pool(crawl: Path, tmp_path_factory: pytest.TempPathFactory) -> FinishedPool:
    config = make_pool(crawl, tmp_path_factory.mktemp("sampled") / "pool")
    return FinishedPool.open(config.storage, "small")


def all_rows(pool: FinishedPool, stage: str) -> Any:
    tables = [pq.read_table(pool.store.path(f"{part.folder}/pairs.parquet")) for part in pool.all(stage)]
    whole = pa.concat_tables(tables)
    uids = format_uids(whole.column("uid_hi").to_numpy(), whole.column("uid_lo").to_numpy())
    return whole.append_column("uid", uids)


def sample(pool: FinishedPool, why: str, **options: Any) -> dict[str, Any]:
    return sample_pairs(pool.store.root, "small", why, **options)


@pytest.mark.parametrize("kept", [True, False])
@pytest.mark.parametrize("t", [20, 3.5])
def test_all_pairs_that_are_kept_or_balanced_away(pool: FinishedPool, kept: bool, t: float) -> None:
    balanced = all_rows(pool, "balance").to_pylist()
    expected = {row["uid"]: row["min_t"] for row in balanced if (row["min_t"] <= t) == kept}
    found = sample(pool, "kept" if kept else "balanced", n=100_000, t=t)
    assert {row["uid"]: row["min_t"] for row in found["rows"]} == expected
    assert len(found["rows"]) == len(expected)
    assert found["total"] == (len(expected) if t == 20 else None)


@pytest.mark.slow
@pytest.mark.parametrize("why", ["kept", "no_match"])
def test_a_small_sample_is_what_follows_the_start_whatever_its_size(pool: FinishedPool, why: str) -> None:
    whole = [row["uid"] for row in sample(pool, why, n=100_000, seed=4)["rows"]]
    first = [row["uid"] for row in sample(pool, why, n=7, seed=4)["rows"]]
    assert first == whole[:7]
    start = start_of(4)
    away = [(int(uid[:16], 16) - start) % (1 << 64) for uid in whole]
    assert away == sorted(away)
    assert first != [row["uid"] for row in sample(pool, why, n=7, seed=5)["rows"]]


def test_texts_without_a_match_and_in_other_languages(pool: FinishedPool) -> None:
    extracted = {row["uid"]: row for row in all_rows(pool, "extract").to_pylist()}
    matched = set(all_rows(pool, "match").column("uid").to_pylist())
    english = {uid for uid, row in extracted.items() if row["lang"] == "en"}
    found = {why: {row["uid"] for row in sample(pool, why, n=100_000)["rows"]} for why in ("no_match", "language")}
    assert found == {"no_match": english - matched, "language": extracted.keys() - english}
    some = sample(pool, "language", n=100_000, language="de")["rows"]
    assert {row["lang"] for row in some} == {"de"}
    assert len(some) == sum(row["lang"] == "de" for row in extracted.values())


def test_pairs_with_an_entry(pool: FinishedPool) -> None:
    found = sample(pool, "kept", n=100_000, entry="photo")["rows"]
    entry_id = pool.entries.column("entry").to_pylist().index("photo")
    rows = all_rows(pool, "balance").to_pylist()
    kept = [row["uid"] for row in rows if row["min_t"] <= 20 and entry_id in row["entry_ids"]]
    assert sorted(row["uid"] for row in found) == sorted(kept)
    assert all("photo" in row["entries"] for row in found)


def test_repeats_over_the_pool_are_the_copies_that_do_not_stay(pool: FinishedPool) -> None:
    order = [(name, "ascending") for name in ("uid", "page_url", "text_key")]
    whole = all_rows(pool, "match").sort_by(order).to_pylist()
    expected = [(row["uid"], row["page_url"]) for before, row in pairwise(whole) if before["uid"] == row["uid"]]
    found = sample(pool, "repeat_in_pool", n=100_000)
    assert sorted((row["uid"], row["page_url"]) for row in found["rows"]) == sorted(expected)
    assert found["total"] == len(expected) > 0


@pytest.mark.long
def test_what_extraction_left_out_is_read_again(pool: FinishedPool) -> None:
    named = Sampler(pool, 20, 3).reasons()
    seen = {reason: count for reason, count in named.items() if reason.startswith(("image.", "text.", "pair."))}
    assert len(seen) >= 3
    for reason, count in seen.items():
        found = sample(pool, reason, n=1000)
        assert found["read"]["from"] == "files"
        assert found["total"] == count
        assert 0 < len(found["rows"]) <= count  # equal rows come once
        assert found == sample(pool, reason, n=1000)
    bad = sample(pool, "data_address", n=5)["rows"]
    assert all(row["url"].startswith("data:") for row in bad)


@pytest.mark.slow
def test_a_file_that_is_gone_and_wrong_arguments_are_told(crawl: Path, tmp_path: Path) -> None:
    own = tmp_path / "crawl"
    shutil.copytree(crawl / "wat", own)
    config = make_pool(crawl, tmp_path / "pool", source={"paths": [str(own)]})
    shutil.rmtree(own)
    with pytest.raises(InputError, match="cannot be read again"):
        sample_pairs(config.storage, "small", "no_text")
    with pytest.raises(ConfigError, match="there: kept"):
        sample_pairs(config.storage, "small", "no_such_reason")
    with pytest.raises(ConfigError, match="have no entries"):
        sample_pairs(config.storage, "small", "no_match", entry="photo")
    with pytest.raises(ConfigError, match="has neither"):
        sample_pairs(config.storage, "small", "no_text", language="de")
    with pytest.raises(ConfigError, match="survivors"):
        sample_pairs(config.storage, "small", "no_survivor")
    with pytest.raises(ConfigError, match="not in the list"):
        sample_pairs(config.storage, "small", entry="no such entry")


def test_of_records_nothing_but_the_count_is_known(pool: FinishedPool) -> None:
    dropped = {
        name.removeprefix("dropped.")
        for manifest in pool.manifests("extract")
        for name, count in manifest.statistics["counts"].items()
        if count and name.startswith(("dropped.record", "dropped.page."))
    }
    assert dropped
    for reason in dropped:
        with pytest.raises(ConfigError, match="nothing else is known"):
            sample(pool, reason)


def test_one_partition_and_a_start_beyond_its_last_row(pool: FinishedPool) -> None:
    (shard, *_) = pool.all("extract")
    last = (1 << 64) - 1
    found = take_from(pool.store, [shard], last, ("uid_hi",), lambda table: np.arange(table.num_rows), 5)
    whole = pq.read_table(pool.store.path(f"{shard.folder}/pairs.parquet"))
    assert found is not None
    assert found.equals(whole.slice(0, 5))


def test_the_command_shows_text_from_the_web_as_text(pool: FinishedPool) -> None:
    done = CliRunner().invoke(app, ["sample", "small", "--storage", pool.store.root, "--n", "2"])
    assert done.exit_code == 0, done.output
    assert done.stdout.startswith("pool small, kept at t = 20: 2 of ")
    assert "from t = " in done.stdout
    done = CliRunner().invoke(app, ["sample", "small", "--storage", pool.store.root, "--why", "no_text", "--n", "2"])
    assert "were read again" in done.stdout
