"""The rows of a set are in an order that is free of content, the same for every t."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from metaclip.config.settings import Config
from metaclip.explore.pool import FinishedPool
from metaclip.stages.curate import CuratedSetJob
from tests.pools import make_pool


@pytest.fixture(scope="module")
def pool(tmp_path_factory: pytest.TempPathFactory) -> Config:
    """6,000 pairs: half have one common entry, half have a rare entry as well and a long text, on other hosts."""
    folder = tmp_path_factory.mktemp("curate")
    rows = range(6000)
    texts = [f"a red thing {row}" if row % 2 else f"rare{row % 300} house {row} a red " + "x" * 80 for row in rows]
    urls = [f"https://host{row % 2}.example/{row}.jpg" for row in rows]
    pq.write_table(pa.table({"url": urls, "text": texts}), folder / "pairs.parquet")
    (folder / "entries.txt").write_text("\n".join(["a", "red", "house", *(f"rare{n}" for n in range(300))]))
    return make_pool(
        folder,
        folder / "pool",
        2000,
        source={"paths": [str(folder / "pairs.parquet")], "kind": "pairs"},
        metadata={"entries": str(folder / "entries.txt")},
        match={"languages": []},
        balance={"t": 200},
    )


def curated(config: Config, t: float, rows_per_file: int = 1_000_000, seed: int = 0) -> pa.Table:
    pool = FinishedPool.open(config.storage, config.pool)
    job = CuratedSetJob(tuple(pool.all("balance")), t, rows_per_file, seed)
    for part in job.parts():
        part.run(pool.store)
    job.run(pool.store)
    return pa.concat_tables(map(pq.read_table, sorted(Path(pool.store.path(job.folder)).glob("*.parquet"))))


def test_every_part_of_a_set_is_a_sample_of_it(pool: Config) -> None:
    """Sorted by `min_t`, the first tenth would have the rare entries and the long texts."""
    table = curated(pool, 200)
    entries = np.array([len(ids) for ids in table.column("entry_ids").to_pylist()], float)
    characters = np.array([len(text) for text in table.column("caption").to_pylist()], float)
    hosts = np.array([url.startswith("https://host1") for url in table.column("url").to_pylist()], float)
    assert 0.02 < hosts.mean() < 0.98
    for values in (entries, characters, hosts, table.column("min_t").to_numpy()):
        parts = np.array_split(values, 10)
        error = values.std() / np.sqrt(len(parts[0]))
        assert max(abs(part.mean() - values.mean()) for part in parts) < 4 * error


def test_neighbours_are_of_different_hosts_as_often_as_chance_has_it(pool: Config) -> None:
    table = curated(pool, float("inf"))
    hosts = np.array([url[:14] for url in table.column("url").to_pylist()])
    assert abs(np.mean(hosts[1:] == hosts[:-1]) - 0.5) < 4 * 0.5 / np.sqrt(len(hosts))


def test_a_smaller_set_is_in_the_order_of_the_larger(pool: Config) -> None:
    larger = curated(pool, float("inf"))
    smaller = curated(pool, 50)
    kept = larger.filter(pa.array(larger.column("min_t").to_numpy() <= 50))
    assert 0 < smaller.num_rows < larger.num_rows
    assert smaller.equals(kept)


def test_the_order_depends_on_the_seed_and_not_on_how_files_are_cut(pool: Config) -> None:
    whole = curated(pool, 200)
    assert curated(pool, 200, rows_per_file=100).equals(whole)
    other = curated(pool, 200, seed=1)
    assert not other.equals(whole)
    assert other.sort_by("uid").equals(whole.sort_by("uid"))
