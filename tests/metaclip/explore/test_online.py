"""Balancing a stream gives the curated set, to the pair."""

import io
import json
import random
import tarfile
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from metaclip.balance.algorithm import KeepProbability, algorithm1, draws, keep_probability
from metaclip.config.settings import Config
from metaclip.errors import ConfigError
from metaclip.explore.online import BalancedStream, OnlineBalancer
from metaclip.matching.matcher import Matcher
from tests.examples import run_example
from tests.pools import make_pool


@pytest.fixture(scope="module")
def pool(crawl: Path, tmp_path_factory: pytest.TempPathFactory) -> Config:
    return make_pool(crawl, tmp_path_factory.mktemp("online") / "pool")


@pytest.fixture(scope="module")
def pairs(pool: Config) -> list[tuple[str, str]]:
    """All pairs of the pool, repeats included, in an order of their own."""
    tables = [pq.read_table(path) for path in sorted(Path(pool.storage).glob("match-v*/*/pairs.parquet"))]
    table = pa.concat_tables(tables)
    found = list(zip(table["url"].to_pylist(), table["text"].to_pylist(), strict=True))
    random.Random(1).shuffle(found)
    return found


def _curated(pool: Config) -> set[tuple[str, str]]:
    table = pq.read_table(sorted(Path(pool.storage).glob("curate-v*/*/*.parquet")))
    return set(zip(table["url"].to_pylist(), table["caption"].to_pylist(), strict=True))


@pytest.mark.parametrize("batch", [7, 100_000])
def test_the_stream_is_the_curated_set(pool: Config, pairs: list[tuple[str, str]], batch: int) -> None:
    balancer = OnlineBalancer.from_pool(pool.storage, pool.pool)
    stream = BalancedStream(balancer, pairs, lambda pair: pair, batch)
    kept = list(stream)
    curated = _curated(pool)
    assert set(kept) == curated
    assert kept == [pair for pair in pairs if pair in curated]  # in the stream's order
    assert stream.counts == {"seen": len(pairs), "kept": len(kept)}


def test_any_t_and_seed_is_the_set_of_min_t(pool: Config, pairs: list[tuple[str, str]]) -> None:
    files = sorted(Path(pool.storage).glob("balance-v*/*/pairs.parquet"))
    table = pa.concat_tables(pq.read_table(path) for path in files)
    wanted = table.filter(pa.array(table["min_t"].to_numpy() <= 3.5))
    kept = BalancedStream(OnlineBalancer.from_pool(pool.storage, pool.pool, 3.5), pairs, lambda pair: pair)
    assert set(kept) == set(zip(wanted["url"].to_pylist(), wanted["text"].to_pylist(), strict=True))
    other = BalancedStream(OnlineBalancer.from_pool(pool.storage, pool.pool, 3.5, seed=1), pairs, lambda pair: pair)
    assert set(other) != set(kept)
    assert 0.8 < len(set(other)) / len(set(kept)) < 1.25
    assert set(
        BalancedStream(OnlineBalancer.from_pool(pool.storage, "small", np.inf), pairs, lambda pair: pair)
    ) == set(pairs)


def test_addresses_and_texts_are_spelled_as_the_pool_has_them(pool: Config, pairs: list[tuple[str, str]]) -> None:
    balancer = OnlineBalancer.from_pool(pool.storage, pool.pool)
    urls, texts = (list(column) for column in zip(*pairs[:500], strict=True))
    expected = balancer.keep(urls, texts)
    assert 0 < expected.sum() < 500
    odd_urls = [url.replace("https://", " HTTPS://") + "#fragment" for url in urls]
    odd_texts = [f"\t{text.replace(' ', '  ')}\n" for text in texts]
    assert np.array_equal(balancer.keep(odd_urls, odd_texts), expected)
    assert balancer.keep([], []).shape == (0,)
    assert not balancer.keep(
        ["nonsense", "data:image/png,x", "https://a.example/"], ["photo", "photo", "qqqq zzzz"]
    ).any()


