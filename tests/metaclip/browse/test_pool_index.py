"""The index of a pool against its balanced pairs, read as a whole."""

import math
import uuid
from pathlib import Path

import fsspec
import numpy as np
import pyarrow as pa
import pytest

from metaclip.browse import index_job
from metaclip.browse.index_job import BrowseIndexJob, words
from metaclip.browse.pool_index import Found, PoolIndex, index_jobs
from metaclip.errors import StoreError
from metaclip.explore.pool import FinishedPool
from metaclip.pairs.uids import format_uids
from metaclip.pool.record import BROWSE, add_index, read_record
from metaclip.schemas import PAIRS
from tests.metaclip.browse.pool import make

Made = tuple[FinishedPool, PoolIndex]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(index_job, "SEGMENT_ROWS", 1 << 20)
        return make(tmp_path_factory.mktemp("browse"))


@pytest.fixture(scope="module")
def whole(made: Made) -> pa.Table:
    pool, _ = made
    return pa.concat_tables([pool.store.open_parquet(part, PAIRS).read() for part in pool.all("balance")])


def _uids(table: pa.Table) -> list[str]:
    return sorted(format_uids(*(table.column(name).to_numpy() for name in ("uid_hi", "uid_lo"))).to_pylist())


def _read(index: PoolIndex, found: Found) -> list[str]:
    return sorted(row["uid"] for row in index.read(found.some(10**6, 0), 1.0))


def test_there_are_several_partitions_and_every_pair(made: Made, whole: pa.Table) -> None:
    pool, index = made
    assert len(index.segments) == len(pool.all("balance")) > 1
    assert index.pairs == whole.num_rows
    assert _read(index, index.all) == _uids(whole)


@pytest.mark.parametrize("t", [0.5, 3.0, 20.0, 1e9, math.inf])
def test_what_t_keeps_of_all_lists_is_exact(made: Made, whole: pa.Table, t: float) -> None:
    pool, index = made
    kept = whole.filter(pa.compute.less_equal(whole["min_t"], t))
    assert sum(index.kept(t)) == kept.num_rows
    ids = np.arange(len(pool.counts))
    lists = kept.column("entry_ids").to_pylist()
    expected = [sum(one in of for of in lists) for one in ids.tolist()]
    assert index.kept_of_entries(ids, t).tolist() == expected
    assert [index.of_entry(one).of_set(index.kept(t)).total for one in ids.tolist()] == expected
    left = index.of_entry(0).of_set(index.kept(t), inside=False)
    assert left.total == int(pool.counts[0]) - expected[0]


@pytest.mark.parametrize(
    "query", ["dog", "DOG!", "black dog", "photo of 300", "script", "猫", "少女猫", "nowhere", "cat cat"]
)
def test_texts_with_all_words(made: Made, whole: pa.Table, query: str) -> None:
    _, index = made
    asked = set(words(pa.array([query]))[0].as_py()) - {""}
    has = [asked <= set(of) for of in words(whole.column("text").combine_chunks()).to_pylist()]
    assert _read(index, index.of_words(query)) == _uids(whole.filter(pa.array(has)))
    assert (sum(has) > 0) == (query != "nowhere")


def test_hosts_and_languages_are_counted(made: Made, whole: pa.Table) -> None:
    _, index = made
    languages = {row["values"]: row["counts"] for row in whole.column("lang").value_counts().to_pylist()}
    assert {name: found.total for name, found in index.languages} == languages
    assert index.hosts[0][0] == "busy.example"
    assert sum(found.total for _, found in index.hosts) == whole.num_rows
    assert index.of_term("h", "busy.example").both(index.of_words("dog")).total == sum(
        "//busy." in url and "dog" in set(of)
        for url, of in zip(
            whole.column("url").to_pylist(), words(whole.column("text").combine_chunks()).to_pylist(), strict=True
        )
    )


