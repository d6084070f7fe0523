"""Partitions: each reads its range of the uids, and little more of a file than that."""

import pytest

from bench.made_pairs import MadePairs, write_matched
from metaclip.schemas import PAIRS
from metaclip.stages.dedup import DedupJob
from metaclip.stages.gather import GatherJob
from metaclip.stages.partition import PartitionJob
from metaclip.store.manifest import Reference
from metaclip.store.store import Store
from metaclip.tables.parquet import RANGE_GROUP_ROWS

ROWS = 200_000


@pytest.fixture(scope="module")
def pool(tmp_path_factory: pytest.TempPathFactory) -> tuple[Store, Reference, Reference]:
    """Give a store, the gathered pairs of two shards, and the list of members that names these alone."""
    store = Store(str(tmp_path_factory.mktemp("pool")))
    _, matched = write_matched(store, MadePairs(ROWS, entries=1000), ROWS // 2)
    gathered = GatherJob(matched).run(store)
    return store, gathered, PartitionJob((gathered,), ROWS).run(store)


def test_the_partitions_together_are_the_whole(pool: tuple[Store, Reference, Reference]) -> None:
    store, _, members = pool
    whole = DedupJob(members, 0, 1).run(store)
    parts = [DedupJob(members, number, 7).run(store) for number in range(7)]
    rows = [row for part in parts for row in store.open_parquet(part, PAIRS).read().to_pylist()]
    assert rows == store.open_parquet(whole, PAIRS).read().to_pylist()
    assert all(part.rows for part in parts)


def test_a_partition_reads_the_row_groups_of_its_range_alone(pool: tuple[Store, Reference, Reference]) -> None:
    store, gathered, members = pool
    file = store.open_parquet(gathered, PAIRS)
    groups = [file.metadata.row_group(number).num_rows for number in range(file.num_row_groups)]
    assert set(groups[:-1]) == {RANGE_GROUP_ROWS}
    size = store.manifest(gathered.manifest).file(PAIRS).bytes
    partitions = 2 * len(groups)
    for number in range(partitions):
        part = DedupJob(members, number, partitions).run(store)
        read = store.manifest(part.manifest).statistics["counts"]["bytes_read"]
        # Half a row group lies in one, or in two.
        assert 0 < read <= 2.2 * size / len(groups)