def test_keep_probability_of_pairs_with_and_without_entries() -> None:
    counts = np.array([100, 10, 0, 3], np.uint64)
    offsets, ids = np.array([0, 1, 1, 3, 4, 5]), np.array([0, 0, 1, 3, 2], np.uint32)
    found = KeepProbability(counts, 5)(offsets, ids)
    assert found == pytest.approx([0.05, 0, 1 - 0.95 * 0.5, 1, 1])
    assert KeepProbability(counts, np.inf)(offsets, ids).tolist() == [1, 0, 1, 1, 1]
    rng = np.random.default_rng(0)
    some = np.array([0, 1, 3, 4]), np.array([0, 0, 1, 3], np.uint32)
    drawn = np.mean([algorithm1(counts, *some, 5, rng) for _ in range(4000)], axis=0)
    assert KeepProbability(counts, 5)(*some) == pytest.approx(drawn, abs=0.03)
    assert KeepProbability(counts, 5)(*some).tolist() == keep_probability(counts, *some, 5).tolist()
    with pytest.raises(ValueError, match="not below 4"):
        KeepProbability(counts, 5)(np.array([0, 1]), np.array([4], np.uint32))


def test_keeps_at_the_probability_of_the_draws() -> None:
    n = 20_000
    counts = np.array([100, 10], np.uint64)
    offsets, ids = np.arange(n + 1) * 2, np.tile(np.array([0, 1], np.uint32), n)
    uniform = draws(np.arange(n, dtype=np.uint64), np.zeros(n, np.uint64), 0)
    assert KeepProbability(counts, 5).keeps(offsets, ids, uniform).mean() == pytest.approx(0.525, abs=0.015)


def test_mistakes() -> None:
    matcher = Matcher(["photo", "dog"])
    for t in (0, -1, np.nan):
        with pytest.raises(ValueError, match="t must be above 0"):
            OnlineBalancer(matcher, np.ones(2, np.uint64), t)
    with pytest.raises(ValueError, match="3 counts for 2 entries"):
        OnlineBalancer(matcher, np.ones(3, np.uint64), 5)
    with pytest.raises(TypeError, match="integers"):
        KeepProbability(np.ones(2), 5)
    balancer = OnlineBalancer(matcher, np.ones(2, np.uint64), 5)
    with pytest.raises(ValueError, match="1 addresses and 2 texts"):
        balancer.keep(["https://a.example/"], ["a", "b"])
    with pytest.raises(ValueError, match="batch"):
        BalancedStream(balancer, [], lambda pair: pair, 0)


def test_an_unknown_pool(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="nobody"):
        OnlineBalancer.from_pool(str(tmp_path), "nobody")


@pytest.mark.slow
def test_the_example_streams_tars_by_webdataset(
    pool: Config, pairs: list[tuple[str, str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("webdataset")
    (tmp_path / "demo-data/images/0123").mkdir(parents=True)
    (tmp_path / "demo-data/pool").symlink_to(pool.storage)
    for shard in range(2):
        with tarfile.open(tmp_path / f"demo-data/images/0123/{shard:05d}.tar", "w") as archive:
            for key, (url, text) in enumerate(pairs[shard::2]):
                described = json.dumps({"url": url, "caption": text}).encode()
                for suffix, content in (("jpg", b"image"), ("json", described), ("txt", text.encode())):
                    member = tarfile.TarInfo(f"{shard:05d}{key:04d}.{suffix}")
                    member.size = len(content)
                    archive.addfile(member, io.BytesIO(content))
    monkeypatch.chdir(tmp_path)
    found = run_example("online.md", demo=pool.pool)
    assert found["stream"].counts["seen"] == len(pairs)
    curated = _curated(pool)
    assert found["stream"].counts["kept"] == sum(pair in curated for pair in pairs)
    assert found["image"] == b"image"