@pytest.mark.long
def test_rows_come_with_their_entries_and_a_sample_depends_on_its_seed_alone(made: Made, whole: pa.Table) -> None:
    _, index = made
    found = index.of_words("dog")
    samples = [[row["uid"] for row in index.read(found.some(20, seed), 20.0)] for seed in (1, 1, 2)]
    assert samples[0] == samples[1] != samples[2]
    assert len(set(samples[0])) == 20
    rows = {row["uid"]: row for row in index.read(index.all.some(10**6, 0), 20.0)}
    uids = format_uids(*(whole.column(name).to_numpy() for name in ("uid_hi", "uid_lo"))).to_pylist()
    for uid, text, ids, min_t in zip(
        uids, *(whole.column(name).to_pylist() for name in ("text", "entry_ids", "min_t")), strict=True
    ):
        assert (rows[uid]["text"], rows[uid]["entries"], rows[uid]["kept"]) == (text, ids, min_t <= 20)


def test_entries_beside_one_are_those_of_its_pairs(made: Made, whole: pa.Table) -> None:
    _, index = made
    lists = [ids for ids in whole.column("entry_ids").to_pylist() if 0 in ids]
    looked_at, beside = index.beside(index.of_entry(0), 0, 100)
    assert looked_at == len(lists)
    assert dict(beside) == {one: sum(one in ids for ids in lists) for one, _ in beside}
    assert 0 not in dict(beside)


def test_an_index_of_small_segments_tells_the_same_and_bytes_are_the_same(
    made: Made, monkeypatch: pytest.MonkeyPatch
) -> None:
    pool, index = made
    job = index_jobs(pool)[0]
    before = pool.store.manifest(job.manifest)
    job.run(pool.store)
    assert pool.store.manifest(job.manifest).files == before.files
    monkeypatch.setattr(index_job, "SEGMENT_ROWS", 1)  # a segment for each row group
    small = PoolIndex(pool, [BrowseIndexJob(part).run(pool.store) for part in pool.all("balance")])
    assert small.of_words("dog").total == index.of_words("dog").total


def test_the_record_names_the_index_until_the_pool_is_balanced_anew(made: Made) -> None:
    pool, _ = made
    addresses = [job.manifest for job in index_jobs(pool)]
    balanced = pool.stages["balance"]
    add_index(pool.store, "small", [*balanced, "balance-v2/0/manifest.json"], addresses)
    assert BROWSE not in read_record(pool.store, "small")["stages"]
    add_index(pool.store, "small", balanced, addresses)
    record = read_record(pool.store, "small")
    assert record["stages"][BROWSE] == addresses
    assert list(record["stages"])[-1] == "curate"


def test_an_empty_pool_has_an_index(tmp_path: Path) -> None:
    found = Found((np.zeros(0, np.uint32),))
    assert (found.total, found.some(5, 0)) == (0, [])


def test_an_index_elsewhere_is_copied_to_this_machine_and_an_altered_one_is_told(made: Made) -> None:
    pool, index = made
    memory = fsspec.filesystem("memory")
    root = f"memory://browse-{uuid.uuid4().hex}"
    memory.put(pool.store.root, root.removeprefix("memory:/"), recursive=True)
    there = FinishedPool.open(root, "small")
    outputs = [output for job in index_jobs(there) if (output := job.find(there.store)) is not None]
    opened = PoolIndex(there, outputs)
    assert opened.of_words("dog").total == index.of_words("dog").total
    some = opened.of_words("dog").some(5, 3)
    assert opened.read(some, 20.0) == index.read(some, 20.0)
    damaged = f"{root.removeprefix('memory:/')}/{outputs[0].folder}/00000.rows.arrow"
    content = bytearray(memory.cat(damaged))
    content[len(content) // 3] ^= 1
    memory.pipe(damaged, bytes(content))
    with pytest.raises(StoreError, match="altered since it was written"):
        PoolIndex(there, outputs)  # the file is one block
